"""Repeated contents and their holders, against counting them one by one."""

from collections import Counter, defaultdict
from pathlib import Path

from builders import Proc, digest, trace_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lives import Event, doings, over_time
from outcomes import finished, rows_of
from snapshots import Snapshot, knobs, snapshots, write_trace

from analyzer.engine.holders import holders
from analyzer.knobs import KsmKnobs
from analyzer.replay import Staged, run

EASY = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def check_holders(staged: Staged) -> None:
    result, rows = staged.result(), rows_of(staged.outcome())
    copies: Counter[tuple[int, str, str]] = Counter()
    owners = defaultdict(set)
    for row in rows:
        key = row["digest"], row["workload"], row["kind"]
        copies[key] += 1
        owners[key].add(row["process"])
    told = result.contents["digest"].to_list()
    slow = {
        (digest, workload, kind, len(owners[digest, workload, kind]), count)
        for (digest, workload, kind), count in copies.items()
        if digest in told
    }
    assert set(result.holders.rows()) == slow
    assert result.holders.height == len(slow)
    check_contents(staged, told)


def check_contents(staged: Staged, told: list[int]) -> None:
    rows = rows_of(staged.outcome())
    contents = staged.result().contents
    for content, row in zip(told, contents.rows(named=True), strict=True):
        mine = [r for r in rows if r["digest"] == content]
        per_workload = Counter(r["workload"] for r in mine)
        most = sorted(per_workload, key=lambda name: (-per_workload[name], name))
        assert row["copies"] == len(mine)
        assert row["frames"] == len({r["before"] for r in mine})
        assert row["processes"] == len({r["process"] for r in mine})
        assert row["workloads"] == len(per_workload)
        assert row["whose"] == ", ".join(most[:3])
        left = {r["after"] for r in mine if r["after"] is not None}
        assert row["pages_saved"] == row["frames"] - len(left)
    assert contents["pages_saved"].is_sorted(descending=True)


@EASY
@given(snapshot=snapshots(), knobs_=knobs())
def test_holders_of_a_snapshot_are_counted_right(
    snapshot: Snapshot, knobs_: KsmKnobs, tmp_path: Path
) -> None:
    check_holders(finished(write_trace(tmp_path / "t.parquet", snapshot), knobs_))


@EASY
@given(events=doings())
def test_holders_through_time_are_counted_right(
    events: list[Event], tmp_path: Path
) -> None:
    trace = over_time(events, tmp_path / "t.parquet")
    check_holders(finished(trace, KsmKnobs(sleep_millisecs=300_000)))


@EASY
@given(snapshot=snapshots(), data=st.data())
def test_a_range_has_the_contents_found_in_it(
    snapshot: Snapshot, data: st.DataObject, tmp_path: Path
) -> None:
    trace = write_trace(tmp_path / "t.parquet", snapshot)
    mapping = data.draw(st.integers(0, len(snapshot) - 1))
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, 60)] * 2)))
    staged = finished(trace, KsmKnobs(), within=(mapping, first, last))
    told = staged.result().contents["digest"].to_list()
    inside = {digest(p.content) for p in snapshot[mapping] if first <= p.vpn <= last}
    assert set(told) == inside
    assert len(told) == len(inside)
    check_holders(staged)


def test_what_saves_nothing_comes_after_what_saves(tmp_path: Path) -> None:
    trace = trace_file(tmp_path / "t.parquet", Proc("CAB"), Proc("AD", pid=2))
    rows = finished(trace, KsmKnobs(), within=(0, 0, 9), contents=2).result().contents
    assert rows["digest"].to_list() == [digest("A"), digest("C")]
    assert rows["pages_saved"].to_list() == [1, 0]


def test_nothing_is_found_where_no_mapping_is(tmp_path: Path) -> None:
    trace = trace_file(tmp_path / "t.parquet", Proc("AA"))
    staged = finished(trace, KsmKnobs(), within=(0, 5, 9))
    assert staged.result().contents.is_empty()
    assert staged.result().holders.is_empty()


def test_without_detail_no_holders_are_told(tmp_path: Path) -> None:
    result = run([trace_file(tmp_path / "t.parquet", Proc("AA"))])
    assert result.contents.height == 1
    assert result.holders.is_empty()


def test_its_plain_python_body_counts_the_same(tmp_path: Path, monkeypatch) -> None:
    trace = trace_file(tmp_path / "t.parquet", Proc("AABZ"), Proc("ABZ", pid=2))
    compiled = finished(trace, KsmKnobs()).result().holders
    monkeypatch.setattr("analyzer.contents.holders", holders.py_func)
    assert finished(trace, KsmKnobs()).result().holders.equals(compiled)


def test_a_range_through_time_is_one_of_the_pages_there_are(tmp_path: Path) -> None:
    events = [("write", 0, 7, 3), ("epoch", 0, 0, 0), ("discard", 0, 1, 0)]
    trace = over_time(events, tmp_path / "t.parquet")
    slow = KsmKnobs(sleep_millisecs=300_000)
    staged = finished(trace, slow, within=(0, 1, 7))
    found = staged.result().contents
    # Pages 0 to 3 hold Z1Z1; page 1 went, page 7 came.
    assert set(found["digest"]) == {digest(content) for content in (0, 1, 3)}
    check_holders(staged)
