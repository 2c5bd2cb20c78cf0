"""What processes do between ksmd's scans, case by case, in this machine's kernel and in
the model: after every event and every wake-up every figure is the same."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest
from kernel.evidence import evidence
from kernel.this_machine import Agent, first_agent

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.usefixtures("ksmd_is_ours", "ksmd_is_the_models"),
]

Step = dict[str, Any]
Last = dict[str, int]
"""The kernel's figures at the end: global files, and PROC.LINE of its ksm_stat."""
Play = Callable[..., Last]


@pytest.fixture(scope="module")
def first(ksmd_is_ours: None) -> Iterator[Agent]:  # noqa: ARG001
    with first_agent() as agent:
        yield agent


@pytest.fixture
def play(first: Agent) -> Play:
    """Steps and knobs → what the kernel says last; smart scan is off unless asked for.
    Fails where the model says anything else at any moment."""

    def played(*steps: Iterable[Step], **knobs: int) -> Last:
        listed = [step for some in steps for step in some]
        found = evidence({"smart_scan": 0} | knobs, listed, first)
        assert not found.failures, found.text()
        last = json.loads(found.recording)["steps"][-1]["observed"][-1]
        figures: Last = last["global"]
        for proc, stat in last["procs"].items():
            figures |= {f"{proc}.{line}": value for line, value in stat.items()}
        return figures

    return played


def process(proc: str, ids: Sequence[int | None], flags: str = "mn") -> list[Step]:
    """Forty pages, or a huge page, of which the first are written."""
    n = 512 if "h" in flags else 40
    return [
        {"op": "spawn", "proc": proc},
        {"op": "mmap", "proc": proc, "start": 0, "n": n, "flags": flags},
        *write(proc, 0, *ids),
    ]


def write(proc: str, start: int, *ids: int | None) -> list[Step]:
    return [{"op": "write", "proc": proc, "start": start, "ids": ids}]


def pages(op: str, proc: str, start: int = 0, n: int = 40) -> list[Step]:
    return [{"op": op, "proc": proc, "start": start, "n": n}]


def fork(proc: str, child: str) -> list[Step]:
    return [{"op": "fork", "proc": proc, "child": child}]


def exit_(proc: str) -> list[Step]:
    return [{"op": "exit", "proc": proc}]


def prctl(proc: str, value: int) -> list[Step]:
    return [{"op": "prctl", "proc": proc, "value": value}]


def knob(name: str, value: int) -> list[Step]:
    return [{"op": "set", "knob": name, "value": value}]


def scan(n: int = 1) -> list[Step]:
    return [{"op": "scan", "n": n}]


def wake_up(n: int = 1) -> list[Step]:
    return [{"op": "batch", "n": n}]


UNMERGE_ALL: list[Step] = [{"op": "unmerge_all"}]
PAUSE: list[Step] = [{"op": "pause"}]


def test_a_write_after_the_merge_breaks_it_at_ksmds_next_visit(play: Play) -> None:
    two = process("A", [1, 1, 2]) + process("B", [1, 2, 3])
    assert play(two, scan(3), write("A", 0, 7))["pages_sharing"] == 3
    last = play(two, scan(3), write("A", 0, 7), scan(3))
    assert (last["pages_sharing"], last["pages_unshared"]) == (2, 2)


def test_the_same_bytes_written_again_are_a_copy_that_merges_at_once(
    play: Play,
) -> None:
    last = play(process("A", [1, 1, 1, 2]), scan(3), write("A", 0, 1, 1), scan())
    assert last["pages_sharing"] == 2


def test_contents_that_alternate_never_merge(play: Play) -> None:
    there, back = write("A", 0, 2, 1), write("A", 0, 1, 2)
    last = play(process("A", [1, 2, 1, 2]), (there + scan() + back + scan()) * 3)
    assert last["A.ksm_merging_pages"] == 0


def test_discarded_pages_leave_and_refilled_ones_come_back(play: Play) -> None:
    steps = [*process("A", [1, 1, 2, 3]), *process("B", [1, 2, 3, 4]), *scan(3)]
    steps += [*pages("dontneed", "A", 1, 2), *scan()]
    assert play(steps)["A.ksm_rmap_items"] == 2
    steps += [*pages("read", "A", 1, 1), *scan(), *write("A", 1, 1, 2)]
    assert play(steps, scan(3))["A.ksm_merging_pages"] == 4


def test_a_fork_before_the_merge_shares_pages_that_ksmd_leaves_alone(
    play: Play,
) -> None:
    steps = [*process("A", [1, 2, 3, 4]), *fork("A", "B"), *scan(3)]
    assert play(steps)["pages_volatile"] == 4
    steps += [*write("B", 0, 1), *scan(3), *process("C", [3, 4, 4]), *scan(3)]
    last = play(steps, write("A", 3, 9), scan(2), exit_("B"), scan(2))
    assert last["A.ksm_merging_pages"] == 2


