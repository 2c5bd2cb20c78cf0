"""Every moment of a result equals a replay that stops there."""

from pathlib import Path

import polars as pl
import pytest
from builders import Proc, trace_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lives import Event, doings, over_time
from results import empty, result
from snapshots import Snapshot, knobs, snapshots, write_trace

from analyzer.counters import KsmCounters
from analyzer.knobs import KsmKnobs
from analyzer.moment import Moment, course, figures, moment, moments
from analyzer.replay import run
from analyzer.result import ReplayResult

EASY = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

STATES = ["saved_nonzero", "saved_zero", "kept", "unshared", "volatile", "unscanned"]


def check_moments(trace: Path, knobs_: KsmKnobs) -> None:
    whole = run([trace], knobs_, detail=True)
    assert moments(whole) == whole.passes.height + whole.end.later
    rows = course(whole).rows(named=True)
    assert len(rows) == moments(whole)
    for at in range(moments(whole)):
        now = moment(whole, at)
        stops = at < whole.passes.height
        short = run([trace], knobs_, passes=at + 1, detail=True) if stops else whole
        assert now.final == (at == moments(whole) - 1)
        check_equal(now, short)
        check_figures(whole, now, at)
        row = rows[at]
        assert {name: row[name] for name in KsmCounters._fields} == (
            short.counters._asdict()
        )
        assert row["time_ns"] == short.end.time_ns
        assert row["pages_saved_zero"] == short.savings.pages_saved_zero
        assert row["pages_saved_nonzero"] == short.savings.pages_saved_nonzero
        if whole.trace.epochs == 1:
            counted = sum(row[name] for name in STATES)
            # A page given up by a split stays in the unstable tree until the scan ends.
            split = short.savings.pages_saved_by_split
            assert 0 <= counted - short.processes["pages"].sum() <= split


def check_figures(whole: ReplayResult, now: Moment, at: int) -> None:
    for name in [*whole.process_passes.columns, *whole.process_savings.columns][2:]:
        if name in now.processes.columns and name != "process":
            (row,) = figures(whole, name, [at]).tolist()
            assert row == now.processes[name].to_list()


def check_equal(now: Moment, short: ReplayResult) -> None:
    assert now.counters == short.counters
    assert now.composition == short.composition
    assert (now.wakeups, now.time_ns, now.cpu_ns) == short.end[:3]
    assert now.full_scans == short.counters.full_scans
    assert (now.pages_saved_zero, now.pages_saved_nonzero) == short.savings[:2]
    for mine, theirs in (
        (now.processes, short.processes),
        (now.workloads, short.workloads),
    ):
        common = [name for name in theirs.columns if name in mine.columns]
        assert mine.select(common).equals(theirs.select(common))
        assert set(mine.columns) - set(common) == {"state_kept", "state_unscanned"}
        assert {"pages", "pages_saved_zero", "pages_volatile"} <= set(common)
        if now.final:
            assert common == theirs.columns


@EASY
@given(snapshot=snapshots(most_frames=24), knobs_=knobs())
def test_every_moment_of_a_snapshot(
    snapshot: Snapshot, knobs_: KsmKnobs, tmp_path: Path
) -> None:
    check_moments(write_trace(tmp_path / "t.parquet", snapshot), knobs_)


@EASY
@given(events=doings(), zero=st.booleans(), sleep=st.sampled_from([300_000, 1_700_000]))
def test_every_moment_through_time(
    events: list[Event], zero: bool, sleep: int, tmp_path: Path
) -> None:
    trace = over_time(events, tmp_path / "t.parquet")
    check_moments(trace, KsmKnobs(use_zero_pages=zero, sleep_millisecs=sleep))


def test_the_states_of_a_process_are_its_pages(tmp_path: Path) -> None:
    trace = trace_file(tmp_path / "t.parquet", Proc("AABCZZ"), Proc("A", pid=2))
    known = run([trace], detail=True)
    for at in range(moments(known)):
        one = moment(known, at).processes.row(0, named=True)
        assert (
            one["pages"]
            == 6
            == sum(
                one[name]
                for name in (
                    "pages_saved_zero",
                    "pages_saved_nonzero",
                    "state_kept",
                    "pages_unshared",
                    "pages_volatile",
                    "state_unscanned",
                )
            )
        )


def test_what_happened_since_the_moment_before(tmp_path: Path) -> None:
    trace = trace_file(tmp_path / "t.parquet", Proc("AABC"))
    known = run([trace], detail=True)
    rows = course(known)
    passes = known.passes
    assert rows["scan_scanned"].to_list() == [
        int(passes["pages_scanned"][0]),
        *passes["pages_scanned"].diff().to_list()[1:],
    ]
    share = passes["cpu_ns"][0] / passes["time_ns"][0]
    assert rows["cpu_share"][0] == share
    assert rows["scan_skipped"].sum() == known.counters.pages_skipped


def test_without_detail_only_the_end_is_known(tmp_path: Path) -> None:
    plain = run([trace_file(tmp_path / "t.parquet", Proc("AAB"))])
    assert moments(plain) == 1
    end = moment(plain, 0)
    assert end.final
    assert end.full_scans == plain.passes.height
    assert course(plain)["pages_saved_nonzero"].to_list() == [1]


def test_a_result_with_nobody_in_it_has_moments_too() -> None:
    nothing = empty()
    assert moments(nothing) == 1
    assert moment(nothing, 0).processes.is_empty()
    assert course(nothing).height == 1


def test_there_is_no_moment_beyond_the_end() -> None:
    known = result()
    assert moments(known) == 4
    with pytest.raises(IndexError, match="moment 4 of 4"):
        moment(known, 4)


def test_a_workload_keeps_its_own_toggled_ideal(tmp_path: Path) -> None:
    trace = trace_file(tmp_path / "t.parquet", Proc("AB"), Proc("AB", pid=2))
    known = run([trace], detail=True)
    end = moment(known, moments(known) - 1)
    assert end.workloads["ideal_if_toggled"].to_list() == [-2]
    assert end.processes.select(pl.col("ideal_if_toggled").sum()).item() == -4
