"""Curves laid over each other, to see where they part."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from rich.segment import Segment
from textual.strip import Strip

from analyzer.report.cells import cells
from analyzer.report.escape import printable
from analyzer.report.units import NOTHING
from tui import draw
from tui.draw import Cells
from tui.look import Colour, Glyph, Ink, Look
from tui.widgets.timeline import Formatter, Timeline, figures, margin_of

_DOTS: Final = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The bits of a braille cell, left and right, from the top."""
_BRAILLE: Final = 0x2800
_SIGNS: Final = "ox+*"
"""What the curves are drawn with where colour cannot tell them apart."""

_BETWEEN: Final = 3
"""Cells between two curves of the legend."""


class Curve(NamedTuple):
    """A value for each moment, as far as it goes."""

    label: str
    colour: Colour
    values: Sequence[int]


class Lines(Timeline):
    """Curves in dots, two by four to a cell, with their values at the cursor.

    Curves may end at different moments. A dot shows the last of the moments that
    share its column. Nothing below zero is drawn.
    """

    DEFAULT_CSS = "Lines { height: 1fr; min-height: 3; }"

    def __init__(
        self,
        formatter: Formatter = str,
        difference: Callable[[int], str] | None = None,
        *,
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        """*difference* writes the second curve less the first, where it is wanted."""
        super().__init__(name=name, id=id, classes=classes)
        self._formatter = formatter
        self._difference = difference
        self._curves: list[Curve] = []
        self._most = 0
        self._drawn_for: tuple[int, int, Look] | None = None
        self._lines: dict[tuple[int, bool], Strip] = {}
        self._rows: list[list[tuple[int, int]]] = []

    @property
    def count(self) -> int:
        """How many moments the longest curve has."""
        return max((len(curve.values) for curve in self._curves), default=0)

    def set(self, curves: Sequence[Curve], formatter: Formatter | None = None) -> None:
        """Curves, the later drawn over the earlier; keeps the formatter unless one is
        given."""
        self._curves = list(curves)
        self._most = max((max(curve.values, default=0) for curve in curves), default=0)
        self._formatter = formatter or self._formatter
        self._drawn_for = None
        self.refresh()

    def drawn_line(self, y: int, look: Look) -> Strip:
        """The curves; the last line is the legend."""
        height = max(self.size.height - 1, 1)
        if y >= height:
            return Strip(self._legend(look))
        self._lay_out(height, look)
        values = self._curves[0].values if self._curves else ()
        shown = figures(values, self._most, height, self._formatter)
        margin = Strip(margin_of(shown.get(y), self.margin, look))
        if not self.count:
            return margin
        empty = look.glyph(Glyph.GRID_LINE) if y in shown else " "
        lit = self._line(y, empty, False, look)
        faded = self._line(y, empty, True, look)
        cursor = self._cursor(y, look)
        return Strip.join([margin, self._split(lit, faded, cursor)])

    def _lay_out(self, height: int, look: Look) -> None:
        """Set the dots: for each cell their bits, and the curve on top."""
        wanted = self.columns, height, look
        if wanted == self._drawn_for:
            return
        self._drawn_for = wanted
        self._lines.clear()
        self._rows = [[(0, 0)] * self.columns for _ in range(height)]
        for number, curve in enumerate(self._curves):
            self._trace(number, curve.values, height * 4)

    def _trace(self, number: int, values: Sequence[int], dots: int) -> None:
        before = None
        for x in range(self.columns * 2):
            index = draw.last_of(x, self.columns * 2, self.count)
            if index >= len(values):
                return
            height = draw.level(values[index], self._most, dots - 1)
            low, high = sorted((height, height if before is None else before))
            before = height
            for dot in range(low, high + 1):
                row, bit = divmod(dots - 1 - dot, 4)
                bits, _ = self._rows[row][x // 2]
                self._rows[row][x // 2] = bits | _DOTS[x % 2][bit], number

    def _line(self, y: int, empty: str, faded: bool, look: Look) -> Strip:
        line = self._lines.get((y, faded))
        if line is None:
            drawn = [
                self._cell(bits, number, faded, look)
                if bits
                else Segment(empty, look.style(Ink.LINE))
                for bits, number in self._rows[y]
            ]
            line = self._lines[y, faded] = Strip(drawn).simplify()
        return line

    def _cell(self, bits: int, number: int, faded: bool, look: Look) -> Segment:
        style = look.style(self._curves[number].colour, faded=faded)
        sign = _SIGNS[number % 4] if _signed(look) else chr(_BRAILLE + bits)
        return Segment(sign, style)

    def _cursor(self, y: int, look: Look) -> Segment:
        bits, number = self._rows[y][self.cursor_column]
        if bits:
            return self._cell(bits, number, False, look)
        sign = look.glyph(Glyph.CURSOR_LINE)
        return Segment(sign, look.style(Ink.CURSOR, bold=True))

    def _legend(self, look: Look) -> Cells:
        drawn: Cells = []
        room = self.size.width
        for number, curve in enumerate(self._curves):
            line = look.glyph(Glyph.CURVE)
            sign = _SIGNS[number % 4] if _signed(look) else line
            value = self._value(curve)
            figure = NOTHING if value is None else self._formatter(value)
            name = printable(curve.label)
            room -= cells(name) + cells(figure) + 3 + _BETWEEN
            if room + _BETWEEN < 0:
                return drawn
            drawn.append(Segment(f"{sign} ", look.style(curve.colour, bold=True)))
            drawn.append(
                Segment(f"{name} {figure}{' ' * _BETWEEN}", look.style(Ink.MUTED))
            )
        return drawn + self._parting(room, look)

    def _parting(self, room: int, look: Look) -> Cells:
        """What the second curve has more than the first."""
        if self._difference is None or len(self._curves) != 2:
            return []
        first, second = map(self._value, self._curves)
        if first is None or second is None:
            return []
        more = second - first
        ink = Ink.GAIN if more > 0 else Ink.LOSS if more < 0 else Ink.DIM
        shown = f"B - A {self._difference(more)}"
        if cells(shown) > room:
            return []
        return [Segment(shown, look.style(ink, bold=True))]

    def _value(self, curve: Curve) -> int | None:
        at = max(self.cursor, 0)
        return curve.values[at] if at < len(curve.values) else None


def _signed(look: Look) -> bool:
    return look.ascii or not look.colour
