"""The captures a command reads: those named, or the one that comes with it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from analyzer.cli.narration import note
from traces.errors import UsageError

_DEMO: Final = "demo.parquet"


@contextmanager
def named_or_demo(paths: Sequence[Path], command: str) -> Iterator[list[Path]]:
    """*paths*, or the shipped capture if there are none."""
    if paths:
        yield list(paths)
        return
    demo = files("traces") / _DEMO
    if not demo.is_file():
        raise UsageError("no trace was named", hint=f"ksm-analyze {command} TRACE")
    note(
        f"no trace named: this is the shipped {_DEMO}, not your machine "
        f"(ksm-analyze {command} TRACE)"
    )
    with as_file(demo) as path:
        yield [path]
