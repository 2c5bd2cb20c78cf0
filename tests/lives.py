"""Random lives of processes, told to a machine and written as a capture over time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from builders import FACTS, digest
from hypothesis import strategies as st

from analyzer.knobs import KsmKnobs
from analyzer.machine import Machine
from analyzer.profile import profile_of
from traces.schema import MAPPINGS, PROCESSES, PageFlag, Pages
from traces.writer import TraceWriter, row_of

PAGES = 12
SECOND = 1_000_000_000

Event = tuple[str, int, int, int]
"""What happens, and three numbers to choose by."""


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
        last = self.epochs[-1].get(name, {}) if self.epochs else {}
        if content in [page[0] for page in (had, last.get(vpn)) if page]:
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

    def live(self, events: Iterable[Event]) -> Iterator[None]:
        """Let *events* happen; yields after every epoch."""
        born = len(self.pages)
        for what, a, b, c in events:
            alive = sorted(self.pages)
            name = alive[a % len(alive)] if alive else ""
            if what == "spawn" or not alive:
                self.spawn(f"p{born}")
                born += 1
            elif what == "write":
                self.write(name, b % PAGES, c % 5)
            elif what == "discard":
                self.discard(name, b % PAGES)
            elif what == "fork":
                self.fork(name, f"p{born}")
                born += 1
            elif what == "exit" and len(alive) > 1:
                self.exit(name)
            elif what == "epoch":
                self.end_epoch()
                yield

    def write_trace(self, path: Path) -> Path:
        """What a capture would have seen at the end of every epoch."""
        names = list(dict.fromkeys(n for epoch in self.epochs for n in epoch))
        processes, mappings = [], []
        for number, name in enumerate(names):
            seen = [at for at, epoch in enumerate(self.epochs) if name in epoch]
            span = {"first_epoch": seen[0], "last_epoch": seen[-1]}
            known = {"pid": number, "comm": name, "host": "h"}
            known |= {"workload": f"w{number % 3}"}
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
def doings(draw: st.DrawFn) -> list[Event]:
    """Kinds of events with numbers to choose by; an epoch ends at "epoch"."""
    kind = st.sampled_from(
        ["write"] * 6 + ["discard", "fork", "exit", "spawn", "epoch", "epoch"]
    )
    number = st.integers(0, 99)
    return draw(st.lists(st.tuples(kind, number, number, number), max_size=40))


def over_time(events: list[Event], path: Path) -> Path:
    """A capture of what *events* did, and of two epochs at their end."""
    life = Life(Machine(KsmKnobs(), profile_of("6.18")))
    life.spawn("p0")
    for vpn in range(4):
        life.write("p0", vpn, vpn % 2)
    for _ in life.live([*events, *[("epoch", 0, 0, 0)] * 2]):
        pass
    return life.write_trace(path)
