"""What is seen before there is anything to see: stages, partial results, refusals."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from analyzer.report.escape import printable
from analyzer.report.units import count_text, duration_text, profit_text
from traces.errors import KsmAnalyzeError
from tui.draw import Slice, stacked
from tui.look import Glyph, Ink, Look, look_of
from tui.session import Session, title_of
from tui.tasks import Task, Tasks
from tui.variant import Progress
from tui.views.view import subtitled

STAGES: Final = ("start", "read", "number", "scan", "weigh", "write")
"""What the worker goes through, in its words."""

_TITLES: Final = {
    "start": "start the engine",
    "read": "read the pages",
    "number": "number the contents",
    "scan": "replay ksmd",
    "weigh": "add up the savings",
    "write": "hand over",
}
_BAR: Final = 40


class Opening(Container, can_focus=True):
    """The first thing on the screen."""

    NAME: ClassVar[str] = "opening"
    DEFAULT_CSS = """
    Opening { align: center middle; height: 1fr; }
    Opening > Static { width: 76; max-width: 98%; height: auto; border: round $ksm-line;
        padding: 1 2; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "look_at_part", "Look at what is there", id="jobs.part",
                tooltip="While opening: look at the passes that are done"),
        Binding("escape", "app.cancel", "Cancel", id="jobs.give_up",
                tooltip="While opening: give up"),
    ]  # fmt: skip

    def __init__(self, session: Session, tasks: Tasks, paths: Sequence[Path]) -> None:
        super().__init__(id=self.NAME)
        self.session, self.tasks, self.paths = session, tasks, paths
        self._refused: tuple[KsmAnalyzeError, Path | None] | None = None

    def compose(self) -> ComposeResult:
        box = Static(Text(""))
        box.border_title = Content("opening")
        yield box

    def on_mount(self) -> None:
        self.focus()
        self.look_at()

    def look_at(self) -> None:
        """Show how far it has come."""
        if self._refused is None:
            self._show(self._progress(), "opening", "ctrl+x cancels")

    def begin(self) -> None:
        """Show progress again, after a refusal."""
        self._refused = None
        self.look_at()

    def refuse(self, error: KsmAnalyzeError, log: Path | None) -> None:
        """Show why nothing can be shown."""
        self._refused = error, log
        self.refresh_bindings()
        self._show(self._refusal(error, log), "error", "q quits", "R tries again")

    def action_look_at_part(self) -> None:
        """Ask for a result of the passes until now."""
        task = self.tasks.current
        if task is not None and task.job is not None:
            task.job.ask_for_a_part()

    def check_action(
        self,
        action: str,
        parameters: tuple[object, ...],  # noqa: ARG002
    ) -> bool:
        """There is no part to look at of what was refused."""
        return action != "look_at_part" or self._refused is None

    def _show(self, text: Text, title: str, *subtitle: str) -> None:
        box = self.query_one(Static)
        box.border_title = Content(title)
        subtitled(box, *subtitle)
        box.update(text)

    def _progress(self) -> Text:
        look = look_of(self)
        text = Text(title_of(self.paths), look.style(Ink.TEXT, bold=True))
        text.append("\n\n")
        task = self.tasks.current
        at = STAGES.index(task.stage) if task and task.stage in STAGES else -1
        for number, stage in enumerate(STAGES):
            _stage(text, stage, number - at, task, look)
        if task is not None:
            self._scans(text, task, look)
        elif self.session.a and self.session.a.progress is Progress.CANCELLED:
            text.append("\ncancelled: ", look.style(Ink.LOSS))
            text.append("R", look.style(Ink.ACCENT, bold=True))
            text.append(" begins again", look.style(Ink.MUTED))
        return text

    def _scans(self, text: Text, task: Task, look: Look) -> None:
        muted = look.style(Ink.MUTED)
        scans = task.variant.scans
        text.append(f"\n{task.seconds:.0f} s", muted)
        if not scans:
            return
        last = scans[-1]
        told = (
            f" · {len(scans)} passes, {duration_text(last['time_ns'] // 1_000_000)} "
            f"simulated · sharing {count_text(last['pages_sharing'])} pages, zero "
            f"{count_text(last['ksm_zero_pages'])} · general_profit "
            f"{profit_text(last['general_profit'])}\n"
        )
        text.append(look.words(told), muted)
        text.append("enter", look.style(Ink.ACCENT, bold=True))
        text.append(" looks at the passes that are done", muted)

    def _refusal(self, error: KsmAnalyzeError, log: Path | None) -> Text:
        look = look_of(self)
        text = Text("This cannot be shown\n\n", look.style(Ink.LOSS, bold=True))
        text.append(printable(str(error)), look.style(Ink.TEXT))
        if error.hint:
            text.append("\n\ntry  ", look.style(Ink.MUTED))
            text.append(printable(error.hint), look.style(Ink.ACCENT))
        if log is not None:
            text.append(f"\n\nlog  {printable(str(log))}", look.style(Ink.DIM))
        return text


def _stage(text: Text, stage: str, after: int, task: Task | None, look: Look) -> None:
    """*after* is below 0 for stages that are done."""
    done, running = after < 0 and task is not None, after == 0
    sign = Glyph.DONE if done else Glyph.RUNNING if running else Glyph.SEPARATOR
    ink = Ink.GAIN if done else Ink.CURSOR if running else Ink.DIM
    text.append(f" {look.glyph(sign)} ", look.style(ink, bold=True))
    text.append(
        f"{_TITLES[stage]}\n",
        look.style(Ink.TEXT if done or running else Ink.DIM, bold=running),
    )
    if running and task is not None and task.done:
        text.append("   ")
        parts = [Slice(round(task.done * 1000), Ink.CURSOR)]
        for segment in stacked(parts, _BAR, 1000, look):
            text.append(segment.text, segment.style)
        text.append(f" {task.done:.0%}\n", look.style(Ink.CURSOR))
