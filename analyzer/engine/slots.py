"""What ksmd knows, as a struct of arrays.

A *slot* is a virtual page: one process, one address. While it `HAS_ITEM` it is the
kernel's `ksm_rmap_item`. A *frame* is a physical page. A *content* is a number: equal
numbers, equal bytes. Contents that can only be found in one place are negative: no
lookup can ever find them, so they need no place in the trees. A *node* is the kernel's
`ksm_stable_node`.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from analyzer.engine.totals import COMMON

# Bits of State.where.
IN_UNSTABLE: Final = 1
IN_STABLE: Final = 2
HAS_ITEM: Final = 4
FORKED: Final = 8
"""Its frame is, or was, mapped by other slots too."""
IN_FOLIO: Final = 16
"""Its frame began as part of a large folio."""
KSM_ZERO: Final = 32
"""Maps the shared zero page, put there by ksmd."""
SPLIT_ZERO: Final = 64
"""Maps the shared zero page, put there by the split of its folio."""
BROKEN: Final = 128
"""In the stable tree, but its page was changed since: it leaves at its next visit."""
ABSENT: Final = 256
"""Has no page any more."""
UNOFFERED: Final = 512
"""Has a page, in an area that is not mergeable."""
ZERO_MAPPED: Final = KSM_ZERO | SPLIT_ZERO
PAGELESS: Final = ZERO_MAPPED | ABSENT
HIDDEN: Final = PAGELESS | UNOFFERED
"""ksmd finds no page there."""

NONE: Final = -1

# Columns of State.trees: a content's place in the stable and the unstable tree.
HEAD: Final = 0
"""Its first stable node, or NONE."""
UNSTABLE_SLOT: Final = 1
UNSTABLE_SCAN: Final = 2
"""The scan that put UNSTABLE_SLOT there; the tree is emptied when one starts."""
CHAIN: Final = 3
"""1 while its nodes hang in a chain."""
OPEN: Final = 4
"""Its nodes that have room or are stale: without any, a walk along the chain finds
nothing and changes nothing."""
TREE_COLUMNS: Final = 5

# Columns of State.nodes.
NODE_FRAME: Final = 0
MEMBERS: Final = 1
"""Items that joined it."""
MAPS: Final = 2
"""Slots that map its frame; at 0 the node is stale."""
NEXT: Final = 3
"""The node behind it in its chain, or NONE."""
NODE_CONTENT: Final = 4
DISSOLVED: Final = 5
NODE_COLUMNS: Final = 8

# Places in State.totals beside those of engine.totals.
NODES_USED: Final = COMMON
UNSWEPT: Final = COMMON + 1
"""Nodes dissolved whose members still say IN_STABLE."""
GATED: Final = COMMON + 2
"""Visits that ended at the checksum."""
STEADY: Final = COMMON + 3
"""Visits of pages that were merged already."""
TOTALS: Final = COMMON + 4


class State(NamedTuple):
    """All arrays of one simulated ksmd; changed in place."""

    where: npt.NDArray[np.uint16]
    """[slot] the bits above."""
    frame: npt.NDArray[np.int32]
    """[slot] the frame it maps; after a merge the stable node's frame."""
    checksum: npt.NDArray[np.int32]
    """[slot] the content seen when it was last processed."""
    age: npt.NDArray[np.uint8]
    skips: npt.NDArray[np.uint8]
    left: npt.NDArray[np.int32]
    """[slot] the node a BROKEN slot still belongs to."""
    content: npt.NDArray[np.int32]
    """[frame] 0 ≤ content < zero_contents is zero."""
    node: npt.NDArray[np.int32]
    """[frame] 1 + the node that made it a KSM page, or 0."""
    extra: npt.NDArray[np.int32]
    """[frame] mappings beside the first, of frames that are no KSM page."""
    born: npt.NDArray[np.int32]
    """[frame] 1 + the scan in the middle of which it was faulted in, or 0."""
    folio: npt.NDArray[np.int32]
    """[frame] its large folio, or NONE; empty where there is none."""
    folio_split: npt.NDArray[np.bool_]
    """[folio]"""
    folio_locked: npt.NDArray[np.bool_]
    """[folio] part of it is mlocked: its split gives up no zero subpage."""
    folio_start: npt.NDArray[np.int64]
    """[folio + 1] where its slots begin in folio_slots."""
    folio_slots: npt.NDArray[np.int32]
    trees: npt.NDArray[np.int32]
    """[content, TREE_COLUMNS] for contents ≥ 0."""
    pruned: npt.NDArray[np.int64]
    """[content] when its chain was made or last looked through, milliseconds."""
    nodes: npt.NDArray[np.int32]
    """[node, NODE_COLUMNS]"""
    totals: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]
    """[content] sorts as the bytes do; empty where that is not known."""
    tree: npt.NDArray[np.int32]
    """[slot + 1, unstable.COLUMNS] the unstable tree, where `order` is known."""
    stable: npt.NDArray[np.int32]
    """[content + 1, redblack.COLUMNS] the stable tree, where `order` is known."""


class Settings(NamedTuple):
    """The knobs and the kernel version's switches, as the compiled scan takes them."""

    max_page_sharing: int
    use_zero_pages: bool
    smart_scan: bool
    prune_ms: int
    zero_contents: int
    """Contents 0 ≤ c < zero_contents are zero."""
    stable_first: bool
    count_zero_pages: bool
    split_zero: bool
    old_chains: bool
    stable_resets: bool


NEVER_SEEN: Final = np.int32(-(1 << 31))
"""Checksum of an item not yet processed; no content has this number."""
