"""The app: five bands, seven views, one pass cursor over all of them."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from textual import on, work
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.command import CommandPalette
from textual.widgets import ContentSwitcher, Input

from analyzer.report.escape import printable
from traces.errors import DefectError, KsmAnalyzeError
from tui.bands import course, heading
from tui.bindings import BINDINGS
from tui.dialogs.ask import Ask
from tui.dialogs.choose import Choose
from tui.dialogs.help import Help
from tui.filter_line import FilterLine
from tui.jobs import Order
from tui.logbook import write_down
from tui.look import THEMES
from tui.moments import Unclear, moment_named
from tui.palette import Places
from tui.picture import standalone
from tui.session import Session, Unit
from tui.sources import Opened, opened
from tui.tasks import Task, Tasks
from tui.terminal_app import TerminalApp
from tui.variant import Settings, Variant
from tui.views import VIEWS, view_class
from tui.views.opening import Opening
from tui.views.prose import Prose
from tui.views.view import View
from tui.widgets.key_bar import KeyBar
from tui.widgets.scrubber import Scrubber
from tui.widgets.tabs import Tabs
from tui.widgets.top_bar import TopBar

if TYPE_CHECKING:
    from analyzer.expression.expression import Expression
    from tui.views.process import Process

_BEAT: Final = 0.1
"""Seconds between two looks at a job's progress."""
_STALE: Final = 2.0
"""Seconds between two looks at the files that are open."""
_PLAY: Final = 0.12
"""Seconds a pass is shown while playing."""
_AGAIN: Final = 2.0
"""Seconds within which a second ctrl+c means it."""

_AS_IS: Final = Settings()


