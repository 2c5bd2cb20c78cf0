"""Processes that may share frames by fork, where a capture does not tell frames.

A page that fork shares keeps its address and its content, in parent and child alike.
So within a family pages of equal number and content may be one frame, and no others
can: taking them for one gives the fewest frames there can be, and what merging saves
of these it saves at least.
"""

from collections.abc import Hashable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from analyzer.engine.numbering import Numbering
from traces.schema import UNKNOWN, PageFlag
from traces.trace import RUNS, Columns

_INIT: Final = 1
"""Whose parent has ended is given to it: its children may be anybody's."""

_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
_FOLD: Final = np.uint64(0xBF58476D1CE4E5B9)


def families(processes: pl.DataFrame) -> npt.NDArray[np.int32]:
    """int32[processes]: the family of each, numbered from 0; -1 without relatives.

    Relatives are, on one host, a parent and its children, children of one parent, and,
    where the parent is init and is not in the trace, those of one comm; and the
    relatives of relatives. Virtual machines have none.
    """
    rows = processes.select("host", "pid", "ppid", "comm", "vm").rows()
    present = {(host, pid) for host, pid, _, _, vm in rows if pid > 0 and not vm}
    elder = list(range(len(rows)))

    def eldest(one: int) -> int:
        while elder[one] != one:
            elder[one] = one = elder[elder[one]]
        return one

    def names(
        host: str, pid: int, ppid: int, comm: str, vm: str
    ) -> Iterator[tuple[Hashable, ...]]:
        """What a process has in common with its relatives."""
        if vm:
            return
        if pid > 0:
            yield host, pid
        if ppid > _INIT or (host, ppid) in present:
            yield host, ppid
        elif ppid >= 0:
            yield host, ppid, comm

    first: dict[tuple[Hashable, ...], int] = {}
    for one, row in enumerate(rows):
        for name in names(*row):
            elder[eldest(one)] = eldest(first.setdefault(name, one))
    roots = np.array([eldest(one) for one in range(len(rows))], np.int64)
    _, number, members = np.unique(roots, return_inverse=True, return_counts=True)
    return np.where(members[number] > 1, number, UNKNOWN).astype(np.int32)


class SupposedFrames:
    """The frames that pages of relatives are supposed to lie in, chunk by chunk."""

    def __init__(self, processes: pl.DataFrame, mappings: pl.DataFrame) -> None:
        self._processes = processes
        self._owner: npt.NDArray[np.int32] = mappings["process"].to_numpy()
        self._family = families(processes)
        self._shift, self._related = _shifts(self._family[self._owner], mappings)
        self._numbering = Numbering(np.uint64(0))
        self._unknown = np.zeros(processes.height, np.bool_)
        """[process] whether a frame of it is."""

    def of(
        self, chunk: Columns, base: int = 0
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """(rows whose frame is unknown and may be shared, int32: the frame of each).

        *chunk* is as `Trace.chunks` gives it, its mappings counted from *base*. Equal
        pages of relatives get one number, in this chunk and in all later ones.
        """
        none = np.empty(0, np.int64), np.empty(0, np.int32)
        # What ksmd had merged counts as unmerged, each mapping with its own frame.
        elsewhere = PageFlag.ABSENT | PageFlag.KSM
        unknown = (chunk["frame"] < 0) & ((chunk["flags"] & elsewhere) == 0)
        if not unknown.any():
            return none
        runs = chunk[RUNS]
        mapping = chunk["mapping"][runs[np.logical_or.reduceat(unknown, runs)]] + base
        self._unknown[self._owner[mapping]] = True
        if not self._related[mapping].any():
            return none
        rows = np.flatnonzero(unknown)
        rows = rows[self._related[chunk["mapping"][rows] + base]]
        moved = self._shift[chunk["mapping"][rows] + base]
        place = (chunk["vpn"][rows] + moved).view(np.uint64)
        pages = chunk["digest"][rows].view(np.uint64) ^ _apart(place)
        return rows, self._numbering.numbers(pages)

    def strangers(self) -> int:
        """Processes that could be relatives of others for all that is known: neither
        their frames nor their parents are."""
        alone = pl.Series(self._unknown & (self._family == UNKNOWN))
        table = self._processes.filter(alone, ppid=UNKNOWN, vm="")
        return table.filter(pl.len().over("host") > 1).height


def sharers(frames: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Which of the rows in *frames*, numbers from `SupposedFrames`, have company."""
    shared: npt.NDArray[np.bool_] = np.bincount(frames)[frames] > 1
    return shared


def _apart(place: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """A number for each place, no two alike: so equal contents at two places stay
    apart, and different ones meet no sooner than two digests do."""
    mixed = place * _SPREAD
    mixed ^= mixed >> np.uint64(32)
    mixed *= _FOLD
    mixed ^= mixed >> np.uint64(29)
    return mixed


def _shifts(
    family: npt.NDArray[np.int32], mappings: pl.DataFrame
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """What brings all families into one address space, by mapping; *family* too is.

    int64: what a mapping's page numbers are moved by; mappings of relatives that
    overlap move together, all others lie apart. bool: whether any overlaps it.
    """
    start, stop = pl.col("start_vpn"), pl.col("start_vpn") + pl.col("pages")
    table = (
        mappings.select("mapping", start, stop.alias("stop"))
        .with_columns(pl.Series("family", family))
        .filter(pl.col("family") != UNKNOWN)
        .sort("family", "start_vpn")
        .with_columns(pl.col("stop").cum_max().shift(1).over("family").alias("before"))
        .with_columns(
            (pl.col("before").is_null() | (start >= pl.col("before")))
            .cum_sum()
            .alias("cluster")
        )
    )
    clusters = (
        table.group_by("cluster", maintain_order=True)
        .agg(pl.len(), start.min().alias("first"), pl.col("stop").max().alias("last"))
        .with_columns((pl.col("last") - pl.col("first")).cum_sum().alias("room"))
        .select(
            "cluster",
            (pl.col("len") > 1).alias("related"),
            (pl.col("room") - pl.col("last")).alias("shift"),
        )
    )
    found = table.join(clusters, on="cluster", maintain_order="left")
    shift = np.zeros(mappings.height, np.int64)
    related = np.zeros(mappings.height, np.bool_)
    shift[found["mapping"].to_numpy()] = found["shift"].to_numpy()
    related[found["mapping"].to_numpy()] = found["related"].to_numpy()
    return shift, related
