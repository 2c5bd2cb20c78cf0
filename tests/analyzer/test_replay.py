"""A replay in steps: what it is worth at every one of them."""

from pathlib import Path

import pytest
from builders import Proc, trace_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lives import Event, Life, doings, over_time
from results import equal
from snapshots import Snapshot, knobs, snapshots, write_trace

from analyzer.knobs import KsmKnobs
from analyzer.machine import Machine
from analyzer.profile import profile_of
from analyzer.replay import Staged, run
from analyzer.result import Pass, ReplayResult, Stage

EASY = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def check_passes(trace: Path, knobs_: KsmKnobs) -> None:
    """Every pass is worth what a replay that stops there prints."""
    staged = Staged([trace], knobs_, detail=True)
    for step in staged:
        if isinstance(step, Pass):
            partial = staged.result()
            scans = step.counters.full_scans
            short = run([trace], knobs_, passes=scans, detail=True)
            assert equal(partial, short)
            check_rows(partial, scans)
    assert equal(staged.result(), run([trace], knobs_, detail=True))


def check_rows(result: ReplayResult, scans: int) -> None:
    count = result.processes.height
    assert result.process_savings.height == scans * count
    columns = ["process", "pages", "pages_saved_zero", "pages_saved_nonzero"]
    last = result.process_savings.tail(count).select(columns)
    assert last.equals(result.processes.select(columns))
    told = result.compositions.row(-1)
    assert told == (scans, *result.composition)


@EASY
@given(snapshot=snapshots(most_frames=24), knobs_=knobs())
def test_every_pass_of_a_snapshot_is_known_exactly(
    snapshot: Snapshot, knobs_: KsmKnobs, tmp_path: Path
) -> None:
    check_passes(write_trace(tmp_path / "t.parquet", snapshot), knobs_)


@EASY
@given(events=doings(), zero=st.booleans(), sleep=st.sampled_from([300_000, 1_700_000]))
def test_every_pass_through_time_is_known_exactly(
    events: list[Event], zero: bool, sleep: int, tmp_path: Path
) -> None:
    trace = over_time(events, tmp_path / "t.parquet")
    check_passes(trace, KsmKnobs(use_zero_pages=zero, sleep_millisecs=sleep))


def test_without_detail_nothing_is_weighed_on_the_way(tmp_path: Path) -> None:
    trace = trace_file(tmp_path / "t.parquet", Proc("AAB"))
    result = run([trace])
    assert result.process_savings.is_empty()
    assert result.compositions.is_empty()
    assert set(result.processes["ideal_if_toggled"]) == {0}
    plain, detailed = (
        found.processes.drop("ideal_if_toggled")
        for found in (result, run([trace], detail=True))
    )
    assert plain.equals(detailed)


def test_the_stages_of_a_snapshot(tmp_path: Path) -> None:
    trace = trace_file(tmp_path / "t.parquet", Proc("AAB"))
    steps = list(Staged([trace], passes=2))
    assert [s.name if isinstance(s, Stage) else "pass" for s in steps] == [
        "read",
        "number",
        "pass",
        "pass",
        "weigh",
    ]


def test_every_epoch_is_told_before_it_is_taken_over(tmp_path: Path) -> None:
    trace = over_time([], tmp_path / "t.parquet")
    stages = [step for step in Staged([trace]) if isinstance(step, Stage)]
    assert stages == [
        Stage("read"),
        Stage("epoch", 0, 2),
        Stage("epoch", 1, 2),
        Stage("weigh"),
    ]


def test_a_replay_stops_at_the_moment_of_its_last_scan(tmp_path: Path) -> None:
    """What came after it, another process with equal pages, is not there yet."""
    events = ["spawn", "write 0 0", "epoch", "spawn", "write 1 0", "write 1 1", "epoch"]
    life = Life(Machine(KsmKnobs(), profile_of("6.18")))
    for _ in life.live(event_of(text) for text in events):
        pass
    trace = life.write_trace(tmp_path / "t.parquet")
    slow = KsmKnobs(sleep_millisecs=450_000, pages_to_scan=1)
    first, whole = run([trace], slow, passes=1), run([trace], slow)
    assert first.processes["pages"].to_list() == [1, 0]
    assert not first.end.later
    assert whole.processes["pages"].to_list() == [1, 2]
    assert whole.end.later
    assert whole.end.time_ns > whole.passes["time_ns"][-1] > first.end.time_ns


def event_of(text: str) -> Event:
    what, *numbers = text.split()
    process, vpn = [*map(int, numbers), 0, 0][:2]
    return what, process, vpn, 1


def test_nothing_is_asked_of_a_replay_that_has_not_begun(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="not begun"):
        Staged([tmp_path / "t.parquet"]).result()
