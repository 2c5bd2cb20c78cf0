"""Simulated time: what epochs show becomes what processes did.

A random life of processes is told twice: event by event to a `Machine`, and as a trace
of epochs to a `Timeline`. Both must come to the same figures, scan by scan.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lives import SECOND, Event, Life, doings
from snapshots import Snapshot, knobs, snapshots, write_trace

from analyzer.costs import Costs
from analyzer.knobs import KsmKnobs
from analyzer.machine import Machine
from analyzer.policy import MergePolicy, Offer
from analyzer.profile import profile_of
from analyzer.replay import Run, info, load, open_traces, run
from analyzer.result import ReplayResult
from analyzer.savings import Tallies, result_of
from analyzer.timeline import Timeline
from traces.errors import InputError, NotComparableError

EASY = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def outcome(ksmd: Run | Timeline, processes: int) -> ReplayResult:
    tallies = Tallies(processes)
    for step in ksmd.passes(None):
        tallies.add(step, ksmd.per_process())
    traces = ksmd.host.traces if isinstance(ksmd, Run) else ksmd.traces
    return result_of(ksmd.outcome(), tallies, info(traces), 0)


@EASY
@given(snapshot=snapshots(nodes=2), knobs_=knobs(), apart=st.booleans())
def test_a_snapshot_comes_out_as_the_snapshot_engine_has_it(
    snapshot: Snapshot, knobs_: KsmKnobs, apart: bool, tmp_path: Path
) -> None:
    if apart:
        knobs_ = replace(knobs_, merge_across_nodes=False)
    trace = write_trace(tmp_path / "t.parquet", snapshot)
    traces = open_traces([trace])
    profile, costs = profile_of("6.18"), Costs.default()
    policy = MergePolicy()
    one = outcome(Run(load(traces), knobs_, policy, profile, costs), len(snapshot))
    two = outcome(Timeline(traces, knobs_, policy, profile, costs), len(snapshot))
    assert one.passes.equals(two.passes)
    assert one.process_passes.equals(two.process_passes)
    assert one.processes.equals(two.processes)
    assert one.mappings.equals(two.mappings)
    for name in ("savings", "ideal", "sharing", "composition", "settled"):
        assert getattr(one, name) == getattr(two, name)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    events=doings(),
    use_zero_pages=st.booleans(),
    smart_scan=st.booleans(),
    most=st.sampled_from([2, 3, 256]),
)
def test_epochs_come_out_as_the_events_between_them(
    events: list[Event],
    use_zero_pages: bool,
    smart_scan: bool,
    most: int,
    tmp_path: Path,
) -> None:
    knobs_ = KsmKnobs(
        use_zero_pages=use_zero_pages,
        smart_scan=smart_scan,
        max_page_sharing=most,
        pages_to_scan=1_000_000,
        # One scan in an epoch: ksmd sleeps as long as one lasts.
        sleep_millisecs=1_000_000,
    )
    life = Life(Machine(knobs_, profile_of("6.18")))
    life.spawn("p0")
    life.write("p0", 0, 1)
    told: list[tuple[int, ...]] = []
    for _ in life.live([*events, *[("epoch", 0, 0, 0)] * 2]):
        life.machine.full_scan()
        told.append(tuple(life.machine.counters()))
    trace = life.write_trace(tmp_path / "t.parquet")
    line = Timeline(
        open_traces([trace]),
        knobs_,
        MergePolicy(),
        profile_of("6.18"),
        Costs.default(),
    )
    assert [tuple(step.counters) for step in line.passes(None)] == told


def lived(path: Path) -> Path:
    life = Life(Machine(KsmKnobs(), profile_of("6.18")))
    life.spawn("p0")
    for vpn, content in enumerate([1, 1, 2, 0, 0]):
        life.write("p0", vpn, content)
    life.end_epoch()
    life.fork("p0", "p1")
    life.write("p1", 0, 7)
    life.end_epoch()
    life.exit("p0")
    life.end_epoch()
    return life.write_trace(path)


def test_the_end_is_worth_what_the_last_epoch_holds(tmp_path: Path) -> None:
    result = run([lived(tmp_path / "t.parquet")])
    assert result.trace.epochs == 3
    assert not result.settled
    row = result.processes.row(1, named=True)
    # p0 is gone: of its two equal pages p1 has one, of two zero pages both.
    assert (row["pages"], row["ksm_merging_pages"]) == (5, 3)
    assert result.savings.pages_saved_zero == 1
    assert result.savings.pages_saved_nonzero == 0
    assert sum(result.sharing) == result.savings.pages_saved_nonzero


def test_a_page_written_after_it_was_merged_is_not_what_it_was(tmp_path: Path) -> None:
    """The KSM page made of its frame lives on, and holds something else."""
    life = Life(Machine(KsmKnobs(), profile_of("6.18")))
    life.spawn("p0")
    for vpn, content in enumerate([0, 1, 0, 1]):
        life.write("p0", vpn, content)
    life.end_epoch()
    life.pages["p0"][2] = 1, 2
    life.end_epoch()
    trace = life.write_trace(tmp_path / "t.parquet")
    result = run([trace], KsmKnobs(sleep_millisecs=300_000))
    assert result.savings[:2] == (0, 2)
    assert result.contents["copies"].to_list() == [3]


def test_a_policy_holds_for_every_epoch(tmp_path: Path) -> None:
    trace = lived(tmp_path / "t.parquet")
    offered = {
        policy: run([trace], policy=policy).processes["pages"].to_list()
        for policy in (
            MergePolicy(),
            MergePolicy(opt_out="comm == p1"),
            MergePolicy(Offer.NONE, "comm == p1"),
            MergePolicy(Offer.NONE, "size == 5 and comm == p1"),
            MergePolicy(Offer.NONE, "size < 5"),
        )
    }
    # p0 is gone in the end; both had five pages when they were first seen.
    assert list(offered.values()) == [[0, 5], [0, 0], [0, 5], [0, 5], [0, 0]]
    scanned = run([trace], policy=MergePolicy(opt_out="comm == p1")).passes
    assert 0 < scanned["rmap_items"].max() <= 5


def test_time_goes_on_from_pass_to_pass(tmp_path: Path) -> None:
    result = run([lived(tmp_path / "t.parquet")], KsmKnobs(sleep_millisecs=30_000))
    times = result.passes["time_ns"]
    assert times.is_sorted()
    assert 2900 * SECOND < times[-1] < 3100 * SECOND
    # 30 s of sleep are 7500 ticks of 4 ms and one more.
    assert times[0] >= 30_004_000_000
    assert result.passes["cpu_ns"].is_sorted()


def test_the_same_trace_gives_the_same_bytes(tmp_path: Path) -> None:
    trace = lived(tmp_path / "t.parquet")
    for name in ("a", "b"):
        run([trace]).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_captures_over_time_are_not_joined(tmp_path: Path) -> None:
    trace = lived(tmp_path / "t.parquet")
    with pytest.raises(NotComparableError, match="their clocks differ"):
        run([trace, trace])


@pytest.mark.parametrize(
    ("kernel", "profile"),
    [
        ("5.10.0-46-cloud", "5.10"),
        ("6.1", "5.10"),
        ("6.12.107", "6.12"),
        ("7.3.4", "7.3"),
    ],
)
def test_the_kernel_can_be_chosen(tmp_path: Path, kernel: str, profile: str) -> None:
    trace = write_trace(tmp_path / "t.parquet", [[]])
    assert run([trace], kernel=kernel).profile == profile


def test_an_old_kernel_merges_into_a_ksm_page_at_once(tmp_path: Path) -> None:
    """Before 6.11 the stable tree comes before the checksum."""
    life = Life(Machine(KsmKnobs(), profile_of("6.18")))
    life.spawn("p0")
    for vpn in range(2):
        life.write("p0", vpn, 1)
    life.end_epoch()
    life.end_epoch()
    life.write("p0", 2, 1)
    life.end_epoch()
    trace = life.write_trace(tmp_path / "t.parquet")
    slow = KsmKnobs(sleep_millisecs=1_000_000)
    new, old = (
        run([trace], slow, kernel=kernel).passes["pages_sharing"].to_list()
        for kernel in ("6.18", "6.1")
    )
    assert new == [0, 1, 1]
    assert old == [0, 1, 2]


@pytest.mark.parametrize("kernel", ["4.19", "8.0", "elephant"])
def test_a_kernel_nobody_knows_is_refused(tmp_path: Path, kernel: str) -> None:
    trace = write_trace(tmp_path / "t.parquet", [[]])
    with pytest.raises(InputError, match="expected"):
        run([trace], kernel=kernel)
