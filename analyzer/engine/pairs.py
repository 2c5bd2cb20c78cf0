"""Who shares with whom: every KSM page's mappings, counted by whose they are.

Frames, rows and shares are those of `attribution`. *Classes* are small numbers for
workloads.
"""

import numpy as np

from analyzer.engine.jit import jit
from analyzer.engine.state import GONE

# The first mapping of a KSM page, among the mappings of one content.
_OPENS = np.uint8(128)


@jit
def pairs(
    starts, class_of, before, after, where, zero_rows, content, zero_contents,
    counts_before, counts_after, node, classes,
):  # fmt: skip
    """(float64[classes, classes] saved, int64[classes, classes] contents).

    saved[a, b] are the non-zero pages saved in a because b maps the same KSM pages:
    what a mapping saves is given in equal parts to the other mappings of its page;
    what it saves without any, to its own class. contents[a, b] counts the contents of
    which both have a mapping of a KSM page, contents[a, a] those of which a has two.

    *class_of* is uint8[segments], less than 128; *node* is at least 0 for frames that
    are KSM pages.
    """
    saved = np.zeros((classes, classes))
    common = np.zeros((classes, classes), np.int64)
    place, ends = _places(content, zero_contents, counts_after, node)
    total = ends[-1] if len(ends) else 0
    whose = np.empty(total, np.uint8)
    mapped = np.empty(total, np.uint32)
    begun = np.zeros(len(place), np.bool_)
    for segment in range(len(starts) - 1):
        own = class_of[segment]
        for row in range(starts[segment], starts[segment + 1]):
            had = counts_before[before[row]]
            frame = after[row]
            gone = where[row] & GONE
            if not gone and place[frame] >= 0:
                at = place[frame]
                place[frame] = at + 1
                whose[at] = own if begun[frame] else own | _OPENS
                begun[frame] = True
                # A zero row of a page that is not saves nothing here.
                mapped[at] = np.uint32(0) if zero_rows[row] else had
            elif not zero_rows[row]:
                now = 0.0 if gone else 1.0 / counts_after[frame]
                if now != 1.0 / had:
                    saved[own, own] += 1.0 / had - now
    _share_out(whose, mapped, ends, saved, common)
    return saved, common


@jit
def _places(content, zero_contents, counts_after, node):
    """(int32[frames] where the mappings of each KSM page go, or -1; int64[contents]
    where those of each content end): contents, and their pages, one after another."""
    contents = 0
    for frame in range(len(node)):
        if node[frame] >= 0:
            contents = max(contents, content[frame] + 1)
    ends = np.zeros(contents, np.int64)
    for frame in range(len(node)):
        if node[frame] >= 0 and content[frame] >= zero_contents:
            ends[content[frame]] += counts_after[frame]
    at = 0
    for number in range(contents):
        size = ends[number]
        ends[number] = at
        at += size
    place = np.full(len(node), -1, np.int32)
    for frame in range(len(node)):
        if node[frame] >= 0 and content[frame] >= zero_contents:
            place[frame] = ends[content[frame]]
            ends[content[frame]] += counts_after[frame]
    return place, ends


@jit
def _share_out(whose, mapped, ends, saved, common):
    """Add up the sorted mappings, page by page and content by content."""
    classes = len(saved)
    members = np.zeros(classes, np.int64)
    shares = np.zeros(classes)
    touched = np.empty(classes, np.int64)
    content_members = np.zeros(classes, np.int64)
    content_touched = np.empty(classes, np.int64)
    at = 0
    for number in range(len(ends)):
        content_count = 0
        while at < ends[number]:
            stop = at + 1
            while stop < ends[number] and not whose[stop] & _OPENS:
                stop += 1
            after = 1.0 / (stop - at)
            count = 0
            for k in range(at, stop):
                own = np.int64(whose[k] & np.uint8(127))
                if members[own] == 0:
                    touched[count] = own
                    count += 1
                members[own] += 1
                if mapped[k]:
                    shares[own] += 1.0 / mapped[k] - after
            others = max(stop - at - 1, 1)
            for nth in range(count):
                own = touched[nth]
                each = shares[own] / others
                for mth in range(count):
                    other = touched[mth]
                    saved[own, other] += each * (members[other] - (own == other))
            if stop - at == 1:
                # Alone, it has nobody else to thank.
                saved[touched[0], touched[0]] += shares[touched[0]]
            for nth in range(count):
                own = touched[nth]
                if content_members[own] == 0:
                    content_touched[content_count] = own
                    content_count += 1
                content_members[own] += members[own]
                members[own] = 0
                shares[own] = 0.0
            at = stop
        for nth in range(content_count):
            own = content_touched[nth]
            common[own, own] += content_members[own] > 1
            for mth in range(content_count):
                if mth != nth:
                    common[own, content_touched[mth]] += 1
        for nth in range(content_count):
            content_members[content_touched[nth]] = 0