@pytest.mark.parametrize("use_zero_pages", [0, 1])
def test_a_fork_after_the_merge_joins_at_its_first_scan(
    use_zero_pages: int, play: Play
) -> None:
    steps = [*process("A", [1, 1, 2, 2, 2, 3, 0, 0, 0]), *scan(3), *fork("A", "B")]
    last = play(steps, scan(), use_zero_pages=use_zero_pages)
    assert last["B.ksm_merging_pages"] == (5 if use_zero_pages else 8)
    steps += [*scan(), *write("B", 6, 8), *write("A", 0, 9), *scan(2)]
    play(steps, fork("B", "C"), exit_("A"), scan(2), use_zero_pages=use_zero_pages)


def test_a_fork_goes_beyond_max_page_sharing(play: Play) -> None:
    steps = [*process("A", [1, 1, 1, 2, 2]), *scan(3), *fork("A", "B"), *scan(2)]
    assert play(steps, max_page_sharing=3)["pages_shared"] == 2
    steps += [*write("A", 10, 1, 2, 2), *scan(3), *exit_("A"), *scan(3)]
    assert play(steps, max_page_sharing=3)["pages_sharing"] == 3


def test_a_sharers_exit_counts_when_ksmd_comes_by(play: Play) -> None:
    alike = [process(proc, range(1, 21)) for proc in "ABC"]
    assert play(*alike, scan(3), exit_("B"))["pages_sharing"] == 40
    assert play(*alike, scan(3), exit_("B"), scan())["pages_sharing"] == 20
    last = play(*alike, scan(3), exit_("B"), scan(), exit_("A"), scan(2))
    assert (last["pages_shared"], last["pages_sharing"]) == (20, 0)


def test_the_process_under_the_cursor_exits(play: Play) -> None:
    """In the middle of a scan, so that only the ends of later ones are exact."""
    steps = [*process("A", range(1, 13)), *process("B", range(1, 13)), *scan(2)]
    steps += [*knob("pages_to_scan", 5), *wake_up(), *exit_("A"), *scan(2)]
    last = play(steps)
    assert (last["pages_shared"], last["pages_sharing"]) == (12, 0)


def test_ranges_are_withdrawn_and_offered_again(play: Play) -> None:
    steps = [*process("A", [1, 1, 2, 3, 0]), *process("B", [1, 2, 3, 4, 0]), *scan(3)]
    steps += [*pages("unmerge", "A", 1, 2), *scan()]
    assert play(steps, use_zero_pages=1)["A.ksm_rmap_items"] == 2
    steps += [*pages("unmerge", "A"), *scan(), *pages("merge", "A", 2, 3), *scan(2)]
    assert play(steps, use_zero_pages=1)["A.ksm_zero_pages"] == 1
    assert play(steps, pages("merge", "A"), scan(3))["A.ksm_merging_pages"] == 5


def test_prctl_off_and_on(play: Play) -> None:
    offered = process("A", [1, 1, 2, 3, 0, 0])
    plain = process("B", [1, 2, 3, 4, 0], flags="n")
    steps = [*offered, *plain, *prctl("B", 1), *scan(3)]
    assert play(steps, use_zero_pages=1)["B.ksm_zero_pages"] == 1
    steps += [*prctl("A", 0), *scan(), *prctl("B", 0)]
    last = play(steps, use_zero_pages=1)
    assert (last["B.ksm_zero_pages"], last["A.ksm_merging_pages"]) == (0, 4)
    steps += [*scan(), *prctl("B", 1), *prctl("B", 1), *scan(2)]
    assert play(steps)["B.ksm_rmap_items"] == 5


def test_prctl_is_inherited_and_marks_what_is_mapped_later(play: Play) -> None:
    steps = [{"op": "spawn", "proc": "A", "prctl": 1}, *fork("A", "B")]
    for proc in "AB":
        area = {"op": "mmap", "proc": proc, "start": 3, "n": 9, "flags": "n"}
        steps += [area, *write(proc, 3, 1, 2, 3)]
    steps += process("KEEP", [7])
    assert play(steps, scan(3))["B.ksm_merging_pages"] == 3
    last = play(steps, scan(3), pages("munmap", "B", 3, 9), scan(2))
    assert last["B.ksm_rmap_items"] == 0


def test_unmapped_pages_leave_and_their_place_is_mapped_again(play: Play) -> None:
    steps = [*process("A", [1, 1, 2, 3, 4]), *process("B", [1, 2, 3, 5]), *scan(3)]
    steps += [*pages("munmap", "A", 1, 3), *scan(2)]
    assert play(steps)["A.ksm_rmap_items"] == 2
    again = {"op": "mmap", "proc": "A", "start": 2, "n": 2, "flags": "mn"}
    steps += [again, *write("A", 2, 2, 2), *scan(2)]
    assert play(steps)["A.ksm_merging_pages"] == 3
    play(steps, pages("munmap", "B"), scan(), fork("B", "C"), scan(2))


