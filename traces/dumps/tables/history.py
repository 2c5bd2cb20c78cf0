"""Runs of pages in any order → processes, mappings and epochs as a trace has them.

All rows are held while they are put in order, in some 40 bytes each, and as much again
while they are sorted.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from traces.dumps.digesting import BATCH_PAGES
from traces.dumps.tables.fields import ANON_UNKNOWN, PRESENCE_UNKNOWN, Group, Rows
from traces.page import PAGE_SIZE
from traces.schema import UNKNOWN, PageFlag, Pages

_Ints = npt.NDArray[np.int64]
_Numbers = npt.NDArray[np.int32]

_NOTHING: Final = np.empty(0, np.int64)


class ToldTwiceError(Exception):
    """A page has two rows of one time: a `Group`, and the page's number."""

    def __init__(self, group: Group, vpn: int) -> None:
        super().__init__(group, vpn)
        self.group, self.vpn = group, vpn


class History(NamedTuple):
    """All rows, by mapping, address and epoch, as equally long arrays."""

    times: Sequence[int]
    """Nanoseconds, of each epoch."""
    processes: Sequence[Mapping[str, Any]]
    """Columns of `schema.PROCESSES`, in the order in which they first came."""
    mappings: pl.DataFrame
    """Columns of `schema.MAPPINGS`."""
    mapping: _Numbers
    epoch: _Numbers
    vpn: _Ints
    digest: _Ints
    frame: _Ints
    flags: npt.NDArray[np.uint16]
    length: _Ints | None
    """Pages of each run; None: one."""

    def pages(self) -> Iterator[tuple[int, Pages]]:
        """Each epoch's rows, some at a time, as the trace format wants them: those of
        a later epoch only where something is new. Every epoch comes, if need be with
        no rows."""
        stored = self if len(self.times) == 1 else self._changes()
        bounds = np.searchsorted(stored.epoch, np.arange(len(self.times) + 1))
        for epoch, (first, end) in enumerate(pairwise(bounds.tolist())):
            if first == end:
                yield epoch, stored._some(np.arange(0), _NOTHING)
                continue
            for rows, vpn in stored._expanded(first, end):
                yield epoch, stored._some(rows, vpn)

    def _changes(self) -> "History":
        """What differs from the epoch before, by epoch, mapping and address."""
        same = np.zeros(len(self.vpn) + 1, bool)
        same[1:-1] = (self.mapping[1:] == self.mapping[:-1]) & (
            self.vpn[1:] == self.vpn[:-1]
        )
        again, goes_on = same[:-1], same[1:]
        following = np.append(self.epoch[1:], 0)
        next_seen = np.where(goes_on, following, self._last_epochs() + 1)
        gone = np.flatnonzero(next_seen > self.epoch + 1)
        unchanged = np.zeros(len(self.vpn), bool)
        unchanged[1:] = again[1:] & (self.epoch[1:] == self.epoch[:-1] + 1)
        for column in (self.digest, self.frame, self.flags):
            unchanged[1:] &= column[1:] == column[:-1]
        kept = self._taken(np.flatnonzero(~unchanged))
        absent = self._taken(gone)
        absent = absent._replace(
            epoch=absent.epoch + np.int32(1),
            digest=np.zeros(len(gone), np.int64),
            frame=np.full(len(gone), UNKNOWN, np.int64),
            flags=np.full(len(gone), PageFlag.ABSENT, np.uint16),
        )
        both = kept._with(absent)
        return both._taken(np.lexsort((both.vpn, both.mapping, both.epoch)))

    def _last_epochs(self) -> _Numbers:
        """Of each row, the last epoch of its mapping."""
        last: _Numbers = self.mappings["last_epoch"].to_numpy()[self.mapping]
        return last

    def _taken(self, rows: npt.NDArray[np.intp]) -> "History":
        return History._make(
            column[rows] if isinstance(column, np.ndarray) else column
            for column in self
        )

    def _with(self, other: "History") -> "History":
        return History._make(
            np.concatenate([mine, others]) if isinstance(mine, np.ndarray) else mine
            for mine, others in zip(self, other, strict=True)
        )

    def _expanded(
        self, first: int, end: int
    ) -> Iterator[tuple[npt.NDArray[np.intp], _Ints]]:
        """The rows from *first* to *end*, one for each page, and its number."""
        if self.length is None:
            for at in range(first, end, BATCH_PAGES):
                rows = np.arange(at, min(at + BATCH_PAGES, end))
                yield rows, self.vpn[rows]
            return
        behind = np.cumsum(self.length[first:end])
        for at in range(0, int(behind[-1]), BATCH_PAGES):
            page = np.arange(at, min(at + BATCH_PAGES, int(behind[-1])))
            run = np.searchsorted(behind, page, "right")
            rows = first + run
            yield rows, self.vpn[rows] + page - (behind[run] - self.length[rows])

    def _some(self, rows: npt.NDArray[np.intp], vpn: _Ints) -> Pages:
        return Pages(
            mapping=self.mapping[rows],
            vpn=vpn,
            digest=self.digest[rows],
            frame=self.frame[rows],
            folio=np.full(len(rows), UNKNOWN, np.int32),
            nid=np.full(len(rows), UNKNOWN, np.int8),
            flags=self.flags[rows],
        )


