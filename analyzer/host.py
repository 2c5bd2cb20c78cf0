"""Captures joined into one host, as plain arrays for the engine.

The only place where a trace's rows become arrays.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from analyzer.engine.steady import MAX_KINDS, Segments
from analyzer.families import SupposedFrames, sharers
from analyzer.policy import MergePolicy, Uncertain
from analyzer.uncertain import Found, UncertainRows, untouched
from traces.errors import InputError, NotComparableError
from traces.schema import UNCERTAIN, UNKNOWN, PageFlag
from traces.trace import RUNS, Columns, Trace, joined, run_starts

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
    uncertain: UncertainRows
    """Whether they are among the rows is the policy's."""
    supposed: npt.NDArray[np.bool_] | None
    """[row] whose frame is unknown, and taken for that of a relative's page; None where
    there is none. Other unknown frames are the rows' own."""
    strangers: int
    """Processes whose frames and parents are unknown: what fork shares among them
    counts as copies."""

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
        columns = ("mapping", "flags")
        for part in joined_chunks(traces, columns, policy.uncertain, epoch):
            present = (part.rows["flags"] & PageFlag.ABSENT) == 0
            owners = owner[part.rows["mapping"][present] + np.int32(part.base.mapping)]
            found += np.bincount(owners, minlength=processes.height)
        pages = np.where(first == epoch, found, pages)
    return processes.with_columns(pl.Series("pages", pages))


def load_digests(
    traces: Sequence[Trace],
) -> tuple[npt.NDArray[np.uint64], np.uint64, Segments]:
    """What the ideal of all rows alone needs: (uint64[rows], the zero page's,
    segments)."""
    rows = sum(trace.rows() for trace in traces)
    digest = np.empty(rows, np.int64)
    runs = _Runs()
    columns = ("mapping", "digest")
    for at, base, chunk, _ in joined_chunks(traces, columns, Uncertain.COUNT_IN):
        digest[at : at + len(chunk["digest"])] = chunk["digest"]
        runs.add(at, base.mapping, chunk)
    start, mapping = runs.finish(rows)
    segments = _segments(start, mapping, *joined(traces))
    return digest.view(np.uint64), _zero(traces), segments


def uncertain_pages(traces: Sequence[Trace]) -> tuple[int, int]:
    """Rows of the first epoch that may not count: zero pages that may never have been
    touched, and pages that may be of the file cache."""
    zero = both = 0
    for trace in traces:
        if trace.facts.uncertain_pages:
            for chunk in trace.chunks(("flags",)):
                zero += int(np.count_nonzero(untouched(chunk)))
                both += int(np.count_nonzero(chunk["flags"] & UNCERTAIN))
    return zero, both - zero


def load(traces: Sequence[Trace], uncertain: Uncertain = Uncertain.KEEP_OUT) -> Host:
    """Read the first epoch of *traces*; they must be able to be joined.

    *uncertain* says whether rows that may not count are among the host's. Raises
    InputError where a body is damaged or breaks the format's rules.
    """
    rows = sum(trace.rows() for trace in traces)
    digest = np.empty(rows, np.int64)
    frame = np.empty(rows, np.int32)
    fill = np.empty(rows, np.bool_)
    folio = _Rare(rows, np.int32, UNKNOWN)
    nid = _Rare(rows, np.int8, None)
    runs = _Runs()
    processes, mappings = joined(traces)
    found = Found(mappings.height, uncertain is Uncertain.KEEP_OUT)
    supposed = _Supposed(processes, mappings)
    frames = rows = 0
    for at, base, chunk, unsure in joined_chunks(traces, ENGINE_COLUMNS, uncertain):
        rows = at + len(chunk["digest"])
        rows_here = slice(at, rows)
        if unsure:
            found.add(unsure)
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
        supposed.note(at, base.mapping, chunk)
        frames = max(frames, base.frame + int(numbered.max(initial=UNKNOWN)) + 1)
        folio.put(rows_here, chunk["folio"], base.folio)
        nid.put(rows_here, chunk["nid"], 0)
        runs.add(at, base.mapping, chunk)
    start, mapping = runs.finish(rows)
    # Rows kept out left room at the end.
    digest, frame, fill = digest[:rows], frame[:rows], fill[:rows]
    frames = supposed.put(frame, frames)
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
        folio=folio.first(rows),
        nid=nid.first(rows),
        fill=fill,
        start=start,
        mapping=mapping,
        uncertain=found.rows(),
        supposed=supposed.shared(rows),
        strangers=supposed.strangers(),
    )


def captured_vpns(
    traces: Sequence[Trace], uncertain: Uncertain
) -> Iterator[npt.NDArray[np.int64]]:
    """The page numbers of the rows that `load` gives, a row group at a time."""
    for part in joined_chunks(traces, ("vpn",), uncertain):
        yield part.rows["vpn"]


@dataclass(slots=True)
class Base:
    """What the present trace's numbers start from on the joined host."""

    trace: Trace
    mapping: int
    frame: int
    folio: int


