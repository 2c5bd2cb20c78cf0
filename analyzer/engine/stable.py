"""The stable tree: nodes, chains of nodes, who joins and who leaves."""

from analyzer.engine.jit import inlined, jit
from analyzer.engine.redblack import LEFT, RIGHT, erase, link
from analyzer.engine.slots import (
    BROKEN,
    CHAIN,
    DISSOLVED,
    HEAD,
    IN_STABLE,
    IN_UNSTABLE,
    MAPS,
    MEMBERS,
    NEVER_SEEN,
    NEXT,
    NODE_CONTENT,
    NODE_FRAME,
    NODES_USED,
    NONE,
    OPEN,
    UNSTABLE_SCAN,
    UNSTABLE_SLOT,
    UNSWEPT,
)
from analyzer.engine.totals import (
    CHAINS,
    DUPS,
    FULL_SCANS,
    SHARED,
    SHARING,
    UNSHARED,
)
from analyzer.engine.unstable import remove


@inlined
def has_room(nodes, node, limit):
    """is_page_sharing_candidate()"""
    return 0 < nodes[node, MEMBERS] < limit


@jit
def dissolve(state, node):
    """remove_node_from_stable_tree(): a stale node goes, its members with it.

    They keep IN_STABLE until they are met or `sweep` comes by; all counters leave now.
    """
    nodes, trees, totals = state.nodes, state.trees, state.totals
    members = nodes[node, MEMBERS]
    if members:
        totals[SHARING] -= members - 1
        totals[SHARED] -= 1
        totals[UNSWEPT] += 1
    content = nodes[node, NODE_CONTENT]
    nodes[node, DISSOLVED] = 1
    nodes[node, MEMBERS] = 0
    trees[content, OPEN] -= 1
    if trees[content, HEAD] == node:
        trees[content, HEAD] = nodes[node, NEXT]
    else:
        before = trees[content, HEAD]
        while nodes[before, NEXT] != node:
            before = nodes[before, NEXT]
        nodes[before, NEXT] = nodes[node, NEXT]
    if trees[content, CHAIN]:
        totals[DUPS] -= 1
    else:
        forget(state, content)


@jit
def forget(state, content):
    """A content has no node and no chain any more."""
    if len(state.stable):
        erase(state.stable, content + 1)


@jit
def search(state, content, now, settings):
    """stable_tree_search(): what a page of *content* meets, or NONE.

    Where the order of bytes is known the way there goes through the tree, and every
    chain it passes is looked at.
    """
    if len(state.stable):
        return _descend(state, content, now, True, settings)[0]
    return look(state, content, now, True, settings)


@jit
def _descend(state, content, now, pruning, settings):
    """The node met, or NONE and where a new one belongs: above it, on which side."""
    tree, order = state.stable, state.order
    at = tree[0, LEFT]
    above = 0
    side = LEFT
    while at:
        met = look(state, at - 1, now, pruning, settings)
        if met == NONE:
            # It was stale and is gone: the kernel starts again from the root.
            at = tree[0, LEFT]
            above = 0
            continue
        if at - 1 == content:
            return met, above, side
        above = at
        side = LEFT if order[content] < order[at - 1] else RIGHT
        at = tree[at, side]
    return NONE, above, side


@jit
def look(state, content, now, pruning, settings):
    """chain() and chain_prune(): the node a page of *content* meets, or NONE.

    It may be full. Stale nodes met on the way dissolve, a chain of one collapses.
    """
    nodes, trees, totals = state.nodes, state.trees, state.totals
    limit = settings.max_page_sharing
    head = trees[content, HEAD]
    if head == NONE:
        if trees[content, CHAIN]:
            trees[content, CHAIN] = 0
            totals[CHAINS] -= 1
            forget(state, content)
        return NONE
    if not trees[content, CHAIN]:
        if nodes[head, MAPS] == 0:
            dissolve(state, head)
            return NONE
        return head
    prune = pruning and now >= state.pruned[content] + settings.prune_ms
    if prune:
        state.pruned[content] = now
    found = NONE
    alive = 0
    if trees[content, OPEN] == 0:
        found = head
        alive = 2 if nodes[head, NEXT] != NONE else 1
        if settings.old_chains:
            return head
    else:
        node = head
        while node != NONE:
            behind = nodes[node, NEXT]
            if nodes[node, MAPS] == 0:
                dissolve(state, node)
                node = behind
                continue
            alive += 1
            better = has_room(nodes, node, limit) and (
                found == NONE
                or not has_room(nodes, found, limit)
                or nodes[node, MEMBERS] > nodes[found, MEMBERS]
            )
            if better or (found == NONE and not settings.old_chains):
                found = node
                if not prune and has_room(nodes, found, limit):
                    break
            node = behind
    if trees[content, HEAD] == NONE:
        trees[content, CHAIN] = 0
        totals[CHAINS] -= 1
        forget(state, content)
        return NONE
    if settings.old_chains:
        if found == NONE:
            return trees[content, HEAD]
        collapses = prune and alive == 1
    else:
        collapses = nodes[trees[content, HEAD], NEXT] == NONE
    if collapses:
        trees[content, CHAIN] = 0
        totals[CHAINS] -= 1
        totals[DUPS] -= 1
        return found
    if trees[content, HEAD] != found and 0 < nodes[found, MEMBERS] < limit - 1:
        before = trees[content, HEAD]
        while nodes[before, NEXT] != found:
            before = nodes[before, NEXT]
        nodes[before, NEXT] = nodes[found, NEXT]
        nodes[found, NEXT] = trees[content, HEAD]
        trees[content, HEAD] = found
    return found


