"""A stacked area over passes, the largest picture on the screen."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

from rich.segment import Segment
from textual.strip import Strip

from tui import draw
from tui.draw import RISING, Cells
from tui.look import Colour, Glyph, Ink, Look
from tui.widgets.timeline import (
    Formatter,
    Marker,
    Timeline,
    figures,
    floor,
    floor_labels,
    margin_of,
    ticks,
)

_Cell = tuple[int, Colour | None, Colour]


class Layer(NamedTuple):
    """One part of the area: a value for each moment, none negative."""

    colour: Colour
    values: Sequence[int]


class AreaChart(Timeline):
    """Layers stacked from the floor, eight steps to a cell.

    Where several moments share a column it shows the last of them: what the cursor
    says of that moment is what is drawn. The scale is that of all moments, shown or
    not. Moving the cursor draws nothing anew but the line it is on.
    """

    DEFAULT_CSS = "AreaChart { height: 1fr; min-height: 2; }"

    def __init__(
        self,
        formatter: Formatter = str,
        label: Callable[[int], str] = str,
        *,
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        """*formatter* for values at the side, *label* for moments by index."""
        super().__init__(name=name, id=id, classes=classes)
        self._formatter = formatter
        self._label = label
        self._layers: list[Layer] = []
        self._marks: list[Marker] = []
        self._totals: list[int] = []
        self._most = 0
        self._drawn_for: tuple[int, int, Look] | None = None
        self._rows: list[list[_Cell]] = []
        self._lines: dict[tuple[int, bool], Strip] = {}

    @property
    def count(self) -> int:
        """How many moments there are."""
        return len(self._totals)

    def set(
        self,
        layers: Sequence[Layer],
        marks: Sequence[Marker] = (),
        most: int | None = None,
        formatter: Formatter | None = None,
    ) -> None:
        """Layers from the floor up, of equal length; *most* is the top of the scale,
        otherwise the largest sum. Keeps the formatter unless one is given."""
        self._layers = list(layers)
        self._marks = list(marks)
        columns = zip(*(layer.values for layer in layers), strict=True)
        self._totals = [sum(values) for values in columns]
        self._most = max(most or 0, *self._totals, 0)
        self._formatter = formatter or self._formatter
        self._drawn_for = None
        self.refresh()

    def drawn_line(self, y: int, look: Look) -> Strip:
        """The area, its floor, the labels under it."""
        height = self._height()
        if y < height:
            return self._area_line(y, height, look)
        at = ticks(self.count, self.columns, self._label)
        if y == height:
            drawn = floor(self, at, self._marks, look)
        else:
            drawn = floor_labels(self, at, self._marks, self._label, look)
        return Strip(drawn).simplify()

    def _height(self) -> int:
        """Lines of the area itself."""
        height = self.size.height
        return height - 2 if height >= 5 else height

    def _area_line(self, y: int, height: int, look: Look) -> Strip:
        self._lay_out(height, look)
        shown = figures(self._totals, self._most, height, self._formatter)
        margin = Strip(margin_of(shown.get(y), self.margin, look))
        lit = self._line(y, y in shown and y < height - 1, False, look)
        if not self.count:
            return Strip.join([margin, lit])
        faded = self._line(y, y in shown and y < height - 1, True, look)
        under = self._under_cursor(self._rows[y][self.cursor_column], look)
        return Strip.join([margin, self._split(lit, faded, under)])

    def _lay_out(self, height: int, look: Look) -> None:
        """Find the two colours of every cell; once for a size and a look."""
        wanted = self.columns, height, look
        if wanted == self._drawn_for:
            return
        self._drawn_for = wanted
        self._lines.clear()
        self._rows = [[] for _ in range(height)]
        for column in range(self.columns if self.count else 0):
            for row, cell in zip(
                reversed(self._rows), self._column(column, height), strict=True
            ):
                row.append(cell)

    def _column(self, column: int, height: int) -> list[_Cell]:
        """The cells of a column, from the floor up."""
        index, steps = self.index_at(column), height * 8
        eighths: list[Colour | None] = []
        sum_so_far = 0
        for layer in self._layers:
            sum_so_far += layer.values[index]
            end = round(sum_so_far * steps / self._most) if self._most else 0
            eighths += [layer.colour] * (end - len(eighths))
        eighths += [None] * (steps - len(eighths))
        return [
            draw.two_colours(tuple(eighths[at : at + 8])) for at in range(0, steps, 8)
        ]

    def _line(self, y: int, ruled: bool, faded: bool, look: Look) -> Strip:
        line = self._lines.get((y, faded))
        if line is None:
            empty = look.glyph(Glyph.GRID_LINE) if ruled else " "
            drawn: Cells = []
            for cell, run in groupby(self._rows[y]):
                drawn.append(_area(cell, len(list(run)), empty, faded, look))
            line = self._lines[y, faded] = Strip(drawn)
        return line

    def _under_cursor(self, cell: _Cell, look: Look) -> Segment:
        sign = look.glyph(Glyph.CURSOR_LINE)
        ground = None if look.textured else _larger(cell)
        return Segment(sign, look.style(Ink.CURSOR, ground, bold=True))


def _larger(cell: _Cell) -> Colour | None:
    filled, rest, fill = cell
    return fill if filled >= 4 else rest


def _area(cell: _Cell, width: int, empty: str, faded: bool, look: Look) -> Segment:
    filled, rest, fill = cell
    if not filled and rest is None:
        return Segment(empty * width, look.style(Ink.LINE))
    if look.textured:
        colour = _larger(cell)
        if colour is None:
            return Segment(empty * width, look.style(Ink.LINE))
        texture = look.texture(colour)
        return Segment(texture * width, look.style(colour, faded=faded))
    if not filled:
        return Segment(" " * width, look.style(bg=rest, faded=faded))
    return Segment(RISING[filled] * width, look.style(fill, rest, faded=faded))
