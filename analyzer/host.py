"""Captures joined into one host, as plain arrays for the engine.

The only place where a trace's rows become arrays.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from analyzer.engine.steady import MAX_KINDS, Segments
from analyzer.policy import MergePolicy
from traces.errors import InputError, NotComparableError
from traces.schema import UNKNOWN, PageFlag
from traces.trace import RUNS, Columns, Trace

ENGINE_COLUMNS = ("mapping", "vpn", "digest", "frame", "folio", "nid", "flags")


@dataclass(frozen=True, slots=True)
class Host:
    """All pages of one or several captures, in the order ksmd visits them.

    Rows of a mapping form a *segment*; mappings without pages have none.
    """

    traces: Sequence[Trace]
    processes: pl.DataFrame
    """As in the traces, `process` renumbered over all of them."""
    mappings: pl.DataFrame
    zero: np.uint64
    """The zero page's digest."""
    digest: npt.NDArray[np.uint64]
    """[row]"""
    frame: npt.NDArray[np.int32]
    """[row] frames of different captures never are the same."""
    frames: int
    """Upper bound of frame."""
    folio: npt.NDArray[np.int32] | None
    """[row], None where there is none."""
    nid: npt.NDArray[np.int8] | None
    """[row], None where there is but one node."""
    fill: npt.NDArray[np.bool_]
    """[row] all bytes equal, not zero."""
    start: npt.NDArray[np.int64]
    """[segment + 1] its first row."""
    mapping: npt.NDArray[np.int32]
    """[segment]"""
    frames_known: bool
    """False where some page's frame is unknown: each then counts as its own."""

    @property
    def rows(self) -> int:
        return len(self.digest)

    @property
    def segment_process(self) -> npt.NDArray[np.int32]:
        """int32[segments]"""
        owner: npt.NDArray[np.int32] = self.mappings["process"].to_numpy()
        return owner[self.mapping]

    @property
    def workload(self) -> npt.NDArray[np.int32]:
        """int32[processes]: the rank of its workload's name."""
        return numbers(self.processes["workload"])

    def segments(self) -> Segments:
        """What `steady` needs beside the digests."""
        return _segments(self.start, self.mapping, self.processes, self.mappings)

    def zero_rows(self) -> npt.NDArray[np.bool_]:
        rows: npt.NDArray[np.bool_] = self.digest == self.zero
        return rows


def numbers(names: pl.Series) -> npt.NDArray[np.int32]:
    """int32: the rank of each name among the sorted names."""
    ranks: npt.NDArray[np.int32] = names.rank("dense").cast(pl.Int32).to_numpy() - 1
    return ranks.astype(np.int32)


def open_traces(paths: Sequence[Path]) -> list[Trace]:
    """Open captures that can be joined.

    Raises InputError for a file that is no trace, NotComparableError where digests
    were made differently.
    """
    traces = [Trace.open(path) for path in paths]
    first = traces[0]
    for trace in traces[1:]:
        for what in ("digest", "seed_id", "zero_digest"):
            ours, theirs = (getattr(t.facts, what) for t in (first, trace))
            if ours != theirs:
                raise NotComparableError(
                    f"{trace.path}: {what} {theirs}, but {first.path} has {ours}: "
                    "their contents cannot be compared",
                    hint="capture both with the same --seed",
                )
    return traces


