"""What processes do to their pages: writes, discards, forks, un-merging.

Bulk operations on arrays of slots; who owns which slot is `machine`'s business.
"""

from analyzer.engine.jit import jit
from analyzer.engine.slots import (
    ABSENT,
    BROKEN,
    FORKED,
    HAS_ITEM,
    IN_FOLIO,
    IN_STABLE,
    IN_UNSTABLE,
    KSM_ZERO,
    MAPS,
    MEMBERS,
    NODE_CONTENT,
    NONE,
    OPEN,
    PAGELESS,
    SPLIT_ZERO,
    ZERO_MAPPED,
)
from analyzer.engine.totals import (
    FRAMES_USED,
    FULL_SCANS,
    ZERO_PAGES,
)

_PLACED = HAS_ITEM | IN_UNSTABLE | IN_STABLE | ZERO_MAPPED
_GIVEN_UP = KSM_ZERO | SPLIT_ZERO


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
    for k in range(len(parents)):
        _share(state, parents[k], children[k], inherit_counts)


@jit
def _share(state, old, new, inherit_counts):
    where, frame = state.where, state.frame
    bits = where[old]
    kept = where[new] & ~(ABSENT | FORKED)
    where[new] = kept | bits & (PAGELESS | IN_FOLIO)
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


@jit
def adopt(
    state,
    slots,
    contents,
    frames,
    parents,
    captured,
    holder,
    head,
    link,
    origin,
    settings,
    in_scan,
    inherit_counts,
):
    """Make *slots* hold *contents* in the captured *frames*, as far as that is news.

    A capture shows what changed, not how. A frame that another slot holds with the
    same content came by fork; a content that changed was written; a frame that changed
    under the same content is a copy on write where it was shared, else the kernel moved
    the page, which KSM does not see.

    *parents* are the same pages of the parent process, or -1: of several that share a
    frame, a child has its parent's. *captured* is int64[slot], the frame each was last
    captured in; *holder* is
    int32[captured frame], the slot last put in it, or -1; *head* and *link* list all
    that held it before (`index_frames`); *origin* is int64[frame], the captured frame
    that each frame stands for, or -1.
    """
    where, frame, content = state.where, state.frame, state.content
    for k in range(len(slots)):
        slot, now = slots[k], frames[k]
        bits = where[slot]
        other = parents[k]
        shares = (
            other != NONE
            and captured[other] == now
            and not where[other] & ABSENT
            and _holds(state, other, contents[k], settings)
        )
        if not shares:
            other = _held_by(now, slot, where, captured, holder, head, link)
            shares = other != NONE and _holds(state, other, contents[k], settings)
        if not bits & ABSENT and _holds(state, slot, contents[k], settings):
            common = not bits & PAGELESS and bits & FORKED
            copied = common and state.extra[frame[slot]] > 0 and not shares
            if not copied or captured[slot] == now or state.node[frame[slot]]:
                captured[slot] = now
                if now >= 0 and not shares:
                    holder[now] = slot
                    if not bits & (PAGELESS | IN_STABLE):
                        origin[frame[slot]] = now
                continue
        if shares:
            _unmap(state, slot, settings)
            _share(state, other, slot, inherit_counts)
        elif (
            not bits & PAGELESS
            and state.node[frame[slot]] == 0
            and (not bits & FORKED or state.extra[frame[slot]] <= 0)
        ):
            content[frame[slot]] = contents[k]
        else:
            _unmap(state, slot, settings)
            fault(state, slot, contents[k], in_scan)
        captured[slot] = now
        if now >= 0 and not shares:
            holder[now] = slot
            origin[frame[slot]] = now


@jit
def index_frames(where, captured, slots, head, link):
    """List the slots of every captured frame, as chains from *head* along *link*.

    *head* is int32[captured frame], *link* int32[slot].
    """
    head[:] = NONE
    for slot in range(slots):
        if captured[slot] >= 0 and not where[slot] & ABSENT:
            link[slot] = head[captured[slot]]
            head[captured[slot]] = slot


@jit
def _held_by(now, slot, where, captured, holder, head, link):
    """Another slot that is captured in frame *now*, or NONE."""
    if now < 0:
        return NONE
    other = holder[now]
    known = other != NONE and captured[other] == now and not where[other] & ABSENT
    if known and other != slot:
        return other
    other = head[now]
    while other != NONE and (captured[other] != now or where[other] & ABSENT):
        other = link[other]
    head[now] = other
    while other != NONE and (
        other == slot or captured[other] != now or where[other] & ABSENT
    ):
        other = link[other]
    return other


@jit
def _holds(state, slot, content, settings):
    """Whether a process reads *content* there."""
    if state.where[slot] & (KSM_ZERO | SPLIT_ZERO):
        return 0 <= content < settings.zero_contents
    return state.content[state.frame[slot]] == content


@jit
def tally(where, sequence, starts, out):
    """Count parts of a sequence of slots: rmap_items, merging, zero, unshared,
    volatile (in neither tree, and not mapping the zero page), split (on the zero page
    by the split of their folio alone)."""
    for part in range(len(starts) - 1):
        items = merging = zero = unshared = volatile = split = 0
        for at in range(starts[part], starts[part + 1]):
            bits = where[sequence[at]]
            items += (bits & HAS_ITEM) >> 2
            merging += (bits & IN_STABLE) >> 1
            zero += (bits & KSM_ZERO) >> 5
            unshared += bits & IN_UNSTABLE
            volatile += (bits & _PLACED) == HAS_ITEM
            split += (bits & _GIVEN_UP) == SPLIT_ZERO
        out[part, 0] = items
        out[part, 1] = merging
        out[part, 2] = zero
        out[part, 3] = unshared
        out[part, 4] = volatile
        out[part, 5] = split
