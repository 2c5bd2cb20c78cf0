"""Where every page of the captures ended, for those who work out what it is worth."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analyzer.counters import KsmCounters
from analyzer.host import Host
from analyzer.knobs import KsmKnobs
from analyzer.result import End
from analyzer.uncertain import UncertainRows


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where every row of the captures ended."""

    host: Host
    knobs: KsmKnobs
    profile: str
    costs: str
    policy: str
    settled: bool
    counters: KsmCounters
    end: End
    offered: npt.NDArray[np.bool_]
    """[segment]"""
    uncertain: UncertainRows
    """Those that are offered, or would be if they were not kept out."""
    where: npt.NDArray[np.uint8]
    """[row] the bits of engine.state; 0 for rows that were not offered."""
    after: npt.NDArray[np.int32]
    """[row] the frame it maps now."""
    content: npt.NDArray[np.int32]
    """[frame]"""
    contents: int
    zero_contents: int
    vpns: Callable[[], Iterator[npt.NDArray[np.int64]]]
    """Gives the page number of every row, int64, in parts that lie one behind
    another."""

    def offered_rows(self) -> npt.NDArray[np.bool_]:
        """bool[rows]"""
        return np.repeat(self.offered, np.diff(self.host.start))

    def rows_within(
        self, mapping: int, first_vpn: int, last_vpn: int
    ) -> npt.NDArray[np.int64]:
        """Offered rows of *mapping* whose page lies in a range, its last included."""
        here = np.flatnonzero((self.host.mapping == mapping) & self.offered)
        if not len(here):
            return np.empty(0, np.int64)
        start, stop = self.host.start[here[0]], self.host.start[here[0] + 1]
        at, parts = 0, [np.empty(0, np.int64)]
        for vpns in self.vpns():
            inside = vpns[max(start - at, 0) : max(stop - at, 0)]
            lo, hi = np.searchsorted(inside, [first_vpn, last_vpn + 1])
            parts.append(np.arange(lo, hi) + max(start, at))
            at += len(vpns)
        return np.concatenate(parts)
