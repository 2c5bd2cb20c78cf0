"""The first band: what is open, what is being done, which variants are A and B."""

from dataclasses import dataclass

from textual.strip import Strip
from textual.widget import Widget

from analyzer.report.escape import printable
from tui.draw import Slice, stacked
from tui.look import Glyph, Ink, look_of
from tui.widgets.line import Line

_WIDE = 100
_LOW = 20
"""Lines below which the screen has no scrubber."""
_NAMED = 60
"""Cells from which on the sides have names."""
_LONGEST = 24
"""Cells of a variant's name in its chip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What the bar says; names raw."""

    title: str = ""
    facts: tuple[str, ...] = ()
    """In the order in which they are left out from the end."""
    job: str = ""
    done: float = 0.0
    waited: int = 0
    """Seconds since the job began."""
    a: str = ""
    b: str = ""
    moment: str = ""
    """The pass looked at, for screens too low for a scrubber."""
    alarm: str = ""
    """A chip of its own: the file has changed, a result is partial."""


class TopBar(Widget):
    """Says what everything below it is about."""

    DEFAULT_CSS = "TopBar { height: 1; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._heading = Heading()

    def say(self, heading: Heading) -> None:
        """Show *heading* from now on."""
        if heading != self._heading:
            self._heading = heading
            self.refresh()

    def render_line(self, y: int) -> Strip:  # noqa: ARG002
        width = self.size.width
        right = self._right(width)
        left = self._brand(width, width - right.width)
        for fact in self._heading.facts:
            piece = f"  {fact}"
            if left.width + len(piece) + right.width + 2 <= width:
                left.add(piece, Ink.MUTED)
        return left.strip(width, right)

    def _brand(self, width: int, room: int) -> Line:
        look = look_of(self)
        line = Line(look)
        name = " ksm-analyze " if width >= _WIDE else " "
        line.add(f" {look.glyph(Glyph.BRAND)}{name}", Ink.GROUND, Ink.ACCENT, bold=True)
        room = max(min(width // 3, room - line.width - 2), 4)
        return line.add(
            f" {look.clipped(printable(self._heading.title), room)}", bold=True
        )

    def _right(self, width: int) -> Line:
        look, heading = look_of(self), self._heading
        line = Line(look)
        if heading.alarm:
            line.add(f" {printable(heading.alarm)} ", Ink.GROUND, Ink.WARNING)
            line.add(" ")
        if heading.moment and self.screen.size.height < _LOW:
            line.add(f" {heading.moment} ", Ink.CURSOR, bold=True)
        if heading.job:
            self._job(line, width)
        for letter, name, ink in (
            ("A", heading.a, Ink.GAIN),
            ("B", heading.b, Ink.WARNING),
        ):
            if not name or (width < _WIDE and heading.job):
                continue
            line.add(f" {letter} ", Ink.GROUND, ink, bold=True)
            if width < _NAMED:
                continue
            shown = look.clipped(printable(name), min(_LONGEST, width // 6))
            line.add(f" {shown} ", Ink.TEXT, Ink.PANEL)
        return line

    def _job(self, line: Line, width: int) -> None:
        look, heading = look_of(self), self._heading
        name = look.clipped(printable(heading.job), max(width // 5, 8))
        line.add(f" {look.glyph(Glyph.RUNNING)} {name} ", Ink.CURSOR)
        bar = 12 if width >= 140 else 6
        parts = [Slice(round(heading.done * 1000), Ink.CURSOR)]
        line.put(stacked(parts, bar, 1000, look))
        line.add(f" {heading.waited} s ", Ink.MUTED)
