"""The ideal: what a merger without limits would find in the same pages.

One partition and one count by digest, no dataframe: the same radix cut, singleton
filter and small hash tables that the C reference of tests/bench uses.
"""

import threading
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from analyzer.engine.jit import jit
from analyzer.engine.radix import (
    THREADS,
    bits_for,
    halves,
    places,
    side_by_side,
)

# Columns of Steady.process.
ROWS: Final = 0
ZERO: Final = 1
DISTINCT: Final = 2
MERGING: Final = 3
CROSS: Final = 4

# Columns of Steady.kind.
KIND_ROWS: Final = 0
KIND_ZERO: Final = 1
KIND_MERGING: Final = 2
KIND_CROSS: Final = 3

MAX_KINDS: Final = 16
"""A kind travels in the digest bits that the cut into parts frees; at least four."""

_SLICES: Final = 8 * THREADS


class Segments(NamedTuple):
    """Which rows belong to which process and kind of mapping."""

    start: npt.NDArray[np.int64]
    """[segments + 1] first row of each; processes lie one behind the other."""
    process: npt.NDArray[np.int32]
    kind: npt.NDArray[np.uint8]
    workload: npt.NDArray[np.int32]
    """[processes] the workload of each process."""


class Steady(NamedTuple):
    """Counts of rows (mappings of pages), the zero page kept apart."""

    distinct: int
    """Contents other than zero."""
    shared: int
    """Those found in more than one row."""
    merging: int
    """The rows that hold them."""
    histogram: npt.NDArray[np.int64]
    """[40] contents found in 2^k to 2^(k+1) - 1 rows."""
    process: npt.NDArray[np.int64]
    """[processes, 5] rows, zero rows, distinct contents, rows whose content repeats,
    rows whose content another process has too."""
    share: npt.NDArray[np.float64]
    """[processes] the sum of 1 - 1/n over its rows, n rows having that content."""
    kind: npt.NDArray[np.int64]
    """[kinds, 4] rows, zero, merging and cross rows per kind of mapping."""
    workload_distinct: npt.NDArray[np.int64]


def steady(
    digests: npt.NDArray[np.uint64], zero: np.uint64, segments: Segments
) -> Steady:
    """Partition and count *digests*, rows in trace order."""
    present, at = np.unique(segments.process, return_inverse=True)
    workload = segments.workload[present]
    owner = at.astype(np.int32)
    # Partitions keep the trace's order of processes; they are counted in the order
    # of workloads, so that "another workload than before" means a new one.
    order = np.argsort(workload, kind="stable")
    bits = bits_for(len(digests))
    cursors, starts, ends = places(digests, zero, bits)
    parts = len(starts)
    part = np.empty(int(ends[-1]), np.uint64)
    begin = np.empty((len(present) + 1, parts), np.uint32)
    begin[-1] = ends - starts
    bounds = halves(len(digests))
    workloads = len(segments.workload) and int(segments.workload.max()) + 1
    process = np.zeros((THREADS, len(present), 5), np.int64)
    share = np.zeros((THREADS, len(present)))
    kind = np.zeros((THREADS, MAX_KINDS, 4), np.int64)
    distinct = np.zeros((THREADS, workloads), np.int64)
    totals = np.zeros((THREADS, 3), np.int64)
    histogram = np.zeros((THREADS, 40), np.int64)
    side_by_side(
        lambda t: _scatter(
            digests, bounds[t], bounds[t + 1], bits, zero, cursors[t], starts,
            segments.start, owner, segments.kind, part, begin, process[t], kind[t],
        )
    )  # fmt: skip
    slices = iter(np.array_split(np.arange(parts), _SLICES))
    lock = threading.Lock()

    def count(t: int) -> None:
        while True:
            with lock:
                mine = next(slices, None)
            if mine is None:
                return
            _count(
                mine, bits, starts, ends, part, begin, order, workload,
                process[t], share[t], kind[t], distinct[t], totals[t], histogram[t],
            )  # fmt: skip

    side_by_side(count)
    everyone = len(segments.workload)
    total = totals.sum(0)
    return Steady(
        distinct=int(total[0]),
        shared=int(total[1]),
        merging=int(total[2]),
        histogram=histogram.sum(0),
        process=_spread(process.sum(0), present, everyone),
        share=_spread(share.sum(0), present, everyone),
        kind=kind.sum(0),
        workload_distinct=distinct.sum(0),
    )


def _spread(
    values: npt.NDArray[Any], present: npt.NDArray[np.int32], everyone: int
) -> npt.NDArray[Any]:
    """Rows for the processes that have no page too."""
    spread = np.zeros((everyone, *values.shape[1:]), values.dtype)
    spread[present] = values
    return spread


