"""What the screen of a live host says in lines: whose prediction, which knobs."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from analyzer.report.escape import printable
from tui.look import Colour, Glyph, Ink, look_of
from tui.widgets.line import Line


class Said(NamedTuple):
    """A piece of the line; names raw."""

    text: str
    ink: Colour = Ink.MUTED


class StatusLine(Widget):
    """Pieces side by side; where there is no room for all, an ellipsis says so."""

    DEFAULT_CSS = "StatusLine { height: 1; }"

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._said: tuple[Said, ...] = ()

    def say(self, said: Sequence[Said]) -> None:
        """Show *said* from now on."""
        if tuple(said) != self._said:
            self._said = tuple(said)
            self.refresh()

    def render_line(self, y: int) -> Strip:  # noqa: ARG002
        look, width = look_of(self), self.size.width
        line = Line(look)
        between = " "
        for piece in self._said:
            line.add(between, Ink.DIM).add(printable(piece.text), piece.ink)
            between = f" {look.glyph(Glyph.SEPARATOR)} "
        if line.width <= width:
            return line.strip(width)
        style = look.style(Ink.MUTED, line.ground)
        more = Strip([Segment(look.glyph(Glyph.ELLIPSIS), style)], 1)
        return Strip.join([line.strip(max(width - 1, 0)), more])
