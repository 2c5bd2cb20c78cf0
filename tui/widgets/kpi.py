"""The few figures that answer the question, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.segment import Segment
from textual.strip import Strip

from analyzer.report.cells import cells
from analyzer.report.escape import printable
from tui import draw
from tui.draw import Cells
from tui.look import Colour, Glyph, Ink, Look
from tui.widgets.drawn import Drawn

_LEAST: Final = 12
"""Cells of a card below which the last one is left out."""
_SPARK: Final = 26
_LEAST_SPARK: Final = 6


@dataclass(frozen=True, slots=True)
class Card:
    """One figure."""

    label: str
    value: str
    subtitle: str = ""
    accent: Colour = Ink.ACCENT
    history: Sequence[float] = ()
    """The figure so far, for a spark beside it."""
    short: str = ""
    """The label where there is no room for it."""
    ink: Colour = Ink.DIM
    """The colour of the subtitle: that of a gain or loss, where it is one."""


class KpiStrip(Drawn):
    """Cards of three lines; of two, without subtitles, where that is the height.

    Nothing wraps: cards for which there is no room are left out from the right.
    """

    DEFAULT_CSS = "KpiStrip { height: 3; }"

    def __init__(
        self,
        *,
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        """A strip without cards yet."""
        super().__init__(name=name, id=id, classes=classes)
        self._cards: Sequence[Card] = ()

    def set(self, cards: Sequence[Card]) -> None:
        """The most important card first."""
        self._cards = cards
        self.refresh()

    def drawn_line(self, y: int, look: Look) -> Strip:
        """One line of all cards."""
        width = self.size.width
        count = min(len(self._cards), max((width + 1) // (_LEAST + 1), 1))
        drawn: list[Strip] = []
        for at, card in enumerate(self._cards[:count]):
            # The columns left over go to the first cards.
            room = (width - (count - 1)) // count + (at < (width - count + 1) % count)
            inside = self._line(card, y, room - 2, look)
            line = Strip([self._edge(card, look), Segment(" "), *inside])
            ground = look.style(bg=Ink.SURFACE)
            drawn.append(line.adjust_cell_length(room).apply_style(ground))
            drawn.append(Strip([Segment(" ")], 1))
        return Strip.join(drawn[:-1])

    def _edge(self, card: Card, look: Look) -> Segment:
        thin = self.size.height < 3
        sign = look.glyph(Glyph.THIN_CARD if thin else Glyph.CARD)
        return Segment(sign, look.style(card.accent))

    def _line(self, card: Card, y: int, room: int, look: Look) -> Cells:
        if y == 0:
            label = card.label
            if cells(label) > room - 1 and card.short:
                label = card.short
            return draw.text(label, room, look, look.style(Ink.MUTED))
        if y == 1:
            return self._figure(card, room, look)
        return draw.text(card.subtitle, room, look, look.style(card.ink))

    def _figure(self, card: Card, room: int, look: Look) -> Cells:
        value = look.clipped(printable(card.value), max(room, 0))
        drawn = draw.text(value, cells(value), look, look.style(Ink.TEXT, bold=True))
        left = room - cells(value)
        long = min(_SPARK, left - 3)
        if self.size.height < 3 or not card.history or long < _LEAST_SPARK:
            return drawn
        faint = look.mixed(card.accent, Ink.SURFACE, 0.25)
        spark = draw.spark(card.history, long, look, faint)
        return [*drawn, *draw.blank(left - long - 1), *spark]
