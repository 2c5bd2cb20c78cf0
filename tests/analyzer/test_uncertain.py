"""What a dump cannot tell: made from a machine of which all is known.

A machine of families is captured twice: as it is, and as a dump has it, without
frames, with zero pages that may not be there and pages that may be of the file cache.
What is really saved lies between what the dump's replay finds and the most it names.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from builders import FACTS, Proc, digest, trace_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analyzer.findings import findings
from analyzer.knobs import KsmKnobs
from analyzer.pages import PageStates, write_pages
from analyzer.policy import MergePolicy, Uncertain
from analyzer.replay import Staged, run, survey
from analyzer.result import ReplayResult, Uncertainty
from traces.errors import InputError
from traces.schema import MAPPINGS, PROCESSES, PageFlag, Pages
from traces.synthetic import SCENARIOS, write_synthetic
from traces.trace import Trace
from traces.writer import TraceWriter, row_of

UNTOUCHED, CACHED = int(PageFlag.PRESENCE_UNKNOWN), int(PageFlag.ANON_UNKNOWN)
FAST = KsmKnobs(pages_to_scan=1000)
ZERO_PAGES = replace(FAST, use_zero_pages=True)
COUNT_IN = MergePolicy(uncertain=Uncertain.COUNT_IN)

EASY = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@dataclass(frozen=True)
class Seen:
    """A page, and what a dump would say of it."""

    vpn: int
    content: int
    frame: int
    there: bool
    """Present and anonymous, so that ksmd looks at it."""
    flags: int


Machine = list[tuple[int, int, list[Seen]]]
"""(pid, ppid, pages) of each process."""


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    """Two parents with children, and somebody alone. A child has its parent's frames
    but where it wrote; the last pages are a private mapping of a file."""
    content = st.integers(0, draw(st.integers(1, 6)))
    zeros_unknown = draw(st.booleans())
    pages, file_from = draw(st.integers(1, 10)), draw(st.integers(0, 10))
    machine: Machine = []
    frames = 0

    def page(vpn: int) -> Seen:
        nonlocal frames
        frames += 1
        found = draw(content)
        there = vpn < file_from or draw(st.booleans())
        there = there and (found != 0 or not zeros_unknown or draw(st.booleans()))
        flags = CACHED if vpn >= file_from else 0
        if found == 0 and zeros_unknown:
            flags |= UNTOUCHED
        return Seen(vpn, found, frames, there, flags)

    for parent in (100, 200, 300):
        own = [page(vpn) for vpn in range(pages)]
        machine.append((parent, 1, own))
        for child in range(draw(st.integers(0, 2)) if parent < 300 else 0):
            kept = [seen if draw(st.booleans()) else page(seen.vpn) for seen in own]
            machine.append((parent + 1 + child, parent, kept))
    return machine


def truth(path: Path, machine: Machine) -> Path:
    numbers: dict[int, int] = {}
    procs = []
    for pid, ppid, pages in machine:
        there = [seen for seen in pages if seen.there]
        procs.append(
            Proc(
                [seen.content for seen in there],
                pid=pid,
                ppid=ppid,
                comm=f"p{pid // 100}",
                vpns=[seen.vpn for seen in there],
                frames=[numbers.setdefault(s.frame, len(numbers)) for s in there],
            )
        )
    return trace_file(path, *procs)


def dumped(path: Path, machine: Machine) -> Path:
    return trace_file(
        path,
        *(
            Proc(
                [seen.content for seen in pages],
                pid=pid,
                ppid=ppid,
                comm=f"p{pid // 100}",
                vpns=[seen.vpn for seen in pages],
                frames=[-1] * len(pages),
                flags=[seen.flags for seen in pages],
            )
            for pid, ppid, pages in machine
        ),
    )


@EASY
@given(
    machine=machines(),
    zero_pages=st.booleans(),
    sharing=st.sampled_from([2, 256]),
    policy=st.sampled_from(
        [MergePolicy(), MergePolicy(opt_out="pid == 101"), MergePolicy(opt_out="100")]
    ),
    kernel=st.sampled_from(["6.18", "5.10"]),
)
def test_the_truth_lies_between_the_bounds(
    machine: Machine,
    zero_pages: bool,
    sharing: int,
    policy: MergePolicy,
    kernel: str,
    tmp_path: Path,
) -> None:
    knobs = replace(FAST, use_zero_pages=zero_pages, max_page_sharing=sharing)
    real = run([truth(tmp_path / "t", machine)], knobs, policy, kernel=kernel)
    dump = run([dumped(tmp_path / "d", machine)], knobs, policy, kernel=kernel)
    policy = replace(policy, uncertain=Uncertain.COUNT_IN)
    counted_in = run([tmp_path / "d"], knobs, policy, kernel=kernel)
    assert counted_in.uncertainty[:2] == dump.uncertainty[:2]
    assert counted_in.uncertainty[3:] == dump.uncertainty[3:]
    merged = int(dump.processes["ksm_merging_pages"].sum())
    copies = merged // sharing if dump.uncertainty.shared_pages else 0
    told = any(f"up to {copies} pages more" in text for text in dump.trace.limits)
    assert told == (copies > 0)
    for name in ("pages_saved_zero", "pages_saved_nonzero"):
        saved = getattr(real.savings, name)
        least, most = (
            getattr(dump.savings, name),
            getattr(dump.uncertainty, f"{name}_at_most"),
        )
        assert least - copies <= saved <= most, name
        assert least <= getattr(dump.ideal, name) <= most
        assert least - copies <= getattr(counted_in.savings, name) <= most
        assert getattr(real.ideal, name) == getattr(real.uncertainty, f"{name}_at_most")
    assert real.uncertainty[:3] == (0, 0, 0)


@EASY
@given(machine=machines(), opt_out=st.sampled_from(["", "pid == 100", "comm == p2"]))
def test_what_is_kept_out_adds_up(
    machine: Machine, opt_out: str, tmp_path: Path
) -> None:
    policy = MergePolicy(opt_out=opt_out)
    found = run([dumped(tmp_path / "d", machine)], FAST, policy)
    unsure = found.uncertainty
    for table in (found.processes, found.workloads, found.mappings, found.kinds):
        assert table["uncertain_zero_pages"].sum() == unsure.zero_pages
        assert table["uncertain_pages"].sum() == unsure.other_pages
    everything = {pid: len(pages) for pid, _, pages in machine}
    for row in found.processes.rows(named=True):
        assert row["pages_captured"] == everything[row["pid"]]
        told = row["pages"] + row["uncertain_zero_pages"] + row["uncertain_pages"]
        assert told in (0, row["pages_captured"])
    wanted = [
        seen.flags
        for pid, _, pages in machine
        if not (pid == 100 and "100" in opt_out)
        and not (pid // 100 == 2 and "p2" in opt_out)
        for seen in pages
    ]
    assert unsure.zero_pages == sum(bool(flags & UNTOUCHED) for flags in wanted)
    assert unsure.other_pages == sum(flags == CACHED for flags in wanted)


@pytest.mark.parametrize("kernel", ["6.18", "5.10"])
def test_kept_out_is_as_if_it_were_not_there(kernel: str, tmp_path: Path) -> None:
    flags = [0, UNTOUCHED, CACHED, 0, 0]
    a = Proc("AZBZC", pid=1, flags=flags)
    b = Proc("ZAZCB", pid=2, flags=[UNTOUCHED, 0, UNTOUCHED | CACHED, CACHED, 0])
    dump = run([trace_file(tmp_path / "d", a, b)], FAST, kernel=kernel)
    less = run(
        [
            trace_file(
                tmp_path / "l",
                replace(a, contents="AZC", vpns=[0, 3, 4], flags=None),
                replace(b, contents="AB", vpns=[1, 4], flags=None),
            )
        ],
        FAST,
        kernel=kernel,
    )
    assert dump.passes.equals(less.passes)
    assert dump.savings == less.savings
    assert dump.ideal == less.ideal
    assert dump.composition == less.composition
    assert findings(dump) == findings(less)
    assert dump.uncertainty == Uncertainty(3, 2, 0, 4, 3)


@pytest.mark.parametrize("kernel", ["6.18", "5.10"])
def test_counted_in_is_as_if_all_were_certain(kernel: str, tmp_path: Path) -> None:
    a = Proc("AZBZC", pid=1, flags=[0, UNTOUCHED, CACHED, 0, 0])
    b = Proc("ZAZCB", pid=2, flags=[UNTOUCHED, 0, UNTOUCHED | CACHED, CACHED, 0])
    dump = run([trace_file(tmp_path / "d", a, b)], FAST, COUNT_IN, kernel=kernel)
    plain = [replace(proc, flags=None) for proc in (a, b)]
    sure = run([trace_file(tmp_path / "s", *plain)], FAST, kernel=kernel)
    assert dump.passes.equals(sure.passes)
    assert dump.savings == sure.savings
    assert dump.ideal == sure.ideal
    assert dump.uncertainty == Uncertainty(3, 2, 0, *sure.ideal[:2])
    assert sure.uncertainty == Uncertainty(0, 0, 0, *sure.ideal[:2])
    columns = ["uncertain_zero_pages", "uncertain_pages"]
    assert dump.processes.drop(columns).equals(sure.processes.drop(columns))


def test_a_mapping_of_which_nothing_is_sure_is_still_listed(tmp_path: Path) -> None:
    path = trace_file(
        tmp_path / "t",
        Proc("ZZ", pid=1, flags=[UNTOUCHED] * 2),
        Proc("AA", pid=2),
        Proc("A", pid=3, flags=[CACHED]),
    )
    found = run([path], FAST)
    names = ["pid", "pages", "uncertain_zero_pages", "uncertain_pages"]
    expected = [(1, 0, 2, 0), (2, 2, 0, 0), (3, 0, 0, 1)]
    assert found.mappings.select(names).rows() == expected
    assert found.processes.select(names).rows() == expected
    assert found.uncertainty == Uncertainty(2, 1, 0, 2, 2)


def test_all_can_be_uncertain(tmp_path: Path) -> None:
    path = trace_file(tmp_path / "t", Proc("ZZZ", flags=[UNTOUCHED] * 3))
    found = run([path], ZERO_PAGES)
    assert found.savings[:2] == (0, 0)
    assert found.uncertainty == Uncertainty(3, 0, 0, 3, 0)
    assert run([path], ZERO_PAGES, COUNT_IN).savings[:2] == (3, 0)


def test_pages_kept_out_have_no_state(tmp_path: Path) -> None:
    a = Proc("AZBZA", pid=1, flags=[0, UNTOUCHED, CACHED, 0, 0])
    path = trace_file(tmp_path / "t", a, Proc("BA", pid=2, flags=[CACHED, 0]))
    listed = []
    for policy in (MergePolicy(), COUNT_IN):
        staged = Staged([path], FAST, policy, detail=True)
        for _ in staged:
            pass
        write_pages(tmp_path / "pages", staged.outcome())
        states = PageStates.open(tmp_path / "pages")
        listed.append([states.of(mapping)[0].tolist() for mapping in (0, 1)])
    assert listed == [[[0, 3, 4], [1]], [[0, 1, 2, 3, 4], [0, 1]]]


def test_a_result_says_it_after_it_was_saved(tmp_path: Path) -> None:
    path = trace_file(tmp_path / "t", Proc("ZA", flags=[UNTOUCHED, CACHED]))
    found = run([path], FAST, COUNT_IN)
    found.save(tmp_path / "r")
    again = ReplayResult.load(tmp_path / "r")
    assert again.uncertainty == found.uncertainty == Uncertainty(1, 1, 0, 1, 0)
    assert MergePolicy.parse(again.policy) == COUNT_IN


def test_what_is_in_a_file_is_counted_with_all_its_rows(tmp_path: Path) -> None:
    path = trace_file(
        tmp_path / "t",
        Proc("ZZAB", flags=[UNTOUCHED, 0, CACHED, 0]),
        Proc("ZA", pid=2, flags=[CACHED, 0]),
    )
    told = survey([path])
    assert (told.info.pages, told.zero_pages, told.distinct_contents) == (6, 3, 3)
    assert (told.uncertain_zero_pages, told.uncertain_pages) == (1, 2)


def test_the_facts_count_uncertain_rows(tmp_path: Path) -> None:
    flags = [UNTOUCHED, UNTOUCHED | CACHED, CACHED, int(PageFlag.FILL)]
    path = trace_file(tmp_path / "t", Proc("ZZAB", flags=flags))
    assert Trace.open(path).facts.uncertain_pages == 3
    assert Trace.open(trace_file(path, Proc("AB"))).facts.uncertain_pages == 0
    # A trace as it was written before they were counted.
    old = FACTS.to_json().replace(', "uncertain_pages": 0', "")
    assert "uncertain" not in old
    assert type(FACTS).from_json(old).uncertain_pages == 0


def test_flags_that_the_facts_deny_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("traces.writer.UNCERTAIN", 0)
    path = trace_file(tmp_path / "t", Proc("AZ", flags=[0, UNTOUCHED]))
    for kernel in ("6.18", "5.10"):
        with pytest.raises(InputError, match="facts say uncertain_pages 0") as refused:
            run([path], FAST, kernel=kernel)
        assert str(path) in str(refused.value)


def test_a_page_with_content_is_surely_there(tmp_path: Path) -> None:
    path = trace_file(tmp_path / "t", Proc("AZ", flags=[UNTOUCHED, UNTOUCHED]))
    with pytest.raises(InputError, match="1 rows with content"):
        run([path], FAST)


@pytest.mark.parametrize("kernel", ["6.18", "5.10"])
def test_what_fork_may_share_is_one_frame(kernel: str, tmp_path: Path) -> None:
    """A parent, its child that wrote B, and a stranger with the same A."""

    def saved(*procs: Proc) -> tuple[tuple[int, ...], Uncertainty]:
        path = trace_file(tmp_path / "t", *procs)
        found = run([path], ZERO_PAGES, kernel=kernel)
        return found.savings[:2], found.uncertainty

    def proc(contents: str, pid: int, ppid: int) -> Proc:
        frames = [-1] * len(contents)
        return Proc(contents, pid=pid, ppid=ppid, comm=f"c{pid}", frames=frames)

    parent, child = proc("AAZ", 10, 1), proc("ABZ", 11, 10)
    # One frame at page 0, and the parent's at page 1; zero is saved where it lies.
    assert saved(parent, child) == ((1, 1), Uncertainty(0, 0, 4, 2, 2))
    other = proc("A", 20, 1)
    assert saved(parent, child, other)[0] == (1, 2)
    # Without a relative every page has a frame of its own, and nothing is uncertain.
    alone = saved(parent, proc("ABZ", 11, 1))
    assert alone == ((2, 2), Uncertainty(0, 0, 0, 2, 2))


def test_strangers_that_may_be_relatives_are_told_of(tmp_path: Path) -> None:
    def limits(*procs: Proc) -> str:
        return " ".join(run([trace_file(tmp_path / "t", *procs)], FAST).trace.limits)

    unknown = [Proc("A", pid=pid, frames=[-1]) for pid in (1, 2)]
    assert "parents of 2 processes are unknown" in limits(*unknown)
    assert "unknown" not in limits(unknown[0])
    assert "unknown" not in limits(*(replace(proc, vm="guest") for proc in unknown))
    assert "unknown" not in limits(Proc("A", pid=1), Proc("A", pid=2))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_known_answer_lies_between_the_bounds(
    scenario: str, tmp_path: Path
) -> None:
    """The answer with frames is the truth, the one without them the most."""
    known = write_synthetic(tmp_path / "k", scenario, 4096)
    rows = write_synthetic(tmp_path / "u", scenario, 4096, frames=False)
    found = run([tmp_path / "u"], FAST, passes=1)
    assert found.ideal.pages_saved_zero <= known.pages_saved_zero
    assert found.ideal.pages_saved_nonzero <= known.pages_saved_nonzero
    most = (rows.pages_saved_zero, rows.pages_saved_nonzero)
    assert found.uncertainty[3:] == most
    # Nearly all that fork does not share has been written to since.
    assert found.ideal.pages_saved_nonzero >= 0.9 * known.pages_saved_nonzero


def test_counting_in_can_only_find_more(tmp_path: Path) -> None:
    path = trace_file(
        tmp_path / "t",
        Proc("AZBC", flags=[0, UNTOUCHED, CACHED, 0]),
        Proc("ABZC", pid=2, flags=[0, CACHED, 0, 0]),
    )
    out, in_ = run([path], ZERO_PAGES), run([path], ZERO_PAGES, COUNT_IN)
    assert out.savings[:2] == (1, 2)
    assert in_.savings[:2] == out.uncertainty[3:] == (2, 3)


Row = tuple[int, int, str, int, int]
"""Process, page, content, frame, flags; '' is gone."""


def over_time(path: Path, processes: list[tuple[int, int]], *epochs: list[Row]) -> Path:
    """A trace of *processes*, (pid, ppid), of nine pages each, and what was seen."""
    lasting = {"first_epoch": 0, "last_epoch": len(epochs) - 1}
    area = {"start_vpn": 0, "pages": 9, "kind": "anon", "perms": "rw-p"}
    with TraceWriter(path) as writer:
        writer.announce(
            [
                row_of(
                    PROCESSES,
                    {"host": "h", "pid": pid, "ppid": ppid, "comm": f"c{pid}"},
                    process=at,
                    **lasting,
                )
                for at, (pid, ppid) in enumerate(processes)
            ],
            [
                row_of(MAPPINGS, area, mapping=at, process=at, **lasting)
                for at in range(len(processes))
            ],
        )
        for at, rows in enumerate(epochs):
            writer.begin_epoch(at * 60_000_000_000, "delta" if at else "complete")
            mapping, vpn, content, frame, flags = zip(*rows, strict=True)
            count = len(rows)
            writer.add_pages(
                Pages(
                    mapping=np.array(mapping, np.int32),
                    vpn=np.array(vpn, np.int64),
                    digest=np.array([digest(c) if c else 0 for c in content], np.int64),
                    frame=np.array(frame, np.int64),
                    folio=np.full(count, -1, np.int32),
                    nid=np.full(count, -1, np.int8),
                    flags=np.array(flags, np.uint16),
                )
            )
        writer.finish(FACTS)
    return path


def test_what_fork_shares_is_followed_through_time(tmp_path: Path) -> None:
    """A parent, its child that writes later, and a stranger."""
    family = [(10, 1), (11, 10), (20, 1)]
    epochs: list[list[Row]] = [
        [(0, 0, "A", 0, 0), (0, 1, "B", 1, 0),
         (1, 0, "A", 0, 0), (1, 1, "B", 1, 0), (1, 2, "A", 2, 0),
         (2, 0, "A", 3, 0)],
        [(1, 0, "D", 4, 0), (1, 1, "D", 5, 0)],
    ]  # fmt: skip
    blind = [[(*row[:3], -1, 0) for row in rows] for rows in epochs]
    known = over_time(tmp_path / "k", family, *epochs)
    dump = over_time(tmp_path / "d", family, *blind)
    knobs = replace(FAST, sleep_millisecs=1000)
    for passes, shared in ((1, 4), (20, 4), (None, 0)):
        real, found = (run([path], knobs, passes=passes) for path in (known, dump))
        assert found.passes.equals(real.passes)
        assert found.process_passes.equals(real.process_passes)
        assert (found.savings, found.ideal) == (real.savings, real.ideal)
        assert found.uncertainty.shared_pages == shared


def test_a_page_can_become_uncertain_and_sure_again(tmp_path: Path) -> None:
    gone = int(PageFlag.ABSENT)
    knobs = replace(FAST, sleep_millisecs=1000)

    def only(name: str, *epochs: list[tuple[int, str, int]]) -> Path:
        rows = [
            [(0, vpn, what, vpn if what else -1, flags) for vpn, what, flags in epoch]
            for epoch in epochs
        ]
        return over_time(tmp_path / name, [(1, 0)], *rows)

    told = only(
        "t",
        [(0, "A", 0), (1, "A", 0), (2, "A", CACHED), (3, "Z", UNTOUCHED), (4, "A", 0)],
        [(1, "Z", UNTOUCHED), (2, "A", 0), (4, "A", CACHED)],
        [(1, "B", 0), (3, "", gone)],
    )
    sure = only(
        "s",
        [(0, "A", 0), (1, "A", 0), (4, "A", 0)],
        [(1, "", gone), (2, "A", 0), (4, "", gone)],
        [(1, "B", 0)],
    )
    for passes in (10, 70, None):
        found, real = (run([path], knobs, passes=passes) for path in (told, sure))
        assert found.passes.equals(real.passes)
        assert found.savings == real.savings
        assert found.ideal == real.ideal
    assert found.uncertainty == Uncertainty(0, 1, 0, 0, 2)
    early = run([told], knobs, passes=10).uncertainty
    assert early == Uncertainty(1, 1, 0, 1, 3)
    middle = run([told], knobs, passes=70).uncertainty
    assert middle == Uncertainty(2, 1, 0, 2, 2)
    # Counted in, it is what the rows say if nobody doubts them.
    everything = run([told], knobs, COUNT_IN)
    assert everything.uncertainty == Uncertainty(0, 1, 0, 0, 2)
    assert everything.ideal[:2] == (0, 2)
