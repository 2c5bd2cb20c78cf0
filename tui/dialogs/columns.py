"""Which columns a table has."""

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widgets import SelectionList
from textual.widgets.selection_list import Selection

from tui.look import look_of
from tui.views.view import subtitled
from tui.widgets.source import Column


class _Boxes(SelectionList[str]):
    """Boxes of characters: Textual's tell what is chosen by colour alone."""

    def render_line(self, y: int) -> Strip:
        line = super().render_line(y)
        at = self.scroll_offset.y + y
        if at >= self.option_count:
            return line
        chosen = self.get_option_at_index(at).value in self.selected
        box = Segment("[x]" if chosen else "[ ]", list(line)[3].style)
        return Strip([box, *list(line)[3:]], line.cell_length)


class Columns(ModalScreen[list[str] | None]):
    """Ends with the keys of the columns that are wanted, or None for no change."""

    CSS = """
    Columns { align: center middle; }
    Columns > Vertical { width: 44; max-width: 96%; height: auto; max-height: 90%;
        border: round $primary; background: $surface; padding: 0 1; }
    Columns SelectionList { height: auto; max-height: 100%; border: none; padding: 0;
        background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,c", "take", "Take them"),
    ]

    def __init__(self, columns: Sequence[Column], shown: Sequence[str]) -> None:
        super().__init__()
        self._columns, self._shown = columns, shown

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = Content("columns")
            subtitled(box, "space toggles", "esc takes them")
            yield _Boxes(*map(self._selection, self._columns))

    def _selection(self, column: Column) -> Selection[str]:
        shown = column.key in self._shown
        return Selection(Content(look_of(self).words(column.title)), column.key, shown)

    def action_take(self) -> None:
        """Those of the highest rank still go first where there is no room for all."""
        chosen = self.query_one(SelectionList).selected
        self.dismiss([str(key) for key in chosen])
