"""A window with one line to fill in."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from tui.views.view import subtitled


class Ask(ModalScreen[str | None]):
    """Ends with what was typed, or None."""

    CSS = """
    Ask { align: center middle; }
    Ask > Vertical { width: 60; max-width: 96%; height: 3; border: round $primary;
        background: $surface; padding: 0 1; }
    Ask Input { height: 1; border: none; padding: 0; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close")]

    def __init__(self, title: str, example: str, value: str = "") -> None:
        super().__init__()
        self._title, self._example, self._value = title, example, value

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = Content(self._title)
            subtitled(box, "enter", "esc")
            yield Input(self._value, placeholder=self._example, compact=True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)

    def action_leave(self) -> None:
        self.dismiss(None)
