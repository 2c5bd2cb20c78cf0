"""Made-up processes through the differences and back: nothing lost or repeated."""

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import FACTS
from epochs import numbered, pages, rows_of, states

from traces.capture.changes import Changes
from traces.capture.partial import EpochNews, Partial
from traces.schema import PageFlag, Pages
from traces.trace import Trace

Vma = tuple[int, int]


class Recorder:
    """Epochs of made-up processes into a trace."""

    def __init__(self, path: Path) -> None:
        self.partial = Partial(path)
        self.partial.create()
        self._fresh = 1000
        self.changes = Changes(self._numbers)
        self.epochs = 0

    def _numbers(self, count: int) -> Any:
        self._fresh += count
        return np.arange(self._fresh - count, self._fresh)

    def epoch(self, *processes: "Process") -> None:
        with self.partial.epoch(self.epochs) as file:
            self.changes.begin_epoch(file)
            for process in processes:
                process.give(self.changes)
            self.changes.end_epoch()
            file.finish(
                EpochNews(
                    t_ns=self.epochs * 10,
                    duration_ns=1,
                    processes=self.changes.processes,
                    mappings=self.changes.mappings,
                    ended=self.changes.ended,
                    facts=FACTS,
                )
            )
        self.epochs += 1

    def join(self) -> Trace:
        self.partial.join()
        return Trace.open(self.partial.path)


class Process:
    """A process whose pages are a dictionary."""

    def __init__(self, pid: int, vmas: Iterable[Vma], held: dict[int, Any]) -> None:
        self.pid, self.vmas, self.held = pid, list(vmas), held
        self.names: dict[int, str] = {}
        self.piece = 1 << 20

    def give(self, changes: Changes) -> None:
        changes.add_process(
            {"pid": self.pid, "start_ticks": self.pid, "comm": f"p{self.pid}"},
            [
                {
                    "start_vpn": start,
                    "pages": end - start,
                    "kind": "anon",
                    "name": self.names.get(start, ""),
                    "perms": "rw-p",
                    "vm_flags": "",
                    "mergeable": True,
                }
                for start, end in self.vmas
            ],
        )
        vpns = sorted(self.held)
        for at in range(0, len(vpns), self.piece):
            some = vpns[at : at + self.piece]
            values = [self.held[vpn] for vpn in some]
            names = "digest", "frame", "folio", "flags"
            columns = zip(names, zip(*values, strict=True), strict=True)
            changes.add_pages(pages(some, **{n: list(v) for n, v in columns}))
        changes.amend_process(lost_pages=1)


def plain(vpns: Iterable[int]) -> dict[int, tuple[int, int, int, int]]:
    return {vpn: (vpn, vpn, -1, 0) for vpn in vpns}


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path / "t.parquet")


def told(trace: Trace, epoch: int) -> list[tuple[int, int, int]]:
    """(start of the mapping, vpn, flags) of the epoch's rows."""
    starts = trace.mappings["start_vpn"]
    return [
        (starts[row["mapping"]], row["vpn"], row["flags"])
        for row in rows_of(trace, epoch)
    ]


def test_what_has_not_changed_is_not_stored_again(recorder):
    process = Process(1, [(0, 10)], plain(range(10)))
    recorder.epoch(process)
    recorder.epoch(process)
    process.held |= {3: (33, 3, -1, 0), 4: (4, 44, -1, 0), 5: (5, 5, 7, 0)}
    del process.held[7]
    recorder.epoch(process)
    trace = recorder.join()

    assert trace.epochs["rows"].to_list() == [10, 0, 4]
    assert trace.epochs["kind"].to_list() == ["complete", "delta", "delta"]
    assert told(trace, 2) == [(0, 3, 0), (0, 4, 0), (0, 5, 0), (0, 7, PageFlag.ABSENT)]
    assert trace.processes.select("first_epoch", "last_epoch").rows() == [(0, 2)]
    assert trace.processes["lost_pages"].to_list() == [3]
    assert not recorder.partial.folder.exists()


def test_a_merged_page_keeps_its_own_frame(recorder):
    process = Process(1, [(0, 2)], dict.fromkeys(range(2), (5, -1, -1, PageFlag.KSM)))
    recorder.epoch(process)
    recorder.epoch(process)
    process.held[1] = (6, 1, -1, 0)
    recorder.epoch(process)
    process.held[1] = (5, -1, -1, PageFlag.KSM)
    recorder.epoch(process)
    trace = recorder.join()
    assert trace.epochs["rows"].to_list() == [2, 0, 1, 1]
    frames = [row["frame"] for epoch in range(4) for row in rows_of(trace, epoch)]
    assert frames == [1000, 1001, 1, 1002]


def test_processes_and_mappings_that_vanish_take_their_pages_along(recorder):
    first = Process(1, [(0, 4), (10, 14)], plain([0, 1, 10, 11]))
    second = Process(2, [(0, 4)], plain([0, 1]))
    recorder.epoch(first, second)
    first.vmas, first.held = [(0, 4)], plain([0, 1])
    recorder.epoch(first)
    recorder.epoch(first, second)
    trace = recorder.join()

    assert trace.epochs["rows"].to_list() == [6, 0, 2]
    spans = trace.processes.select("pid", "first_epoch", "last_epoch").rows()
    assert spans == [(1, 0, 2), (2, 0, 0), (2, 2, 2)]
    spans = trace.mappings.select("process", "start_vpn", "last_epoch").rows()
    assert spans == [(0, 0, 2), (0, 10, 0), (1, 0, 0), (2, 0, 2)]


