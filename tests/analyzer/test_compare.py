from dataclasses import replace

import polars as pl
import polars.selectors as cs
import pytest
from builders import Proc, trace_file
from results import NAMES, empty, equal, result

from analyzer.compare import AXES, UNITS, Comparison, Difference, compare
from analyzer.counters import RMAP_ITEM_SIZE
from analyzer.knobs import KsmKnobs
from analyzer.policy import MergePolicy, Offer
from analyzer.replay import run
from analyzer.worth import cost_of, pages_merged, pages_saved
from traces.schema import PAGE_SIZE


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """One trace under two settings, each a plain run."""
    path = trace_file(
        tmp_path_factory.mktemp("compare") / "trace.parquet",
        Proc("AABZZAAA", pid=10, comm="one", workload="web"),
        Proc("AACZ", pid=11, comm="two", workload="web"),
        Proc("ADEZ", pid=12, comm="three", workload="db", mergeable=False),
    )
    knobs = KsmKnobs(use_zero_pages=True, max_page_sharing=2)
    return run([path]), run([path], knobs, MergePolicy(Offer.CAPTURED), passes=2)


def rows(frame, *keys):
    return {tuple(row[key] for key in keys): row for row in frame.rows(named=True)}


def process(found, number, **changes):
    """*found* with one process changed."""
    frame = found.processes.with_columns(
        pl.when(pl.col("process") == number)
        .then(pl.lit(value))
        .otherwise(pl.col(name))
        .alias(name)
        for name, value in changes.items()
    )
    return replace(found, processes=frame)


ALONE = {"workload", "process", "pid", "ideal_if_toggled"}
"""What is no figure that a change of would mean something."""


def test_every_delta_of_a_workload_is_that_of_two_plain_runs(pair):
    a, b = pair
    frame = compare(a, b).workloads
    before, after = rows(a.workloads, "workload"), rows(b.workloads, "workload")
    figures = [name for name in a.workloads.columns if name not in ALONE]
    assert set(figures) < {name.removesuffix("_delta") for name in frame.columns}
    for row in frame.rows(named=True):
        one, other = before[row["workload"],], after[row["workload"],]
        for name in figures:
            assert row[f"{name}_a"] == one[name]
            assert row[f"{name}_b"] == other[name]
            assert row[f"{name}_delta"] == other[name] - one[name]


def test_every_delta_of_a_process_is_that_of_two_plain_runs(pair):
    a, b = pair
    frame = compare(a, b).processes
    before, after = rows(a.processes, "pid"), rows(b.processes, "pid")
    assert frame.height == 3
    for row in frame.rows(named=True):
        for name in set(a.processes.select(cs.integer()).columns) - ALONE:
            change = after[row["pid"],][name] - before[row["pid"],][name]
            assert row[f"{name}_delta"] == change, name
        assert row["processes_a"] == row["processes_b"] == 1


def test_every_total_is_that_of_two_plain_runs(pair):
    a, b = pair
    totals = rows(compare(a, b).totals, "figure")
    assert [name for (name,) in totals] == list(UNITS)
    for name in a.counters._fields:
        if (name,) in totals:
            row = totals[name,]
            assert (row["a"], row["b"]) == (
                getattr(a.counters, name),
                getattr(b.counters, name),
            )
    assert totals["pages_saved",]["delta"] == pages_saved(b) - pages_saved(a)
    assert totals["pages_ideal",]["a"] == sum(a.ideal[:2])
    assert totals["pages_offered",]["b"] == sum(b.composition)
    cost = cost_of(b)
    assert totals["time_ns",]["b"] == cost.time_ns
    assert totals["cpu_ppm",]["b"] == round(1e6 * cost.cpu_ns / cost.time_ns)
    assert totals["time_to_90_ns",]["b"] == cost.reached_ns[90]
    for row in totals.values():
        assert row["delta"] == row["b"] - row["a"]
        assert row["estimate"] == (row["unit"] in ("ns", "ppm"))


def test_what_is_saved_and_what_is_left_of_it_is_joined_too(pair):
    for row in compare(*pair).workloads.rows(named=True):
        for side in "ab":
            saved = row[f"pages_saved_zero_{side}"] + row[f"pages_saved_nonzero_{side}"]
            assert row[f"pages_saved_{side}"] == saved
            notes = row[f"ksm_rmap_items_{side}"] * RMAP_ITEM_SIZE
            assert row[f"net_saved_{side}"] == saved * PAGE_SIZE - notes


def test_only_settings_that_differ_are_named(pair):
    assert compare(*pair).differs == (
        Difference("max_page_sharing", 256, 2),
        Difference("use_zero_pages", 0, 1),
        Difference("policy", "all", "captured"),
    )
    other = replace(result(), profile="5.10", costs="default")
    assert compare(result(), other).differs == (
        Difference("kernel", "6.18", "5.10"),
        Difference("costs", "measured on this host", "default"),
    )


def test_rows_of_one_side_are_listed_without_the_other():
    a, b = result(NAMES[:4]), result((*NAMES[:3], "new"))
    found = rows(compare(a, b).workloads, "workload")
    assert [name for (name,) in found][-2:] == ["jvm-search", "new"]
    gone, new, stayed = found["jvm-search",], found["new",], found[NAMES[0],]
    assert (gone["only"], new["only"], stayed["only"]) == ("a", "b", "")
    assert gone["pages_a"] == 125_013
    assert gone["pages_b"] is gone["pages_delta"] is None
    assert new["pages_a"] is new["pages_delta"] is None
    assert stayed["pages_delta"] == 0


