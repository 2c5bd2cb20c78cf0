"""A square of figures by colour: who has how much in common with whom."""

from collections.abc import Callable, Sequence
from itertools import chain
from math import log
from typing import ClassVar, Final, Literal, NamedTuple

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from analyzer.report.cells import cells, padded
from analyzer.report.escape import printable
from analyzer.report.units import NOTHING, percent_text
from tui import draw
from tui.draw import Cells, Slice
from tui.look import Glyph, Ink, Look, State
from tui.widgets.drawn import Drawn

Scale = Literal["log", "linear"]

_NARROWEST: Final = 2
_WIDEST_FITTED: Final = 8
_WIDEST_NAMED: Final = 18
"""Cells of a column up to which it is widened for the names above."""
_WIDEST: Final = 12
_NUMBERED: Final = 5
"""Cells from which on a cell shows its figure, of at most four."""
_LEGEND: Final = 24
"""Cells of the ramp under the map."""
_FAINTEST: Final = 0.07
"""Where the smallest figure is on the ramp: apart from nothing."""


class Split(NamedTuple):
    """What a row has with itself, and with others."""

    itself: int
    others: int


class _Plan(NamedTuple):
    """Cells of each part of the map."""

    digits: int
    names: int
    cell: int
    named: bool
    """Whether columns have their names above them."""
    every: int
    """The columns that have a number above them: each, every second, ..."""
    side: int
    legend: int
    """Lines under the rows."""
    width: int
    """Cells for columns, all of them in sight."""
    rows: int
    """Rows that are seen at once."""