def test_processes_and_mappings_that_come_later_are_sorted_in(recorder):
    last = Process(9, [(20, 30)], plain([20, 21]))
    recorder.epoch(last)
    first = Process(1, [(0, 4)], plain([1]))
    last.vmas.insert(0, (5, 9))
    last.held |= plain([6])
    recorder.epoch(first, last)
    trace = recorder.join()

    assert trace.processes["pid"].to_list() == [1, 9]
    assert trace.mappings["start_vpn"].to_list() == [0, 5, 20]
    assert told(trace, 0) == [(20, 20, 0), (20, 21, 0)]
    assert told(trace, 1) == [(0, 1, 0), (5, 6, 0)]


def test_growth_at_either_end_stores_only_what_is_new(recorder):
    process = Process(1, [(10, 20)], plain(range(10, 20)))
    recorder.epoch(process)
    process.vmas, process.held = [(10, 24)], plain(range(10, 24))
    recorder.epoch(process)
    process.vmas, process.held = [(4, 24)], plain(range(4, 24))
    recorder.epoch(process)
    trace = recorder.join()

    assert trace.epochs["rows"].to_list() == [10, 4, 6]
    spans = trace.mappings.select("start_vpn", "pages", "first_epoch").rows()
    assert spans == [(4, 6, 2), (10, 14, 0)]


def test_a_hole_leaves_a_shorter_mapping_and_another(recorder):
    process = Process(1, [(0, 20)], plain(range(20)))
    recorder.epoch(process)
    process.vmas = [(0, 8), (12, 20)]
    process.held = plain([*range(8), *range(12, 20)])
    recorder.epoch(process)
    trace = recorder.join()
    gone = [(0, vpn, PageFlag.ABSENT) for vpn in range(8, 20)]
    assert told(trace, 1) == gone + [(12, vpn, 0) for vpn in range(12, 20)]
    assert trace.mappings["pages"].to_list() == [20, 8]


def test_other_permissions_make_another_mapping(recorder):
    process = Process(1, [(0, 4)], plain(range(4)))
    recorder.epoch(process)
    process.names[0] = "[heap]"
    recorder.epoch(process)
    trace = recorder.join()
    assert trace.epochs["rows"].to_list() == [4, 4]
    spans = trace.mappings.select("name", "first_epoch", "last_epoch").rows()
    assert spans == [("", 0, 0), ("[heap]", 1, 1)]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_every_epoch_can_be_put_together(recorder, seed):
    chance = random.Random(seed)
    processes: list[Process] = []
    truth = []
    for _ in range(12):
        processes = [process for process in processes if chance.random() < 0.9]
        if chance.random() < 0.4 or not processes:
            pid = chance.randrange(1000)
            processes = [p for p in processes if p.pid != pid]
            processes.append(Process(pid, [], {}))
        processes.sort(key=lambda process: process.pid)
        for process in processes:
            process.piece = chance.choice([1, 3, 7, 1000])
            upset(process, chance)
        recorder.epoch(*processes)
        truth.append(
            {
                (process.pid, process.pid, vpn): value
                for process in processes
                for vpn, value in process.held.items()
            }
        )
    recorder.join()
    assert numbered(states(recorder.partial.path)) == numbered(truth)


def upset(process: Process, chance: random.Random) -> None:
    """Map, unmap, write and free at random."""
    if not process.vmas or chance.random() < 0.5:
        bounds = sorted(chance.sample(range(80), 2 * chance.randrange(1, 5)))
        process.vmas = list(zip(bounds[::2], bounds[1::2], strict=True))
    process.names = {start: chance.choice("xxxxy") for start, _ in process.vmas}
    inside = {vpn for vma in process.vmas for vpn in range(*vma)}
    process.held = {v: value for v, value in process.held.items() if v in inside}
    for vpn in inside:
        if chance.random() < 0.3:
            process.held[vpn] = (
                chance.randrange(50),
                chance.randrange(9000),
                chance.choice([-1, -1, 4]),
                0,
            )
        elif chance.random() < 0.2:
            process.held.pop(vpn, None)


def test_a_pages_worth_of_memory(recorder):
    """What is kept of a page takes 24 bytes."""
    count = 1 << 16
    process = Process(1, [(0, count)], {})
    recorder.epoch(process)
    with recorder.partial.epoch(1) as file:
        recorder.changes.begin_epoch(file)
        process.give(recorder.changes)
        recorder.changes.add_pages(pages(list(range(count))))
        recorder.changes.end_epoch()
        file._file.close()
    (memory,) = recorder.changes._before.values()
    kept = [column for stored in memory.stored for column in stored]
    assert sum(column.nbytes for column in kept) == 24 * count
    assert all(column.base is None for column in kept)
    assert isinstance(pages([1]), Pages)
