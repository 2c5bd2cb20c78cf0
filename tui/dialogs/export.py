"""Where the table that is seen goes: a file of exact figures, or a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from analyzer.report.escape import printable
from tui.export import SUFFIXES, Cannot, write_file
from tui.session import Session
from tui.views.view import subtitled

if TYPE_CHECKING:
    from tui.views.process import Process
    from tui.views.view import View


class Export(ModalScreen[None]):
    """Asks for a file name; its suffix says what is written."""

    CSS = """
    Export { align: center middle; }
    Export > Vertical { width: 70; max-width: 96%; height: auto; padding: 0 1;
        border: round $primary; background: $surface; }
    Export Input { height: 1; border: none; padding: 0; background: $surface; }
    Export Static { color: $ksm-muted; }
    Export Static.-wrong { color: $error; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close")]

    def __init__(self, session: Session, view: "View | Process", picture: str) -> None:
        """*picture* is the screen as it is, in SVG."""
        super().__init__()
        self._session, self._view, self._picture = session, view, picture

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = Content("export what is seen")
            subtitled(box, "enter", "esc")
            yield Input(f"{self._view.NAME}.csv", compact=True)
            yield Static(Content(f"suffix: {', '.join(SUFFIXES)} (svg: the screen)"))

    @on(Input.Submitted)
    def _write(self, event: Input.Submitted) -> None:
        path = Path(event.value.strip()).expanduser()
        try:
            told = write_file(path, self._session, self._view, self._picture)
        except Cannot as error:
            line = self.query_one(Static)
            line.add_class("-wrong")
            line.update(Content(printable(str(error))))
            return
        self.app.notify(printable(told), timeout=4, markup=False)
        self.dismiss(None)

    def action_leave(self) -> None:
        self.dismiss(None)