@jit
def _scatter(
    digests, lo, hi, bits, zero, cursor, starts,
    segment_start, segment_owner, segment_kind, part, begin, process, kind,
):  # fmt: skip
    """Put each row into its part, its kind of mapping in the bits that frees."""
    bits_ = np.uint64(bits)
    shift = np.uint64(64 - bits)
    segment = np.searchsorted(segment_start, lo, side="right") - 1
    i = lo
    while i < hi:
        end = min(segment_start[segment + 1], hi)
        kind_ = segment_kind[segment]
        tag = np.uint64(kind_)
        owner = segment_owner[segment]
        opens = segment == 0 or segment_owner[segment - 1] != owner
        if opens and segment_start[segment] == i:
            # Only where a process begins in each part is kept: no process number
            # travels with the rows.
            for q in range(len(cursor)):
                begin[owner, q] = cursor[q] - starts[q]
        zeros = 0
        for k in range(i, end):
            x = digests[k]
            if x == zero:
                zeros += 1
            else:
                q = x >> shift
                at = cursor[q]
                part[at] = (x << bits_) | tag
                cursor[q] = at + 1
        process[owner, ROWS] += end - i
        process[owner, ZERO] += zeros
        kind[kind_, KIND_ROWS] += end - i
        kind[kind_, KIND_ZERO] += zeros
        i = end
        segment += 1


@jit
def _count(
    parts, bits, starts, ends, part, begin, order, workload,
    process, share, kind, distinct, totals, histogram,
):  # fmt: skip
    """Count contents part by part: single ones by a filter, the rest by a table."""
    owners = len(order)
    largest = 0
    for q in parts:
        largest = max(largest, ends[q] - starts[q])
    capacity = 2
    while capacity < largest * 3 // 2 + 1:
        capacity <<= 1
    seen = np.empty(1 << 20, np.uint8)
    kept = np.empty(largest + 1, np.uint64)
    slot = np.empty(largest + 1, np.int32)
    bound = np.empty(owners + 1, np.int64)
    key = np.empty(capacity, np.uint64)
    # Columns: rows, the last owner + 1, owners.
    found = np.empty((capacity, 4), np.uint32)
    one = np.uint64(1)
    tags = (one << np.uint64(bits)) - one
    for q in parts:
        base, rows = starts[q], ends[q] - starts[q]
        if rows == 0:
            continue
        width = 15
        while (1 << width) < rows * 3 and width < 20:
            width += 1
        narrow = np.uint64(64 - width)
        seen[: 1 << width] = 0
        for k in range(base, base + rows):
            at = part[k] >> narrow
            seen[at] = (seen[at] << 1) | 1
        count = 0
        for nth in range(owners):
            p = order[nth]
            lo, hi = np.int64(begin[p, q]), np.int64(begin[p + 1, q])
            bound[nth] = count
            for k in range(base + lo, base + hi):
                x = part[k]
                kept[count] = x
                count += seen[x >> narrow] != 1
            single = hi - lo - (count - bound[nth])
            process[p, DISTINCT] += single
            distinct[workload[p]] += single
            totals[0] += single
        bound[owners] = count
        size = 2
        while size < count * 3 // 2 + 1:
            size <<= 1
        log = 0
        while (1 << log) < size:
            log += 1
        top = np.uint64(64 - log)
        mask = np.uint64(size - 1)
        key[:size] = 0
        for nth in range(owners):
            p = order[nth]
            mine = np.uint32(p + 1)
            own = new_here = 0
            for k in range(bound[nth], bound[nth + 1]):
                x = (kept[k] & ~tags) | one
                at = x >> top
                while key[at] != x and key[at] != 0:
                    at = (at + one) & mask
                slot[k] = at
                if key[at] == 0:
                    key[at] = x
                    found[at, 0] = 1
                    found[at, 1] = mine
                    found[at, 2] = 1
                    own += 1
                    new_here += 1
                    totals[0] += 1
                    continue
                found[at, 0] += np.uint32(1)
                last = found[at, 1]
                if last != mine:
                    new_here += workload[last - np.uint32(1)] != workload[p]
                    found[at, 1] = mine
                    found[at, 2] += np.uint32(1)
                    own += 1
            process[p, DISTINCT] += own
            distinct[workload[p]] += new_here
        for at in range(size):
            if key[at] != 0 and found[at, 0] > 1:
                n = found[at, 0]
                totals[1] += 1
                totals[2] += n
                log = 0
                while n > 1:
                    n >>= 1
                    log += 1
                histogram[log] += 1
        for nth in range(owners):
            p = order[nth]
            merging = cross = 0
            saved = 0.0
            for k in range(bound[nth], bound[nth + 1]):
                n = found[slot[k], 0]
                repeats = np.int64(n > 1)
                others = np.int64(found[slot[k], 2] > 1)
                merging += repeats
                cross += others
                saved += 1.0 - 1.0 / n
                tag = kept[k] & tags
                kind[tag, KIND_MERGING] += repeats
                kind[tag, KIND_CROSS] += others
            process[p, MERGING] += merging
            process[p, CROSS] += cross
            share[p] += saved
