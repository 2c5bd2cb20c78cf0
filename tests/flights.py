"""Replays done once and opened by many tests: the app without its background process.

A test that is about the process itself opens the trace by `opened_app(real=True)`.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from analyzer.knobs import KsmKnobs
from analyzer.pages import write_pages
from analyzer.policy import MergePolicy
from analyzer.replay import Staged
from analyzer.result import ReplayResult
from tui import app as app_module
from tui import worker
from tui.app import KsmApp
from tui.jobs import Order
from tui.sources import Opened
from tui.variant import Found, Progress, Settings, Variant

CONTENTS = 1000
"""Rows of contents that the screen asks a replay for."""


@dataclass(frozen=True)
class Flight:
    """A trace, replayed with everything the screen shows."""

    trace: Path
    settings: Settings
    saved: Path
    """The result, as `replay --save` writes it."""
    pages: Path

    @property
    def result(self) -> ReplayResult:
        return ReplayResult.load(self.saved)

    def variant(self) -> Variant:
        """As if the background process had just finished."""
        return Variant(
            name=self.trace.stem,
            settings=self.settings,
            traces=(self.trace,),
            source=self.trace,
            progress=Progress.DONE,
            found=Found(result=self.result, pages=self.pages),
        )


def flown(
    trace: Path, folder: Path, knobs: KsmKnobs = KsmKnobs(), policy: str = "all"
) -> Flight:
    """Replay *trace* in this process; *folder* gets what comes out."""
    staged = Staged(
        [trace], knobs, MergePolicy.parse(policy), contents=CONTENTS, detail=True
    )
    for _ in staged:
        pass
    saved, pages = folder / "result.parquet", folder / "pages.parquet"
    staged.result().save(saved)
    write_pages(pages, staged.outcome())
    return Flight(trace, Settings(knobs, policy), saved, pages)


class Near:
    """A job done in this process, as fast as it goes; in place of `tui.tasks.Job`."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.asked = threading.Event()
        self.cancelled = asyncio.Event()

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        order = {name: getattr(self.order, name) for name in Order.__dataclass_fields__}
        try:
            for message in worker._carried_out(order, self.asked):
                if self.cancelled.is_set():
                    return
                yield message
                await asyncio.sleep(0)
        except worker.KsmAnalyzeError as error:
            yield {"error": str(error), "hint": error.hint}

    def ask_for_a_part(self) -> None:
        self.asked.set()

    def cancel(self) -> None:
        self.cancelled.set()

    async def end(self) -> None:
        self.cancel()


class Held(Near):
    """A job that stands still at its first scan, and after a part that was asked for,
    until it is let go or cancelled."""

    def __init__(self, order: Order) -> None:
        super().__init__(order)
        self.let_go = asyncio.Event()

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        first = True
        async for message in super().messages():
            yield message
            if "part" in message or (first and "scan" in message):
                first = first and "scan" not in message
                await self._stand_still()

    async def _stand_still(self) -> None:
        waits = [self.let_go.wait(), self.cancelled.wait()]
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        _, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        self.let_go.clear()


@contextmanager
def _opening(variants: dict[Path, Variant], job: type[Near]) -> Iterator[None]:
    found = app_module.opened

    def opened(path: Path, settings: Settings) -> Opened:
        if path in variants:
            return Opened(variants[path])
        return found(path, settings)

    with ExitStack() as stack:
        stack.enter_context(patch("tui.app.opened", opened))
        stack.enter_context(patch("tui.tasks.Job", job))
        yield


@asynccontextmanager
async def seen(
    *what: Flight | Path,
    size: tuple[int, int] = (160, 50),
    job: type[Near] = Near,
    wait: bool = True,
    **options: Any,
) -> AsyncIterator[Any]:
    """The app, opened on *what*, waited for unless told not to; yields its pilot."""
    variants = {f.trace: f.variant() for f in what if isinstance(f, Flight)}
    paths = [f.trace if isinstance(f, Flight) else f for f in what]
    with _opening(variants, job):
        app = KsmApp(paths, **options)
        try:
            async with app.run_test(size=size) as pilot:
                if wait:
                    await until(pilot, lambda: app.view is not None or app.error)
                await pilot.pause()
                yield pilot
        finally:
            app.clean_up()
    assert app.defect is None


async def until(pilot: Any, reached: Any, seconds: float = 20) -> None:
    """Wait until *reached()*."""
    for _ in range(int(seconds / 0.02)):
        if reached():
            await pilot.pause()
            return
        await pilot.pause(0.02)
    raise AssertionError("waited in vain")


def screen_text(app: KsmApp) -> str:
    """Everything on the screen, line by line."""
    return "\n".join(
        "".join(segment.text for segment in strip)
        for strip in app.screen._compositor.render_strips()
    )


def told(app: KsmApp) -> list[str]:
    """What notifications say."""
    return [f"{note.title}\n{note.message}".strip() for note in app._notifications]
