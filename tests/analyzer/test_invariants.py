"""What holds in every state of every replay, whatever machine was captured."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from engine import Engine
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ZERO, Ksmd, whole_pages
from snapshots import Snapshot, knobs, snapshots, write_trace

from analyzer.knobs import KsmKnobs
from analyzer.replay import run
from analyzer.result import ReplayResult

property_test = settings(max_examples=150, deadline=None)
replay_test = settings(max_examples=60, deadline=None)


def after_scans(snapshot: Snapshot, knobs_: KsmKnobs, scans: int = 8) -> Engine:
    engine = Engine(snapshot, knobs_)
    for _ in range(scans):
        engine.full_scan()
    return engine


def replayed(snapshot: Snapshot, knobs_: KsmKnobs, pids: list[int]) -> ReplayResult:
    with TemporaryDirectory() as folder:
        trace = write_trace(Path(folder) / "trace.parquet", snapshot, pids)
        return run([trace], knobs_)


@property_test
@given(snapshots(), knobs(), st.integers(1, 60))
def test_the_counters_account_for_every_item(
    snapshot: Snapshot, knobs_: KsmKnobs, wakeups: int
) -> None:
    engine = Engine(snapshot, knobs_)
    for _ in range(wakeups):
        engine.wake_up()
        counters = engine.counters()
        processes = [engine.process(number) for number in range(len(snapshot))]
        total = {name: sum(p[name] for p in processes) for name in processes[0]}
        merging = counters.pages_shared + counters.pages_sharing

        assert min(counters[:-1]) >= 0
        assert counters.pages_shared <= counters.pages_sharing
        assert counters.pages_volatile == (
            counters.rmap_items - merging - counters.pages_unshared
        )
        assert counters.stable_node_dups >= 2 * counters.stable_node_chains
        assert counters.stable_node_dups <= counters.pages_shared
        assert total["ksm_rmap_items"] == counters.rmap_items
        assert total["ksm_merging_pages"] == merging
        assert total["ksm_zero_pages"] == counters.ksm_zero_pages
        # The processes count the page that is kept as saved too.
        assert total["ksm_process_profit"] == (
            counters.general_profit + 4096 * counters.pages_shared
        )


@property_test
@given(snapshots(), knobs())
def test_a_scan_wakes_up_once_more_than_its_pages_fill_the_budget(
    snapshot: Snapshot, knobs_: KsmKnobs
) -> None:
    engine = Engine(snapshot, knobs_)
    for _ in range(6):
        before = engine.counters().pages_scanned
        wakeups = engine.full_scan()
        scanned = engine.counters().pages_scanned - before
        assert wakeups == scanned // knobs_.pages_to_scan + 1


@property_test
@given(snapshots(nodes=2), knobs(), st.integers(1, 100), st.booleans())
def test_how_a_scan_is_cut_into_wake_ups_does_not_change_its_end(
    snapshot: Snapshot, knobs_: KsmKnobs, pages_to_scan: int, across: bool
) -> None:
    one, other = (
        Engine(
            snapshot, replace(knobs_, pages_to_scan=pages, merge_across_nodes=across)
        )
        for pages in (1_000_000, pages_to_scan)
    )
    for _ in range(12):
        one.full_scan()
        other.full_scan()
        assert one.counters() == other.counters()
        for number in range(len(snapshot)):
            assert one.process(number) == other.process(number)


@property_test
@given(snapshots(forks=False, folios=False), knobs(), st.integers(0, 10))
def test_a_higher_max_page_sharing_never_merges_less(
    snapshot: Snapshot, knobs_: KsmKnobs, more: int
) -> None:
    raised = replace(knobs_, max_page_sharing=knobs_.max_page_sharing + more)
    least = after_scans(snapshot, knobs_).counters()
    most = after_scans(snapshot, raised).counters()
    assert most.pages_sharing >= least.pages_sharing
    assert most.ksm_zero_pages == least.ksm_zero_pages


@property_test
@given(snapshots(forks=False, folios=False), knobs())
def test_without_a_limit_all_but_one_copy_of_each_content_is_saved(
    snapshot: Snapshot, knobs_: KsmKnobs
) -> None:
    contents = [page.content for process in snapshot for page in process]
    zeros = contents.count(ZERO) if knobs_.use_zero_pages else 0
    merged = [c for c in contents if c != ZERO or not knobs_.use_zero_pages]
    counters = after_scans(snapshot, replace(knobs_, max_page_sharing=256)).counters()
    assert counters.ksm_zero_pages == zeros
    assert counters.pages_sharing == len(merged) - len(set(merged))


@replay_test
@given(snapshots(), knobs(), st.permutations([11, 12, 13, 14]))
def test_savings_are_the_frames_that_came_free(
    snapshot: Snapshot, knobs_: KsmKnobs, pids: list[int]
) -> None:
    pids = pids[: len(snapshot)]
    result = replayed(snapshot, knobs_, pids)
    reference = Ksmd(snapshot, knobs_)
    for _ in range(result.passes.height):
        reference.full_scan()
    saved = reference.savings()
    shares = reference.saved()

    assert result.counters == reference.counters()
    assert tuple(result.savings) == (saved.zero, saved.nonzero, saved.by_split)
    rounded: Callable[[list[Fraction]], list[int]] = partial(whole_pages, pids=pids)
    processes = result.processes.sort("process")
    assert processes["pid"].to_list() == pids
    zero, nonzero, _ = zip(*shares, strict=True)
    assert processes["pages_saved_zero"].to_list() == rounded(zero)
    assert processes["pages_saved_nonzero"].to_list() == rounded(nonzero)


@replay_test
@given(snapshots(), knobs())
def test_a_settled_replay_is_at_its_end(snapshot: Snapshot, knobs_: KsmKnobs) -> None:
    result = replayed(snapshot, knobs_, list(range(1, len(snapshot) + 1)))
    reference = Ksmd(snapshot, knobs_)
    for _ in range(result.passes.height):
        reference.full_scan()
    saved = reference.savings()
    for _ in range(20):
        reference.full_scan()
    assert result.settled
    assert reference.savings() == saved
    assert reference.counters().pages_sharing == result.counters.pages_sharing


@replay_test
@given(snapshots(), knobs())
def test_the_tables_of_a_result_add_up(snapshot: Snapshot, knobs_: KsmKnobs) -> None:
    result = replayed(snapshot, knobs_, list(range(1, len(snapshot) + 1)))
    frames = len({page.frame for process in snapshot for page in process})
    assert sum(result.composition) == frames == result.trace.frames
    for name in ("pages_saved_zero", "pages_saved_nonzero"):
        total = getattr(result.savings, name)
        assert result.processes[name].sum() == total
        assert result.workloads[name].sum() == total
        assert result.mappings[name].sum() == total
    assert sum(result.sharing) == result.savings.pages_saved_nonzero
    assert result.savings.pages_saved_by_split <= result.savings.pages_saved_zero
