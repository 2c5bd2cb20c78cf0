"""Where every page went: one bar over the whole width, and what its parts are."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.segment import Segment
from textual.strip import Strip

from analyzer.report.cells import cells
from analyzer.report.escape import printable
from tui import draw
from tui.draw import Cells, Slice
from tui.look import Colour, Ink, Look, State
from tui.widgets.drawn import Drawn


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the whole."""

    label: str
    value: int
    text: str
    """The value as people read it."""
    colour: Colour
    rank: int = 0
    """Parts of the highest rank are the first to go from a narrow legend."""


class Composition(Drawn):
    """A stacked bar, its legend in the last line; without one in a single line."""

    DEFAULT_CSS = "Composition { height: 3; }"

    def __init__(
        self,
        *,
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        """A bar of nothing yet."""
        super().__init__(name=name, id=id, classes=classes)
        self._parts: Sequence[Part] = ()
        self._whole = 0

    def set(self, parts: Sequence[Part], whole: int | None = None) -> None:
        """Parts from left to right; *whole* where they are less than all of it."""
        self._parts = parts
        self._whole = sum(part.value for part in parts) if whole is None else whole
        self.refresh()

    def drawn_line(self, y: int, look: Look) -> Strip:
        """The bar, and the legend under it."""
        width, height = self.size
        if height > 1 and y == height - 1:
            return Strip(self._legend(width, look))
        slices = [Slice(part.value, part.colour) for part in self._parts]
        return Strip(draw.stacked(slices, width, self._whole, look), width)

    def _legend(self, width: int, look: Look) -> Cells:
        drawn: Cells = []
        for part in self._fitting(width):
            ink = Ink.DIM if part.colour == State.UNSCANNED else part.colour
            drawn.append(Segment(look.texture(part.colour), look.style(ink)))
            drawn.append(Segment(f" {printable(part.label)} ", look.style(Ink.MUTED)))
            drawn.append(Segment(part.text, look.style(Ink.TEXT)))
            drawn.append(Segment("  "))
        return drawn[:-1]

    def _fitting(self, width: int) -> list[Part]:
        """The parts there is room for; of equal rank the right one goes first."""
        kept = list(self._parts)
        while kept and sum(map(_room, kept)) - 2 > width:
            worst = max(range(len(kept)), key=lambda at: (kept[at].rank, at))
            del kept[worst]
        return kept


def _room(part: Part) -> int:
    return cells(printable(part.label)) + cells(part.text) + 5