class HeatMap(Drawn, ScrollView, can_focus=True, inherit_bindings=False):
    """Figures of rows by columns of the same names, darker to brighter.

    A figure that is None is left blank, one that is 0 is a dot. On a log scale the
    ramp goes from the smallest figure above 0 to the largest, on a linear one from 0.
    """

    DEFAULT_CSS = """
    HeatMap { overflow: auto auto; scrollbar-size: 1 1; height: 1fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "go(0, -1)", "Column before", show=False, id="heat.left"),
        Binding("right,l", "go(0, 1)", "Next column", show=False, id="heat.right"),
        Binding("up,k", "go(-1, 0)", "Row above", show=False, id="heat.up"),
        Binding("down,j", "go(1, 0)", "Row below", show=False, id="heat.down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="heat.page_up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="heat.page_down"),
        Binding("home", "edge(0)", "First row", show=False, id="heat.home"),
        Binding("end,G", "edge(1)", "Last row", show=False, id="heat.end"),
        Binding("plus,equals_sign", "zoom(1)", "Cells", key_display="+ -",
                id="heat.wider", tooltip="Wider cells"),
        Binding("minus", "zoom(-1)", "Narrower cells", show=False,
                id="heat.narrower"),
        Binding("enter", "open", "Open", id="heat.open",
                tooltip="Show or hide the pair; from Overview, go to Sharing"),
    ]  # fmt: skip

    class Said(Message):
        """What a map says names the map, and the cell under its cursor."""

        def __init__(self, heat_map: "HeatMap", row: int, column: int) -> None:
            super().__init__()
            self.heat_map = heat_map
            self.row = row
            self.column = column

        @property
        def control(self) -> "HeatMap":
            """The map it happened in."""
            return self.heat_map

    class Moved(Said):
        """Another cell is selected."""

    class Opened(Said):
        """The cell is to be opened."""

    def __init__(
        self,
        corner: str = "",
        *,
        summary: bool = True,
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        """*corner* says what rows and columns are; *summary* adds bars and a legend."""
        super().__init__(name=name, id=id, classes=classes)
        self.corner = corner
        self.summary = summary
        self.row = 0
        self.column = 0
        self._names: list[str] = []
        self._values: Sequence[Sequence[int | None]] = ()
        self._splits: Sequence[Split] = ()
        self._formatter: Callable[[int], str] = str
        self._tight: Callable[[int], str] = draw.tight
        self._scale: Scale = "log"
        self._least = 0
        self._most = 0
        self._chosen_width: int | None = None
        self._plan = _Plan(2, 0, _NARROWEST, False, 1, 0, 0, 1, 1)
        self._drawn_for: tuple[int, Look] | None = None
        self._lines: dict[int, Strip] = {}

    def set(
        self,
        names: Sequence[str],
        values: Sequence[Sequence[int | None]],
        formatter: Callable[[int], str] = str,
        scale: Scale = "log",
        tight: Callable[[int], str] = draw.tight,
        splits: Sequence[Split] | None = None,
    ) -> None:
        """A row of *values* for each of *names*, by column, none negative.

        *formatter* writes the legend, *tight* the cells in at most four. *splits*
        are the bars at the right, otherwise counted from the values.
        """
        self._names = [printable(name) for name in names]
        self._values = values
        self._formatter, self._tight, self._scale = formatter, tight, scale
        self._splits = _splits(values) if splits is None else splits
        known = [value for value in chain.from_iterable(values) if value]
        self._least, self._most = min(known, default=0), max(known, default=0)
        last = max(len(names) - 1, 0)
        self.row, self.column = min(self.row, last), min(self.column, last)
        self._fit()
        self.refresh()

    def select(self, row: int, column: int) -> None:
        """Move to a cell, the nearest there is, and bring it in sight."""
        last = len(self._names) - 1
        if last < 0:
            return
        before = self.row, self.column
        self.row, self.column = min(max(row, 0), last), min(max(column, 0), last)
        self._scroll_to_cursor()
        self.refresh()
        if (self.row, self.column) != before:
            self.post_message(self.Moved(self, self.row, self.column))

    # Keys and mouse

    def action_go(self, rows: int, columns: int) -> None:
        """Select a neighbouring cell."""
        self.select(self.row + rows, self.column + columns)

    def action_page(self, by: int) -> None:
        """Select a cell a screen away."""
        self.select(self.row + by * max(self._plan.rows - 1, 1), self.column)

    def action_edge(self, end: int) -> None:
        """Select a cell of the first row or the last."""
        self.select(end * (len(self._names) - 1), self.column)

    def action_zoom(self, by: int) -> None:
        """Make the cells wider or narrower."""
        width = self._plan.cell + by
        self._chosen_width = min(max(width, _NARROWEST), _WIDEST)
        self._fit()
        self.refresh()

    def action_open(self) -> None:
        """Say that the cell is to be opened."""
        if self._names:
            self.post_message(self.Opened(self, self.row, self.column))

    def on_click(self, event: events.Click) -> None:
        """Select a cell, and open it at the second click."""
        offset = event.get_content_offset(self)
        if offset is None or not 0 < offset.y <= self._plan.rows:
            return
        x = offset.x - self._plan.names
        if not 0 <= x < self._plan.width:
            return
        row = self.scroll_offset.y + offset.y - 1
        column = (self.scroll_offset.x + x) // self._plan.cell
        if row < len(self._names) and column < len(self._names):
            self.select(row, column)
            if event.chain == 2:
                self.action_open()

    # Where things are

    def on_mount(self) -> None:
        """Tell the width and height scrolled over."""
        self._fit()

    def on_resize(self) -> None:
        """Keep the selected cell in sight."""
        self._fit()

    def on_focus(self) -> None:
        """Show that keys go here."""
        self.refresh()

    def on_blur(self) -> None:
        """Show that keys go elsewhere."""
        self.refresh()

    def _fit(self) -> None:
        self._lines.clear()
        if not self.is_mounted:
            return
        self._plan = self._planned()
        plan, count = self._plan, len(self._names)
        width = plan.names + count * plan.cell + plan.side
        self.virtual_size = Size(width, 1 + count + plan.legend)
        self._scroll_to_cursor()

    def _planned(self) -> _Plan:
        """How the room there is now is shared out."""
        width, height = self.scrollable_content_region.size
        digits = max(len(str(len(self._names))), 2)
        longest = max(map(cells, self._names), default=0)
        most = 24 if width >= 140 else 18 if width >= 40 else 9
        wanted = max(longest, cells(self.corner) - digits)
        names = min(wanted, most - 4) + digits + 2
        side = 0 if not self.summary or width < 70 else 18 if width >= 140 else 11
        legend = 2 if self.summary and height >= 8 else 0
        room, count = max(width - names - side, 1), max(len(self._names), 1)
        fitting = min(max(room // count, _NARROWEST), _WIDEST_FITTED)
        if longest < _WIDEST_NAMED and count * (longest + 1) <= room:
            fitting = max(fitting, longest + 1)
        cell = self._chosen_width or fitting
        return _Plan(
            digits=digits,
            names=names,
            cell=cell,
            named=longest < cell,
            every=1 if longest < cell else -(-(digits + 1) // cell),
            side=side,
            legend=legend,
            width=min(room, cell * count),
            rows=max(height - 1 - legend, 1),
        )

    def _scroll_to_cursor(self) -> None:
        at, width = self.scroll_offset, self._plan.cell
        left, room = self.column * width, self._plan.width
        x = min(max(at.x, left + width - room), left)
        y = min(max(at.y, self.row - self._plan.rows + 1), self.row)
        if (x, y) != (at.x, at.y):
            self.scroll_to(x=x, y=y, animate=False, immediate=True)

    # Drawing

    def drawn_line(self, y: int, look: Look) -> Strip:
        """The names of the columns, the rows, the legend."""
        if not self._names:
            return Strip([])
        if y == 0:
            return self._heading(look)
        seen = min(self._plan.rows, len(self._names))
        if y <= seen:
            return self._line(self.scroll_offset.y + y - 1, look)
        legend = self._plan.legend and y == seen + 2
        return Strip(self._legend(look) if legend else [])

    def _heading(self, look: Look) -> Strip:
        corner = draw.text(self.corner, self._plan.names, look, look.style(Ink.DIM))
        side = [Segment(padded(" cross", self._plan.side), look.style(Ink.MUTED))]
        columns = self._cropped(self._labels(look))
        drawn = [Strip(corner), columns, Strip(side if self._plan.side else [])]
        width = self.scrollable_content_region.width
        line = Strip.join(drawn).adjust_cell_length(width)
        return line.apply_style(look.style(bg=Ink.SURFACE))

    def _labels(self, look: Look) -> Cells:
        """The names of the columns in sight, if all can be read; else the numbers
        their rows have; only some of them, where there is less room."""
        width, every = self._plan.cell, self._plan.every
        drawn: Cells = []
        for column in self._seen_columns():
            on = column == self.column
            style = look.style(Ink.ACCENT if on else Ink.MUTED, bold=on)
            room = min(every, len(self._names) - column) * width
            if self._plan.named:
                drawn += draw.text(self._names[column], room, look, style)
            elif column % every == 0:
                number = f"{column + 1:0{self._plan.digits}}"
                drawn.append(Segment(padded(number[:room], room), style))
        return drawn

    def _line(self, row: int, look: Look) -> Strip:
        """A row; kept, unless the cursor is on it."""
        wanted = self.scroll_offset.x, look
        if wanted != self._drawn_for:
            self._drawn_for = wanted
            self._lines.clear()
        if row == self.row:
            return self._row(row, look)
        line = self._lines.get(row)
        if line is None:
            line = self._lines[row] = self._row(row, look)
        return line

    def _row(self, row: int, look: Look) -> Strip:
        on = row == self.row
        number = f"{row + 1:0{self._plan.digits}} "
        name_style = look.style(Ink.TEXT if on else Ink.MUTED, bold=on)
        room = self._plan.names - len(number)
        head = [
            Segment(number, look.style(Ink.ACCENT if on else Ink.DIM)),
            *draw.text(
                look.clipped(self._names[row], room - 1), room, look, name_style
            ),
        ]
        columns = self._seen_columns()
        body = [segment for at in columns for segment in self._cell(row, at, look)]
        side = self._side(row, look) if self._plan.side else []
        return Strip.join([Strip(head), self._cropped(body), Strip(side)])

    def _seen_columns(self) -> range:
        """The columns in sight, the first perhaps in part."""
        width = self._plan.cell
        first = self.scroll_offset.x // width
        first -= first % self._plan.every
        end = (self.scroll_offset.x + self._plan.width) // width + 1
        return range(first, min(end, len(self._names)))

    def _cropped(self, columns: Cells) -> Strip:
        """What is in sight of columns drawn from the first of `_seen_columns`."""
        start = self.scroll_offset.x - self._seen_columns().start * self._plan.cell
        end = start + self._plan.width
        return Strip(columns).crop(start, end).adjust_cell_length(self._plan.width)

    def _cell(self, row: int, column: int, look: Look) -> Cells:
        width = self._plan.cell
        value = self._values[row][column]
        t = self._heat(value)
        ground = look.heat(t) if value else None
        shown = self._content(value, t, width, look)
        ink = look.ink_on(ground) if value else Ink.DIM
        style = look.style(ink, ground)
        if (row, column) == (self.row, self.column):
            shown = self._under_cursor(shown, width)
            style = look.style(ink, ground, bold=True, underline="[" not in shown)
            if self.has_focus:
                style = look.style(Ink.GROUND, Ink.CURSOR, bold=True)
        return [Segment(shown, style)]

    def _content(self, value: int | None, t: float, width: int, look: Look) -> str:
        if value is None:
            return " " * width
        if value == 0:
            return look.glyph(Glyph.LESS_THAN_SHOWN).center(width)
        if look.shaded:
            shade = look.shade(t)
            if width <= _NUMBERED:
                return shade * (width - 1) + " "
            return padded(shade + self._tight(value)[: width - 2], width)
        if width < _NUMBERED:
            return " " * width
        return self._tight(value)[: width - 1].center(width)

    def _under_cursor(self, shown: str, width: int) -> str:
        if width < _NUMBERED:
            return f"[{shown[1:-1]}]"
        figure = shown.strip()
        return f"[{figure.center(width - 2)}]" if len(figure) <= width - 2 else shown

    def _heat(self, value: int | None) -> float:
        """Where *value* is on the ramp."""
        if not value:
            return 0
        if self._scale == "linear":
            return value / self._most
        if self._most == self._least:
            return 1
        place = log(value / self._least) / log(self._most / self._least)
        return _FAINTEST + (1 - _FAINTEST) * place

    def _side(self, row: int, look: Look) -> Cells:
        itself, others = self._splits[row]
        whole = itself + others
        room = self._plan.side - 8
        share = percent_text(others / whole) if whole else NOTHING
        own = look.mixed(State.SAVED, Ink.GROUND, 0.35)
        parts = [Slice(itself, own), Slice(others, Ink.CURSOR)]
        bar = draw.gapped(parts, room, whole, look) if whole else draw.blank(room)
        return [Segment(" "), *bar, Segment(share.rjust(7), look.style(Ink.MUTED))]

    def _legend(self, look: Look) -> Cells:
        least = self._least if self._scale == "log" else 0
        ramp = []
        for at in range(_LEGEND):
            t = _FAINTEST + (1 - _FAINTEST) * at / (_LEGEND - 1)
            ground = look.heat(t)
            ramp.append(
                Segment(" " if ground else look.shade(t), look.style(bg=ground))
            )
        faint = look.style(Ink.DIM)
        none = look.glyph(Glyph.LESS_THAN_SHOWN)
        first = f"{self._formatter(least)} "
        notes = [f" {self._formatter(self._most)}"]
        notes += [f"  {self._scale} scale", f"   {none} nothing"]
        drawn = [*draw.blank(self._plan.names), Segment(first, faint), *ramp]
        room = self.size.width - self._plan.names - len(first) - _LEGEND
        for note in notes:
            room -= len(note)
            if room >= 0:
                drawn.append(Segment(note, faint))
        return drawn


def _splits(values: Sequence[Sequence[int | None]]) -> list[Split]:
    found = []
    for at, row in enumerate(values):
        itself = row[at] or 0
        found.append(Split(itself, sum(value or 0 for value in row) - itself))
    return found
