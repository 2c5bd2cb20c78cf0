"""What the screen of a live host says in lines: whose prediction, which knobs."""

from collections.abc import Sequence
from typing import NamedTuple

from textual.strip import Strip
from textual.widget import Widget

from analyzer.report.cells import cells
from analyzer.report.escape import printable
from tui.draw import text
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
        line.add(" ")
        separator = f" {look.glyph(Glyph.SEPARATOR)} "
        for at, piece in enumerate(self._said):
            gap, words = separator if at else "", printable(piece.text)
            room = width - line.width
            if cells(gap + words) > room:
                style = look.style(piece.ink, line.ground)
                line.put(text(gap + words, room, look, style))
                break
            line.add(gap, Ink.DIM).add(words, piece.ink)
        return line.strip(width)
