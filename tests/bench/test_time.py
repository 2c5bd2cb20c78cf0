"""A host filmed for a hundred epochs: its file, and the replay through its time."""

import json
from pathlib import Path

import numpy as np
import pytest
from bench.changing import CHANGED, ChangingHost
from bench.measure import Ledger, Timing, run_python

from traces.trace import Trace

COMMAND = ["-c", "from analyzer.cli import main; main()", "replay"]


@pytest.fixture(scope="module")
def epochs(ledger: Ledger) -> int:
    """A hundred; fewer where nothing is measured."""
    return 100 if ledger.full else 12


@pytest.fixture(scope="module")
def filmed(folder: Path, epochs: int, ledger: Ledger) -> tuple[Path, ChangingHost]:
    """The trace, and the host as its last epoch shows it."""
    host = ChangingHost(folder, 1 << 20 if ledger.full else 1 << 16)
    path = folder / "film.parquet"
    host.write(path, epochs)
    return path, host


def test_a_film_is_small(
    filmed: tuple[Path, ChangingHost], epochs: int, folder: Path, ledger: Ledger
) -> None:
    path, _ = filmed
    pages = Trace.open(path).rows()
    changed = [Trace.open(path).rows(epoch) for epoch in range(1, epochs)]
    assert np.allclose(changed, pages * CHANGED, rtol=0.01)
    # The first epoch has most duplicates, and with them the smallest snapshot.
    one = folder / "one.parquet"
    ChangingHost(folder, pages).write(one, 1)
    ratio = path.stat().st_size / (epochs * one.stat().st_size)
    ledger.at_most(f"{epochs} epochs on disk / as many snapshots", ratio, 0.2)
    per_change = (path.stat().st_size - one.stat().st_size) / sum(changed)
    ledger.context("a changed page on disk", per_change, "B")
    assert ratio < 0.2


def test_a_film_is_replayed_through_its_time(
    filmed: tuple[Path, ChangingHost], epochs: int, ledger: Ledger
) -> None:
    path, host = filmed
    command = [*COMMAND, str(path)]
    asked = run_python([*command, "--format", "json"])
    told = json.loads(asked.stdout)
    zero = int((host.digest == host.zero_digest).sum())
    distinct = len(np.unique(host.digest))
    assert told["trace"]["epochs"] == epochs
    assert told["trace"]["processes"] == len(host.processes) == 16
    assert told["ideal"] == {
        "pages_saved_zero": zero,
        "pages_saved_nonzero": len(host.digest) - zero - (distinct - 1),
        "distinct_contents": distinct,
    }
    assert sum(told["composition"].values()) == len(host.digest)
    assert told["counters"]["pages_sharing"] > 0
    runs = [run_python(command) for _ in range(5)] if ledger.full else [asked]
    took = Timing([run.cpu_s for run in runs], [run.wall_s for run in runs])
    ledger.keep("replay through time", {f"{epochs} epochs": took})
    peak = max(run.peak_bytes for run in runs) / (1 << 20)
    ledger.at_most(f"replay of {epochs} epochs", took.median("wall"), 10, "s")
    ledger.at_most(f"replay of {epochs} epochs: peak", peak, 600, "MiB")
    ledger.context(f"replay of {epochs} epochs: CPU", took.median("cpu"), "s")