def test_use_zero_pages_is_switched_on_and_off(play: Play) -> None:
    steps = [*process("A", [0, 0, 0, 1, 1, 0]), *scan(3)]
    steps += [*knob("use_zero_pages", 1), *write("A", 10, 0, 0, 0), *scan(3)]
    last = play(steps)
    assert (last["ksm_zero_pages"], last["A.ksm_merging_pages"]) == (3, 6)
    steps += [*write("A", 11, 5, 0), *knob("use_zero_pages", 0), *scan(2)]
    play(steps, fork("A", "B"), write("B", 10, 0), scan(3))


def test_smart_scan_is_switched_off_and_on(play: Play) -> None:
    steps = [*process("A", [1, 2, 3, 3]), *scan(9), *knob("smart_scan", 0), *scan(4)]
    steps += [*write("A", 5, 1), *scan(3), *knob("smart_scan", 1), *scan(14)]
    assert play(steps, smart_scan=1)["pages_skipped"] > 10
    steps += [*write("A", 2, 50), *scan(12), *write("A", 9, 50), *scan(30)]
    play(steps, smart_scan=1)


@pytest.mark.parametrize("smart_scan", [0, 1])
def test_run_2_un_merges_all_and_a_new_start_follows(
    smart_scan: int, play: Play
) -> None:
    steps = [*process("A", [1, 1, 2, 0, 0]), *process("B", [1, 2, 3]), *scan(6)]
    steps += [*exit_("B"), *UNMERGE_ALL]
    last = play(steps, smart_scan=smart_scan, use_zero_pages=1)
    assert (last["full_scans"], last["A.ksm_rmap_items"]) == (0, 0)
    steps += [*write("A", 5, 2), *knob("max_page_sharing", 2), *scan(6), *PAUSE]
    play(steps, scan(2), smart_scan=smart_scan, use_zero_pages=1)


@pytest.mark.parametrize("pages_to_scan", [1, 5, 8, 10])
def test_a_scan_takes_many_wake_ups(pages_to_scan: int, play: Play) -> None:
    """Between the scans things happen; where N pages are a multiple of pages_to_scan,
    the last wake-up does nothing but end the scan."""
    steps = [*process("A", [1 + n % 6 for n in range(20)])]
    steps += [*process("B", [1 + n % 9 for n in range(20)])]
    steps += wake_up(3 * (40 // pages_to_scan + 1))
    assert play(steps, pages_to_scan=pages_to_scan)["full_scans"] == 3
    steps += [*write("A", 3, 77, 78), *exit_("B"), *process("C", [1, 2]), *scan(2)]
    steps += [*fork("A", "D"), *scan(), *wake_up(3), *PAUSE, *wake_up(4), *scan()]
    for smart_scan in (0, 1):
        play(steps, pages_to_scan=pages_to_scan, smart_scan=smart_scan)


def test_small_sharing_makes_chains_that_churn_takes_apart(play: Play) -> None:
    steps = [*process("A", [5] * 12 + [3] * 3 + [7] * 3), *scan(3)]
    assert play(steps, max_page_sharing=3)["stable_node_dups"] == 4
    steps += [*write("A", 0, 100, 101, 102, 103), *scan(3), *write("A", 30, 5, 5)]
    steps += [*scan(3), *write("A", 4, 104, 105, 106, 107, 108, 109), *scan(2)]
    for prune in (0, 100_000_000):
        for most in (2, 3):
            knobs = {"stable_node_chains_prune_millisecs": prune}
            play(steps, scan(2), max_page_sharing=most, **knobs)


def test_a_huge_page_is_split_by_what_merges_of_it(play: Play) -> None:
    """Its zero pages are behind those that merge: they have not been in any tree."""
    ids = [*range(1, 301)]
    steps = [*process("A", ids, "mh"), *scan(2), *process("B", ids[100:], "mh")]
    last = play(steps, scan(3))
    assert last["pages_shared"] == 200
    assert last["A.ksm_rmap_items"] == 300


def test_a_huge_page_is_written_discarded_and_forked(play: Play) -> None:
    unique = [*range(1, 513)]
    steps = [*process("A", unique, "mh"), *scan(2), *fork("A", "B"), *scan(2)]
    steps += [*write("B", 7, 600, 8), *pages("dontneed", "A", 100, 50), *scan(3)]
    last = play(steps)
    assert last["B.ksm_rmap_items"] == 512
    steps += [*process("C", [9, 9, 20]), *scan(3), *write("A", 8, 9), *scan(2)]
    assert play(steps, exit_("B"), scan(3))["C.ksm_merging_pages"] == 3
    play(steps, pages("unmerge", "A", 0, 20), scan(), exit_("A"), scan(3))
