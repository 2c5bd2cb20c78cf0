"""What the program tells people while it works: on stderr, never among the data.

Nothing here may fail a run, and everything is escaped: messages quote file names.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from analyzer.report.escape import printable

if TYPE_CHECKING:
    from analyzer.compare import Comparison
    from analyzer.expression.expression import Expression
    from analyzer.result import ReplayResult

_PATIENCE: Final = 1.0
"""Seconds before a person starts to wonder."""
_BEAT: Final = 0.5
_ERASE: Final = "\r\x1b[K"


def note(text: str) -> None:
    """A remark on its own line."""
    # The line that tells of the work in progress, if there is one, comes back later.
    erase = _ERASE if _can_erase() else ""
    print(f"{erase}{printable(text)}", file=sys.stderr, flush=True)


def tell_if_none(
    told: "ReplayResult | Comparison", by: str, where: "Expression"
) -> None:
    """Say beside data why the table *by* is empty, if no row fits *where*."""
    from analyzer.report.rows import fitting, nothing_shown

    if not fitting(told, by, where)[0]:
        note(nothing_shown(by, where))


def failure(message: str, hint: str | None = None) -> None:
    """`error: …`, and `hint: …` where there is something to be done; a hint may have
    several lines."""
    note(f"error: {message}")
    if hint:
        for number, line in enumerate(hint.split("\n")):
            note(f"      {line}" if number else f"hint: {line}")


@contextmanager
def working(text: str | Callable[[], str]) -> Iterator[None]:
    """While the block runs for longer than a moment, say *text*, or what it gives each
    time, and for how long, if anybody is looking; the line is gone afterwards."""
    if not _can_erase():
        yield
        return
    done = threading.Event()
    clock = threading.Thread(target=_tick, args=(text, done), daemon=True)
    clock.start()
    try:
        yield
    finally:
        done.set()
        clock.join()


def _can_erase() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _tick(text: str | Callable[[], str], done: threading.Event) -> None:
    began = time.monotonic()
    if done.wait(_PATIENCE):
        return
    while True:
        seconds = time.monotonic() - began
        said = printable(text if isinstance(text, str) else text())
        print(f"{_ERASE}{said}… {seconds:.0f} s", end="", file=sys.stderr, flush=True)
        if done.wait(_BEAT):
            print(_ERASE, end="", file=sys.stderr, flush=True)
            return
