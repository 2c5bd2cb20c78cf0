"""The app for a host as it runs: its own counters and processes, moving."""

import asyncio
import os
import socket
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input

from analyzer.live.history import History
from analyzer.live.sample import Sample
from analyzer.live.sampler import Sampler
from analyzer.report.escape import printable
from analyzer.report.units import count_text, pages_text
from traces.errors import InputError, KsmAnalyzeError
from tui.clipboard import copy
from tui.dialogs.ask import Ask
from tui.dialogs.help import Help
from tui.filter_line import FilterLine
from tui.keys import Key as Pressed
from tui.keys import keys_of
from tui.live.cards import STATES, cards, parts
from tui.live.forecast import Forecast
from tui.live.processes import Processes, columns
from tui.live.status import Said, StatusLine
from tui.look import Ink
from tui.session import Unit
from tui.terminal_app import TerminalApp
from tui.variant import Settings
from tui.widgets.chart import AreaChart, Layer
from tui.widgets.composition import Composition, Part
from tui.widgets.grid import Grid
from tui.widgets.key_bar import KeyBar
from tui.widgets.kpi import KpiStrip
from tui.widgets.source import Key
from tui.widgets.top_bar import Heading, TopBar

if TYPE_CHECKING:
    from analyzer.live.prediction import Prediction

