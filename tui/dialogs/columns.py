"""Which columns a table has."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import SelectionList
from textual.widgets.selection_list import Selection

from tui.widgets.source import Column


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
            box.border_subtitle = Content("space toggles · esc takes them")
            yield SelectionList[str](*map(self._selection, self._columns))

    def _selection(self, column: Column) -> Selection[str]:
        shown = column.key in self._shown
        return Selection(Content(column.title), column.key, shown)

    def action_take(self) -> None:
        """Those of the highest rank still go first where there is no room for all."""
        chosen = self.query_one(SelectionList).selected
        self.dismiss([str(key) for key in chosen])