class KsmApp(TerminalApp):
    """Explore replays."""

    CSS_PATH = "app.tcss"
    COMMANDS = {Places}  # noqa: RUF012
    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS = BINDINGS

    def __init__(
        self,
        paths: Sequence[Path],
        settings: Settings = _AS_IS,
        *,
        view: str = "overview",
        theme: str | None = None,
        plain: bool = False,
        where: str = "",
    ) -> None:
        super().__init__(theme, plain=plain)
        self.paths, self.settings = tuple(paths), settings
        self.session = Session(Path(tempfile.mkdtemp(prefix="ksm-analyze-")))
        self.session.unit = self.config.units
        self.session.filter = where
        self.tasks = Tasks(self._task_changed, self._task_failed)
        self._view = view
        self._expression: Expression | None = None
        self._stamps: dict[Path, tuple[int, int]] = {}
        self._playing = False
        self._interrupted = -_AGAIN
        """When ctrl+c was pressed last."""
        # A view is made in several steps, and none may be used before the last.
        self._going = asyncio.Lock()

    def compose(self) -> ComposeResult:
        yield TopBar(id="top")
        yield Tabs(VIEWS, id="tabs")
        yield ContentSwitcher(id="body")
        yield FilterLine(id="filter")
        yield Scrubber(id="scrubber")
        yield KeyBar(id="keys")

    async def on_mount(self) -> None:
        self._player = self.set_interval(_PLAY, self._play_on, pause=True)
        self.set_interval(_BEAT, self._show_progress)
        self.set_interval(_STALE, self._look_for_changes)
        self.query_one(Tabs).show(self._view)
        await self.body.mount(Opening(self.session, self.tasks, self.paths))
        self.body.current = Opening.NAME
        # The frame is painted before anything heavy is loaded.
        self.call_after_refresh(self.open_all)

    @property
    def body(self) -> ContentSwitcher:
        return self.query_one("#body", ContentSwitcher)

    @property
    def view(self) -> View | None:
        """The view that is seen, None while nothing can be."""
        current = self.body.visible_content
        return current if isinstance(current, View) else None

    @property
    def seen(self) -> "View | Process | None":
        """What is copied and exported: the view, or the process that lies over it."""
        from tui.views.process import Process

        return self.screen if isinstance(self.screen, Process) else self.view

    # Opening, and what comes of it.

    @work(group="open", exclusive=True)
    async def open_all(self) -> None:
        """Open what was named: results at once, captures by replaying them."""
        for opening in self.body.query(Opening):
            opening.begin()
        self.session.variants = []
        self.session.a = self.session.b = None
        self.error = self.log_file = None
        self._stamps = {path: _stamp(path) for path in self.paths}
        for path in self.paths:
            try:
                found = await asyncio.to_thread(opened, path, self.settings)
            except KsmAnalyzeError as error:
                self._refuse(error)
                return
            self._add(found)
        sides = self.session.variants
        self.session.choose(a=sides[0], b=sides[1] if len(sides) > 1 else None)
        if self.session.result is not None:
            await self.show_results()
        self.work_off()

    def _add(self, found: Opened) -> None:
        variant = found.variant
        variant.name = self.session.next_name(variant.name)
        self.session.variants.append(variant)
        if variant.found is None:
            self.tasks.add(self.task_of(variant))

    def task_of(self, variant: Variant, at: int | None = None) -> Task:
        """The replay of *variant*, or of it up to the moment *at*."""
        knobs, policy, kernel, passes = variant.settings
        order = Order(
            traces=tuple(map(str, variant.traces)),
            folder=str(self.session.folder),
            knobs=knobs.as_files(),
            policy=policy,
            kernel=kernel,
            passes=passes if at is None else at + 1,
        )
        return Task(variant=variant, order=order, at=at)

    def add_variant(self, name: str, settings: Settings) -> Variant:
        """Queue a replay of A's capture another way."""
        a = self.session.a
        assert a is not None
        variant = Variant(
            name=self.session.next_name(name),
            settings=settings,
            traces=a.traces,
            source=a.source,
        )
        self.session.variants.append(variant)
        self.tasks.add(self.task_of(variant))
        self.work_off()
        return variant

    def work_off(self) -> None:
        """Let the queue be worked off, if it is not already."""
        if self.tasks.current is None and self.tasks.waiting:
            self._work_off()

    @work(group="jobs", exclusive=True)
    async def _work_off(self) -> None:
        await self.tasks.work()

    def _task_changed(self, task: Task) -> None:
        self._show_top()
        variant = task.variant
        opening = self.body.visible_content
        if isinstance(opening, Opening):
            opening.look_at()
            shown = variant.found is not None and variant is self.session.a
            if shown and not self._going.locked():
                self._show_results()
            return
        if self.session.result is not None:
            self.changed()

    def _task_failed(self, task: Task, error: KsmAnalyzeError, stderr: str) -> None:
        log = write_down(f"{task.title}: {error}\n{stderr}")
        if self.session.result is None and task.variant is self.session.a:
            if isinstance(error, DefectError):
                self.log_file = log
            self._refuse(error, log)
            return
        words = f"{task.title}: {error}" + (f"\nlog: {log}" if log else "")
        self.notify(printable(words), severity="error", timeout=10, markup=False)

    def _refuse(self, error: KsmAnalyzeError, log: Path | None = None) -> None:
        self.error = error
        opening = self.body.visible_content
        if isinstance(opening, Opening):
            opening.refuse(error, log)

    @work(group="show")
    async def _show_results(self) -> None:
        await self.show_results()

    async def show_results(self) -> None:
        """Leave the opening screen for the view that was asked for."""
        await self.go(self._view)
        if self.session.filter:
            self.query_one(FilterLine).begin(self.session.filter)
            self._filter(self.session.filter)

    # What is seen.

    def action_view(self, name: str) -> None:
        if self.session.result is None:
            self._view = name
            self.query_one(Tabs).show(name)
            return
        self.go_to_view(name)

    @work(group="go")
    async def go_to_view(self, name: str, find: str = "") -> None:
        """`go`, for those in a view: who waits for a view cannot be taken away."""
        await self.go(name, find)

    async def go(self, name: str, find: str = "") -> None:
        """Go to a view, and there to the row called *find*."""
        async with self._going:
            await self._go(name, find)

    async def _go(self, name: str, find: str) -> None:
        if self.session.result is None:
            return
        self._view = name
        from tui.views.process import Process

        while isinstance(self.screen, Process):
            # A process that is drilled into lies over the views.
            await self.pop_screen()
        body = self.body
        if not body.query(f"#{name}"):
            made = view_class(name)(self.session)
            await body.mount(made)
            if not made.is_attached:
                # The app was left while the view was being made.
                return
        body.current = name
        view = self.view
        assert view is not None
        self.query_one(Tabs).show(name)
        self._look()
        if find:
            view.find(find)
        view.main().focus()
        self.show_frame()

    def changed(self) -> None:
        """Something that is shown has changed."""
        self._look()
        for screen in self.screen_stack[1:]:
            look_at = getattr(screen, "look_at", None)
            # One that is just being opened looks itself, once it is there.
            if look_at is not None and screen.is_mounted:
                look_at()
        self.show_frame()

    def _look(self) -> None:
        """Bring the view up to date; what the filter names must be known of it, and of
        the moment looked at, else nothing is left out."""
        view = self.view
        if view is None:
            return
        line = self.query_one(FilterLine)
        try:
            told = view.filter(self._expression)
        except KsmAnalyzeError as error:
            view.filter(None)
            line.tell(f"not here: {error}", wrong=True)
        else:
            if self._expression is not None:
                line.tell(told)
        view.look_at()

    def show_frame(self) -> None:
        """Bring the bands up to date."""
        self._show_top()
        self._show_scrubber()

    def _show_top(self) -> None:
        changed = any(_stamp(path) != stamp for path, stamp in self._stamps.items())
        for bar in self.screen.query(TopBar):
            bar.say(heading(self.session, self.paths, self.tasks.current, changed))

    def _show_scrubber(self) -> None:
        if self.session.moment is None:
            return
        for scrubber in self.screen.query(Scrubber):
            scrubber.say(course(self.session, self._playing))

    def _show_progress(self) -> None:
        task = self.tasks.current
        if task is None:
            return
        task.seconds += _BEAT
        self._show_top()
        opening = self.body.visible_content
        if isinstance(opening, Opening):
            opening.look_at()

    def _look_for_changes(self) -> None:
        self._show_top()

    # The pass cursor.

    def action_step(self, by: int) -> None:
        self.go_to(self.session.at + by)

    def go_to(self, at: int) -> None:
        """Put the pass cursor on the moment *at*, or the nearest there is."""
        if self.session.go_to(at):
            self.changed()

    @on(Scrubber.Moved)
    def _scrubbed(self, event: Scrubber.Moved) -> None:
        self.go_to(event.at)

    def action_go_to(self) -> None:
        if self.session.result is None:
            return
        ask = Ask("go to", "pass 42, +10, -10, time 07:30 or 5.7 min, 95%")
        self.push_screen(ask, self._go_to_named)

    def _go_to_named(self, words: str | None) -> None:
        course = self.session.course
        if not words or course is None:
            return
        try:
            self.go_to(moment_named(words, course, self.session.at))
        except Unclear as error:
            self.notify(printable(str(error)), severity="warning", markup=False)

    def action_play(self) -> None:
        if self.session.result is None:
            return
        self._playing = not self._playing
        if self._playing:
            if self.session.at_end:
                self.session.go_to(0)
                self.changed()
            self._player.resume()
        else:
            self._player.pause()
        self._show_scrubber()

    def _play_on(self) -> None:
        self.go_to(self.session.at + 1)
        if self.session.at_end:
            self._playing = False
            self._player.pause()
            self._show_scrubber()

    def action_bookmark(self) -> None:
        marks, at = self.session.bookmarks, self.session.at
        if at in marks:
            marks.remove(at)
        else:
            marks.append(at)
            marks.sort()
        self._show_scrubber()

    def action_bookmarks(self) -> None:
        marks = self.session.bookmarks
        if not marks:
            self.notify("no bookmark yet: b sets one", timeout=2)
            return
        choices = [(self.session.name_of(at), at) for at in marks]
        self.push_screen(Choose("bookmarks", choices), self._go_to_chosen)

    def _go_to_chosen(self, at: Any) -> None:
        if at is not None:
            self.go_to(at)

    def action_replay_pass(self) -> None:
        """Have what only a replay's end knows for the pass that is looked at."""
        session, a = self.session, self.session.a
        if a is None or not session.detail_is_of_the_end:
            self.notify("this is shown for the pass looked at already", timeout=2)
            return
        if not a.traces:
            self.notify(
                "a saved result has no pages to replay: open the trace", timeout=4
            )
            return
        self.tasks.add(self.task_of(a, session.at))
        self.work_off()

    # Variants and their replays.

    def action_run_draft(self) -> None:
        self._run_draft()

    @work(group="go")
    async def _run_draft(self) -> None:
        if self.session.result is None:
            return
        if self._view != "what_if":
            await self.go("what_if")
        run = getattr(self.view, "run_draft", None)
        if run is not None:
            run()

    def action_cancel(self) -> None:
        if self.tasks.current is not None:
            self.tasks.cancel(self.tasks.current)
        else:
            self.notify("no replay runs", timeout=2)

    def action_jobs(self) -> None:
        choices = [
            (f"{task.title}: {'waits' if task.job is None else task.stage}", task)
            for task in self.tasks.all()
        ]
        if not choices:
            self.notify("no replay runs or waits", timeout=2)
            return
        self.push_screen(Choose("replays: enter cancels", choices), self._give_up)

    def _give_up(self, task: Any) -> None:
        if task is not None:
            self.tasks.cancel(task)

    def action_swap(self) -> None:
        session = self.session
        if session.a and session.b and session.b.result is not None:
            session.a, session.b = session.b, session.a
            self.changed()
        else:
            self.notify("there is no B yet: b on a variant makes it B", timeout=3)

    def action_reload(self) -> None:
        if self.tasks.current is not None:
            self.tasks.cancel(self.tasks.current)
        self._reload()

    @work(group="go", exclusive=True)
    async def _reload(self) -> None:
        async with self._going:
            while len(self.screen_stack) > 1:
                await self.pop_screen()
            self.body.current = Opening.NAME
            # Whatever had the keys is about to go, or is of a view that is.
            self.query_one(FilterLine).end()
            self.body.query_one(Opening).focus()
            for view in list(self.body.children):
                if view.id != Opening.NAME:
                    await view.remove()
        self.open_all()

    # Finding.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only views can be filtered, not what lies over them."""
        if action == "filter" and len(self.screen_stack) > 1:
            return False
        return super().check_action(action, parameters)

    def action_filter(self) -> None:
        if self.view is not None:
            self.query_one(FilterLine).begin(self.session.filter)

    @on(Input.Changed, "#filter-words")
    def _typed(self, event: Input.Changed) -> None:
        self._filter(event.value)

    @on(Input.Submitted, "#filter-words")
    def _kept(self) -> None:
        line = self.query_one(FilterLine)
        if not self.session.filter:
            line.end()
        if self.view is not None:
            self.view.main().focus()

    def _filter(self, words: str) -> None:
        """Show what *words* mean; half a word is not an error to shout about."""
        from analyzer.expression.expression import Expression

        self.session.filter = words
        line = self.query_one(FilterLine)
        try:
            wanted = Expression.parse(words) if words.strip() else None
            told = self.view.filter(wanted) if self.view is not None else ""
        except KsmAnalyzeError as error:
            line.tell(str(error), wrong=True)
            return
        self._expression = wanted
        line.tell(told)
        if self.view is not None:
            self.view.look_at()

    def action_clear(self) -> None:
        line = self.query_one(FilterLine)
        if line.shown:
            line.end()
            self._filter("")
            if self.view is not None:
                self.view.main().focus()
        elif self.screen.maximized is not None:
            self.screen.minimize()

    # The rest.

    def action_zoom(self) -> None:
        if self.screen.maximized is not None:
            self.screen.minimize()
        elif self.screen.focused is not None:
            self.screen.maximize(self.screen.focused, container=False)

    def action_units(self) -> None:
        units = list(Unit)
        at = units.index(self.session.unit)
        self.session.unit = units[(at + 1) % len(units)]
        self.notify(str(self.session.unit), timeout=1.5)
        self.changed()

    def _redraw(self) -> None:
        self.changed()
        self.refresh(layout=True)
        super()._redraw()
        for pane in self.screen.query(Prose):
            pane.write()

    def action_command_palette(self) -> None:
        """One at a time, and without a name: the last may not be quite gone yet."""
        if not any(isinstance(lying, CommandPalette) for lying in self.screen_stack):
            self.push_screen(CommandPalette())

    def action_help(self) -> None:
        self.push_screen(Help(self.screen.focused, self.view))

    def extra_commands(self) -> Iterator[tuple[str, Callable[[], Any]]]:
        """What the palette can do and no key does."""
        from tui.views.tree import GROUPINGS

        for grouping in GROUPINGS:
            yield f"group processes by {grouping}", partial(self._group_by, grouping)
        for theme in THEMES:
            yield f"theme {theme}", partial(setattr, self, "theme", theme)

    async def _group_by(self, grouping: str) -> None:
        await self.go("workloads")
        group_by = getattr(self.view, "group_by", None)
        if group_by is not None:
            group_by(grouping)

    def open_process(self, process: int, mapping: int | None = None) -> None:
        """Drill down to a process, and there to a mapping."""
        from tui.views.process import Process

        if not isinstance(self.screen, Process):
            self.push_screen(Process(self.session, process, mapping), self._came_back)

    def _came_back(self, _: None) -> None:
        self.changed()

    def show_contents_of(self, mapping: int, first: int, last: int, title: str) -> None:
        """Replay for the contents of some pages of a mapping, and go to them."""
        a = self.session.a
        if a is None or not a.traces:
            self.notify("a saved result has no pages: open the trace", timeout=4)
            return
        when = (
            ""
            if self.session.at_end
            else f" at {self.session.name_of(self.session.at)}"
        )
        a.part, a.part_title = None, f"{title}{when}"
        task = self.task_of(a, None if self.session.at_end else self.session.at)
        task.at = self.session.at
        task.order = replace(task.order, within=(mapping, first, last), pages=False)
        self.tasks.add(task)
        self.work_off()
        self.action_view("contents")

    def action_copy(self) -> None:
        from tui.clipboard import copy

        seen = self.seen
        row = seen.row() if seen is not None else ""
        if row:
            copy(self, row, "row")
        else:
            self.notify("there is no row here to copy", timeout=2)

    def action_copy_table(self) -> None:
        from tui.clipboard import copy_table

        rows = self.seen.rows() if self.seen is not None else None
        if rows is not None:
            copy_table(self, rows)
        else:
            self.notify("there is no table here to copy", timeout=2)

    def action_export(self) -> None:
        from tui.dialogs.export import Export

        if self.seen is not None:
            picture = standalone(self.export_screenshot(title="ksm-analyze"))
            self.push_screen(Export(self.session, self.seen, picture))

    async def action_interrupt(self) -> None:
        """Copy what is selected, as terminals do; else quit when asked again."""
        if self.screen.get_selected_text() or getattr(
            self.focused, "selected_text", ""
        ):
            raise SkipAction
        now = time.monotonic()
        if now - self._interrupted < _AGAIN:
            await self.action_quit()
            return
        self._interrupted = now
        self.notify("ctrl+c again quits", timeout=_AGAIN)

    async def action_quit(self) -> None:
        if self.tasks.current is not None and self.tasks.current.job is not None:
            await self.tasks.current.job.end()
        self.exit(0)

    def clean_up(self) -> None:
        """Remove the workers' files."""
        shutil.rmtree(self.session.folder, ignore_errors=True)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size
