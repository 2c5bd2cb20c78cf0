"""How long one waits before anything is computed."""

import time
from importlib.resources import files

import pytest
from bench.measure import Child, Ledger, Timing, run_python

PROGRAM = ["-c", "from analyzer.cli import main; main()"]


def test_help_appears_at_once(ledger: Ledger) -> None:
    bare = timed(ledger, ["-c", "import click"])
    took = timed(ledger, [*PROGRAM, "--help"])
    ledger.keep("start-up", {"--help": took, "python and click alone": bare})
    ledger.at_most("--help", min(took.wall) * 1000, 150, "ms")


def test_the_shipped_capture_is_replayed_soon(ledger: Ledger) -> None:
    if not (files("traces") / "demo.parquet").is_file():
        pytest.skip("this checkout ships no capture")
    took = timed(ledger, [*PROGRAM, "replay"])
    ledger.keep("start-up", {"replay of the shipped capture": took})
    ledger.at_most("replay of the shipped capture", min(took.wall), 1.5, "s")


def timed(ledger: Ledger, arguments: list[str]) -> Timing:
    """Several runs, after one that fills the caches of files and compiled code."""
    run_python(arguments)
    runs: list[Child] = []
    for _ in range(10 if ledger.full else 1):
        runs.append(run_python(arguments))
        time.sleep(0.05 if ledger.full else 0)
    return Timing([run.cpu_s for run in runs], [run.wall_s for run in runs])
