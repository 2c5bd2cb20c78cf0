"""ksmd's scan, function for function as in mm/ksm.c.

Lookups by content stand for walks down the two red-black trees; docs/model.md tells
where that can be seen.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from analyzer.engine.jit import jit
from analyzer.engine.slots import (
    BROKEN,
    CHAIN,
    DISSOLVED,
    FORKED,
    GATED,
    HAS_ITEM,
    HEAD,
    HIDDEN,
    IN_FOLIO,
    IN_STABLE,
    IN_UNSTABLE,
    KSM_ZERO,
    MAPS,
    MEMBERS,
    NEVER_SEEN,
    NEXT,
    NODE_CONTENT,
    NODE_FRAME,
    NODES_USED,
    NONE,
    OPEN,
    PAGELESS,
    SPLIT_ZERO,
    STEADY,
    UNSTABLE_SCAN,
    UNSTABLE_SLOT,
    Settings,
    State,
)
from analyzer.engine.smart_scan import skip_age
from analyzer.engine.stable import has_room, insert, join, leave, look, search
from analyzer.engine.totals import (
    CHANGES,
    DUPS,
    FRAMES_USED,
    FULL_SCANS,
    ITEMS,
    SCANNED,
    SHARED,
    SHARING,
    SKIPPED,
    UNSHARED,
    ZERO_PAGES,
)
from analyzer.engine.unstable import ABANDONED, meet, remove

_OUT: Final = np.uint16(0xFFFF - IN_UNSTABLE)
_NO_ITEM: Final = np.uint16(0xFFFF - HAS_ITEM)
_UNSTABLE_ONLY: Final = np.uint16(0xFFFF - IN_STABLE - BROKEN)


@jit
def scan(
    state: State,
    sequence: npt.NDArray[np.int32],
    first: int,
    last: int,
    budget: int,
    now: int,
    settings: Settings,
) -> tuple[int, int]:
    """Scan slots *sequence[first:last]*, or the slots *first* to *last* themselves
    where *sequence* is empty, until *budget* pages are processed (ksm_do_scan).

    Returns where to go on and the budget left. Pages that smart scan skips and items
    whose page is gone cost nothing. *now* is the time in milliseconds.
    """
    where, frame, checksum = state.where, state.frame, state.checksum
    age, skips = state.age, state.skips
    content, node_of = state.content, state.node
    trees, nodes, totals = state.trees, state.nodes, state.totals
    limit = settings.max_page_sharing
    use_zero_pages, smart_scan = settings.use_zero_pages, settings.smart_scan
    zero_contents = settings.zero_contents
    stable_first, stable_resets = settings.stable_first, settings.stable_resets
    listed = len(sequence) > 0
    births = len(state.born) > 0
    ordered = len(state.tree) > 0
    scan_number = totals[FULL_SCANS]
    given = budget
    # Kept in registers: one array store per page would halve the speed.
    unshared = items = sharing = shared = skipped = changes = zeros = dups = 0
    gated = steady = 0
    made = totals[NODES_USED]
    at = first
    while at < last and budget > 0:
        # Unsigned, so that no index is tested for counting from the end.
        i = np.uint32(sequence[np.uint64(at)] if listed else at)
        at += 1
        was = where[i]
        if was & (IN_STABLE | BROKEN | HIDDEN) == IN_STABLE:
            budget -= 1
            steady += 1
            continue
        if was & HIDDEN:
            if was & HAS_ITEM:
                # remove_trailing_rmap_items()
                if was & (IN_STABLE | IN_UNSTABLE):
                    leave(state, i, settings)
                    was = where[i]
                where[i] = was & _NO_ITEM
                checksum[i] = NEVER_SEEN
                age[i] = skips[i] = 0
                items -= 1
                changes += 1
            continue
        if not was & HAS_ITEM:
            items += 1
            was |= HAS_ITEM
            where[i] = was
        broken = was & (BROKEN | IN_STABLE) == (BROKEN | IN_STABLE)
        if stable_resets and broken and nodes[state.left[i], DISSOLVED]:
            was &= _UNSTABLE_ONLY
            where[i] = was
            checksum[i] = NEVER_SEEN
            age[i] = skips[i] = 0
        page = np.uint32(frame[i])
        merged = was & FORKED and node_of[page]
        if smart_scan and not merged and not (stable_resets and was & IN_STABLE):
            # should_skip_rmap_item()
            years = age[i]
            if years != 255:
                age[i] = years + 1
            if years >= 3:
                if skips[i]:
                    skips[i] -= 1
                    skipped += 1
                    if was & IN_STABLE:
                        leave(state, i, settings)
                    else:
                        unshared -= was & IN_UNSTABLE
                        where[i] = was & _OUT
                    continue
                skips[i] = skip_age(years)
        budget -= 1
        # cmp_and_merge_page()
        bytes_ = content[page]
        if merged:
            # A fork relative made this page a KSM page: no checksum, no limit.
            unshared -= was & IN_UNSTABLE
            where[i] = was & _OUT
            if was & IN_STABLE:
                leave(state, i, settings)
            join(state, i, node_of[page] - 1, limit)
            changes += 1
            continue
        if was & IN_STABLE and not stable_first:
            leave(state, i, settings)
            was = where[i]
        if stable_first:
            if _stable_first(state, i, bytes_, now, settings):
                changes += 1
                continue
            was = where[i]
        else:
            unshared -= was & IN_UNSTABLE
            was &= _OUT
        if checksum[i] != bytes_:
            checksum[i] = bytes_
            where[i] = was
            gated += 1
            continue
        if bytes_ < 0:
            where[i] = was | IN_UNSTABLE
            unshared += 1
            continue
        where[i] = was
        if use_zero_pages and bytes_ < zero_contents:
            if was & IN_FOLIO:
                split(state, page, zero_contents, settings.split_zero)
            pinned = births and state.born[page] == scan_number + 1
            if not pinned and not where[i] & SPLIT_ZERO:
                if was & FORKED:
                    state.extra[page] -= 1
                where[i] = was | KSM_ZERO
                zeros += 1
                continue
            # The split took the page away, or it is pinned; the scan goes on.
        # stable_tree_search()
        if not stable_first:
            node = NONE
            head = trees[bytes_, HEAD]
            if ordered:
                node = search(state, bytes_, now, settings)
            elif head == NONE:
                if trees[bytes_, CHAIN]:
                    look(state, bytes_, now, True, settings)
            else:
                if (trees[bytes_, CHAIN] == 0 and nodes[head, MAPS] > 0) or (
                    trees[bytes_, CHAIN]
                    and nodes[head, NEXT] != NONE
                    and now < state.pruned[bytes_] + settings.prune_ms
                    and (
                        trees[bytes_, OPEN] == 0
                        or (nodes[head, MAPS] > 0 and 0 < nodes[head, MEMBERS] < limit)
                    )
                ):
                    node = head
                else:
                    node = look(state, bytes_, now, True, settings)
            if node != NONE and 0 < nodes[node, MEMBERS] < limit:
                if births and state.born[page] == scan_number + 1:
                    continue
                if was & IN_FOLIO:
                    split(state, page, zero_contents, settings.split_zero)
                    if where[i] & SPLIT_ZERO:
                        continue
                if was & FORKED:
                    state.extra[page] -= 1
                frame[i] = nodes[node, NODE_FRAME]
                nodes[node, MAPS] += 1
                members = nodes[node, MEMBERS] + 1
                nodes[node, MEMBERS] = members
                if members >= limit:
                    trees[bytes_, OPEN] -= 1
                where[i] = was | IN_STABLE
                sharing += 1
                changes += 1
                continue
        # unstable_tree_search_insert()
        if ordered:
            met = meet(state, i, page)
            if met == ABANDONED:
                continue
            if met == NONE:
                where[i] |= IN_UNSTABLE
                unshared += 1
                continue
            trees[bytes_, UNSTABLE_SLOT] = met
        elif trees[bytes_, UNSTABLE_SCAN] != scan_number:
            trees[bytes_, UNSTABLE_SLOT] = i
            trees[bytes_, UNSTABLE_SCAN] = scan_number
            where[i] |= IN_UNSTABLE
            unshared += 1
            continue
        # try_to_merge_two_pages()
        other = trees[bytes_, UNSTABLE_SLOT]
        found = where[other]
        if found & HIDDEN or (was & FORKED and frame[other] == page):
            continue
        if content[frame[other]] != bytes_:
            # It was written since it was put there, and is not found any more.
            trees[bytes_, UNSTABLE_SLOT] = i
            where[i] |= IN_UNSTABLE
            unshared += 1
            continue
        if (was | found) & IN_FOLIO and not _split_both(state, i, other, settings):
            continue
        if births and _pinned(state, i, other):
            continue
        other_page = frame[other]
        # stable_tree_insert()
        trees[bytes_, UNSTABLE_SCAN] = NONE
        if ordered:
            remove(state, other)
        if not ordered and (
            trees[bytes_, HEAD] == NONE
            or (
                trees[bytes_, CHAIN]
                and trees[bytes_, OPEN] == 0
                and not settings.old_chains
                and nodes[trees[bytes_, HEAD], NEXT] != NONE
            )
        ):
            dups += trees[bytes_, CHAIN]
            nodes[made, NEXT] = trees[bytes_, HEAD]
            nodes[made, NODE_FRAME] = page
            nodes[made, NODE_CONTENT] = bytes_
            trees[bytes_, HEAD] = made
            node = made
            made += 1
        else:
            totals[NODES_USED] = made
            node = insert(state, bytes_, page, now, settings)
            made = totals[NODES_USED]
        nodes[node, MEMBERS] = 2
        nodes[node, MAPS] = 2
        if was & FORKED:
            nodes[node, MAPS] += state.extra[page]
            state.extra[page] = 0
        trees[bytes_, OPEN] += limit > 2
        node_of[page] = node + 1
        if found & FORKED:
            state.extra[other_page] -= 1
        frame[other] = page
        where[other] = (found & _OUT) | IN_STABLE
        where[i] = was | IN_STABLE
        unshared -= 1
        shared += 1
        sharing += 1
        changes += 1
    totals[NODES_USED] = made
    totals[SCANNED] += given - budget
    totals[UNSHARED] += unshared
    totals[ITEMS] += items
    totals[SHARED] += shared
    totals[SHARING] += sharing
    totals[SKIPPED] += skipped
    totals[GATED] += gated
    totals[STEADY] += steady
    totals[CHANGES] += changes + zeros
    totals[DUPS] += dups
    if settings.count_zero_pages:
        totals[ZERO_PAGES] += zeros
    return at, budget


@jit
def _stable_first(state, i, content, now, settings):
    """cmp_and_merge_page() before 6.11: the stable tree comes before the checksum.

    True when that was all: the page joined a KSM page, or cannot now.
    """
    where, nodes = state.where, state.nodes
    limit = settings.max_page_sharing
    node = NONE
    if content >= 0:
        node = search(state, content, now, settings)
    joins = node != NONE and has_room(nodes, node, limit)
    leave(state, i, settings)
    if not joins:
        return False
    page = state.frame[i]
    if len(state.born) and state.born[page] == state.totals[FULL_SCANS] + 1:
        return True
    if where[i] & IN_FOLIO:
        split(state, page, settings.zero_contents, settings.split_zero)
        if where[i] & SPLIT_ZERO:
            return True
    if where[i] & FORKED:
        state.extra[page] -= 1
    state.frame[i] = nodes[node, NODE_FRAME]
    nodes[node, MAPS] += 1
    join(state, i, node, limit)
    return True


@jit
def split(state, page, zero_contents, split_zero):
    """split_huge_page(): since 6.12 every zero subpage gives way to the shared zero
    page, uncounted by KSM. False when the folio had been split before.
    """
    folio = state.folio[page]
    if folio == NONE or state.folio_split[folio]:
        return False
    state.folio_split[folio] = True
    state.totals[CHANGES] += 1
    if split_zero and not state.folio_locked[folio]:
        for at in range(state.folio_start[folio], state.folio_start[folio + 1]):
            slot = state.folio_slots[at]
            here = state.frame[slot]
            if state.where[slot] & PAGELESS or state.folio[here] != folio:
                continue
            if 0 <= state.content[here] < zero_contents:
                state.where[slot] |= SPLIT_ZERO
    return True


@jit
def _split_both(state, i, other, settings):
    """Split the folios of two slots about to merge. Whether they still can."""
    where, zero, split_zero = state.where, settings.zero_contents, settings.split_zero
    page, other_page = state.frame[i], state.frame[other]
    folio = state.folio[page]
    same = folio != NONE and folio == state.folio[other_page]
    if same and split(state, page, zero, split_zero):
        return False
    split(state, page, zero, split_zero)
    if where[i] & SPLIT_ZERO:
        return False
    split(state, other_page, zero, split_zero)
    if where[other] & SPLIT_ZERO:
        # The page had already been made a KSM page; it is un-merged: a copy.
        copy_page(state, i)
        return False
    return True


@jit
def _pinned(state, i, other):
    """Whether a page faulted in during this scan keeps two slots from merging: it
    may still wait in a per-CPU batch, which counts as a reference."""
    now = state.totals[FULL_SCANS] + 1
    if state.born[state.frame[i]] == now:
        return True
    if state.born[state.frame[other]] == now:
        copy_page(state, i)
        state.born[state.frame[i]] = now
        return True
    return False


@jit
def copy_page(state, slot):
    """Give *slot* a frame of its own, with the same content."""
    page = state.frame[slot]
    new = state.totals[FRAMES_USED]
    state.totals[FRAMES_USED] += 1
    state.content[new] = state.content[page]
    state.node[new] = 0
    state.extra[new] = 0
    if len(state.folio):
        state.folio[new] = NONE
    if len(state.born):
        state.born[new] = 0
    if state.where[slot] & FORKED and state.node[page] == 0:
        state.extra[page] -= 1
    state.frame[slot] = new
    state.where[slot] &= ~(FORKED | IN_FOLIO)
