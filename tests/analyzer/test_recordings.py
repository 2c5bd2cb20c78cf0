"""Recorded truth: a replay of what a real ksmd found says what the kernel then said."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from recordings import (
    PATHS,
    PROCESS_FIGURES,
    Observation,
    Recording,
    comparable,
    kernel_view,
)
from snapshots import write_trace

from analyzer.counters import process_profit
from analyzer.engine.kernel import full_scan, wake_up
from analyzer.host import load, open_traces
from analyzer.policy import MergePolicy
from analyzer.replay import Run, replay


def _parameters() -> Iterator[object]:
    for path in PATHS:
        events = Recording.read(path).events()
        reason = f"between the scans: {', '.join(sorted(events))}"
        marks = pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason)
        yield pytest.param(path, marks=[marks] if events else [], id=path.stem)


@pytest.mark.parametrize("path", list(_parameters()))
def test_the_engine_equals_the_kernel_after_every_turn(
    path: Path, tmp_path: Path
) -> None:
    recording = Recording.read(path)
    snapshot = recording.snapshot()
    trace = write_trace(tmp_path / "trace.parquet", list(snapshot.values()))
    ksmd = Run(load(open_traces([trace])), recording.knobs, MergePolicy())
    for turn, observed in recording.turns():
        step = wake_up if turn == "batch" else full_scan
        step(ksmd.state, **ksmd.settings())
        assert view(ksmd, list(snapshot)) == comparable(observed)


@pytest.mark.parametrize(
    "path",
    [path for path in PATHS if not Recording.read(path).events()],
    ids=lambda path: path.stem,
)
def test_a_replay_passes_through_the_kernels_full_scans(
    path: Path, tmp_path: Path
) -> None:
    recording = Recording.read(path)
    trace = write_trace(tmp_path / "trace.parquet", list(recording.snapshot().values()))
    seen = {
        figures["full_scans"]: figures
        for turn, (figures, _) in recording.turns()
        if turn == "scan"
    }
    for step in replay([trace], recording.knobs, passes=len(seen)):
        expected = seen[step.counters.full_scans]
        assert kernel_view(step.counters, {}) == (expected, {})


def view(ksmd: Run, names: list[str]) -> Observation:
    items, merging, zero, _ = np.transpose(ksmd.per_process()).tolist()
    profits = map(process_profit, merging, zero, items)
    rows = zip(items, merging, zero, profits, strict=True)
    figures = [dict(zip(PROCESS_FIGURES, row, strict=True)) for row in rows]
    return kernel_view(ksmd.counters(), dict(zip(names, figures, strict=True)))
