"""What stands out, in sentences; enter goes to where it can be seen."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Static

from analyzer.findings import Finding
from analyzer.report.escape import printable
from analyzer.report.findings import sentence
from tui.look import Glyph, Ink, Look, look_of


class Findings(VerticalScroll, can_focus=True):
    """Up to eight sentences, one of which is under the cursor."""

    DEFAULT_CSS = """
    Findings { padding: 0 1; }
    Findings > Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Next finding", show=False, id="findings.down"),
        Binding("up,k", "move(-1)", "Previous finding", show=False, id="findings.up"),
        Binding("enter", "open", "Show it", id="findings.open",
                tooltip="Go to where the finding can be seen"),
    ]  # fmt: skip

    class Opened(Message):
        """A finding is to be looked at."""

        def __init__(self, finding: Finding) -> None:
            super().__init__()
            self.finding = finding

    def __init__(self) -> None:
        super().__init__()
        self._findings: Sequence[Finding] = ()
        self._limits: Sequence[str] = ()
        self._at = 0

    def compose(self) -> ComposeResult:
        yield Static(Text(""))

    def show(self, found: Sequence[Finding], limits: Sequence[str] = ()) -> None:
        """Show *found* from now on, and beneath it what no figure can tell."""
        self._findings, self._limits = found, limits
        self._at = min(self._at, max(len(found) - 1, 0))
        self._draw()

    def action_move(self, by: int) -> None:
        self._at = max(0, min(self._at + by, len(self._findings) - 1))
        self._draw()

    def action_open(self) -> None:
        if self._findings:
            self.post_message(self.Opened(self._findings[self._at]))

    def on_focus(self) -> None:
        self._draw()

    def on_blur(self) -> None:
        self._draw()

    def _draw(self) -> None:
        look = look_of(self)
        text = Text()
        for at, finding in enumerate(self._findings):
            chosen = self.has_focus and at == self._at
            text.append_text(_drawn(finding, chosen, look)).append("\n")
        if not self._findings:
            text.append("nothing stands out\n", look.style(Ink.DIM))
        for limit in self._limits:
            text.append("! ", look.style(Ink.WARNING, bold=True))
            text.append(f"{limit}\n", look.style(Ink.DIM))
        text.rstrip()
        self.query_one(Static).update(text)


def _drawn(finding: Finding, chosen: bool, look: Look) -> Text:
    sign, ink = {
        True: (Glyph.ASCENDING, Ink.GAIN),
        False: (Glyph.DESCENDING, Ink.LOSS),
        None: (Glyph.BRAND, Ink.ACCENT),
    }[finding.good]
    words = sentence(finding)
    text = Text().append(f"{look.glyph(sign)} ", look.style(ink, bold=True))
    head = look.style(Ink.TEXT, bold=True, reverse=chosen)
    text.append(printable(words.head), head)
    return text.append(f": {printable(words.body)}", look.style(Ink.MUTED))
