"""What ksmd knows, as a struct of arrays.

An *item* is an offered page in scan order (processes as they are visited, ascending
addresses inside each); while it `HAS_ITEM` it is the kernel's `ksm_rmap_item`. A
*frame* is a physical page. A *content* is a number: equal numbers, equal bytes.
Contents found in one item only are negative: no lookup can ever find them, so they
need no place in the trees.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from analyzer.engine.totals import COMMON, FRAMES_USED

# Bits of State.where.
IN_UNSTABLE: Final = 1
IN_STABLE: Final = 2
HAS_ITEM: Final = 4
FORKED: Final = 8
"""Its frame is mapped by other items too."""
IN_FOLIO: Final = 16
"""Its frame began as part of a large folio."""
KSM_ZERO: Final = 32
"""Maps the shared zero page, put there by ksmd."""
SPLIT_ZERO: Final = 64
"""Maps the shared zero page, put there by the split of its folio."""
SEEN: Final = 128
"""Was processed before: its checksum is known, and in a snapshot still right."""
GONE: Final = KSM_ZERO | SPLIT_ZERO

# What became of a page, in one number; analyzer.pages says what each means.
PAGE_NOT_OFFERED: Final = 0
PAGE_UNSCANNED: Final = 1
PAGE_VOLATILE: Final = 2
PAGE_UNSHARED: Final = 3
PAGE_KEPT: Final = 4
PAGE_SAVED: Final = 5
PAGE_ZERO: Final = 6

NONE: Final = -1

# Columns of State.trees: a content's place in the stable and the unstable tree, in
# sixteen bytes, because this table is where a scan waits for memory.
PLACE: Final = 0
"""While MEMBERS > 0 the KSM page that has room for another, else an unstable item.
One suffices in a snapshot: a node is only made when none has room, and members
never leave; and where a node has room, nothing gets as far as the unstable tree."""
MEMBERS: Final = 1
"""Members of the stable node with room; 0 when none has."""
UNSTABLE_SCAN: Final = 2
"""The scan that put the unstable item there; the tree is emptied when one starts."""
NODES: Final = 3
"""Stable nodes of this content; from two on they hang in a chain."""

# Places in State.totals beside those of engine.totals.
CURSOR: Final = COMMON
TOTALS: Final = COMMON + 1


class State(NamedTuple):
    """All arrays of one simulated ksmd; changed in place by `kernel.wake_up`."""

    where: npt.NDArray[np.uint8]
    """[item] the bits above."""
    frame: npt.NDArray[np.int32]
    """[item] the frame it maps; after a merge the stable node's frame."""
    age: npt.NDArray[np.uint8]
    skips: npt.NDArray[np.uint8]
    content: npt.NDArray[np.int32]
    """[frame] 0 ≤ content < zero_contents is zero."""
    ksm: npt.NDArray[np.bool_]
    """[frame] whether it became a KSM page; kept only for FORKED frames, as no
    other can be met again outside the stable tree."""
    folio: npt.NDArray[np.int32]
    """[frame] its large folio, or NONE; empty where the trace has none."""
    folio_split: npt.NDArray[np.bool_]
    """[folio]"""
    folio_locked: npt.NDArray[np.bool_]
    """[folio] part of it is mlocked: its split gives up no zero subpage."""
    folio_start: npt.NDArray[np.int64]
    """[folio + 1] where its items begin in folio_items."""
    folio_items: npt.NDArray[np.int64]
    trees: npt.NDArray[np.int32]
    """[content, 4] for contents ≥ 0: the columns above."""
    totals: npt.NDArray[np.int64]


def new_state(
    frame: npt.NDArray[np.int32],
    content: npt.NDArray[np.int32],
    folio: npt.NDArray[np.int32] | None = None,
    locked: npt.NDArray[np.bool_] | None = None,
) -> State:
    """ksmd before its first scan over items that map *frame* (int32[items]).

    *content* is int32[frames], *folio* int32[frames] with -1 for none, or None where
    there is none at all, *locked* bool[items] or None. *frame* is taken over and
    changed.
    """
    items, frames = len(frame), len(content)
    forked = np.zeros(frames, np.bool_)
    where = np.zeros(items, np.uint8)
    # Frames numbered by first sight and never repeated are the common case.
    if not np.array_equal(frame, np.arange(items, dtype=np.int32)):
        forked = np.bincount(frame, minlength=frames) > 1
        where[forked[frame]] |= FORKED
    folios = 0 if folio is None else int(folio.max(initial=NONE)) + 1
    if folio is not None and folios:
        item_folio = folio[frame]
        where[item_folio >= 0] |= IN_FOLIO
        members = np.flatnonzero(item_folio >= 0)
        order = np.argsort(item_folio[members], kind="stable")
        folio_items = members[order]
        sizes = np.bincount(item_folio[members], minlength=folios)
        folio_start = np.concatenate(([0], np.cumsum(sizes)))
        # A split can leave one item with a copy of its own: see kernel._split_both.
        folio = np.append(folio, np.full(folios, NONE, np.int32))
    else:
        folio = np.empty(0, np.int32)
        folio_items, folio_start = np.empty(0, np.int64), np.zeros(1, np.int64)
    folio_locked = np.zeros(folios, np.bool_)
    if locked is not None and folios:
        held = item_folio[locked]
        folio_locked[held[held >= 0]] = True
    spare = np.zeros(folios, np.int32)
    contents = int(content.max(initial=NONE)) + 1
    trees = np.zeros((contents, 4), np.int32)
    trees[:, UNSTABLE_SCAN] = NONE
    totals = np.zeros(TOTALS, np.int64)
    totals[FRAMES_USED] = frames
    return State(
        where=where,
        frame=frame,
        age=np.zeros(items, np.uint8),
        skips=np.zeros(items, np.uint8),
        content=np.append(content, spare) if folios else content,
        ksm=np.zeros(frames + folios, np.bool_),
        folio=folio,
        folio_split=np.zeros(folios, np.bool_),
        folio_locked=folio_locked,
        folio_start=folio_start.astype(np.int64),
        folio_items=folio_items.astype(np.int64),
        trees=trees,
        totals=totals,
    )