def joined(traces: Sequence[Trace]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The processes and mappings of all *traces*, numbered through."""
    processes, mappings = [], []
    process = mapping = 0
    for trace in traces:
        processes.append(trace.processes.with_columns(pl.col("process") + process))
        mappings.append(
            trace.mappings.with_columns(
                pl.col("process") + process, pl.col("mapping") + mapping
            )
        )
        process += trace.processes.height
        mapping += trace.mappings.height
    return pl.concat(processes), pl.concat(mappings)


def sized(
    policy: MergePolicy,
    traces: Sequence[Trace],
    processes: pl.DataFrame,
    mappings: pl.DataFrame,
) -> pl.DataFrame:
    """*processes*, as `joined`, with `pages` where the policy asks for it: int64, the
    pages each had present in its first epoch."""
    if not policy.sized:
        return processes
    owner: npt.NDArray[np.int32] = mappings["process"].to_numpy()
    first = processes["first_epoch"].to_numpy()
    pages = np.zeros(processes.height, np.int64)
    for epoch in np.unique(first).tolist():
        found = np.zeros(processes.height, np.int64)
        for _, base, chunk in joined_chunks(traces, ("mapping", "flags"), epoch):
            present = (chunk["flags"] & PageFlag.ABSENT) == 0
            owners = owner[chunk["mapping"][present] + np.int32(base.mapping)]
            found += np.bincount(owners, minlength=processes.height)
        pages = np.where(first == epoch, found, pages)
    return processes.with_columns(pl.Series("pages", pages))


def load_digests(
    traces: Sequence[Trace],
) -> tuple[npt.NDArray[np.uint64], np.uint64, Segments]:
    """What the ideal alone needs: (uint64[rows], the zero page's, segments)."""
    rows = sum(trace.rows() for trace in traces)
    digest = np.empty(rows, np.int64)
    runs = _Runs()
    for at, base, chunk in joined_chunks(traces, ("mapping", "digest")):
        digest[at : at + len(chunk["digest"])] = chunk["digest"]
        runs.add(at, base.mapping, chunk)
    start, mapping = runs.finish(rows)
    segments = _segments(start, mapping, *joined(traces))
    return digest.view(np.uint64), _zero(traces), segments


def load(traces: Sequence[Trace]) -> Host:
    """Read the first epoch of *traces*; they must be able to be joined.

    Raises InputError where a body is damaged or breaks the format's rules.
    """
    rows = sum(trace.rows() for trace in traces)
    digest = np.empty(rows, np.int64)
    frame = np.empty(rows, np.int32)
    fill = np.empty(rows, np.bool_)
    folio = _Rare(rows, np.int32, UNKNOWN)
    nid = _Rare(rows, np.int8, None)
    runs = _Runs()
    frames = 0
    for at, base, chunk in joined_chunks(traces, ENGINE_COLUMNS):
        rows_here = slice(at, at + len(chunk["digest"]))
        digest[rows_here] = chunk["digest"]
        fill[rows_here] = (chunk["flags"] & PageFlag.FILL) != 0
        numbered = chunk["frame"]
        limit = base.trace.metadata.num_rows
        if len(numbered) and not UNKNOWN <= numbered.min() <= numbered.max() < limit:
            raise InputError(
                f"{base.trace.path}: frame {numbered.max()} among {limit} rows, "
                "expected frames numbered 0, 1, 2… in order of first sight"
            )
        # Unknown frames stay below zero until all known ones have their numbers.
        frame[rows_here] = np.where(numbered < 0, UNKNOWN, numbered + base.frame)
        frames = max(frames, base.frame + int(numbered.max(initial=UNKNOWN)) + 1)
        folio.put(rows_here, chunk["folio"], base.folio)
        nid.put(rows_here, chunk["nid"], 0)
        runs.add(at, base.mapping, chunk)
    start, mapping = runs.finish(rows)
    processes, mappings = joined(traces)
    unknown = np.flatnonzero(frame < 0)
    frame[unknown] = np.arange(frames, frames + len(unknown), dtype=np.int32)
    return Host(
        traces=traces,
        processes=processes,
        mappings=mappings,
        zero=_zero(traces),
        digest=digest.view(np.uint64),
        frame=frame,
        frames=frames + len(unknown),
        folio=folio.values,
        nid=nid.values,
        fill=fill,
        start=start,
        mapping=mapping,
        frames_known=len(unknown) == 0,
    )


def captured_vpns(traces: Sequence[Trace]) -> Iterator[npt.NDArray[np.int64]]:
    """The page numbers of the rows that `load` gives, a row group at a time."""
    for _, _, chunk in joined_chunks(traces, ("vpn",)):
        yield chunk["vpn"]


@dataclass(slots=True)
class Base:
    """What the present trace's numbers start from on the joined host."""

    trace: Trace
    mapping: int
    frame: int
    folio: int


def joined_chunks(
    traces: Sequence[Trace], columns: Sequence[str], epoch: int = 0
) -> Iterator[tuple[int, Base, dict[str, npt.NDArray[Any]]]]:
    """(first row, base, columns) of every row group of an epoch of every trace."""
    row = mapping = frame = folio = 0
    for trace in traces:
        base = Base(trace, mapping, frame, folio)
        for chunk in trace.chunks(columns, epoch):
            yield row, base, chunk
            row += len(chunk[columns[0]])
            if "frame" in chunk:
                frame = max(frame, base.frame + _top(chunk["frame"]))
                folio = max(folio, base.folio + _top(chunk["folio"]))
        mapping += trace.mappings.height


def _top(values: npt.NDArray[Any]) -> int:
    return int(values.max(initial=UNKNOWN)) + 1


class _Rare:
    """A column that most traces leave at one value: kept only once another comes."""

    def __init__(self, rows: int, dtype: type, usual: int | None) -> None:
        self.rows, self.dtype, self.usual = rows, dtype, usual
        self.values: npt.NDArray[Any] | None = None

    def put(self, rows: slice, values: npt.NDArray[Any], base: int) -> None:
        if self.values is None:
            if self.usual is None and len(values):
                self.usual = int(values[0])
            if bool((values == self.usual).all()):
                return
            self.values = np.full(self.rows, self.usual, self.dtype)
        self.values[rows] = np.where(values < 0, values, values + base)


class _Runs:
    """Where mappings begin, collected over row groups."""

    def __init__(self) -> None:
        self._starts: list[npt.NDArray[np.int64]] = []
        self._mappings: list[npt.NDArray[np.int32]] = []
        self._last = UNKNOWN

    def add(self, row: int, base: int, chunk: Columns) -> None:
        mapping, cuts = chunk["mapping"], chunk[RUNS]
        if len(mapping) == 0:
            return
        if mapping[0] + base == self._last:
            cuts = cuts[1:]
        self._starts.append(cuts + row)
        self._mappings.append(mapping[cuts] + np.int32(base))
        self._last = int(mapping[-1]) + base

    def finish(self, rows: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        none: npt.NDArray[np.int32] = np.empty(0, np.int32)
        start = np.concatenate([*self._starts, [rows]]).astype(np.int64)
        return start, np.concatenate([none, *self._mappings])


def _segments(
    start: npt.NDArray[np.int64],
    mapping: npt.NDArray[np.int32],
    processes: pl.DataFrame,
    mappings: pl.DataFrame,
) -> Segments:
    kinds = numbers(mappings["kind"]) if mappings.height else np.empty(0, np.int32)
    owner: npt.NDArray[np.int32] = mappings["process"].to_numpy()
    return Segments(
        start=start,
        process=owner[mapping],
        # Kinds beyond the table share its last row; the replay counts kinds itself.
        kind=np.minimum(kinds[mapping], MAX_KINDS - 1).astype(np.uint8),
        workload=numbers(processes["workload"]),
    )


def _zero(traces: Sequence[Trace]) -> np.uint64:
    return np.int64(traces[0].facts.zero_digest).view(np.uint64)
