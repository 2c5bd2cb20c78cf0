"""The background process: one replay, told as lines of JSON on stdout.

It reads an `Order` as the first line of stdin, then may be asked for the result so
far. What it computes goes into files; it ends when its parent does.
"""

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from traces.errors import KsmAnalyzeError

_NICENESS: Final = 5
"""The screen goes before."""
_BEAT: Final = 0.1
"""Seconds between two scans that are told, where they come faster."""


def main() -> int:
    """Carry out the order on stdin; what went wrong is a line like any other."""
    os.nice(_NICENESS)
    # The screen hears these too, and ends this process or leaves it to tidy up.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    order = json.loads(sys.stdin.readline())
    asked = threading.Event()
    threading.Thread(target=_listen, args=(asked, order["folder"]), daemon=True).start()
    try:
        for message in _carried_out(order, asked):
            _say(message)
    except KsmAnalyzeError as error:
        kind = type(error).__name__
        _say({"error": str(error), "hint": error.hint, "kind": kind})
        return 1
    except MemoryError:
        hint = "close other programs, or capture less"
        _say({"error": "out of memory", "hint": hint, "kind": "KsmAnalyzeError"})
        return 1
    return 0


def _carried_out(
    order: dict[str, Any], asked: threading.Event
) -> Iterator[dict[str, Any]]:
    """What happens, message by message."""
    yield {"stage": "start"}
    from analyzer.knobs import KsmKnobs
    from analyzer.pages import write_pages
    from analyzer.policy import MergePolicy
    from analyzer.replay import Staged
    from analyzer.result import Stage

    files = {name: str(value) for name, value in order["knobs"].items()}
    staged = Staged(
        [Path(path) for path in order["traces"]],
        KsmKnobs.from_files(files),
        MergePolicy.parse(order["policy"]),
        order["passes"],
        order["contents"],
        order["kernel"],
        detail=True,
        within=order["within"],
    )
    folder = Path(mkdtemp(dir=order["folder"]))
    told = 0.0
    for step in staged:
        if isinstance(step, Stage):
            yield _stage(step)
            continue
        now = time.monotonic()
        if now - told >= _BEAT:
            told = now
            yield {"stage": "scan", "scan": _scan(step)}
        if asked.is_set():
            asked.clear()
            path = folder / f"part-{step.counters.full_scans}.parquet"
            staged.result().save(path)
            yield {"part": str(path)}
    yield {"stage": "write"}
    path = folder / "result.parquet"
    staged.result().save(path)
    pages = None
    if order["pages"]:
        pages = folder / "pages.parquet"
        write_pages(pages, staged.outcome())
    yield {"done": str(path), "pages": None if pages is None else str(pages)}


def _stage(step: Any) -> dict[str, Any]:
    """Of a capture over time, also how much of it is gone."""
    if step.name == "epoch":
        return {"stage": "scan", "done_part": step.epoch / step.epochs}
    return {"stage": step.name}


def _scan(step: Any) -> dict[str, int]:
    return {
        "wakeups": step.wakeups,
        "time_ns": step.time_ns,
        "cpu_ns": step.cpu_ns,
        **step.counters._asdict(),
    }


def _say(message: dict[str, Any]) -> None:
    try:
        print(json.dumps(message), flush=True)
    except BrokenPipeError:
        # Nobody listens any more, which `_listen` is about to see too.
        threading.Event().wait()


def _listen(asked: threading.Event, folder: str) -> None:
    for line in sys.stdin:
        if json.loads(line).get("ask") == "part":
            asked.set()
    # Whoever gave the order is gone, and could not even take the folder along.
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
