"""ksmd's scan, function for function as in mm/ksm.c of Linux 6.18.

What is simulated is a snapshot: nothing is written, forked or unmapped while ksmd
works. Then no KSM page ever loses a mapping, so no stable node goes stale. Hash
lookups by content stand for the two red-black trees; docs/model.md tells where
that can be seen.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analyzer.engine.jit import inlined, jit
from analyzer.engine.smart_scan import skip_age
from analyzer.engine.state import (
    CURSOR,
    FORKED,
    GONE,
    HAS_ITEM,
    IN_FOLIO,
    IN_STABLE,
    IN_UNSTABLE,
    KSM_ZERO,
    MEMBERS,
    NODES,
    NONE,
    PLACE,
    SEEN,
    SPLIT_ZERO,
    UNSTABLE_SCAN,
    State,
)
from analyzer.engine.totals import (
    CHAINS,
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

_ENDLESS: Final = 1 << 62
_OUT: Final = np.uint8(255 - IN_UNSTABLE)
_PLACED: Final = HAS_ITEM | IN_UNSTABLE | IN_STABLE | GONE
_GIVEN_UP: Final = KSM_ZERO | SPLIT_ZERO


@jit
def wake_up(
    state: State,
    pages_to_scan: int,
    max_page_sharing: int,
    use_zero_pages: bool,
    smart_scan: bool,
    zero_contents: int,
) -> bool:
    """One wake-up of ksmd (ksm_do_scan). True when it ended a full scan.

    Processes at most *pages_to_scan* pages; pages that smart scan skips and items
    whose page is gone cost nothing; reaching the end of the list costs one attempt.
    Contents 0 ≤ c < *zero_contents* are zero.
    """
    where, frame = state.where, state.frame
    age, skips = state.age, state.skips
    content, ksm = state.content, state.ksm
    trees, totals = state.trees, state.totals
    end = len(where)
    scan = totals[FULL_SCANS]
    item = totals[CURSOR]
    # Kept in registers: one array store per page would halve the speed.
    budget = pages_to_scan
    unshared = items = sharing = skipped = changes = zeros = made = chains = dups = 0
    while item < end and budget > 0:
        # No item costs more than one page: so many can be visited without asking.
        stop = min(end, item + budget)
        free = 0
        for j in range(item, stop):
            # Unsigned, so that no index is tested for counting from the end.
            i = np.uint64(j)
            was = where[i]
            if was & IN_STABLE:
                continue
            if was & GONE:
                if was & HAS_ITEM:
                    items -= 1
                    unshared -= was & IN_UNSTABLE
                    changes += 1
                    where[i] = was & GONE
                free += 1
                continue
            if not was & HAS_ITEM:
                items += 1
                was |= HAS_ITEM
            page = np.uint32(frame[i])
            merged = was & FORKED and ksm[page]
            if smart_scan and not merged:
                # should_skip_rmap_item()
                years = age[i]
                if years != 255:
                    age[i] = years + 1
                if years >= 3:
                    if skips[i]:
                        skips[i] -= 1
                        skipped += 1
                        unshared -= was & IN_UNSTABLE
                        where[i] = was & _OUT
                        free += 1
                        continue
                    skips[i] = skip_age(years)
            # cmp_and_merge_page()
            unshared -= was & IN_UNSTABLE
            was &= _OUT
            if merged:
                # A fork relative made this page a KSM page: no checksum, no limit.
                bytes_ = content[page]
                if trees[bytes_, MEMBERS] and trees[bytes_, PLACE] == page:
                    _join(trees, bytes_, max_page_sharing)
                where[i] = was | IN_STABLE
                sharing += 1
                changes += 1
                continue
            bytes_ = content[page]
            if not was & SEEN:
                # The checksum gate; no content changes in a snapshot.
                where[i] = was | SEEN
                continue
            if bytes_ < 0:
                where[i] = was | IN_UNSTABLE
                unshared += 1
                continue
            where[i] = was
            row = np.uint32(bytes_)
            if use_zero_pages and bytes_ < zero_contents:
                if was & IN_FOLIO:
                    _split(state, page, zero_contents)
                if not where[i] & GONE:
                    where[i] = was | KSM_ZERO
                    zeros += 1
                    continue
                # The split took the page away; the scan goes on with the detached page.
            # stable_tree_search()
            if trees[row, MEMBERS]:
                if was & IN_FOLIO:
                    _split(state, page, zero_contents)
                    if where[i] & GONE:
                        continue
                frame[i] = trees[row, PLACE]
                _join(trees, row, max_page_sharing)
                where[i] = was | IN_STABLE
                sharing += 1
                changes += 1
                continue
            # unstable_tree_search_insert()
            if trees[row, UNSTABLE_SCAN] != scan:
                trees[row, PLACE] = i
                trees[row, UNSTABLE_SCAN] = scan
                where[i] |= IN_UNSTABLE
                unshared += 1
                continue
            # try_to_merge_two_pages()
            other = np.uint32(trees[row, PLACE])
            found = where[other]
            if found & GONE or (was & FORKED and frame[other] == page):
                continue
            if (was | found) & IN_FOLIO and not _split_both(
                state, i, other, zero_contents
            ):
                continue
            # stable_tree_insert()
            trees[row, UNSTABLE_SCAN] = NONE
            if max_page_sharing > 2:
                trees[row, PLACE] = page
                trees[row, MEMBERS] = 2
            earlier = trees[row, NODES]
            trees[row, NODES] = earlier + 1
            chains += earlier == 1
            dups += (earlier == 1) + (earlier >= 1)
            if was & FORKED:
                ksm[page] = True
            frame[other] = page
            where[other] = (found & _OUT) | IN_STABLE
            where[i] = was | IN_STABLE
            unshared -= 1
            made += 1
        budget -= stop - item - free
        item = stop
    totals[SCANNED] += pages_to_scan - budget
    totals[UNSHARED] += unshared
    totals[ITEMS] += items
    totals[SHARED] += made
    totals[SHARING] += sharing + made
    totals[CHAINS] += chains
    totals[DUPS] += dups
    totals[SKIPPED] += skipped
    totals[ZERO_PAGES] += zeros
    totals[CHANGES] += changes + made + zeros
    ended = budget > 0
    totals[CURSOR] = 0 if ended else item
    if ended:
        totals[FULL_SCANS] += 1
    return ended


@inlined
def _join(trees: npt.NDArray[np.int32], content: int, max_page_sharing: int) -> None:
    """stable_tree_append(): one member more, and perhaps no room for another."""
    members = trees[content, MEMBERS] + 1
    trees[content, MEMBERS] = members if members < max_page_sharing else 0


@jit
def _split(state: State, page: int, zero_contents: int) -> bool:
    """split_huge_page(): every zero subpage gives way to the shared zero page.

    Uncounted by KSM, and not where the page is mlocked (mm/migrate.c:
    try_to_map_unused_to_zeropage, Linux 6.12). False when the folio had been split
    before.
    """
    folio = state.folio[page]
    if folio == NONE or state.folio_split[folio]:
        return False
    state.folio_split[folio] = True
    state.totals[CHANGES] += 1
    if state.folio_locked[folio]:
        return True
    for at in range(state.folio_start[folio], state.folio_start[folio + 1]):
        member = state.folio_items[at]
        if 0 <= state.content[state.frame[member]] < zero_contents:
            state.where[member] |= SPLIT_ZERO
    return True


@jit
def _split_both(state: State, i: int, other: int, zero_contents: int) -> bool:
    """Split the folios of two items about to merge. Whether they still can."""
    where = state.where
    page, other_page = state.frame[i], state.frame[other]
    folio = state.folio[page]
    same = folio != NONE and folio == state.folio[other_page]
    if same and _split(state, page, zero_contents):
        return False
    _split(state, page, zero_contents)
    if where[i] & GONE:
        return False
    _split(state, other_page, zero_contents)
    if where[other] & GONE:
        # The page had already been made a KSM page; it is un-merged: a copy.
        _copy(state, i)
        return False
    return True


@jit
def _copy(state: State, i: int) -> None:
    copy = state.totals[FRAMES_USED]
    state.totals[FRAMES_USED] += 1
    state.content[copy] = state.content[state.frame[i]]
    state.frame[i] = copy
    state.where[i] &= np.uint8(255 - FORKED - IN_FOLIO)


@jit
def tally(
    where: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    out: npt.NDArray[np.int64],
) -> None:
    """Count each process's items: out[process] = rmap_items, merging, zero, unshared,
    volatile (in neither tree, and not mapping the zero page), split (on the zero page
    by the split of their folio alone).

    *starts* is int64[processes + 1], where each process's items begin.
    """
    for process in range(len(starts) - 1):
        items = merging = zero = unshared = volatile = split = 0
        for i in range(starts[process], starts[process + 1]):
            bits = where[i]
            items += (bits & HAS_ITEM) >> 2
            merging += (bits & IN_STABLE) >> 1
            zero += (bits & KSM_ZERO) >> 5
            unshared += bits & IN_UNSTABLE
            volatile += (bits & _PLACED) == HAS_ITEM
            split += (bits & _GIVEN_UP) == SPLIT_ZERO
        out[process, 0] = items
        out[process, 1] = merging
        out[process, 2] = zero
        out[process, 3] = unshared
        out[process, 4] = volatile
        out[process, 5] = split


def full_scan(state: State, pages_to_scan: int, **settings: Any) -> int:
    """Scan from the start of the list to its end; returns the wake-ups it takes.

    With N processed pages those are floor(N / pages_to_scan) + 1, and where one ends
    and the next begins makes no difference to a snapshot: one long wake-up does.
    """
    scanned = int(state.totals[SCANNED])
    wake_up(state, pages_to_scan=_ENDLESS, **settings)
    return (int(state.totals[SCANNED]) - scanned) // pages_to_scan + 1
