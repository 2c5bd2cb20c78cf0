"""`ksm-analyze capture --interval`: epoch after epoch, until it is enough.

The first signal ends the capture in good order, between two steps of it; what is asked
for while a person waits anyway, or asked for twice, is done at once.
"""

import contextlib
import os
import re
import select
import signal
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from analyzer.cli.narration import note
from traces.errors import KsmAnalyzeError

if TYPE_CHECKING:
    from traces.capture.live import Settings
    from traces.capture.procfs import Process
    from traces.capture.select import Selection
    from traces.capture.series import Series

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Duration(click.ParamType[float]):
    """Seconds, written as 500ms, 30s, 5m or 1h."""

    name = "duration"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", value)
        seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
        if seconds <= 0:
            text = f"{value!r} is no duration such as 500ms, 30s, 5m or 1h"
            self.fail(text, param, ctx)
        return seconds


class Ending:
    """The wish to end, as signals tell it; a context manager."""

    def __init__(self) -> None:
        self.number: int | None = None
        """The signal that came, if one did."""
        self.at_once = False
        """Whether the next one interrupts whatever is going on."""

    def __enter__(self) -> "Ending":
        self._woken, self._wake = os.pipe()
        self._before = {
            number: signal.signal(number, self._told) for number in _SIGNALS
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._woken)
        os.close(self._wake)

    @property
    def code(self) -> int:
        """The exit code of a program that the signal has stopped."""
        return 128 + (self.number or 0)

    def wait(self, until: float) -> bool:
        """Sleep until that moment of the monotonic clock; False if a signal came."""
        while self.number is None and (left := until - time.monotonic()) > 0:
            select.select([self._woken], [], [], left)
        return self.number is None

    def _told(self, number: int, _: object) -> None:
        first = self.number is None
        self.number = self.number or number
        if self.at_once or not first:
            sys.exit(128 + number)
        os.write(self._wake, b"x")


def record(
    selection: "Selection",
    first: "list[Process]",
    output: Path,
    settings: "Settings",
    *,
    interval: float,
    count: int | None,
    quiet: bool,
) -> int:
    """Capture *first*, then what is selected, every *interval* seconds into *output*;
    *count* times, or until a signal comes."""
    from traces.capture.series import Series

    with (
        Ending() as ending,
        Series(output, settings) as series,
        _telling_what_is_kept(series, output),
    ):
        _take(series, selection, first, interval, count, ending, quiet)
        if not series.epochs:
            return ending.code
        ending.at_once = True
        series.finish()
    if not quiet:
        _summarise(series, output)
    if count and ending.number:
        note(f"stopped after {len(series.epochs)} of {count} epochs")
        return ending.code
    # Someone who names a process wants to know that it is not in the file.
    return 1 if selection.pids and series.epochs[0].processes < len(first) else 0


def recover(output: Path) -> int:
    """Make the trace *output* of what an interrupted capture has left."""
    from traces.capture.partial import Partial

    partial = Partial(output)
    count = len(partial.epochs())
    partial.join()
    note(f"{output}: made of {count} epochs")
    return 0


@contextlib.contextmanager
def _telling_what_is_kept(series: "Series", output: Path) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if series.epochs:
            kept = (
                f"{len(series.epochs)} epochs are kept in {series.folder}; "
                f"ksm-analyze capture --recover {output} makes a trace of them"
            )
            if isinstance(error, KsmAnalyzeError):
                error.hint = kept
            else:
                note(kept)
        raise


def _take(
    series: "Series",
    selection: "Selection",
    first: "list[Process]",
    interval: float,
    count: int | None,
    ending: Ending,
    quiet: bool,
) -> None:
    """Take epochs until there are *count*, a signal comes, or all that was named by
    its pid has exited."""
    from traces.capture.select import Reselection
    from traces.capture.series import Grid

    again = Reselection(selection, first)
    grid = Grid(time.monotonic(), interval)
    processes = first
    while _completed(series.snapshot(processes), ending):
        if not quiet:
            _tell_epoch(series)
        if again.exhausted or len(series.epochs) == count:
            return
        due, missed = grid.after(time.monotonic())
        if missed:
            took = series.epochs[-1].seconds
            note(f"this epoch took {took:.1f} s: intervals passed over: {missed}")
        if not ending.wait(due):
            return
        processes, exited = again.now()
        for pid in exited:
            note(f"--pid {pid}: has exited")


def _completed(steps: Generator[int, None, None], ending: Ending) -> bool:
    """Go through *steps* unless a signal comes before the last."""
    with contextlib.closing(steps):
        for _ in steps:
            if ending.number is not None:
                return False
    return True


def _tell_epoch(series: "Series") -> None:
    from analyzer.report.units import count_text

    done = series.epochs[-1]
    what = "pages" if done.epoch == 0 else "pages new, changed or gone"
    note(
        f"epoch {done.epoch}: {count_text(done.rows)} {what}, "
        f"{count_text(done.pages)} in {done.processes} processes, {done.seconds:.1f} s"
    )


def _summarise(series: "Series", output: Path) -> None:
    from analyzer.report.units import bytes_text, count_text, left_out

    rows = sum(epoch.rows for epoch in series.epochs)
    note(
        f"{output}: {len(series.epochs)} epochs, {count_text(rows)} rows, "
        f"{bytes_text(output.stat().st_size)}"
    )
    for why, count in series.tally.counted().items():
        note(f"skipped: {left_out(count, why)}")
    for sentence in series.limits:
        note(f"limit: {sentence}")