@jit
def insert(state, content, frame, now, settings):
    """stable_tree_insert(): a node without members; it hangs in a chain if it is
    not the first of its content."""
    nodes, trees, totals = state.nodes, state.trees, state.totals
    if len(state.stable):
        met, above, side = _descend(state, content, now, False, settings)
        if met == NONE:
            link(state.stable, content + 1, above, side)
    else:
        met = look(state, content, now, False, settings)
    node = totals[NODES_USED]
    totals[NODES_USED] += 1
    nodes[node, NODE_FRAME] = frame
    nodes[node, MEMBERS] = 0
    nodes[node, MAPS] = 0
    nodes[node, NODE_CONTENT] = content
    nodes[node, DISSOLVED] = 0
    nodes[node, NEXT] = trees[content, HEAD]
    trees[content, HEAD] = node
    if met != NONE:
        if not trees[content, CHAIN]:
            trees[content, CHAIN] = 1
            state.pruned[content] = now
            totals[CHAINS] += 1
            totals[DUPS] += 1
        totals[DUPS] += 1
    return node


@jit
def join(state, slot, node, limit):
    """stable_tree_append(): the slot must map the node's frame already."""
    nodes, totals = state.nodes, state.totals
    members = nodes[node, MEMBERS]
    nodes[node, MEMBERS] = members + 1
    if members:
        totals[SHARING] += 1
    else:
        totals[SHARED] += 1
    content = nodes[node, NODE_CONTENT]
    state.trees[content, OPEN] += int(members + 1 < limit) - int(0 < members < limit)
    state.where[slot] = (state.where[slot] & ~BROKEN) | IN_STABLE


@jit
def leave(state, slot, settings):
    """remove_rmap_item_from_tree(): out of whichever tree it is in."""
    where, nodes, totals = state.where, state.nodes, state.totals
    bits = where[slot]
    if bits & IN_UNSTABLE:
        content = state.checksum[slot]
        if (
            content >= 0
            and state.trees[content, UNSTABLE_SLOT] == slot
            and state.trees[content, UNSTABLE_SCAN] == totals[FULL_SCANS]
        ):
            state.trees[content, UNSTABLE_SCAN] = NONE
        if len(state.tree):
            remove(state, slot)
        totals[UNSHARED] -= 1
        where[slot] = bits & ~IN_UNSTABLE
    elif bits & IN_STABLE:
        node = state.left[slot] if bits & BROKEN else state.node[state.frame[slot]] - 1
        where[slot] = bits & ~(IN_STABLE | BROKEN)
        limit = settings.max_page_sharing
        if nodes[node, DISSOLVED] == 0:
            if nodes[node, MAPS] == 0:
                dissolve(state, node)
            else:
                members = nodes[node, MEMBERS]
                nodes[node, MEMBERS] = members - 1
                if members > 1:
                    totals[SHARING] -= 1
                else:
                    totals[SHARED] -= 1
                content = nodes[node, NODE_CONTENT]
                state.trees[content, OPEN] += int(1 < members <= limit) - int(
                    0 < members < limit
                )
        if settings.stable_resets:
            state.checksum[slot] = NEVER_SEEN
            state.age[slot] = 0
            state.skips[slot] = 0


@jit
def sweep(state, stable_resets):
    """Take the members of dissolved nodes out of the stable tree."""
    where = state.where
    for slot in range(len(where)):
        broken = where[slot] & BROKEN and where[slot] & IN_STABLE
        if broken and state.nodes[state.left[slot], DISSOLVED]:
            where[slot] &= ~(IN_STABLE | BROKEN)
            if stable_resets:
                state.checksum[slot] = NEVER_SEEN
                state.age[slot] = 0
                state.skips[slot] = 0
    state.totals[UNSWEPT] = 0
