"""What charts over passes have in common: columns for moments, and the cursor.

All of them have the same margin, so that a moment is in the same column of each.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, Final, NamedTuple

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from analyzer.report.cells import cells, padded
from analyzer.report.escape import printable
from tui import draw
from tui.draw import Cells
from tui.look import Glyph, Ink, Look
from tui.widgets.drawn import Drawn

Formatter = Callable[[int], str]
"""A figure as text."""

MARGIN: Final = 10
"""Cells left of the first column, for figures; none in a narrow chart."""

_NARROW: Final = 40


class Marker(NamedTuple):
    """Something that happened: a sign on the axis and a word under it."""

    moment: int
    glyph: Glyph
    label: str


class Timeline(Drawn, can_focus=True):
    """A chart of moments, by index from 0, with a cursor on one of them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "step(1)", "Next pass", show=False, id="chart.right"),
        Binding("left", "step(-1)", "Previous pass", show=False, id="chart.left"),
    ]

    cursor: reactive[int] = reactive(0)
    """The moment that is looked at; what comes after it is drawn faint."""

    class Scrubbed(Message):
        """Another moment is wanted, by click, drag or key; the chart has not moved."""

        def __init__(self, chart: "Timeline", index: int) -> None:
            super().__init__()
            self.chart = chart
            self.index = index

        @property
        def control(self) -> "Timeline":
            """The chart it happened in."""
            return self.chart

    @property
    def count(self) -> int:
        """How many moments there are."""
        raise NotImplementedError

    @property
    def margin(self) -> int:
        """Cells left of the first column."""
        return MARGIN if self.size.width >= _NARROW else 0

    @property
    def columns(self) -> int:
        """Columns for moments."""
        return max(self.size.width - self.margin, 1)

    def index_at(self, column: int) -> int:
        """The moment a column shows: the last of those that share it."""
        return draw.last_of(column, self.columns, self.count)

    def column_of(self, index: int) -> int:
        """The last column of moment *index*; one of those that share a column."""
        return -(-(index + 1) * self.columns // self.count) - 1 if self.count else 0

    @property
    def cursor_column(self) -> int:
        """Where the cursor line is."""
        return self.column_of(min(max(self.cursor, 0), max(self.count - 1, 0)))

    def action_step(self, by: int) -> None:
        """Ask for the moment before or after."""
        self._scrub(self.cursor + by)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Begin to drag."""
        self.capture_mouse()
        self._scrub_to(event)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drag on."""
        if event.button and self.app.mouse_captured is self:
            self._scrub_to(event)

    def on_mouse_up(self) -> None:
        """Let go."""
        self.release_mouse()

    def _scrub_to(self, event: events.MouseEvent) -> None:
        if self.count:
            x = event.get_content_offset_capture(self).x - self.margin
            self._scrub(self.index_at(min(max(x, 0), self.columns - 1)))

    def _scrub(self, index: int) -> None:
        index = min(max(index, 0), self.count - 1)
        if self.count and index != self.cursor:
            self.post_message(self.Scrubbed(self, index))

    def _split(self, lit: Strip, faded: Strip, under: Segment) -> Strip:
        """A line of the chart: lit up to the cursor, faint after it."""
        at = self.cursor_column
        parts = [lit.crop(0, at), Strip([under], 1), faded.crop(at + 1)]
        return Strip.join(parts)


def figures(
    values: Sequence[float], most: float, rows: int, formatter: Formatter
) -> dict[int, str]:
    """The figures at the axis by row, the top one 0: the most, its half, and zero."""
    if not values or rows < 1:
        return {}
    found = {rows - 1: formatter(0)}
    if rows >= 3:
        found[0] = formatter(round(most))
    if rows >= 7:
        found[rows // 2] = formatter(round(most / 2))
    return found


def margin_of(figure: str | None, margin: int, look: Look) -> Cells:
    """The figure of a row, and the axis."""
    if not margin:
        return []
    room = margin - 1
    shown = padded(look.clipped(figure or "", room), room, right=True)
    axis = look.glyph(Glyph.AXIS_TICK if figure else Glyph.AXIS)
    return [Segment(shown, look.style(Ink.DIM)), Segment(axis, look.style(Ink.LINE))]


def ticks(count: int, columns: int, label: Callable[[int], str]) -> list[int]:
    """Every so many moments, in steps of 1, 2 or 5 tens, so that labels fit."""
    if not count:
        return []
    room = max(cells(label(count - 1)), cells(label(0))) + 3
    for power in range(12):
        for base in (1, 2, 5):
            step = base * 10**power
            if (count - 1) // step * room <= columns:
                return list(range(0, count, step))
    return [0]


def floor(
    chart: Timeline, at: Sequence[int], marks: Sequence[Marker], look: Look
) -> Cells:
    """The axis under a chart, ticked at some moments, with what happened."""
    line = [look.glyph(Glyph.AXIS_FLOOR)] * chart.columns
    for index in at:
        line[chart.column_of(index)] = look.glyph(Glyph.FLOOR_TICK)
    style = look.style(Ink.LINE)
    corner = " " * (chart.margin - 1) + look.glyph(Glyph.AXIS_CORNER)
    drawn = [Segment(corner, style)] if chart.margin else []
    signs = {
        chart.column_of(mark.moment): look.glyph(mark.glyph)
        for mark in marks
        if 0 <= mark.moment < chart.count
    }
    mark_style = look.style(Ink.WARNING, bold=True)
    for column, part in enumerate(line):
        sign = signs.get(column)
        drawn.append(Segment(sign or part, mark_style if sign else style))
    return drawn


def floor_labels(
    chart: Timeline,
    at: Sequence[int],
    marks: Sequence[Marker],
    label: Callable[[int], str],
    look: Look,
) -> Cells:
    """The cursor's label, then what happened, then the ticks, where there is room."""
    wanted = []
    if chart.count:
        index = min(max(chart.cursor, 0), chart.count - 1)
        sign = look.glyph(Glyph.ASCENDING)
        style = look.style(Ink.CURSOR, bold=True)
        wanted.append((chart.cursor_column, f"{sign}{label(index)}", style))
    wanted += [
        (chart.column_of(mark.moment), printable(mark.label), look.style(Ink.WARNING))
        for mark in marks
        if 0 <= mark.moment < chart.count
    ]
    wanted += [
        (chart.column_of(index), label(index), look.style(Ink.DIM)) for index in at
    ]
    placed: dict[int, tuple[int, Segment]] = {}
    for column, text, style in wanted:
        width = cells(text)
        start = max(min(column, chart.columns - width), 0)
        free = all(
            end < start or start + width < begin for begin, (end, _) in placed.items()
        )
        if free and width <= chart.columns:
            placed[start] = start + width, Segment(text, style)
    drawn, x = draw.blank(chart.margin), 0
    for start, (end, segment) in sorted(placed.items()):
        drawn += [*draw.blank(start - x), segment]
        x = end
    return drawn + draw.blank(chart.columns - x)
