"""A red-black tree in an array: the textbook's, and so the kernel's (lib/rbtree.c).

How it is balanced decides which nodes a search passes, and that is all it is for: where
to go is the caller's business. Node 0 is the sentinel.
"""

from typing import Final

from analyzer.engine.jit import jit

LEFT: Final = 0
"""Of the sentinel: the root."""
RIGHT: Final = 1
PARENT: Final = 2
RED: Final = 3
COLUMNS: Final = 4


@jit
def link(tree, node, above, side):
    """Put a node where a search has ended: on *side* of *above*, 0 in an empty tree."""
    tree[node, LEFT] = tree[node, RIGHT] = 0
    tree[node, PARENT] = above
    tree[node, RED] = 1
    if above:
        tree[above, side] = node
    else:
        tree[0, LEFT] = node
    _balance_after_insertion(tree, node)


@jit
def erase(tree, node):
    """Take a node out."""
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
