"""A capture repeated: snapshots of one selection over time, as the epochs of a trace.

Who calls decides when: `snapshot` takes one epoch now, `finish` makes the trace of
those that are complete. Whatever goes wrong in between, they stay in FILE.partial/.
"""

import math
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from traces.capture.changes import Changes
from traces.capture.live import Capture, Settings
from traces.capture.partial import EpochNews, Partial
from traces.capture.physical import Physical
from traces.capture.procfs import Process
from traces.capture.tally import Tally


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What came of an epoch."""

    epoch: int
    processes: int
    pages: int
    rows: int
    """Pages stored: those that are new, changed or gone."""
    seconds: float


class Series:
    """Epochs of one capture into the trace *path*; a context manager.

    Raises OutputError where FILE.partial/ cannot be made or is there already. Left
    without `finish`, the folder stays if an epoch was finished, else it is removed.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self._partial = Partial(path)
        self._settings = settings
        self._physical = Physical(own_frames=False)
        self._changes = Changes(self._physical.fresh_frames)
        self._started = datetime.now(UTC)
        self._began = 0
        self.tally = Tally()
        self.limits: list[str] = []
        """What the capture cannot tell, in sentences."""
        self.epochs: list[Snapshot] = []
        """Those that are finished."""

    @property
    def folder(self) -> Path:
        """Where finished epochs are until the trace is made."""
        return self._partial.folder

    def __enter__(self) -> Self:
        self._partial.create()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._physical.close()
        if not self.epochs:
            self._partial.remove()

    def snapshot(self, processes: Sequence[Process]) -> Generator[int, None, None]:
        """Take an epoch of *processes*, yielding how many pages each step has dealt
        with; it counts once the iterator is exhausted.

        After an epoch that was given up none can follow. Raises as `Capture.write`.
        """
        number, began = len(self.epochs), time.monotonic_ns()
        if number == 0:
            self._began, self._started = began, datetime.now(UTC)
        capture = Capture(processes, self._settings)
        with self._partial.epoch(number) as file:
            self._changes.begin_epoch(file)
            yield from capture.take(self._changes, self._physical)
            self._changes.end_epoch()
            if number == 0:
                capture.require_something()
                self._first = capture
            self.tally.add_epoch(capture.tally)
            facts = self._first.facts(self._started, self.tally)
            duration = time.monotonic_ns() - began
            file.finish(
                EpochNews(
                    t_ns=began - self._began,
                    duration_ns=duration,
                    processes=self._changes.processes,
                    mappings=self._changes.mappings,
                    ended=self._changes.ended,
                    facts=facts,
                )
            )
        self.limits = facts.limits
        done = capture.tally
        self.epochs.append(
            Snapshot(
                number, done.processes, done.pages, self._changes.rows, duration / 1e9
            )
        )

    def finish(self) -> None:
        """Make the trace of the finished epochs; raises as `Partial.join`."""
        self._partial.join()


class Grid:
    """When epochs are due: at multiples of *interval* after *began*, in seconds."""

    def __init__(self, began: float, interval: float) -> None:
        self._began, self._interval = began, interval
        self._last = 0

    def after(self, now: float) -> tuple[float, int]:
        """When the next epoch is due, and how many before it can no longer be taken."""
        wanted = self._last + 1
        self._last = max(wanted, math.ceil((now - self._began) / self._interval))
        return self._began + self._last * self._interval, self._last - wanted
