"""Who shares with whom, against slow counting with dicts and fractions."""

from collections import Counter, defaultdict
from fractions import Fraction
from pathlib import Path

import polars as pl
from builders import Proc, trace_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lives import Event, doings, over_time
from outcomes import finished, rows_of
from snapshots import Snapshot, knobs, snapshots, write_trace

from analyzer.knobs import KsmKnobs
from analyzer.outcome import Outcome
from analyzer.replay import Staged, run
from analyzer.result import ReplayResult

EASY = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

Pairs = dict[tuple[str, str], Fraction]


def slow_pairs(outcome: Outcome) -> tuple[Pairs, Counter[tuple[str, str]]]:
    rows = [row for row in rows_of(outcome) if not row["zero"]]
    ksm = {row["after"] for row in rows if row["merged"]}
    before = Counter(row["before"] for row in rows)
    members = defaultdict(list)
    for row in rows:
        if row["after"] is not None:
            members[row["after"]].append(row)
    saved: Pairs = defaultdict(Fraction)
    for row in rows:
        here = members[row["after"]]
        saving = Fraction(1, before[row["before"]]) - Fraction(1, len(here))
        others = [other for other in here if other is not row]
        if row["after"] not in ksm or not others:
            others = [row]
        for other in others:
            saved[row["workload"], other["workload"]] += saving / len(others)
    contents: Counter[tuple[str, str]] = Counter()
    by_content = defaultdict(Counter)
    for row in rows:
        if row["after"] in ksm:
            content = int(outcome.content[row["after"]])
            by_content[content][row["workload"]] += 1
    for holders in by_content.values():
        for one, copies in holders.items():
            contents.update((one, o) for o in holders if o != one or copies > 1)
    return saved, contents


def check_pairs(staged: Staged) -> None:
    result = staged.result()
    saved, contents = slow_pairs(staged.outcome())
    found = {(w, o): (p, c) for w, o, p, c in result.pairs.iter_rows()}
    assert (0, 0) not in found.values()
    for pair in found.keys() | saved.keys() | contents.keys():
        pages, common = found.get(pair, (0, 0))
        assert common == contents[pair]
        # Cut to whole pages, twice: by process, and by pair.
        slack = 1 + result.processes.height
        assert abs(pages - saved[pair]) < slack
    check_sums(result)


def check_sums(result: ReplayResult) -> None:
    sums = result.pairs.group_by("workload").agg(pl.col("pages_saved").sum())
    sums = dict(sums.iter_rows())
    for name, pages in result.workloads.select(
        "workload", "pages_saved_nonzero"
    ).iter_rows():
        assert sums.get(name, 0) == pages


@EASY
@given(snapshot=snapshots(nodes=2), knobs_=knobs())
def test_pairs_of_a_snapshot_equal_the_slow_ones(
    snapshot: Snapshot, knobs_: KsmKnobs, tmp_path: Path
) -> None:
    trace = write_trace(tmp_path / "t.parquet", snapshot)
    check_pairs(finished(trace, knobs_))


@EASY
@given(events=doings(), zero=st.booleans())
def test_pairs_through_time_equal_the_slow_ones(
    events: list[Event], zero: bool, tmp_path: Path
) -> None:
    trace = over_time(events, tmp_path / "t.parquet")
    knobs_ = KsmKnobs(use_zero_pages=zero, sleep_millisecs=300_000)
    check_pairs(finished(trace, knobs_))


def test_what_a_page_saves_goes_to_those_who_share_it(tmp_path: Path) -> None:
    trace = trace_file(
        tmp_path / "t.parquet",
        Proc("AABZ", workload="one"),
        Proc("AB", workload="two", pid=2),
        Proc("C", workload="alone", pid=3),
    )
    pairs = run([trace], detail=True).pairs
    # Of A, one saves 4/3, half of it thanks to itself; of B each saves a half.
    assert pairs.sort("workload", "other").rows() == [
        ("one", "one", 1, 1),
        ("one", "two", 1, 2),
        ("two", "one", 1, 2),
    ]


def test_beyond_the_48_that_save_most_the_rest_is_one(tmp_path: Path) -> None:
    procs = [
        Proc("A" * (100 - at), pid=at + 1, workload=f"w{at:02}") for at in range(60)
    ]
    trace = trace_file(tmp_path / "t.parquet", *procs)
    result = run([trace], detail=True)
    pairs = result.pairs
    assert pairs["workload"].n_unique() == 49
    assert set(pairs["workload"]) - {""} == {f"w{at:02}" for at in range(48)}
    assert pairs["pages_saved"].sum() == result.savings.pages_saved_nonzero
    named = result.workloads.filter(pl.col("workload") < "w48")
    for name, pages in named.select("workload", "pages_saved_nonzero").iter_rows():
        row = pairs.filter(pl.col("workload") == name)
        assert row["pages_saved"].sum() == pages


def test_a_workload_without_a_name_is_with_the_rest(tmp_path: Path) -> None:
    trace = trace_file(tmp_path / "t.parquet", Proc("AA", workload=""))
    assert run([trace], detail=True).pairs.rows() == [("", "", 1, 1)]


def test_without_detail_nobody_is_paired(tmp_path: Path) -> None:
    trace = trace_file(tmp_path / "t.parquet", Proc("AA"))
    assert run([trace]).pairs.is_empty()
