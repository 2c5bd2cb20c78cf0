"""The operations of a recording, one frozen record each, and who carries them out.

A record's fields are the keys of the step in the file, so that reading one is the same
for all (docs/recording-format.md lists them for people).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, NewType, Protocol, TypeAlias

from analyzer.counters import KsmCounters

Name = NewType("Name", str)
"""A process, as the recording calls it."""
Page = NewType("Page", int)
"""A page's index in its process's address space."""
Count = NewType("Count", int)
Switch = NewType("Switch", bool)
"""0 or 1 in the file."""
Text = NewType("Text", str)
Whole = NewType("Whole", int)
"""A number that a knob takes."""
Contents = NewType("Contents", tuple[int | None, ...])
"""What is written, page by page; None leaves a page alone."""


@dataclass(frozen=True, slots=True)
class Resident:
    """One process of a snapshot, with all pages that ksmd can see."""

    proc: Name
    vpns: tuple[int, ...]
    """Ascending page indexes."""
    frames: tuple[int, ...]
    """Equal frames are one physical page."""
    contents: tuple[int, ...]
    folios: tuple[int, ...]
    """The huge page each is part of, -1 for none."""


Residents = NewType("Residents", tuple[Resident, ...])


class Stage(Protocol):
    """Where events happen: a simulated machine, or only its address spaces."""

    def spawn(self, proc: str) -> None: ...
    def mmap(
        self, proc: str, start: int, n: int, mergeable: bool, huge: bool
    ) -> None: ...
    def write(self, proc: str, start: int, contents: Sequence[int | None]) -> None: ...
    def read(self, proc: str, start: int, n: int) -> None: ...
    def discard(self, proc: str, start: int, n: int) -> None: ...
    def munmap(self, proc: str, start: int, n: int) -> None: ...
    def merge(self, proc: str, start: int, n: int) -> None: ...
    def unmerge(self, proc: str, start: int, n: int) -> None: ...
    def prctl(self, proc: str, on: bool) -> None: ...
    def fork(self, proc: str, child: str) -> None: ...
    def exit(self, proc: str) -> None: ...
    def set_knob(self, name: str, value: int) -> None: ...
    def sleep(self, ms: int) -> None: ...
    def pause(self) -> None: ...
    def unmerge_all(self) -> None: ...
    def load(
        self,
        proc: str,
        vpns: Sequence[int],
        frames: Sequence[int],
        contents: Sequence[int],
        folios: Sequence[int],
    ) -> None: ...


class Ksmd(Stage, Protocol):
    """A stage on which ksmd works, and whose figures can be read."""

    def wake_up(self) -> bool: ...
    def full_scan(self) -> object: ...
    def counters(self) -> KsmCounters: ...
    def process(self, proc: str) -> dict[str, int]: ...


@dataclass(frozen=True, slots=True)
class Spawn:
    """A process starts, with no areas; it may start under PR_SET_MEMORY_MERGE."""

    proc: Name
    prctl: Switch = Switch(False)

    def happen(self, stage: Stage) -> None:
        stage.spawn(self.proc)
        if self.prctl:
            stage.prctl(self.proc, True)


@dataclass(frozen=True, slots=True)
class Map:
    """A private anonymous area, empty."""

    proc: Name
    start: Page
    n: Count
    flags: Text
    """m = MADV_MERGEABLE, h = MADV_HUGEPAGE, n = MADV_NOHUGEPAGE."""

    def happen(self, stage: Stage) -> None:
        mergeable, huge = "m" in self.flags, "h" in self.flags
        stage.mmap(self.proc, self.start, self.n, mergeable, huge)


@dataclass(frozen=True, slots=True)
class Write:
    """Whole pages are written, one content each."""

    proc: Name
    start: Page
    ids: Contents

    def happen(self, stage: Stage) -> None:
        stage.write(self.proc, self.start, self.ids)


@dataclass(frozen=True, slots=True)
class _Range:
    proc: Name
    start: Page
    n: Count


class Read(_Range):
    """A read fault maps the shared zero page wherever nothing is mapped."""

    def happen(self, stage: Stage) -> None:
        stage.read(self.proc, self.start, self.n)


class Discard(_Range):
    """MADV_DONTNEED: the pages are gone, the area stays."""

    def happen(self, stage: Stage) -> None:
        stage.discard(self.proc, self.start, self.n)


class Unmap(_Range):
    """The pages are gone, and the area with them."""

    def happen(self, stage: Stage) -> None:
        stage.munmap(self.proc, self.start, self.n)


class Merge(_Range):
    """MADV_MERGEABLE."""

    def happen(self, stage: Stage) -> None:
        stage.merge(self.proc, self.start, self.n)


class Unmerge(_Range):
    """MADV_UNMERGEABLE."""

    def happen(self, stage: Stage) -> None:
        stage.unmerge(self.proc, self.start, self.n)


@dataclass(frozen=True, slots=True)
class Prctl:
    """PR_SET_MEMORY_MERGE on or off."""

    proc: Name
    value: Switch

    def happen(self, stage: Stage) -> None:
        stage.prctl(self.proc, self.value)


@dataclass(frozen=True, slots=True)
class Fork:
    """*child* starts as a copy of *proc* and shares all its pages."""

    proc: Name
    child: Name

    def happen(self, stage: Stage) -> None:
        stage.fork(self.proc, self.child)


@dataclass(frozen=True, slots=True)
class Exit:
    """A process ends."""

    proc: Name

    def happen(self, stage: Stage) -> None:
        stage.exit(self.proc)


@dataclass(frozen=True, slots=True)
class Set:
    """A file of /sys/kernel/mm/ksm is written."""

    knob: Text
    value: Whole

    def happen(self, stage: Stage) -> None:
        stage.set_knob(self.knob, self.value)


@dataclass(frozen=True, slots=True)
class Sleep:
    """Nothing, for so long."""

    ms: Whole

    def happen(self, stage: Stage) -> None:
        stage.sleep(self.ms)


@dataclass(frozen=True, slots=True)
class Pause:
    """0 is written into `run`, and 1 before ksmd's next turn."""

    def happen(self, stage: Stage) -> None:
        stage.pause()


