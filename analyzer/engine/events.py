"""What processes do to their pages: writes, discards, forks, un-merging.

Bulk operations on arrays of slots; who owns which slot is `machine`'s business.
"""

from analyzer.engine.jit import jit
from analyzer.engine.slots import (
    ABSENT,
    BROKEN,
    FORKED,
    FRAMES_USED,
    FULL_SCANS,
    IN_FOLIO,
    IN_STABLE,
    KSM_ZERO,
    MAPS,
    MEMBERS,
    NODE_CONTENT,
    NONE,
    OPEN,
    PAGELESS,
    SPLIT_ZERO,
    ZERO_PAGES,
)


@jit
def unmap(state, slots, settings):
    """The pages of *slots* go (zap_pte_range): the counters of KSM stay as they are
    until ksmd comes by, but for placed zero pages, which are gone at once."""
    for slot in slots:
        _unmap(state, slot, settings)


@jit
def _unmap(state, slot, settings):
    where, nodes = state.where, state.nodes
    bits = where[slot]
    if bits & ABSENT:
        return
    if bits & KSM_ZERO:
        if settings.count_zero_pages:
            state.totals[ZERO_PAGES] -= 1
    elif not bits & SPLIT_ZERO:
        page = state.frame[slot]
        node = state.node[page] - 1
        if node != NONE:
            if bits & IN_STABLE and not bits & BROKEN:
                state.left[slot] = node
                bits |= BROKEN
            nodes[node, MAPS] -= 1
            if nodes[node, MAPS] == 0:
                if not 0 < nodes[node, MEMBERS] < settings.max_page_sharing:
                    state.trees[nodes[node, NODE_CONTENT], OPEN] += 1
                state.node[page] = 0
        elif bits & FORKED:
            state.extra[page] -= 1
    where[slot] = (bits & ~(KSM_ZERO | SPLIT_ZERO | FORKED | IN_FOLIO)) | ABSENT


@jit
def write(state, slots, contents, settings, in_scan):
    """Each of *slots* gets a content: in place where the page is the slot's alone,
    else in a new frame (do_wp_page, do_anonymous_page)."""
    for k in range(len(slots)):
        slot = slots[k]
        bits = state.where[slot]
        page = state.frame[slot]
        alone = not bits & FORKED or state.extra[page] <= 0
        if alone and not bits & PAGELESS and state.node[page] == 0:
            state.content[page] = contents[k]
            continue
        _unmap(state, slot, settings)
        fault(state, slot, contents[k], in_scan)


@jit
def fault(state, slot, content, in_scan):
    """A new page of *slot*'s own."""
    page = state.totals[FRAMES_USED]
    state.totals[FRAMES_USED] += 1
    state.content[page] = content
    state.node[page] = 0
    state.extra[page] = 0
    if len(state.folio):
        state.folio[page] = NONE
    if len(state.born):
        state.born[page] = state.totals[FULL_SCANS] + 1 if in_scan else 0
    state.frame[slot] = page
    state.where[slot] &= ~ABSENT


@jit
def share(state, parents, children, inherit_counts):
    """fork: *children* come to map what *parents* map (copy_page_range)."""
    where, frame = state.where, state.frame
    for k in range(len(parents)):
        old, new = parents[k], children[k]
        bits = where[old]
        where[new] = bits & (PAGELESS | IN_FOLIO)
        frame[new] = frame[old]
        if bits & KSM_ZERO:
            if not inherit_counts:
                state.totals[ZERO_PAGES] += 1
        elif not bits & PAGELESS:
            where[old] = bits | FORKED
            where[new] |= FORKED
            node = state.node[frame[old]] - 1
            if node != NONE:
                state.nodes[node, MAPS] += 1
            else:
                state.extra[frame[old]] += 1


@jit
def unmerge(state, slots, zero_content, settings, in_scan):
    """unmerge_ksm_pages(): KSM pages and placed zero pages become copies at once."""
    for slot in slots:
        bits = state.where[slot]
        if bits & KSM_ZERO:
            if settings.count_zero_pages:
                _unmap(state, slot, settings)
                fault(state, slot, zero_content, in_scan)
        elif not bits & PAGELESS and state.node[state.frame[slot]]:
            content = state.content[state.frame[slot]]
            _unmap(state, slot, settings)
            fault(state, slot, content, in_scan)
