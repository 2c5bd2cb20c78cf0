"""Recorded truth: a replay of what a real ksmd found says what the kernel then said.

Only runs in which nothing happened between the scans, as in a capture; `test_verify`
has the others.
"""

from pathlib import Path

import pytest
from recordings import PATHS, Recording, comparable, kernel_view
from snapshots import write_trace
from stepwise import Stepwise

from analyzer.replay import replay

FROZEN = [path for path in PATHS if not Recording.read(path).events()]


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.stem)
def test_the_engine_equals_the_kernel_after_every_turn(
    path: Path, tmp_path: Path
) -> None:
    recording = Recording.read(path)
    snapshot = recording.snapshot()
    trace = write_trace(tmp_path / "trace.parquet", list(snapshot.values()))
    ksmd = Stepwise(trace, recording.knobs)
    for turn, observed in recording.turns():
        if turn == "batch":
            ksmd.wake_up()
        else:
            ksmd.full_scan()
        processes = {name: ksmd.process(i) for i, name in enumerate(snapshot)}
        assert kernel_view(ksmd.counters(), processes) == comparable(observed)


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.stem)
def test_a_replay_passes_through_the_kernels_full_scans(
    path: Path, tmp_path: Path
) -> None:
    recording = Recording.read(path)
    snapshot = recording.snapshot()
    trace = write_trace(tmp_path / "trace.parquet", list(snapshot.values()))
    seen = {
        figures["full_scans"]: figures
        for turn, (figures, _) in recording.turns()
        if turn == "scan"
    }
    for step in replay([trace], recording.knobs, passes=len(seen)):
        figures, _ = kernel_view(step.counters, {})
        assert figures == seen[step.counters.full_scans]