@dataclass(frozen=True, slots=True)
class UnmergeAll:
    """2 is written into `run`, then 0; what is observed is between the two."""

    def happen(self, stage: Stage) -> None:
        stage.unmerge_all()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Processes as their page tables had them, instead of how they came to be so."""

    procs: Residents

    def happen(self, stage: Stage) -> None:
        for each in self.procs:
            stage.load(each.proc, each.vpns, each.frames, each.contents, each.folios)


@dataclass(frozen=True, slots=True)
class Scan:
    """ksmd makes so many full scans."""

    n: Count = Count(1)


@dataclass(frozen=True, slots=True)
class Batch:
    """ksmd wakes up so many times, for `pages_to_scan` pages each."""

    n: Count = Count(1)


Event: TypeAlias = (
    Spawn
    | Map
    | Write
    | Read
    | Discard
    | Unmap
    | Merge
    | Unmerge
    | Prctl
    | Fork
    | Exit
    | Set
    | Sleep
    | Pause
    | UnmergeAll
    | Snapshot
)
Turn: TypeAlias = Scan | Batch

OPERATIONS: Final[dict[str, type[Event | Turn]]] = {
    "spawn": Spawn,
    "mmap": Map,
    "fill": Write,
    "write": Write,
    "read": Read,
    "dontneed": Discard,
    "munmap": Unmap,
    "merge": Merge,
    "unmerge": Unmerge,
    "prctl": Prctl,
    "fork": Fork,
    "exit": Exit,
    "set": Set,
    "sleep": Sleep,
    "pause": Pause,
    "unmerge_all": UnmergeAll,
    "snapshot": Snapshot,
    "scan": Scan,
    "batch": Batch,
}
"""What a step's `op` may be."""

STANDING_STILL: Final = (Set, Sleep, Pause)
"""Events that leave all memory as it is."""


def addresses(distances: Sequence[int]) -> tuple[int, ...]:
    """The page indexes of a snapshot's `vpn`, which holds distances."""
    return tuple(accumulate(distances))
