"""A window with a list of which one is chosen."""

from collections.abc import Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from analyzer.report.escape import printable
from tui.views.view import subtitled


class Choose(ModalScreen[Any]):
    """Ends with the value of the choice, or None. Texts may hold names from outside."""

    CSS = """
    Choose { align: center middle; }
    Choose > Vertical { width: 60; max-width: 96%; height: auto; max-height: 80%;
        border: round $primary; background: $surface; padding: 0 1; }
    Choose OptionList { height: auto; max-height: 100%; border: none; padding: 0;
        background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close")]

    def __init__(self, title: str, choices: Sequence[tuple[str, Any]]) -> None:
        super().__init__()
        self._title, self._choices = title, choices

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = Content(printable(self._title))
            subtitled(box, "enter", "esc")
            yield OptionList(
                *(Option(Content(printable(text))) for text, _ in self._choices)
            )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._choices[event.option_index][1])

    def action_leave(self) -> None:
        self.dismiss(None)
