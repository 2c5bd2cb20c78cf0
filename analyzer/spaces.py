"""Address spaces without pages: enough to tell whether an event is possible.

A recording is checked against this before any of it is replayed, so that a mistake in
it is named by its step and does not look like a defect of the simulated ksmd.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class ImpossibleError(Exception):
    """What is wrong with an event, and what was expected."""


class Area(NamedTuple):
    """Pages *start* to *end* - 1."""

    start: int
    end: int
    mergeable: bool


@dataclass
class Space:
    """One living process."""

    areas: list[Area] = field(default_factory=list)
    merge_any: bool | None = False
    """PR_SET_MEMORY_MERGE is on; None where a snapshot does not tell."""

    @property
    def mergeable(self) -> bool:
        """Whether any area is marked."""
        return any(area.mergeable for area in self.areas)

    def carve(self, start: int, end: int) -> list[Area]:
        """Take the range out, as one list of areas; what is around it stays."""
        inside, around = [], []
        for area in self.areas:
            low, high = max(area.start, start), min(area.end, end)
            if low >= high:
                around.append(area)
                continue
            inside.append(area._replace(start=low, end=high))
            if area.start < low:
                around.append(area._replace(end=low))
            if high < area.end:
                around.append(area._replace(start=high))
        self.areas = around
        return inside

    def add(self, start: int, end: int, mergeable: bool) -> None:
        self.carve(start, end)
        self.areas.append(Area(start, end, mergeable))

    def mark(self, start: int, end: int, mergeable: bool) -> None:
        inside = self.carve(start, end)
        self.areas += [area._replace(mergeable=mergeable) for area in inside]

    def first_hole(self, start: int, end: int) -> int | None:
        """The first page of the range that is in no area."""
        for area in sorted(self.areas):
            if area.start <= start < area.end:
                start = area.end
        return start if start < end else None


class AddressSpaces:
    """A `Stage` that knows who lives and what is mapped.

    Raises ImpossibleError for an event that cannot have happened. *merge_any* says
    whether the kernel knows PR_SET_MEMORY_MERGE; one that does not refuses the call.
    """

    def __init__(self, merge_any: bool = True) -> None:
        self.living: dict[str, Space] = {}
        self._knows_merge_any = merge_any

    def figures(self, proc: str) -> dict[str, int]:
        """The lines of /proc/PID/ksm_stat that say yes (1) or no (0)."""
        space = self.living[proc]
        figures = {"ksm_mergeable": int(space.mergeable)}
        if space.merge_any is not None:
            figures["ksm_merge_any"] = int(space.merge_any)
        return figures

    def spawn(self, proc: str) -> None:
        self._enter(proc, Space())

    def mmap(
        self,
        proc: str,
        start: int,
        n: int,
        mergeable: bool,
        huge: bool,  # noqa: ARG002
    ) -> None:
        space = self._of(proc)
        space.add(start, start + n, mergeable or bool(space.merge_any))

    def write(self, proc: str, start: int, contents: Sequence[int | None]) -> None:
        self._reach(proc, start, len(contents))

    def read(self, proc: str, start: int, n: int) -> None:
        self._reach(proc, start, n)

    def discard(self, proc: str, start: int, n: int) -> None:
        self._reach(proc, start, n)

    def munmap(self, proc: str, start: int, n: int) -> None:
        self._of(proc).carve(start, start + n)

    def merge(self, proc: str, start: int, n: int) -> None:
        self._reach(proc, start, n).mark(start, start + n, True)

    def unmerge(self, proc: str, start: int, n: int) -> None:
        self._reach(proc, start, n).mark(start, start + n, False)

    def prctl(self, proc: str, on: bool) -> None:
        space = self._of(proc)
        if self._knows_merge_any and on != space.merge_any:
            space.merge_any = on
            space.areas = [area._replace(mergeable=on) for area in space.areas]

    def fork(self, proc: str, child: str) -> None:
        parent = self._of(proc)
        self._enter(child, Space(list(parent.areas), parent.merge_any))

    def exit(self, proc: str) -> None:
        self._of(proc)
        del self.living[proc]

    def set_knob(self, name: str, value: int) -> None:
        """Changes no address space."""

    def sleep(self, ms: int) -> None:
        """Changes no address space."""

    def pause(self) -> None:
        """Changes no address space."""

    def unmerge_all(self) -> None:
        """Areas stay marked."""

    def load(
        self,
        proc: str,
        vpns: Sequence[int],
        frames: Sequence[int],  # noqa: ARG002
        contents: Sequence[int],  # noqa: ARG002
        folios: Sequence[int],  # noqa: ARG002
    ) -> None:
        self._enter(proc, Space(merge_any=None))
        if vpns:
            self.living[proc].add(vpns[0], vpns[-1] + 1, True)

    def _enter(self, proc: str, space: Space) -> None:
        if proc in self.living:
            raise ImpossibleError(
                f"process {proc!r} lives already, expected a new name"
            )
        self.living[proc] = space

    def _of(self, proc: str) -> Space:
        if proc not in self.living:
            known = ", ".join(map(repr, self.living)) or "none lives"
            raise ImpossibleError(f"there is no process {proc!r}, expected: {known}")
        return self.living[proc]

    def _reach(self, proc: str, start: int, n: int) -> Space:
        space = self._of(proc)
        hole = space.first_hole(start, start + n)
        if hole is not None:
            raise ImpossibleError(
                f"page {hole} of {proc!r} is in no area, expected a mapped one"
            )
        return space