INTERVALS: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds from one look to the next that can be chosen."""

_REST: Final = 3
"""A look is followed by at least so many times its own length without one."""

_LEAST_SHOWN: Final = 256
"""Pages at the top of a chart of nothing."""

_AS_CAPTURED: Final = Settings(policy="captured")
"""What is offered here ksmd has here; of a capture, what was offered there."""

_RUN: Final = {
    0: Said("run 0: ksmd stands still, what is merged stays", Ink.WARNING),
    1: Said("run 1: ksmd runs", Ink.GAIN),
    2: Said("run 2: ksmd stands still, all is un-merged", Ink.WARNING),
}


class Counters(AreaChart, can_focus=False):
    """Always of now: there is no going back in it."""


class LiveHelp(Help):
    """Only the keys that there are here."""

    # What it inherits is written for `Help`.
    SCOPED_CSS = False

    def _groups(self) -> list[tuple[str, list[Pressed]]]:
        return [("Live host", list(keys_of(LiveApp))), ("Rows", list(keys_of(Grid)))]


class LiveApp(TerminalApp):
    """The kernel's figures of this host, and a prediction beside them.

    Raises InputError where the kernel has no KSM and for a config file that cannot be
    meant, before the terminal is touched.
    """

    CSS_PATH = ["../app.tcss", "live.tcss"]  # noqa: RUF012
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", id="find.filter",
                tooltip="Only processes that have a text"),
        Binding("escape", "clear", "Back", id="find.back", show=False,
                tooltip="Clear the filter"),
        Binding("p", "pause", "Pause", id="live.pause", tooltip="Pause, and go on"),
        Binding("minus", "interval(-1)", "Interval", id="live.faster",
                key_display="- +", tooltip="Look more often, or less"),
        Binding("plus,equals_sign", "interval(1)", "Slower", id="live.slower",
                show=False, tooltip="Look less often"),
        Binding("i", "limits", "Limits", id="live.limits",
                tooltip="What cannot be seen or compared"),
        Binding("u", "units", "Units", id="app.units", tooltip="Units: bytes, pages"),
        Binding("e", "export", "Export", id="app.export",
                tooltip="Export the samples: csv, json"),
        Binding("y", "copy", "Copy", id="app.copy", tooltip="Copy the row"),
        Binding("t", "theme", "Theme", id="app.theme", show=False,
                tooltip="Dark, light, sixteen colours"),
        Binding("question_mark,f1", "help", "Help", id="app.help", key_display="?"),
        Binding("q", "quit", "Quit", id="app.quit"),
    ]  # fmt: skip

    def __init__(
        self,
        path: Path | None = None,
        settings: Settings = _AS_CAPTURED,
        *,
        interval: float = 1.0,
        theme: str | None = None,
        plain: bool = False,
        where: str = "",
    ) -> None:
        """*path* is a saved result, or a trace to replay as *settings* say, whose
        prediction is shown once it is there; *where* a text to find processes by."""
        super().__init__(theme, plain=plain)
        self.history = History()
        self._sampler = Sampler()
        self._prediction: Prediction | None = None
        self._forecast: Forecast | None = None
        if path is not None:
            self._forecast = Forecast(path, settings, self._show_frame)
        self._refused = ""
        self._interval = interval
        self._words = where
        self._source = Processes(self.history)
        self._in_pages = self.config.units is Unit.PAGES
        self._paused = False
        self._lost = ""
        self._hurry = asyncio.Event()

    def compose(self) -> ComposeResult:
        yield TopBar(id="top")
        yield StatusLine(id="heading")
        yield KpiStrip(id="cards")
        yield Composition(id="now")
        yield Composition(id="then")
        with Vertical(id="body"):
            yield Counters(self._pages, self._clock, id="counters")
            yield Grid(
                columns(predicted=False),
                self._source,
                sort="ksm_merging_pages",
                empty="looking at this host",
                id="processes",
            )
        yield FilterLine(id="filter")
        yield StatusLine(id="status")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        _framed(self.counters, "pages by state, as the kernel counts them")
        _framed(self.grid, "processes ksmd knows")
        self.grid.focus()
        if self._words:
            self.query_one(FilterLine).begin(self._words)
        self._show()
        self._watch()
        if self._forecast is not None:
            self._foretell(self._forecast)

    @property
    def grid(self) -> Grid:
        return self.query_one(Grid)

    @property
    def counters(self) -> Counters:
        return self.query_one(Counters)

    @property
    def foretelling(self) -> bool:
        """Whether a prediction is on its way."""
        return self._forecast is not None

    def predict(self, prediction: "Prediction") -> None:
        """Show *prediction* beside what is seen from now on."""
        self._prediction = prediction
        self.grid.show_columns(columns(predicted=True))
        self._show()

    # Looking.

    def look_now(self) -> None:
        """Do not wait for the next look."""
        self._hurry.set()

    @work(group="look", exclusive=True)
    async def _watch(self) -> None:
        while True:
            self._hurry.clear()
            rest = self._interval
            if not self._paused:
                rest = await self._look()
            try:
                await asyncio.wait_for(self._hurry.wait(), rest)
            except TimeoutError:
                continue

    async def _look(self) -> float:
        """Take a sample and show it; the seconds until the next."""
        sample = None
        try:
            sample = await asyncio.to_thread(self._sampler.look)
            self._lost = ""
        except InputError as error:
            self._lost = str(error)
        if self._ending:
            return self._interval
        if sample is None:
            self._show_frame()
            return self._interval
        self.history.add(sample)
        self._show()
        took = sample.took_ns / 1e9
        return max(self._interval - took, _REST * took)

    @work(group="foretell")
    async def _foretell(self, forecast: Forecast) -> None:
        found = None
        try:
            found = await forecast.prediction()
        except KsmAnalyzeError as error:
            self._refused = str(error)
        self._forecast = None
        if self._ending:
            return
        if found is not None:
            self.predict(found)
        self._show_frame()

    @property
    def _ending(self) -> bool:
        """Whether the screen has been taken down while one waited."""
        return not self.query(TopBar)

    # Showing.

    def _show(self) -> None:
        self._show_frame()
        self._show_whole()
        self._show_counters()
        self._show_processes()

    def _show_frame(self) -> None:
        self.query_one(TopBar).say(
            Heading(
                title=socket.gethostname(),
                facts=self._facts(),
                alarm=self._alarm(),
                job=f"prediction: {self._forecast.stage}" if self._forecast else "",
                waited=self._forecast.waited if self._forecast else 0,
            )
        )
        self.query_one("#heading", StatusLine).say(self._headline())
        self.query_one("#status", StatusLine).say(self._status())

    def _facts(self) -> tuple[str, ...]:
        every = f"every {self._interval:g} s"
        last = self.history.last
        if last is None:
            return (f"Linux {os.uname().release}", every)
        count = _counted(len(last.processes), "process", "processes")
        return (
            every,
            f"{count} known to ksmd",
            f"Linux {os.uname().release}",
        )

    def _alarm(self) -> str:
        if self._lost:
            return self._lost
        return "paused: p goes on" if self._paused else ""

    def _headline(self) -> list[Said]:
        live, found = Said("Live", Ink.ACCENT), self._prediction
        if self._refused:
            return [live, Said(f"no prediction: {self._refused}", Ink.LOSS)]
        if found is None:
            told = "the kernel's own figures"
            if self._forecast is None:
                told += "; view --live TRACE adds a prediction"
            return [live, Said(told)]
        what, *more = found.label()
        said = [live, Said(what, Ink.CURSOR)]
        if found.elsewhere is not None:
            said.append(Said(found.elsewhere, Ink.WARNING))
        return said + [Said(each) for each in more]

    def _status(self) -> list[Said]:
        last = self.history.last
        if last is None:
            return [Said("looking at this host")]
        said = [_RUN.get(last.run, Said(f"run {last.run}"))]
        limits = self._limits()
        if limits:
            said.append(Said(f"i: {_counted(len(limits), 'limit')}", Ink.WARNING))
        return said + [Said(f"{name} {value}") for name, value in _knobs(last)]

    def _limits(self) -> list[str]:
        """All that one should know about what is seen, in sentences."""
        last, found = self.history.last, self._prediction
        said = list(last.limits) if last is not None else []
        if found is None:
            return said
        if not found.groups:
            said.append(
                "nothing was offered to ksmd when it was captured: --policy all "
                "replays it as if everything had been"
            )
        if found.elsewhere is not None:
            said.append(
                f"the prediction was {found.elsewhere}: "
                "processes are compared by workload and name"
            )
        if not found.settled:
            said.append("the replay ended before nothing could merge any more")
        if last is not None and last.knobs is not None:
            said += found.differences(last.knobs)
        return [*said, *found.limits]

    def _show_whole(self) -> None:
        last, found = self.history.last, self._prediction
        self.query_one(KpiStrip).set(cards(self.history, found, self._pages))
        now: list[Part] = []
        then: list[Part] = []
        if last is not None:
            now = parts(last.counters, self._pages, "now " if found else "")
        if found is not None:
            then = parts(found.counters._asdict(), self._pages, "predicted ")
        # Both bars have one scale.
        whole = max(sum(part.value for part in bar) for bar in (now, then))
        self.query_one("#now", Composition).set(now, whole)
        self.query_one("#then", Composition).set(then, whole)
        self.query_one("#then").display = found is not None

    def _show_counters(self) -> None:
        samples = self.history.samples
        last = self.history.last
        if last is None:
            return
        layers = [
            Layer(
                each.state, [sample.counters[each.counter] or 0 for sample in samples]
            )
            for each in STATES
            if last.counters[each.counter] is not None
        ]
        self.counters.set(layers, most=_LEAST_SHOWN, formatter=self._pages)
        self.counters.cursor = len(samples) - 1

    def _show_processes(self) -> None:
        source = Processes(self.history, self._prediction, self._words, self._in_pages)
        self._source, grid = source, self.grid
        if self.history.last is not None:
            grid.empty = _why_empty(self.history.last, self._words)
        leads = grid.selected in grid.visible_rows()[:1]
        grid.show(source)
        if leads and source.count:
            # The cursor at the top stays there, and follows its process elsewhere.
            grid.select(grid.visible_rows()[0])
        line = self.query_one(FilterLine)
        if line.shown:
            line.tell(_counted(source.count, "process", "processes"))

    def _pages(self, pages: int) -> str:
        return count_text(pages) if self._in_pages else pages_text(pages)

    def _clock(self, at: int) -> str:
        seconds = self.history.samples[at].time_ns // 10**9
        return time.strftime("%H:%M:%S", time.localtime(seconds))

    # Keys.

    def action_pause(self) -> None:
        self._paused = not self._paused
        self.look_now()
        self._show_frame()

    def action_interval(self, by: int) -> None:
        at = min(
            range(len(INTERVALS)), key=lambda i: abs(INTERVALS[i] - self._interval)
        )
        self._interval = INTERVALS[min(max(at + by, 0), len(INTERVALS) - 1)]
        self.look_now()
        self._show_frame()

    def action_limits(self) -> None:
        said = self._limits() or ["all can be seen here"]
        if self._prediction is not None:
            said = [", ".join(self._prediction.label()), *said]
        self.notify(
            "\n".join(map(printable, said)), title="limits", timeout=20, markup=False
        )

    @on(Grid.Opened)
    def _opened(self, event: Grid.Opened) -> None:
        """Unfold a group; tell the exact figures of a process."""
        if event.key is None:
            return
        if self._source.has_children(event.key):
            self.grid.action_unfold()
            return
        told = map(printable, self._source.exactly(event.key))
        self.notify("\n".join(told), timeout=10, markup=False)

    def action_filter(self) -> None:
        self.query_one(FilterLine).begin(self._words)

    @on(Input.Changed, "#filter-words")
    def _typed(self, event: Input.Changed) -> None:
        self._words = event.value.strip()
        if self._words:
            self.grid.match = partial(self._has, self._words)
        self._show_processes()

    def _has(self, words: str, key: Key) -> bool:
        return self._source.has(key, words)

    @on(Input.Submitted, "#filter-words")
    def _kept(self) -> None:
        if not self._words:
            self.query_one(FilterLine).end()
        self.grid.focus()

    def action_clear(self) -> None:
        line = self.query_one(FilterLine)
        if line.shown:
            line.end()
            self._words = ""
            self._show_processes()
            self.grid.focus()

    def action_units(self) -> None:
        self._in_pages = not self._in_pages
        self.notify("pages" if self._in_pages else "bytes", timeout=1.5)
        self._show()

    def action_copy(self) -> None:
        key = self.grid.selected
        if key is not None:
            copy(self, "\t".join(self.grid.row_texts(key)), "row")

    def action_export(self) -> None:
        ask = Ask("export the samples", "FILE.csv, or FILE.json with the processes",
                  "ksm-live.csv")  # fmt: skip
        self.push_screen(ask, self._export)

    def _export(self, named: str | None) -> None:
        if not named or not named.strip():
            return
        path = Path(named.strip()).expanduser()
        try:
            path.write_text(self._exported(path.suffix), encoding="utf-8")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            told = printable(f"{path}: {reason}")
            self.notify(told, severity="error", timeout=6, markup=False)
            return
        count = _counted(len(self.history.samples), "sample")
        self.notify(printable(f"{count} in {path}"), timeout=4, markup=False)

    def _exported(self, suffix: str) -> str:
        if suffix == ".csv":
            return self.history.csv()
        if suffix == ".json":
            found = self._prediction
            return self.history.json(found.as_dict() if found is not None else None)
        raise ValueError("expected a name that ends in .csv or .json")

    def action_help(self) -> None:
        self.push_screen(LiveHelp(None))

    async def action_quit(self) -> None:
        if self._forecast is not None:
            await self._forecast.end()
        self.exit(0)


def _framed(widget: AreaChart | Grid, title: str) -> None:
    widget.add_class("pane")
    widget.border_title = Content(title)


def _counted(count: int, one: str, more: str = "") -> str:
    return f"{count_text(count)} {one if count == 1 else more or one + 's'}"


def _knobs(sample: Sample) -> list[tuple[str, str]]:
    """Those that say what ksmd does here, the advisor's only where it is on."""
    advised = sample.settings.get("advisor_mode", "none") != "none"
    return [
        (name, value)
        for name, value in sample.settings.items()
        if advised or not name.startswith("advisor_")
    ]


def _why_empty(sample: Sample, words: str) -> str:
    if words:
        return f'no process has "{words}" in its name, workload or pid: esc clears'
    if sample.unreadable:
        return "nothing that ksmd knows can be read here: root sees all processes"
    return "no process is offered to ksmd: ksm-analyze run -- COMMAND offers one"
