"""The unstable tree as the kernel has it: red-black, ordered by the pages' bytes.

Only where that order is known, as in a recording. Looking contents up by number finds
the same pages, but not what hinders a search on its way: an item whose page has gone,
or has changed, since it was put there.

Its nodes are slots + 1.
"""

from typing import Final

from analyzer.engine.jit import jit
from analyzer.engine.redblack import LEFT, RIGHT, erase, link
from analyzer.engine.slots import (
    HIDDEN,
    NONE,
)
from analyzer.engine.totals import (
    FULL_SCANS,
)

SCAN: Final = 4
"""1 + the scan that put it there."""
COLUMNS: Final = 5

ABANDONED: Final = -2
"""What `meet` finds when the kernel gives up."""


@jit
def clear(tree):
    """Empty it, as every scan does when it starts."""
    tree[0, LEFT] = 0


@jit
def meet(state, slot, page):
    """unstable_tree_search_insert(): the slot with the same bytes; NONE if there was
    none, and *slot* has been put there; ABANDONED where the way led past a page that
    is gone, or is *page* itself."""
    tree, order = state.tree, state.order
    sought = order[state.content[page]]
    at = tree[0, LEFT]
    above = 0
    side = LEFT
    while at:
        other = state.frame[at - 1]
        if state.where[at - 1] & HIDDEN or other == page:
            return ABANDONED
        passed = order[state.content[other]]
        if sought == passed:
            return at - 1
        above = at
        side = LEFT if sought < passed else RIGHT
        at = tree[at, side]
    new = slot + 1
    tree[new, SCAN] = state.totals[FULL_SCANS] + 1
    link(tree, new, above, side)
    return NONE


@jit
def remove(state, slot):
    """Take a slot out, if this scan put it there."""
    tree = state.tree
    node = slot + 1
    if tree[node, SCAN] != state.totals[FULL_SCANS] + 1:
        return
    tree[node, SCAN] = 0
    erase(tree, node)
