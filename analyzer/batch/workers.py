"""Sources side by side, each in a process of its own: the kernel may kill one that
needs too much memory, and the others go on.

Light: what a worker inherits is imported before it knows how many threads it may use.
"""

import contextlib
import os
import signal
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from analyzer.batch.one import Task
    from analyzer.report.batch.entry import Entry

_PATIENCE: Final = 2.0
"""Seconds a worker is given to end before it is killed."""


def side_by_side(
    tasks: Sequence["Task"], jobs: int
) -> Generator[tuple[int, "Entry"], None, None]:
    """Do *tasks*, *jobs* at a time, yielding the number and entry of each as it is
    done.

    Whoever closes the iterator ends the workers. Nothing a task leaves half-written is
    outside its folder.
    """
    waiting = deque(enumerate(tasks))
    crew: list[_Worker] = []
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)
    try:
        while waiting or any(worker.busy for worker in crew):
            _hand_out(waiting, crew, jobs, threads)
            for pipe in wait([worker.pipe for worker in crew if worker.busy]):
                worker = next(worker for worker in crew if worker.pipe is pipe)
                yield worker.answer()
                if not worker.alive:
                    crew.remove(worker)
                    worker.end()
    finally:
        for worker in crew:
            worker.end()


def _hand_out(
    waiting: "deque[tuple[int, Task]]", crew: list["_Worker"], jobs: int, threads: int
) -> None:
    while waiting:
        free = next((worker for worker in crew if not worker.busy), None)
        if free is None:
            if len(crew) == jobs:
                return
            free = _Worker(threads)
            crew.append(free)
        free.take(*waiting.popleft())


class _Worker:
    """One process, and what it is at."""

    def __init__(self, threads: int) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(
            target=_serve, args=(theirs, threads), daemon=True
        )
        with _uninterrupted():
            self._process.start()
        # Only then does the pipe end when the process does.
        theirs.close()
        self._at: tuple[int, Task] | None = None
        self.alive = True

    @property
    def busy(self) -> bool:
        return self._at is not None

    def take(self, number: int, task: "Task") -> None:
        """Begin *task*; a worker that has died meanwhile says so in its answer."""
        self._at = number, task
        with contextlib.suppress(OSError):
            self.pipe.send(task)

    def answer(self) -> tuple[int, "Entry"]:
        """What came of its task."""
        assert self._at is not None
        (number, task), self._at = self._at, None
        try:
            return number, self.pipe.recv()
        except (EOFError, OSError):
            self.alive = False
            self._process.join()
            return number, _lost(task, self._process.exitcode or 0)

    def end(self) -> None:
        """End it, whatever it is at."""
        self._process.terminate()
        self._process.join(_PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.pipe.close()


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """A process begun meanwhile never hears of ctrl-c, not even as it imports: the one
    in front of the terminal decides what it means."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _lost(task: "Task", code: int) -> "Entry":
    """The entry of a source whose worker has ended under it."""
    from analyzer.report.batch.entry import failed

    ended = f"was killed (signal {-code})" if code < 0 else "has failed"
    return failed(
        task.origin.name,
        task.origin.path,
        f"the worker that read it {ended}",
        "is there enough memory? --jobs 1 takes least" if code < 0 else None,
    )


def _serve(pipe: Connection, threads: int) -> None:
    """In a worker: tasks in, entries out, until nobody asks any more."""
    os.environ.setdefault("POLARS_MAX_THREADS", str(threads))
    try:
        while True:
            pipe.send(_done(pipe.recv()))
    except (EOFError, BrokenPipeError):
        return


def _done(task: "Task") -> "Entry":
    from analyzer.batch.one import done
    from analyzer.report.batch.entry import failed

    try:
        return done(task)
    except MemoryError:
        return failed(
            task.origin.name, task.origin.path, "out of memory", "--jobs 1 takes least"
        )
