"""The unstable tree as the kernel has it: red-black, ordered by the pages' bytes.

Only where that order is known, as in a recording. Looking contents up by number finds
the same pages, but not what hinders a search on its way: an item whose page has gone,
or has changed, since it was put there.

Nodes are slots + 1, so that 0 can be the sentinel of the textbook algorithms.
"""

from typing import Final

from analyzer.engine.jit import jit
from analyzer.engine.slots import FULL_SCANS, HIDDEN, NONE

LEFT: Final = 0
"""Of the sentinel: the root."""
RIGHT: Final = 1
PARENT: Final = 2
RED: Final = 3
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
    tree[new, LEFT] = tree[new, RIGHT] = 0
    tree[new, PARENT] = above
    tree[new, RED] = 1
    tree[new, SCAN] = state.totals[FULL_SCANS] + 1
    if above:
        tree[above, side] = new
    else:
        tree[0, LEFT] = new
    _balance_after_insertion(tree, new)
    return NONE


@jit
def remove(state, slot):
    """Take a slot out, if this scan put it there."""
    tree = state.tree
    node = slot + 1
    if tree[node, SCAN] != state.totals[FULL_SCANS] + 1:
        return
    tree[node, SCAN] = 0
    black_lost = tree[node, RED] == 0
    if not tree[node, LEFT]:
        lifted = tree[node, RIGHT]
        _replace(tree, node, lifted)
    elif not tree[node, RIGHT]:
        lifted = tree[node, LEFT]
        _replace(tree, node, lifted)
    else:
        heir = tree[node, RIGHT]
        while tree[heir, LEFT]:
            heir = tree[heir, LEFT]
        black_lost = tree[heir, RED] == 0
        lifted = tree[heir, RIGHT]
        if tree[heir, PARENT] == node:
            tree[lifted, PARENT] = heir
        else:
            _replace(tree, heir, lifted)
            tree[heir, RIGHT] = tree[node, RIGHT]
            tree[tree[heir, RIGHT], PARENT] = heir
        _replace(tree, node, heir)
        tree[heir, LEFT] = tree[node, LEFT]
        tree[tree[heir, LEFT], PARENT] = heir
        tree[heir, RED] = tree[node, RED]
    if black_lost:
        _balance_after_removal(tree, lifted)


@jit
def _replace(tree, old, new):
    above = tree[old, PARENT]
    if not above:
        tree[0, LEFT] = new
    elif tree[above, LEFT] == old:
        tree[above, LEFT] = new
    else:
        tree[above, RIGHT] = new
    tree[new, PARENT] = above


@jit
def _rotate(tree, node, side):
    """Let *node* sink to *side*; its other child takes its place."""
    other = RIGHT if side == LEFT else LEFT
    riser = tree[node, other]
    tree[node, other] = tree[riser, side]
    if tree[riser, side]:
        tree[tree[riser, side], PARENT] = node
    _replace(tree, node, riser)
    tree[riser, side] = node
    tree[node, PARENT] = riser


@jit
def _balance_after_insertion(tree, node):
    while tree[tree[node, PARENT], RED]:
        above = tree[node, PARENT]
        top = tree[above, PARENT]
        side = LEFT if tree[top, LEFT] == above else RIGHT
        other = RIGHT if side == LEFT else LEFT
        uncle = tree[top, other]
        if tree[uncle, RED]:
            tree[above, RED] = tree[uncle, RED] = 0
            tree[top, RED] = 1
            node = top
            continue
        if tree[above, other] == node:
            node = above
            _rotate(tree, node, side)
            above = tree[node, PARENT]
        tree[above, RED] = 0
        tree[top, RED] = 1
        _rotate(tree, top, other)
    tree[tree[0, LEFT], RED] = 0


@jit
def _balance_after_removal(tree, node):
    while node != tree[0, LEFT] and not tree[node, RED]:
        above = tree[node, PARENT]
        side = LEFT if tree[above, LEFT] == node else RIGHT
        other = RIGHT if side == LEFT else LEFT
        sibling = tree[above, other]
        if tree[sibling, RED]:
            tree[sibling, RED] = 0
            tree[above, RED] = 1
            _rotate(tree, above, side)
            sibling = tree[above, other]
        if not tree[tree[sibling, LEFT], RED] and not tree[tree[sibling, RIGHT], RED]:
            tree[sibling, RED] = 1
            node = above
            continue
        if not tree[tree[sibling, other], RED]:
            tree[tree[sibling, side], RED] = 0
            tree[sibling, RED] = 1
            _rotate(tree, sibling, other)
            sibling = tree[above, other]
        tree[sibling, RED] = tree[above, RED]
        tree[above, RED] = 0
        tree[tree[sibling, other], RED] = 0
        _rotate(tree, above, side)
        node = tree[0, LEFT]
    tree[node, RED] = 0
