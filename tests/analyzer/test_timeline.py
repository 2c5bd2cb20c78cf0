"""Simulated time: what epochs show becomes what processes did.

A random life of processes is told twice: event by event to a `Machine`, and as a trace
of epochs to a `Timeline`. Both must come to the same figures, scan by scan.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from builders import FACTS, digest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
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
from traces.schema import MAPPINGS, PROCESSES, PageFlag, Pages
from traces.writer import TraceWriter, row_of

PAGES = 12
SECOND = 1_000_000_000
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


@dataclass
class Life:
    """Processes and what becomes of their pages, told to a machine as it goes on."""

    machine: Machine
    pages: dict[str, dict[int, tuple[int, int]]] = field(default_factory=dict)
    """process → page → (content, frame)."""
    epochs: list[dict[str, dict[int, tuple[int, int]]]] = field(default_factory=list)
    frames: int = 0
    parents: dict[str, str] = field(default_factory=dict)

    def spawn(self, name: str) -> None:
        self.pages[name] = {}
        self.machine.spawn(name)
        self.machine.mmap(name, 0, PAGES, True, False)

    def write(self, name: str, vpn: int, content: int) -> None:
        had = self.pages[name].get(vpn)
        if had and had[0] == content:
            return  # No capture shows that the same bytes were written again.
        holders = [f for p in self.pages.values() for _, f in p.values()]
        frame = had[1] if had and holders.count(had[1]) == 1 else self.frames
        self.frames = max(self.frames, frame + 1)
        self.pages[name][vpn] = content, frame
        self.machine.write(name, vpn, [content])

    def discard(self, name: str, vpn: int) -> None:
        self.pages[name].pop(vpn, None)
        self.machine.discard(name, vpn, 1)

    def fork(self, name: str, child: str) -> None:
        self.pages[child] = dict(self.pages[name])
        self.parents[child] = name
        self.machine.fork(name, child)

    def exit(self, name: str) -> None:
        del self.pages[name]
        self.machine.exit(name)

    def end_epoch(self) -> None:
        self.epochs.append({name: dict(pages) for name, pages in self.pages.items()})

    def write_trace(self, path: Path) -> Path:
        """What a capture would have seen at the end of every epoch."""
        names = list(dict.fromkeys(n for epoch in self.epochs for n in epoch))
        processes, mappings = [], []
        for number, name in enumerate(names):
            seen = [at for at, epoch in enumerate(self.epochs) if name in epoch]
            span = {"first_epoch": seen[0], "last_epoch": seen[-1]}
            known = {"pid": number, "comm": name, "workload": "w", "host": "h"}
            if self.parents.get(name) in names:
                known["ppid"] = names.index(self.parents[name])
            processes.append(row_of(PROCESSES, known, process=number, **span))
            area = {"start_vpn": 0, "pages": PAGES, "kind": "anon", "mergeable": True}
            mappings.append(
                row_of(MAPPINGS, area, mapping=number, process=number, **span)
            )
        with TraceWriter(path) as writer:
            writer.announce(processes, mappings)
            before: dict[str, dict[int, tuple[int, int]]] = {}
            for at, epoch in enumerate(self.epochs):
                writer.begin_epoch(at * 1000 * SECOND, "delta" if at else "complete")
                for number, name in enumerate(names):
                    if name in epoch:
                        rows = changed(before.get(name, {}), epoch[name])
                        writer.add_pages(pages_of(number, rows))
                before = epoch
            writer.finish(FACTS)
        return path


def changed(
    before: dict[int, tuple[int, int]], now: dict[int, tuple[int, int]]
) -> list[tuple[int, tuple[int, int] | None]]:
    vpns = sorted(before.keys() | now.keys())
    return [(v, now.get(v)) for v in vpns if before.get(v) != now.get(v)]


def pages_of(mapping: int, rows: list[tuple[int, tuple[int, int] | None]]) -> Pages:
    return Pages(
        mapping=np.full(len(rows), mapping, np.int32),
        vpn=np.array([vpn for vpn, _ in rows], np.int64),
        digest=np.array([digest(page[0]) if page else 0 for _, page in rows], np.int64),
        frame=np.array([page[1] if page else -1 for _, page in rows], np.int64),
        folio=np.full(len(rows), -1, np.int32),
        nid=np.zeros(len(rows), np.int8),
        flags=np.array([0 if page else PageFlag.ABSENT for _, page in rows], np.uint16),
    )


@st.composite
def doings(draw: st.DrawFn) -> list[tuple[str, ...] | list[int]]:
    """Kinds of events with numbers to choose by; an epoch ends at "epoch"."""
    kind = st.sampled_from(
        ["write"] * 6 + ["discard", "fork", "exit", "spawn", "epoch", "epoch"]
    )
    number = st.integers(0, 99)
    return draw(st.lists(st.tuples(kind, number, number, number), max_size=40))


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
    events: list[tuple[str, int, int, int]],
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
    born = 1
    for what, a, b, c in [*events, *[("epoch", 0, 0, 0)] * 2]:
        alive = sorted(life.pages)
        name = alive[a % len(alive)] if alive else ""
        if what == "spawn" or not alive:
            life.spawn(f"p{born}")
            born += 1
        elif what == "write":
            life.write(name, b % PAGES, c % 5)
        elif what == "discard":
            life.discard(name, b % PAGES)
        elif what == "fork":
            life.fork(name, f"p{born}")
            born += 1
        elif what == "exit" and len(alive) > 1:
            life.exit(name)
        elif what == "epoch":
            life.end_epoch()
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
