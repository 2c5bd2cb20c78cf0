"""What a finished replay saved, page by page, and for whom.

Rows are all pages of the captures, offered or not; *before* is the frame each
mapped when captured, *after* the one it maps now. A row's share of memory is one
divided by the mappings of its frame, as in the kernel's Pss; what it saves is its
share before less its share after, so that all rows together save exactly the
frames that came free.
"""

import numpy as np

from analyzer.engine.jit import inlined, jit
from analyzer.engine.state import GONE, IN_STABLE, KSM_ZERO, SPLIT_ZERO

# Columns of weigh()'s counts.
MERGING = 0
PLACED = 1
UNMERGED = 2
CROSS = 3

# Bits of a frame's marks.
_ZERO = 1
_BY_SPLIT = 2
_SEEN = 4


@jit
def mappings_before(before, frames):
    """uint32[frames]: how many rows map each frame."""
    counts = np.zeros(frames, np.uint32)
    for row in range(len(before)):
        counts[before[row]] += np.uint32(1)
    return counts


@jit
def mappings_after(after, where, frames):
    """As `mappings_before`, less the rows that map the shared zero page."""
    counts = np.zeros(frames, np.uint32)
    for row in range(len(after)):
        if not where[row] & GONE:
            counts[after[row]] += np.uint32(1)
    return counts


@jit
def mark(before, after, where, zero_rows, frames):
    """uint8[frames]: which frames hold zero, and which a split set free."""
    marks = np.zeros(frames, np.uint8)
    for row in range(len(before)):
        bits = np.uint8(_ZERO) if zero_rows[row] else np.uint8(0)
        if where[row] & SPLIT_ZERO:
            bits |= np.uint8(_BY_SPLIT)
        marks[before[row]] |= bits
        if not where[row] & GONE:
            marks[after[row]] |= bits & np.uint8(_ZERO)
    return marks


@jit
def freed(counts_before, counts_after, marks):
    """(zero, other, zero by split): frames mapped before less frames mapped after."""
    zero = other = split = 0
    for frame in range(len(counts_after)):
        had = frame < len(counts_before) and counts_before[frame] > 0
        gone = np.int64(had) - np.int64(counts_after[frame] > 0)
        if marks[frame] & _ZERO:
            zero += gone
            if gone > 0 and marks[frame] & _BY_SPLIT:
                split += 1
        else:
            other += gone
    return zero, other, split


@jit
def weigh(starts, before, after, where, zero_rows, counts_before, counts_after, shares):
    """Add up each segment's shares of memory.

    shares[segment] becomes (zero, other) saved and (zero, other) mapped before, in
    pages. Sums are compensated (Kahan), so that a segment's share is right to the
    last page.
    """
    sums = np.zeros(4)
    lost = np.zeros(4)
    for segment in range(len(starts) - 1):
        sums[:] = 0.0
        lost[:] = 0.0
        for row in range(starts[segment], starts[segment + 1]):
            bits = where[row]
            which = 0 if zero_rows[row] else 1
            had = 1.0 / counts_before[before[row]]
            _add(sums, lost, which + 2, had)
            now = 0.0 if bits & GONE else 1.0 / counts_after[after[row]]
            if now != had:
                _add(sums, lost, which, had - now)
        shares[segment] = sums


@jit
def count(starts, after, where, offered, zero_rows, node, node_workloads, counts):
    """counts[segment] becomes its offered rows that are merged, on the zero page,
    unmerged, merged across workloads."""
    for segment in range(len(starts) - 1):
        if not offered[segment]:
            continue
        merging = placed = unmerged = cross = 0
        for row in range(starts[segment], starts[segment + 1]):
            bits = where[row]
            if bits & IN_STABLE:
                merging += 1
                if not zero_rows[row]:
                    cross += node_workloads[node[after[row]]] > 1
            elif bits & KSM_ZERO:
                placed += 1
            elif not bits & SPLIT_ZERO:
                unmerged += 1
        counts[segment, MERGING] = merging
        counts[segment, PLACED] = placed
        counts[segment, UNMERGED] = unmerged
        counts[segment, CROSS] = cross


@inlined
def _add(sums, lost, which, value):
    step = value - lost[which]
    total = sums[which] + step
    lost[which] = (total - sums[which]) - step
    sums[which] = total


@jit
def number_nodes(after, where, frames):
    """(int32[frames] the number of each KSM page's node or -1, how many nodes)."""
    node = np.full(frames, -1, np.int32)
    nodes = 0
    for row in range(len(after)):
        if where[row] & IN_STABLE and node[after[row]] < 0:
            node[after[row]] = nodes
            nodes += 1
    return node, nodes


@jit
def sharers(
    order, starts, process, workload, before, after, where, zero_rows,
    counts_after, marks, node, nodes,
):  # fmt: skip
    """Who shares each KSM page: (spread, workloads per node).

    spread counts the frames that merging other than zero pages set free: between
    pages of one process, of one workload, of several. *order* sorts the segments by
    workload. A frame that fork shared counts for the first process that maps it.
    """
    spread = np.zeros(3, np.int64)
    kept = np.zeros(nodes, np.uint8)
    last_process = np.full(nodes, -1, np.int32)
    last_workload = np.full(nodes, -1, np.int32)
    workloads = np.zeros(nodes, np.int32)
    for nth in range(len(order)):
        segment = order[nth]
        owner = process[segment]
        home = workload[owner]
        for row in range(starts[segment], starts[segment + 1]):
            if not where[row] & IN_STABLE:
                continue
            k = node[after[row]]
            if last_workload[k] != home:
                workloads[k] += 1
            frame = before[row]
            mine = frame == after[row] or counts_after[frame] == 0
            if mine and not zero_rows[row] and not marks[frame] & _SEEN:
                marks[frame] |= np.uint8(_SEEN)
                if kept[k] == 0:
                    kept[k] = 1
                elif last_process[k] == owner:
                    spread[0] += 1
                elif last_workload[k] == home:
                    spread[1] += 1
                else:
                    spread[2] += 1
            last_process[k] = owner
            last_workload[k] = home
    return spread, workloads


@jit
def freed_by_content(content, zero_contents, counts_before, counts_after, contents):
    """(frames before, frames freed), int64[contents]; all zero contents are 0."""
    had = np.zeros(contents, np.int64)
    gone = np.zeros(contents, np.int64)
    for frame in range(len(content)):
        number = content[frame]
        if number < 0:
            continue
        if number < zero_contents:
            number = 0
        is_there = np.int64(frame < len(counts_before) and counts_before[frame] > 0)
        had[number] += is_there
        gone[number] += is_there - np.int64(counts_after[frame] > 0)
    return had, gone