def test_the_largest_change_comes_first_be_it_gain_or_loss():
    a = result()
    saved = pl.col("pages_saved_zero")
    for at, change in ((0, 5), (2, -900), (3, 70)):
        row = pl.col("workload") == NAMES[at]
        saved = pl.when(row).then(saved + change).otherwise(saved)
    b = replace(a, workloads=a.workloads.with_columns(saved.alias("pages_saved_zero")))
    order = compare(a, b).workloads["workload"].to_list()
    assert order == [NAMES[2], NAMES[3], NAMES[0], NAMES[4], NAMES[1]]


def test_swapped_turns_every_sign(pair):
    there = compare(*pair)
    back = there.swapped()
    assert equal(back.a, there.b)
    for name in ("totals", "workloads", "processes"):
        one, other = getattr(there, name), getattr(back, name)
        for column in one.columns:
            if column.endswith("delta"):
                assert (one[column] + other[column]).sum() == 0
    assert (there.totals["delta"] != 0).any()
    assert [(d.name, d.b, d.a) for d in back.differs] == list(there.differs)


def test_a_process_of_the_same_pid_has_a_row_of_its_own():
    frame = compare(result(), result()).processes
    assert frame.height == 10
    assert frame["pid"].null_count() == 0


def test_processes_of_other_pids_are_added_up_by_workload_and_name():
    a = result()
    b = process(process(a, 0, pid=5000, host="other"), 1, pid=5001)
    frame = compare(a, b).processes
    (row,) = frame.filter(pl.col("pid").is_null()).rows(named=True)
    assert (row["workload"], row["comm"], row["host"]) == (NAMES[0], NAMES[0], None)
    assert (row["processes_a"], row["processes_b"]) == (2, 2)
    assert row["pages_a"] == row["pages_b"] == 2_000_001
    assert row["only"] == ""
    assert frame.height == 9


def test_one_of_two_pids_in_common_leaves_the_other_to_be_joined_by_name():
    a = result()
    found = compare(a, process(a, 1, pid=5001)).processes
    mine = found.filter(pl.col("workload") == NAMES[0])
    assert sorted(mine["pid"].to_list(), key=str) == [1000, None]
    assert mine["processes_b"].to_list() == [1, 1]


def test_a_pid_that_now_is_another_program_is_not_the_same_process():
    a = result()
    found = compare(a, process(a, 0, comm="other")).processes
    one = rows(found, "comm", "pid")
    assert one["other", None]["only"] == "b"
    assert one[NAMES[0], None]["only"] == "a"


def test_sums_survive_the_joining():
    a = result()
    b = process(process(result(NAMES[1:]), 0, pid=1), 3, comm="x")
    frame = compare(a, b).processes
    assert frame["pages_a"].sum() == a.processes["pages"].sum()
    assert frame["pages_b"].sum() == b.processes["pages"].sum()


def test_processes_joined_from_one_capture_twice_are_not_multiplied(tmp_path):
    path = trace_file(tmp_path / "x.parquet", Proc("AB", pid=3))
    twice = run([path, path])
    (row,) = compare(twice, twice).processes.rows(named=True)
    assert (row["pid"], row["processes_a"], row["pages_b"]) == (3, 2, 4)


def test_a_column_of_one_side_alone_is_left_out():
    a = result()
    b = replace(a, workloads=a.workloads.with_columns(pl.lit(1).alias("pages_new")))
    assert "pages_new_delta" not in compare(a, b).workloads.columns
    assert "pages_new_delta" in compare(b, b).workloads.columns


def test_what_holds_of_one_row_alone_is_not_added_up():
    alone = pl.lit(7).alias("ideal_if_toggled")
    a = replace(result(), processes=result().processes.with_columns(alone))
    columns = compare(a, a).processes.columns
    assert not [name for name in columns if name.startswith("ideal_if_toggled")]


@pytest.mark.parametrize("align", AXES)
def test_a_course_begins_at_nothing_and_ends_with_its_side(align):
    a, b = result(passes=4), result(passes=2)
    frame = compare(a, b).curves(align)
    assert frame.row(0) == (0, 0, 0)
    assert frame["at"].is_sorted()
    assert frame["a"].to_list()[-1] == pages_merged(a)[-1]
    assert frame["a"].null_count() == 0
    assert frame["b"].to_list()[:3] == [0, *pages_merged(b)]
    assert frame["b"].to_list()[3:] == [None, None]
    assert frame["at"].to_list()[1:] == a.passes[AXES[align]].to_list()


def test_between_its_points_a_course_stays_where_it_was():
    a = result(passes=2)
    times = (a.passes["time_ns"] * 3 // 2).alias("time_ns")
    b = replace(a, passes=a.passes.with_columns(times))
    frame = compare(a, b).curves("time")
    seconds = [at // 10**9 for at in frame["at"]]
    one, two = pages_merged(a)
    assert seconds == [0, 90, 135, 180, 270]
    assert frame["a"].to_list() == [0, one, one, two, None]
    assert frame["b"].to_list() == [0, 0, one, one, two]


def test_nothing_can_be_compared_too():
    found = compare(empty(), result())
    assert isinstance(found, Comparison)
    assert set(found.workloads["only"]) == {"b"}
    totals = rows(found.totals, "figure")
    assert totals["time_to_90_ns",]["a"] is totals["time_to_90_ns",]["delta"] is None
    assert totals["pages_saved",]["delta"] == pages_saved(result())