class Part(NamedTuple):
    """A row group of a trace on the joined host."""

    at: int
    """Its first row."""
    base: Base
    rows: Columns
    """As the trace has them."""
    uncertain: Columns | None
    """Those that may not count, with `mapping` numbered through; None for none."""


def joined_chunks(
    traces: Sequence[Trace],
    columns: Sequence[str],
    uncertain: Uncertain,
    epoch: int = 0,
) -> Iterator[Part]:
    """Every row group of an epoch of every trace, with the rows that *uncertain* lets
    count: this alone decides it, for whoever reads rows.

    Rows kept out are missing in the first epoch; in a later one, where they say that
    what was there before is not known any more, they are `ABSENT`. Raises InputError
    for uncertain rows that the facts of their trace deny, or that have content and yet
    may never have been touched.
    """
    row = mapping = frame = folio = 0
    for trace in traces:
        base = Base(trace, mapping, frame, folio)
        wanted = list(columns)
        if trace.facts.uncertain_pages and "flags" not in columns:
            wanted.append("flags")
        for chunk in trace.chunks(wanted, epoch):
            unsure = _uncertain(base, chunk)
            if unsure is not None and uncertain is Uncertain.KEEP_OUT:
                chunk = _without(chunk, unsure, epoch)
            yield Part(row, base, chunk, unsure.rows if unsure else None)
            row += len(chunk[columns[0]])
            if "frame" in chunk:
                frame = max(frame, base.frame + _top(chunk["frame"]))
                folio = max(folio, base.folio + _top(chunk["folio"]))
        mapping += trace.mappings.height


class _Uncertain(NamedTuple):
    """Rows of a chunk that may not count."""

    where: npt.NDArray[np.bool_]
    """[row of the chunk]"""
    rows: Columns


def _uncertain(base: Base, chunk: Columns) -> _Uncertain | None:
    """Those of *chunk*, None for none."""
    trace, flags = base.trace, chunk.get("flags")
    if flags is None or not np.bitwise_or.reduce(flags, initial=0) & UNCERTAIN:
        return None
    if not trace.facts.uncertain_pages:
        raise InputError(
            f"{trace.path}: rows flagged PRESENCE_UNKNOWN or ANON_UNKNOWN, expected "
            "none, as its facts say uncertain_pages 0"
        )
    where = (flags & UNCERTAIN) != 0
    rows = {name: values[where] for name, values in chunk.items() if name != RUNS}
    if "mapping" in rows:
        rows["mapping"] = rows["mapping"] + np.int32(base.mapping)
    if "digest" in rows:
        filled = rows["digest"][untouched(rows)] != trace.facts.zero_digest
        if filled.any():
            raise InputError(
                f"{trace.path}: {np.count_nonzero(filled)} rows with content flagged "
                "PRESENCE_UNKNOWN, expected zero pages only"
            )
    return _Uncertain(where, rows)


def _without(chunk: Columns, unsure: _Uncertain, epoch: int) -> Columns:
    """*chunk* with its uncertain rows kept out, of the first or a later epoch."""
    if epoch:
        gone = np.where(unsure.where, PageFlag.ABSENT, 0).astype(np.uint16)
        return {**chunk, "flags": chunk["flags"] | gone}
    kept = {
        name: values[~unsure.where] for name, values in chunk.items() if name != RUNS
    }
    if "mapping" in kept:
        kept[RUNS] = run_starts(kept["mapping"])
    return kept


class _Supposed:
    """The frames supposed of rows that do not tell theirs, as they are read."""

    def __init__(self, processes: pl.DataFrame, mappings: pl.DataFrame) -> None:
        self._tables = processes, mappings
        self._frames: SupposedFrames | None = None
        self._rows = [np.empty(0, np.int64)]
        self._numbers = [np.empty(0, np.int32)]

    def note(self, at: int, base: int, chunk: Columns) -> None:
        """Take in a *chunk* that begins at row *at*, its mappings at *base*."""
        if chunk["frame"].min(initial=0) >= 0:
            return
        # Whoever knows all frames needs no families.
        if self._frames is None:
            self._frames = SupposedFrames(*self._tables)
        rows, numbers = self._frames.of(chunk, base)
        self._rows.append(rows + at)
        self._numbers.append(numbers)

    def put(self, frame: npt.NDArray[np.int32], frames: int) -> int:
        """Write them behind the *frames* that are known; how many there are then."""
        numbers = np.concatenate(self._numbers)
        frame[np.concatenate(self._rows)] = numbers + np.int32(frames)
        return frames + int(numbers.max(initial=UNKNOWN)) + 1

    def shared(self, rows: int) -> npt.NDArray[np.bool_] | None:
        """bool[rows]: those that have company in their frame; None for none."""
        company = sharers(np.concatenate(self._numbers))
        if not company.any():
            return None
        shared = np.zeros(rows, np.bool_)
        shared[np.concatenate(self._rows)[company]] = True
        return shared

    def strangers(self) -> int:
        """As `SupposedFrames.strangers`."""
        return 0 if self._frames is None else self._frames.strangers()


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

    def first(self, rows: int) -> npt.NDArray[Any] | None:
        """Of so many *rows*."""
        return None if self.values is None else self.values[:rows]


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
