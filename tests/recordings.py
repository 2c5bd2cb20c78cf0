"""Recorded runs of a real ksmd, read as the snapshot it started from and what it then
reported (docs/recording-format.md tells what is in them).

Shares no code with `analyzer.recording`, which replays them event by event.
"""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate, count, takewhile
from pathlib import Path
from typing import Any, Final

from reference import ZERO, Page

from analyzer.counters import KsmCounters
from analyzer.knobs import KsmKnobs

FOLDER: Final = Path(__file__).parents[1] / "analyzer" / "recordings"
PATHS: Final = sorted((FOLDER / "6.18").glob("*.json.gz"))

HUGE: Final = 512
"""Pages of a huge page."""

PROCESS_FIGURES: Final = (
    "ksm_rmap_items",
    "ksm_merging_pages",
    "ksm_zero_pages",
    "ksm_process_profit",
)
"""Those of /proc/PID/ksm_stat that are ksmd's doing."""

Step = dict[str, Any]
Observation = tuple[dict[str, int], dict[str, dict[str, int]]]
"""The global counters, and each process's figures."""


@dataclass(frozen=True)
class Recording:
    """One run."""

    name: str
    knobs: KsmKnobs
    steps: list[Step]

    @classmethod
    def read(cls, path: Path) -> "Recording":
        document = json.loads(gzip.decompress(path.read_bytes()))
        known = KsmKnobs().as_files().keys()
        files = {k: str(v) for k, v in document["knobs"].items() if k in known}
        return cls(path.stem, KsmKnobs.from_files(files), document["steps"])

    def setup(self) -> list[Step]:
        """What happened before ksmd's first turn."""
        return list(takewhile(lambda step: not _is_turn(step), self.steps))

    def turns(self) -> Iterator[tuple[str, Observation]]:
        """Each turn of ksmd, `scan` or `batch`, and what the kernel said then."""
        for step in self.steps:
            if _is_turn(step):
                for seen in step["observed"]:
                    yield step["op"], (seen["global"], seen["procs"])

    def events(self) -> set[str]:
        """What happened between ksmd's turns; empty for a frozen snapshot."""
        rest = self.steps[len(self.setup()) :]
        return {step["op"] for step in rest if not _is_turn(step)}

    def snapshot(self) -> dict[str, list[Page]]:
        """The registered processes' mergeable pages before ksmd's first turn."""
        machine = _Machine()
        for step in self.setup():
            machine.carry_out(step)
        return machine.snapshot()


def kernel_view(
    counters: KsmCounters, processes: dict[str, dict[str, int]]
) -> Observation:
    """A model's figures, brought into the form of a recorded observation."""
    figures = counters._asdict()
    del figures["rmap_items"]
    return figures, processes


def comparable(observation: Observation) -> Observation:
    """A recorded observation without what is no doing of ksmd."""
    figures, processes = observation
    return dict(figures), {
        name: {key: stat[key] for key in PROCESS_FIGURES}
        for name, stat in processes.items()
    }


def _is_turn(step: Step) -> bool:
    return step["op"] in ("scan", "batch")


@dataclass
class _Area:
    start: int
    pages: int
    flags: str

    def __contains__(self, vpn: int) -> bool:
        return self.start <= vpn < self.start + self.pages


@dataclass
class _Process:
    areas: list[_Area] = field(default_factory=list)
    pages: dict[int, Page] = field(default_factory=dict)
    zero_mapped: set[int] = field(default_factory=set)
    """Where a read mapped the shared zero page."""

    def flags(self, vpn: int) -> str:
        return next((area.flags for area in self.areas if vpn in area), "")


class _Machine:
    """Just enough of an operating system to set up what was recorded."""

    def __init__(self) -> None:
        self.processes: dict[str, _Process] = {}
        self.registered: list[str] = []
        self.numbers = count()

    def snapshot(self) -> dict[str, list[Page]]:
        return {
            name: [
                page
                for vpn, page in sorted(self.processes[name].pages.items())
                if "m" in self.processes[name].flags(vpn)
            ]
            for name in self.registered
        }

    def carry_out(self, step: Step) -> None:
        match step:
            case {"op": "snapshot", "procs": listed}:
                for row in listed:
                    self._copy(**row)
            case {"op": "spawn", "proc": name}:
                self.processes[name] = _Process()
            case {"op": "mmap", "proc": name, "start": start, "n": n, "flags": flags}:
                self.processes[name].areas.append(_Area(start, n, flags))
                if "m" in flags:
                    self._register(name)
            case {"op": "fill" | "write", "proc": name, "start": start, "ids": ids}:
                for vpn, content in enumerate(ids, start):
                    if content is not None:
                        self._write(self.processes[name], vpn, content)
            case {"op": "read", "proc": name, "start": start, "n": n}:
                process = self.processes[name]
                wanted = set(range(start, start + n))
                process.zero_mapped |= wanted - process.pages.keys()
            case {"op": "fork", "proc": name, "child": child}:
                self._fork(name, child)

    def _register(self, name: str) -> None:
        if name not in self.registered:
            self.registered.append(name)

    def _copy(
        self,
        proc: str,
        vpn: list[int],
        phys: list[int],
        content: list[int],
        folio: list[int] | None = None,
    ) -> None:
        addresses = list(accumulate(vpn))
        folios = [None if f == -1 else f for f in folio or [-1] * len(vpn)]
        self.processes[proc] = _Process(
            areas=[_Area(addresses[0], addresses[-1] + 1, "m")],
            pages={
                page.vpn: page for page in map(Page, addresses, phys, content, folios)
            },
        )
        self._register(proc)

    def _fork(self, name: str, child: str) -> None:
        parent = self.processes[name]
        self.processes[child] = _Process(
            list(parent.areas), dict(parent.pages), set(parent.zero_mapped)
        )
        if name in self.registered:
            self._register(child)

    def _write(self, process: _Process, vpn: int, content: int) -> None:
        if vpn not in process.pages and "h" in process.flags(vpn):
            self._bring_in_huge_page(process, vpn)
        page = process.pages.get(vpn)
        if page is None or self._is_shared(page):
            page = Page(vpn, next(self.numbers), content)
        process.pages[vpn] = page._replace(content=content)
        process.zero_mapped.discard(vpn)

    def _bring_in_huge_page(self, process: _Process, vpn: int) -> None:
        first = vpn // HUGE * HUGE
        block = range(first, first + HUGE)
        if not set(block) & (process.pages.keys() | process.zero_mapped):
            folio = next(self.numbers)
            for each in block:
                process.pages[each] = Page(each, next(self.numbers), ZERO, folio)

    def _is_shared(self, page: Page) -> bool:
        frames = Counter(
            other.frame
            for process in self.processes.values()
            for other in process.pages.values()
        )
        return frames[page.frame] > 1
