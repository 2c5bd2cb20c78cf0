"""A table of any number of rows, which may be a tree.

Textual's own table keeps a million rows in minutes and unfolds none of them. This one
draws the rows that are seen, asks its source for their cells, and keeps the drawn
lines.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from analyzer.report.cells import cells, padded
from tui import draw
from tui.draw import Cells
from tui.look import Glyph, Ink, Look, look_of
from tui.widgets.drawn import Drawn
from tui.widgets.rows import Rows
from tui.widgets.source import Cell, Column, Key, Source, fitted

_KEPT_LINES: Final = 4096
_COPIED_WIDTH: Final = 1024
"""Cells asked for where a cell is copied: a name is not cut."""


class Grid(Drawn, ScrollView, can_focus=True, inherit_bindings=False):
    """A virtual tree-table over a `Source`; painting costs what is seen of it."""

    DEFAULT_CSS = """
    Grid { overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Next row", show=False, id="grid.down"),
        Binding("up,k", "move(-1)", "Previous row", show=False, id="grid.up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="grid.page_down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="grid.page_up"),
        Binding("home", "edge(0)", "First row", show=False, id="grid.home"),
        Binding("end,G", "edge(1)", "Last row", show=False, id="grid.end"),
        Binding("right,l", "unfold", "Unfold the row", show=False, id="grid.unfold"),
        Binding("left,h", "fold", "Fold the row, or go to the one above it",
                show=False, id="grid.fold"),
        Binding("asterisk", "unfold_all", "Unfold all, or fold all", show=False,
                id="grid.all"),
        Binding("enter", "open", "Open", id="grid.open",
                tooltip="Open the row: what is in it, or where it is shown"),
        Binding("space", "mark", "Mark", id="grid.mark", tooltip="Mark the row"),
        Binding("ctrl+a", "mark_all", "Mark all rows, or none", show=False,
                id="grid.mark_all"),
        Binding("M", "only_marked", "List marked rows only, or all", show=False,
                id="grid.only_marked"),
        Binding("greater_than_sign", "sort(1)", "Sort", key_display="< >",
                id="grid.sort", tooltip="Sort by the next column"),
        Binding("less_than_sign", "sort(-1)", "Sort by the column before",
                show=False, id="grid.sort_before"),
        Binding("r", "reverse", "Reverse the order", show=False, id="grid.reverse"),
        Binding("c", "columns", "Choose the columns", show=False, id="grid.columns"),
        Binding("n", "match(1)", "Next match of the last filter", show=False,
                id="grid.next_match"),
        Binding("N", "match(-1)", "Previous match of the last filter", show=False,
                id="grid.last_match"),
    ]  # fmt: skip

    class Said(Message):
        """What a grid says names the grid, so that handlers can choose among them."""

        def __init__(self, grid: "Grid") -> None:
            super().__init__()
            self.grid = grid

        @property
        def control(self) -> "Grid":
            """The grid it happened in."""
            return self.grid

    class Moved(Said):
        """Another row is selected; *key* is None where there is none."""

        def __init__(self, grid: "Grid", key: Key | None) -> None:
            super().__init__(grid)
            self.key = key

    class Opened(Said):
        """The row of *key* is to be opened."""

        def __init__(self, grid: "Grid", key: Key) -> None:
            super().__init__(grid)
            self.key = key

    class Marked(Said):
        """What is marked has changed to *keys*."""

        def __init__(self, grid: "Grid", keys: frozenset[Key]) -> None:
            super().__init__(grid)
            self.keys = keys

    class ColumnsWanted(Said):
        """Somebody wants to choose the columns; see `choose`."""

    class Sorted(Said):
        """The rows are sorted by *column* now."""

        def __init__(self, grid: "Grid", column: str, descending: bool) -> None:
            super().__init__(grid)
            self.column = column
            self.descending = descending

    def __init__(
        self,
        columns: Sequence[Column],
        source: Source,
        *,
        sort: str | None = None,
        descending: bool = True,
        empty: str = "nothing to show",
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        """*columns* of *source*; the one of key *sort* orders the rows."""
        super().__init__(name=name, id=id, classes=classes)
        self.columns = list(columns)
        self.empty = empty
        self.match: Callable[[Key], bool] | None = None
        self._rows = Rows(source, sort, descending)
        self._rows.rebuild()
        self._at = 0
        self._shown: list[tuple[Column, int]] = []
        self._chosen: frozenset[str] | None = None
        self._drawn_for: tuple[int, Look] | None = None
        self._lines: dict[tuple[Key, int, bool, bool], Strip] = {}

    # What is shown

    @property
    def selected(self) -> Key | None:
        """The key under the cursor."""
        return self._rows.keys[self._at] if self._rows.keys else None

    @property
    def marks(self) -> frozenset[Key]:
        """The marked keys, also those a filter hides."""
        return self._rows.marks

    @property
    def sorting(self) -> tuple[str | None, bool]:
        """The column the rows are sorted by, and whether downwards."""
        return self._rows.column, self._rows.descending

    @property
    def only_marked(self) -> bool:
        """Whether marked rows alone are listed, with those above them."""
        return self._rows.only_marked

    def show(self, source: Source) -> None:
        """Rows of another pass, filter or trace; what is selected stays so."""
        self._rows.source = source
        self.refresh_rows()

    def show_columns(self, columns: Sequence[Column]) -> None:
        """Other columns, or in another order."""
        self.columns = list(columns)
        self.refresh_cells()

    def choose(self, keys: Iterable[str]) -> None:
        """Show these columns only, as far as there is room; the first stays."""
        self._chosen = frozenset(keys)
        self.refresh_cells()

    def shown_columns(self) -> list[str]:
        """The keys of the columns that are seen."""
        return [column.key for column, _ in self._shown]

    def refresh_cells(self) -> None:
        """Draw every cell anew: its text has changed, the rows have not."""
        self._drawn_for = None
        self.refresh()

    def refresh_rows(self) -> None:
        """Ask the source for its rows again."""
        before, at = self.selected, self._at
        self._rows.rebuild()
        self._lines.clear()
        place = None if before is None else self._rows.place(before)
        last = max(len(self._rows.keys) - 1, 0)
        self._at = min(at, last) if place is None else place
        self._fit()
        self.refresh()
        if self.selected != before:
            self.post_message(self.Moved(self, self.selected))

    def sort_by(self, column: str, descending: bool) -> None:
        """Sort the rows by the column of that key."""
        self._rows.column, self._rows.descending = column, descending
        self._drawn_for = None
        self.refresh_rows()
        self.post_message(self.Sorted(self, column, descending))

    def select(self, *path: Key) -> bool:
        """Move to the last of *path*, unfolding those before it; False if not there."""
        above = [key for key in path[:-1] if key not in self._rows.unfolded]
        if above:
            self._rows.unfolded.update(above)
            self.refresh_rows()
        place = self._rows.place(path[-1])
        if place is not None:
            self._go(place)
        return place is not None

    def is_unfolded(self, key: Key) -> bool:
        """Whether the rows beneath *key* are listed."""
        return self._rows.opened(key)

    def visible_rows(self) -> Sequence[Key]:
        """The keys of all listed rows, seen or scrolled away."""
        return self._rows.keys

    def titles(self) -> list[str]:
        """The titles of the columns that `row_texts` gives."""
        return [column.title for column in self._copied()]

    def row_texts(self, key: Key) -> list[str]:
        """The row as text, a string for each shown column that is not a picture."""
        source, look = self._rows.source, look_of(self)
        return [
            _plain(source.cell(key, column.key, _COPIED_WIDTH, look))
            for column in self._copied()
        ]

    # Keys

    def action_move(self, by: int) -> None:
        """Select a row further down."""
        self._go(self._at + by)

    def action_page(self, by: int) -> None:
        """Select a row a screen away."""
        self._go(self._at + by * max(self._room() - 1, 1))

    def action_edge(self, end: int) -> None:
        """Select the first row or the last."""
        self._go(end * (len(self._rows.keys) - 1))

    def action_unfold(self) -> None:
        """List the rows beneath this one; if they are, go to the first."""
        key = self.selected
        if key is None or not self._rows.source.has_children(key):
            return
        if self._rows.opened(key):
            self._go(self._at + 1)
        else:
            self._rows.unfolded.add(key)
            self.refresh_rows()

    def action_fold(self) -> None:
        """Hide the rows beneath this one; if there are none, go to the one above."""
        key = self.selected
        if key is None:
            return
        if self._rows.opened(key):
            self._rows.unfolded.discard(key)
            self.refresh_rows()
        elif (parent := self._rows.parent(self._at)) is not None:
            self._go(parent)

    def action_unfold_all(self) -> None:
        """Unfold all rows of the first level, or fold them."""
        top = self._at
        while (parent := self._rows.parent(top)) is not None:
            top = parent
        if self._rows.unfolded:
            self._go(top)
        self._rows.toggle_all()
        self.refresh_rows()

    def action_open(self) -> None:
        """Say that the row is to be opened."""
        if self.selected is not None:
            self.post_message(self.Opened(self, self.selected))

    def action_mark(self) -> None:
        """Mark the row, or unmark it, and go to the next."""
        if self.selected is None:
            return
        self._rows.toggle_mark(self._at)
        self._marks_changed()
        self._go(self._at + 1)

    def action_mark_all(self) -> None:
        """Mark all listed rows, or none."""
        self._rows.mark_all()
        self._marks_changed()

    def action_only_marked(self) -> None:
        """List the marked rows alone, or all."""
        if self._rows.marks or self._rows.only_marked:
            self._rows.only_marked = not self._rows.only_marked
            self.refresh_rows()

    def action_sort(self, by: int) -> None:
        """Sort by the next column that can be sorted by, which then is shown."""
        able = [column for column in self._wanted() if column.sortable]
        if not able:
            return
        keys = [column.key for column in able]
        now = self._rows.column
        at = (keys.index(now) + by) % len(able) if now in keys else 0
        self.sort_by(able[at].key, able[at].right)

    def action_reverse(self) -> None:
        """Turn the order round."""
        if self._rows.column is not None:
            self.sort_by(self._rows.column, not self._rows.descending)

    def action_columns(self) -> None:
        """Ask for a choice of columns."""
        self.post_message(self.ColumnsWanted(self))

    def action_match(self, by: int) -> None:
        """Select the next row the `match` function is true for, all round."""
        count = len(self._rows.keys)
        if self.match is None:
            self.notify("there was no filter yet whose rows to go to", timeout=2)
            return
        for step in range(1, count + 1):
            at = (self._at + by * step) % count
            if self.match(self._rows.keys[at]):
                self._go(at)
                return

    # Mouse

    def on_click(self, event: events.Click) -> None:
        """Select, unfold, open; on a title, sort."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            self._click_title(offset.x)
            return
        at = self.scroll_offset.y + offset.y - 1
        if not 0 <= at < len(self._rows.keys):
            return
        self._go(at)
        if self._rows.source.tree and offset.x // 2 == self._rows.depth(at):
            opened = self._rows.opened(self._rows.keys[at])
            (self.action_fold if opened else self.action_unfold)()
        elif event.chain == 2:
            self.action_open()

    def _click_title(self, x: int) -> None:
        start = 0
        for column, width in self._shown:
            if start <= x <= start + width and column.sortable:
                again = column.key == self._rows.column
                down = not self._rows.descending if again else column.right
                self.sort_by(column.key, down)
                return
            start += width + 1

    # Where things are

    def on_mount(self) -> None:
        """Tell the width and height scrolled over, and what is selected first."""
        self._fit()
        self.post_message(self.Moved(self, self.selected))

    def on_resize(self) -> None:
        """Keep the selected row in sight."""
        self._fit()

    def on_focus(self) -> None:
        """Show that keys go here."""
        self._refresh_row(self._at)

    def on_blur(self) -> None:
        """Show that keys go elsewhere."""
        self._refresh_row(self._at)

    def _fit(self) -> None:
        if not self.is_mounted:
            return
        lines = 1 + len(self._rows.keys) + self._has_summary()
        self.virtual_size = Size(self.size.width, lines)
        self._scroll_to_cursor()

    def _room(self) -> int:
        """How many rows are seen at once."""
        return max(self.scrollable_content_region.height - 1, 1)

    def _scroll_to_cursor(self) -> None:
        top, room = self.scroll_offset.y, self._room()
        if self._at < top:
            self.scroll_to(y=self._at, animate=False, immediate=True)
        elif self._at >= top + room:
            self.scroll_to(y=self._at - room + 1, animate=False, immediate=True)

    def _go(self, to: int) -> None:
        count = len(self._rows.keys)
        if not count:
            return
        before, self._at = self._at, min(max(to, 0), count - 1)
        self._scroll_to_cursor()
        self._refresh_row(before)
        if self._at != before:
            self._refresh_row(self._at)
            self.post_message(self.Moved(self, self.selected))

    def _refresh_row(self, at: int) -> None:
        y = at - self.scroll_offset.y + 1
        self.refresh(Region(0, y, self.size.width, 1))

    def _marks_changed(self) -> None:
        if self._rows.only_marked:
            self._rows.only_marked = bool(self._rows.marks)
            self.refresh_rows()
        self.refresh()
        self.post_message(self.Marked(self, self._rows.marks))

    def _has_summary(self) -> bool:
        if not self.columns or not self._rows.keys:
            return False
        first = self.columns[0]
        return self._rows.source.summary(first.key, 1, look_of(self)) is not None

    def _copied(self) -> list[Column]:
        self._plan(look_of(self))
        return [column for column, _ in self._shown if not column.pictorial]

    # Drawing

    def drawn_line(self, y: int, look: Look) -> Strip:
        """The titles at the top, rows under them."""
        width = self._plan(look)
        if y == 0:
            return _line(self._titles(look), width, look.style(bg=Ink.SURFACE))
        at = self.scroll_offset.y + y - 1
        if at < len(self._rows.keys):
            return self._row(at, width, look)
        if not self._rows.keys and y == min(2, self.size.height - 1):
            style = look.style(Ink.DIM)
            return _line(draw.text(f"  {self.empty}", width, look, style), width)
        if at == len(self._rows.keys) and self._has_summary():
            return _line(self._summary(look), width)
        return Strip.blank(width)

    def _plan(self, look: Look) -> int:
        """Choose the columns for the width there is now, which is returned."""
        width = self.scrollable_content_region.width
        if (width, look) != self._drawn_for:
            self._drawn_for = width, look
            self._shown = fitted(list(map(self._ranked, self._wanted())), width)
            self._lines.clear()
        return width

    def _ranked(self, column: Column) -> Column:
        # Whoever reads an order wants to see what it is by.
        sorts = column.key == self._rows.column and column.rank > 1
        return replace(column, rank=1) if sorts else column

    def _wanted(self) -> list[Column]:
        if self._chosen is None:
            return self.columns
        first = self.columns[0].key
        return [c for c in self.columns if c.key in self._chosen or c.key == first]

    def _titles(self, look: Look) -> Cells:
        drawn: Cells = []
        for column, width in self._shown:
            title, ink = look.words(column.title), Ink.MUTED
            if column.key == self._rows.column:
                down = self._rows.descending
                sign = look.glyph(Glyph.DESCENDING if down else Glyph.ASCENDING)
                room = width - cells(title) - 1
                title = f"{title[: width - 1]}{' ' if room > 0 else ''}{sign}"
                ink = Ink.ACCENT
            style = look.style(ink, bold=ink == Ink.ACCENT)
            title = padded(title[:width], width, column.right)
            drawn += [Segment(title, style), Segment(" ")]
        return drawn

    def _row(self, at: int, width: int, look: Look) -> Strip:
        key, rows = self._rows.keys[at], self._rows
        known = (key, rows.depth(at), rows.opened(key), rows.marked(key))
        line = self._lines.get(known)
        if line is None:
            if len(self._lines) >= _KEPT_LINES:
                self._lines.clear()
            line = self._lines[known] = _line(self._cells(at, look), width)
        if at != self._at:
            return line
        ground = Ink.SELECTED if self.has_focus else Ink.SELECTED_BLURRED
        return line.apply_style(look.style(bg=ground))

    def _cells(self, at: int, look: Look) -> Cells:
        key, source = self._rows.keys[at], self._rows.source
        drawn: Cells = []
        for column, width in self._shown:
            lead = self._lead(at, look) if column is self.columns[0] else []
            room = width - sum(cells(segment.text) for segment in lead)
            cell = source.cell(key, column.key, max(room, 0), look)
            whole = [*lead, *_fitting(cell, max(room, 0), column.right, look)]
            drawn += [*_exactly(whole, width), Segment(" ")]
        return drawn

    def _lead(self, at: int, look: Look) -> Cells:
        """What stands before a name: its depth, whether it unfolds, its mark."""
        key, rows = self._rows.keys[at], self._rows
        drawn: Cells = []
        if rows.source.tree:
            fold = Glyph.UNFOLDED if rows.opened(key) else Glyph.FOLDED
            sign = look.glyph(fold) if rows.source.has_children(key) else " "
            drawn.append(Segment("  " * rows.depth(at) + sign, look.style(Ink.DIM)))
            drawn.append(Segment(" "))
        if rows.marked(key):
            sign = look.glyph(Glyph.MARK)
            drawn.append(Segment(f"{sign} ", look.style(Ink.CURSOR, bold=True)))
        return drawn

    def _summary(self, look: Look) -> Cells:
        drawn: Cells = []
        for column, width in self._shown:
            lead = draw.blank(2 * (self._rows.source.tree and not drawn))
            room = max(width - 2 * len(lead), 0)
            cell = self._rows.source.summary(column.key, room, look) or ""
            whole = [*lead, *_fitting(cell, room, column.right, look)]
            drawn += [*_exactly(whole, width), Segment(" ")]
        return list(Segment.apply_style(drawn, look.style(Ink.MUTED)))


def _fitting(cell: Cell, width: int, right: bool, look: Look) -> Cells:
    if not isinstance(cell, str):
        return cell
    if right:
        return draw.figure(cell, width, look) if cell else draw.blank(width)
    return draw.text(cell, width, look)


def _exactly(drawn: Cells, width: int) -> Cells:
    return list(Strip(drawn).adjust_cell_length(width))


def _line(drawn: Cells, width: int, style: Style | None = None) -> Strip:
    strip = Strip(drawn).simplify().adjust_cell_length(width)
    return strip if style is None else strip.apply_style(style)


def _plain(cell: Cell) -> str:
    if isinstance(cell, str):
        return cell
    return "".join(segment.text for segment in cell).strip()
