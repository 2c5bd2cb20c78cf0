"""One process's memory: its areas, its pages, and the slots they have."""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from analyzer.engine.slots import NONE
from analyzer.engine.store import Slots, Vpns


@dataclass(slots=True)
class Area:
    """A mapping: pages *start* to *end* of one process."""

    start: int
    end: int
    mergeable: bool
    huge: bool


@dataclass(slots=True, eq=False)
class Process:
    """One address space, and what ksmd's list knows of it."""

    name: str
    areas: list[Area] = field(default_factory=list)
    vpns: Vpns = field(default_factory=lambda: np.empty(0, np.int64))
    slots: Slots = field(default_factory=lambda: np.empty(0, np.int32))
    """[page] parallel to vpns, ascending; pages that are gone stay while they have
    an item."""
    read_only: set[int] = field(default_factory=set)
    """Pages that map the shared zero page because they were only read."""
    listed: bool = False
    exited: bool = False
    merge_any: bool = False
    start: tuple[int, int, int] = (0, 0, 0)
    """rmap_items, merging and zero pages a fork before 6.18 began to count from."""

    @property
    def mergeable(self) -> bool:
        return any(area.mergeable for area in self.areas)

    def cut(self, start: int, n: int) -> None:
        """Let areas begin and end at the bounds of a range."""
        for bound in (start, start + n):
            for area in list(self.areas):
                if area.start < bound < area.end:
                    self.areas.append(replace(area, start=bound))
                    area.end = bound

    def inside(self, start: int, n: int) -> Slots:
        """The slots of a range of pages."""
        lo, hi = np.searchsorted(self.vpns, [start, start + n])
        return self.slots[lo:hi]

    def offered(self, vpns: Vpns) -> npt.NDArray[np.bool_]:
        """Which pages lie in mergeable areas."""
        offered = np.zeros(len(vpns), np.bool_)
        for area in self.areas:
            if area.mergeable:
                offered |= (area.start <= vpns) & (vpns < area.end)
        return offered

    def find(self, vpns: Vpns) -> Slots:
        """The slots of *vpns*; NONE where it has no such page."""
        found = np.full(len(vpns), NONE, np.int32)
        if len(self.vpns):
            places = np.searchsorted(self.vpns, vpns)
            places[places == len(self.vpns)] = 0
            same = self.vpns[places] == vpns
            found[same] = self.slots[places[same]]
        return found

    def insert(self, vpns: Vpns, made: Slots) -> None:
        """Add pages it does not have yet, ascending."""
        places = np.searchsorted(self.vpns, vpns)
        self.vpns = np.insert(self.vpns, places, vpns)
        self.slots = np.insert(self.slots, places, made)

    def keep(self, kept: npt.NDArray[np.bool_]) -> None:
        """Forget the other pages."""
        self.vpns, self.slots = self.vpns[kept], self.slots[kept]