class _Groups:
    """What the rows of each group have in common, as numbers."""

    def __init__(self, groups: Sequence[Group], times: Sequence[int]) -> None:
        self.all = groups
        epochs = {time: epoch for epoch, time in enumerate(times)}
        self.epoch = np.array([epochs[g.time or 0] for g in groups], np.int32)
        owners: dict[tuple[Any, ...], int] = {}
        numbers = [owners.setdefault(g.owner, len(owners)) for g in groups]
        self.process = np.array(numbers, np.int32)
        self.owners = list(owners)
        areas: dict[tuple[Any, ...], int] = {}
        # Without vma_end: the end of a mapping may move from epoch to epoch.
        keys = [
            (process, g.vma_start, g.vma_name or "", g.vma_flags or "")
            for process, g in zip(numbers, groups, strict=True)
        ]
        numbers = [areas.setdefault(key, len(areas)) for key in keys]
        self.area = np.array(numbers, np.int32)
        self.areas = self._table(areas, numbers)

    def _table(self, areas: Mapping[Any, int], numbers: Sequence[int]) -> pl.DataFrame:
        ends = [0] * len(areas)
        for area, group in zip(numbers, self.all, strict=True):
            ends[area] = max(ends[area], (group.vma_end or 0) // PAGE_SIZE)
        starts = [
            None if start is None else start // PAGE_SIZE for _, start, *_ in areas
        ]
        return pl.DataFrame(
            {
                "area": pl.Series(range(len(areas)), dtype=pl.Int32),
                "process": pl.Series([area[0] for area in areas], dtype=pl.Int32),
                "start": pl.Series(starts, dtype=pl.Int64),
                "end": pl.Series(ends, dtype=pl.Int64),
                "name": [area[2] for area in areas],
                "vm_flags": [area[3] for area in areas],
            }
        )


def history(rows: Rows, groups: Sequence[Group], zero: int) -> History:
    """*rows* put in order; *zero* is the digest of zero pages.

    Raises ToldTwiceError.
    """
    times = sorted({group.time or 0 for group in groups})
    # Groups all of whose pages were left out are none; their times remain.
    used = np.flatnonzero(np.bincount(rows.group, minlength=len(groups)))
    numbers = np.zeros(len(groups), np.int32)
    numbers[used] = np.arange(len(used))
    rows = rows._replace(group=numbers[rows.group])
    of = _Groups([groups[number] for number in used.tolist()], times)
    rows = _in_order(rows, of.process[rows.group], of.epoch[rows.group], rows.vpn)
    _check_once(rows, of)
    if len(times) > 1:
        if rows.length is not None:
            rows = _split(rows, of.process[rows.group])
        rows = _in_order(rows, of.process[rows.group], rows.vpn, of.epoch[rows.group])
    mappings, mapping = _mapped(rows, of)
    keys = mapping, rows.vpn, of.epoch[rows.group]
    if not _ascends(*keys):
        order = np.lexsort(keys[::-1])
        rows, mapping = rows.taken(order), mapping[order]
    return History(
        times=times,
        processes=_processes(of, mappings),
        mappings=mappings,
        mapping=mapping,
        epoch=of.epoch[rows.group],
        vpn=rows.vpn,
        digest=rows.digest,
        frame=_frames(rows, of),
        flags=_flags(rows, zero),
        length=rows.length,
    )


def _ascends(*keys: npt.NDArray[Any]) -> bool:
    """Whether rows are sorted by *keys*, the first foremost."""
    tied = np.ones(max(len(keys[0]) - 1, 0), bool)
    for key in keys:
        if (tied & (key[1:] < key[:-1])).any():
            return False
        tied &= key[1:] == key[:-1]
    return True


def _in_order(rows: Rows, *keys: npt.NDArray[Any]) -> Rows:
    return rows if _ascends(*keys) else rows.taken(np.lexsort(keys[::-1]))


def _check_once(rows: Rows, of: _Groups) -> None:
    process, epoch = of.process[rows.group], of.epoch[rows.group]
    ends = rows.vpn + (1 if rows.length is None else rows.length)
    same = (process[1:] == process[:-1]) & (epoch[1:] == epoch[:-1])
    again = np.flatnonzero(same & (rows.vpn[1:] < ends[:-1]))
    if len(again):
        at = int(again[0]) + 1
        raise ToldTwiceError(of.all[rows.group[at]], int(rows.vpn[at]))


def _split(rows: Rows, process: _Numbers) -> Rows:
    """Runs cut wherever one of the same process begins or ends at any time, so that
    two of them are of the same pages, or have none in common."""
    bounds = np.append(_starts(process), len(process))
    parts = [_cut(rows.taken(np.arange(*pair))) for pair in pairwise(bounds.tolist())]
    return Rows._make(
        None if column[0] is None else np.concatenate(column)
        for column in zip(*parts, strict=True)
    )


def _cut(rows: Rows) -> Rows:
    assert rows.length is not None
    ends = rows.vpn + rows.length
    cuts = np.unique(np.concatenate([rows.vpn, ends]))
    first = np.searchsorted(cuts, rows.vpn)
    pieces = np.searchsorted(cuts, ends) - first
    run = np.repeat(np.arange(len(pieces)), pieces)
    place = np.arange(len(run)) + np.repeat(first - np.cumsum(pieces) + pieces, pieces)
    return rows.taken(run)._replace(
        vpn=cuts[place], length=cuts[place + 1] - cuts[place]
    )


def _starts(values: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Where runs of equal *values* begin."""
    return np.flatnonzero(np.append(True, values[1:] != values[:-1]))


def _mapped(rows: Rows, of: _Groups) -> tuple[pl.DataFrame, _Numbers]:
    """The mappings, and the number of each row's.

    Where a mapping's start is not told, it is what lies side by side and has the same
    name and flags.
    """
    area, epoch = of.area[rows.group], of.epoch[rows.group]
    starts = _starts(area)
    ends = rows.vpn + (1 if rows.length is None else rows.length)
    stretches = pl.DataFrame(
        {
            "area": area[starts],
            "stretch": np.arange(len(starts)),
            "low": np.minimum.reduceat(rows.vpn, starts),
            "high": np.maximum.reduceat(ends, starts),
            "first_epoch": np.minimum.reduceat(epoch, starts),
            "last_epoch": np.maximum.reduceat(epoch, starts),
        }
    ).join(of.areas, on="area", maintain_order="left")
    alone = pl.when(pl.col("start").is_null()).then(pl.col("stretch")).otherwise(-1)
    stretches = stretches.with_columns(alone.alias("alone"))
    found = (
        stretches.group_by("area", "alone", maintain_order=True)
        .agg(
            pl.col("process", "name", "vm_flags").first(),
            pl.coalesce(pl.col("start").first(), pl.col("low").min()).alias(
                "start_vpn"
            ),
            pl.max_horizontal(pl.col("high").max(), pl.col("end").first()).alias("end"),
            pl.col("first_epoch").min(),
            pl.col("last_epoch").max(),
        )
        .sort("process", "start_vpn", "first_epoch", maintain_order=True)
        .with_row_index("mapping")
    )
    numbers = stretches.join(
        found.select("area", "alone", pl.col("mapping").cast(pl.Int32)),
        on=["area", "alone"],
        maintain_order="left",
    )["mapping"].to_numpy()
    lengths = np.diff(np.append(starts, len(area)))
    return _mapping_rows(found), np.repeat(numbers, lengths)


def _mapping_rows(found: pl.DataFrame) -> pl.DataFrame:
    name, flags = pl.col("name"), pl.col("vm_flags")
    has = [
        pl.when(flags.str.contains(rf"\b{code}\b"))
        .then(pl.lit(sign))
        .otherwise(pl.lit("-"))
        for code, sign in (("rd", "r"), ("wr", "w"), ("ex", "x"))
    ]
    # What is shared, special or of huge pages is no row of a trace.
    perms = pl.concat_str(*has, pl.lit("p"))
    kind = (
        pl.when(name == "[heap]").then(pl.lit("heap"))
        .when(name.str.starts_with("[stack")).then(pl.lit("stack"))
        .when((name == "") | name.str.starts_with("[")).then(pl.lit("anon"))
        .otherwise(pl.lit("file"))
    )  # fmt: skip
    return found.select(
        pl.col("mapping").cast(pl.Int32),
        "process",
        "start_vpn",
        (pl.col("end") - pl.col("start_vpn")).alias("pages"),
        pl.when(flags == "").then(pl.lit("rw-p")).otherwise(perms).alias("perms"),
        kind.alias("kind"),
        "name",
        "vm_flags",
        flags.str.contains(r"\bmg\b").alias("mergeable"),
        "first_epoch",
        "last_epoch",
    )


def _processes(of: _Groups, mappings: pl.DataFrame) -> list[dict[str, Any]]:
    spans = {
        process: (first, last)
        for process, first, last in mappings.group_by("process")
        .agg(pl.col("first_epoch").min(), pl.col("last_epoch").max())
        .iter_rows()
    }
    return [
        {
            "host": host or "",
            "pid": UNKNOWN if pid is None else pid,
            "comm": comm or "",
            "container": container or "",
            "first_epoch": spans[process][0],
            "last_epoch": spans[process][1],
        }
        for process, (host, container, pid, comm) in enumerate(of.owners)
    ]


def _frames(rows: Rows, of: _Groups) -> _Ints:
    """Frames of each host, numbered anew over all of them in order of first sight;
    those that hold two contents at one time are not known."""
    unknown = np.full(len(rows.vpn), UNKNOWN, np.int64)
    if rows.frame is None or not (rows.frame >= 0).any():
        return unknown
    hosts = {owner[0]: number for number, owner in enumerate(of.owners)}
    host = np.array([hosts[group.host] for group in of.all], np.int32)[rows.group]
    table = pl.DataFrame(
        {
            "row": np.arange(len(host)),
            "host": host,
            "frame": rows.frame,
            "epoch": of.epoch[rows.group],
            "digest": rows.digest,
        }
    ).filter(pl.col("frame") >= 0)
    torn = (
        table.group_by("host", "frame", "epoch")
        .agg((pl.col("digest").min() != pl.col("digest").max()).alias("torn"))
        .filter("torn")
        .select("host", "frame")
        .unique()
    )
    sound = table.join(torn, on=["host", "frame"], how="anti", maintain_order="left")
    sound = sound.sort("epoch", "row")
    numbers = sound.select("host", "frame").unique(maintain_order=True)
    numbered = sound.join(
        numbers.with_row_index("number"), on=["host", "frame"], maintain_order="left"
    )
    unknown[numbered["row"].to_numpy()] = numbered["number"].to_numpy()
    return unknown


def _flags(rows: Rows, zero: int) -> npt.NDArray[np.uint16]:
    # What is in a page that is not zero somebody has written, so it was there.
    unsure = (rows.told & PRESENCE_UNKNOWN != 0) & (rows.digest == zero)
    flags = np.where(unsure, PageFlag.PRESENCE_UNKNOWN, 0)
    flags |= np.where(rows.told & ANON_UNKNOWN != 0, PageFlag.ANON_UNKNOWN, 0)
    return flags.astype(np.uint16)
