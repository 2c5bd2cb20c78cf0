"""`ideal_if_toggled` against the ideals of two replays."""

from pathlib import Path

from builders import Proc, trace_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analyzer.policy import MergePolicy, Offer
from analyzer.replay import run
from analyzer.result import ReplayResult

CAPTURED = MergePolicy(Offer.CAPTURED)
EASY = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

Made = tuple[str, int, bool]
"""Contents, workload, mergeable."""


def ideal(result: ReplayResult) -> int:
    return result.ideal.pages_saved_zero + result.ideal.pages_saved_nonzero


def replayed(made: list[Made], path: Path) -> ReplayResult:
    procs = [
        Proc(contents, pid=pid, workload=f"w{workload}", mergeable=mergeable)
        for pid, (contents, workload, mergeable) in enumerate(made, 1)
    ]
    return run([trace_file(path, *procs)], policy=CAPTURED, passes=1, detail=True)


machines = st.lists(
    st.tuples(st.text("ABCDZ", max_size=8), st.integers(0, 2), st.booleans()),
    min_size=1,
    max_size=4,
)


@EASY
@given(made=machines)
def test_one_process_that_changes_sides_changes_the_ideal_so(
    made: list[Made], tmp_path: Path
) -> None:
    path = tmp_path / "t.parquet"
    result = replayed(made, path)
    for at, (contents, workload, mergeable) in enumerate(made):
        other = [*made[:at], (contents, workload, not mergeable), *made[at + 1 :]]
        change = ideal(replayed(other, path)) - ideal(result)
        assert result.processes["ideal_if_toggled"][at] == change


@EASY
@given(made=machines)
def test_a_workload_changes_sides_as_a_whole(made: list[Made], tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    result = replayed(made, path)
    for name, told in result.workloads.select(
        "workload", "ideal_if_toggled"
    ).iter_rows():
        mine = [f"w{workload}" == name for _, workload, _ in made]
        # With anything offered, it is the offered part that would go.
        has = any(m and one[2] and one[0] for m, one in zip(mine, made, strict=True))
        other = [
            (contents, workload, not has if m else mergeable)
            for m, (contents, workload, mergeable) in zip(mine, made, strict=True)
        ]
        assert told == ideal(replayed(other, path)) - ideal(result)


def test_a_frame_that_another_process_maps_too_counts_for_neither(
    tmp_path: Path,
) -> None:
    procs = Proc("AB", frames=[0, 1]), Proc("AA", frames=[0, 2], pid=2)
    result = run([trace_file(tmp_path / "t.parquet", *procs)], detail=True)
    assert result.processes["ideal_if_toggled"].to_list() == [0, -1]


def test_without_detail_nobody_is_toggled(tmp_path: Path) -> None:
    trace = trace_file(tmp_path / "t.parquet", Proc("AA"))
    assert run([trace]).processes["ideal_if_toggled"].to_list() == [0]
    assert run([trace], detail=True).processes["ideal_if_toggled"].to_list() == [-1]
