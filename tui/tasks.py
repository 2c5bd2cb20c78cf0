"""Replays that wait for the background process, and the one it is at."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from traces import errors
from traces.errors import KsmAnalyzeError
from tui.jobs import Job, Order
from tui.variant import Found, Progress, Variant

_KEPT: Final = 4
"""Replays to an earlier pass that a variant keeps; each is as large as its result."""


@dataclass(slots=True, kw_only=True, eq=False)
class Task:
    """One replay: of a variant, or of a variant up to an earlier pass."""

    variant: Variant
    order: Order
    at: int | None = None
    """The moment whose details are wanted; None for the variant itself."""
    job: Job | None = None
    stage: str = "waiting"
    done: float = 0.0
    """The part that is done, from 0 to 1, as far as that can be known."""
    seconds: float = 0.0

    @property
    def title(self) -> str:
        if self.at is None:
            return self.variant.name
        return f"pass {self.at + 1} of {self.variant.name}"


async def load(message: dict[str, Any]) -> Found:
    """What a worker wrote, read beside the screen."""
    from analyzer.result import ReplayResult

    path = Path(message.get("done") or message["part"])
    result = await asyncio.to_thread(ReplayResult.load, path)
    pages = message.get("pages")
    return Found(result=result, pages=Path(pages) if pages else None)


def refusal(message: dict[str, Any]) -> KsmAnalyzeError:
    """The error that a worker told, of the kind it was."""
    kind = getattr(errors, message.get("kind", "DefectError"))
    found: KsmAnalyzeError = kind(message["error"], message.get("hint"))
    return found


class Tasks:
    """The queue: first come, first served."""

    def __init__(
        self,
        changed: Callable[[Task], None],
        failed: Callable[[Task, KsmAnalyzeError, str], None],
    ) -> None:
        """*failed* is told why, and what the worker wrote on stderr."""
        self.waiting: deque[Task] = deque()
        self.current: Task | None = None
        self._changed, self._failed = changed, failed

    def add(self, task: Task) -> None:
        """Put it at the end, unless the same is waited for already."""
        if not any(self._same(task, other) for other in self.all()):
            self.waiting.append(task)
            self._changed(task)

    def all(self) -> list[Task]:
        """The one being done, then those that wait."""
        return [*filter(None, [self.current]), *self.waiting]

    def cancel(self, task: Task) -> None:
        """Give it up, whether it waits or is being done."""
        if task in self.waiting:
            self.waiting.remove(task)
            self._ended(task, Progress.CANCELLED)
        elif task is self.current and task.job is not None:
            task.job.cancel()

    async def work(self) -> None:
        """Do what waits until nothing does."""
        while self.waiting:
            self.current = task = self.waiting.popleft()
            try:
                await self._do(task)
            finally:
                self.current = None
                self._changed(task)

    async def _do(self, task: Task) -> None:
        task.job = job = Job(task.order)
        if task.at is None:
            task.variant.progress = Progress.RUNNING
        self._changed(task)
        async for message in job.messages():
            await self._hear(task, message)
        if task.variant.progress is Progress.RUNNING and task.at is None:
            self._ended(task, Progress.CANCELLED)

    async def _hear(self, task: Task, message: dict[str, Any]) -> None:
        """Only what can be looked at is told; how far a task is, one sees from it."""
        variant = task.variant
        task.stage = message.get("stage", task.stage)
        task.done = message.get("done_part", task.done)
        if "scan" in message and task.at is None:
            variant.scans.append(message["scan"])
        if "part" in message and task.at is None:
            variant.found = await load(message)
            variant.partial = True
            self._changed(task)
        elif "done" in message:
            self._take(task, await load(message))
            self._changed(task)
        elif "error" in message:
            error = refusal(message)
            if task.at is None:
                variant.error, variant.hint = str(error), error.hint or ""
            self._ended(task, Progress.FAILED)
            self._failed(task, error, message.get("stderr", ""))

    def _take(self, task: Task, found: Found) -> None:
        variant = task.variant
        if task.at is None:
            variant.found, variant.partial = found, False
            variant.scans = []
            self._ended(task, Progress.DONE)
            return
        if task.order.within is not None:
            variant.part = found
            return
        while len(variant.at_pass) >= _KEPT:
            del variant.at_pass[next(iter(variant.at_pass))]
        variant.at_pass[task.at] = found

    def _ended(self, task: Task, state: Progress) -> None:
        if task.at is None:
            task.variant.progress = state
        self._changed(task)

    @staticmethod
    def _same(task: Task, other: Task) -> bool:
        return task.variant is other.variant and task.order == other.order
