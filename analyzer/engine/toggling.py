"""What the ideal would lose or gain if one group of processes alone changed sides."""

import numpy as np

from analyzer.engine.jit import jit

_NOBODY = -1
_SEVERAL = -2


@jit
def toggled(order, starts, group, offered, frame, frames, content, contents, groups):
    """int64[groups]: how the ideal changes where a group is not offered any more, or,
    if nothing of it is, where it is offered too.

    A group loses the frames that only it maps, but for one of each content other than
    zero that no other group is left with; it gains likewise. *order* sorts the
    segments by group; *frame* and *content* are by row, content 0 is zero, negative
    ones are found in one row only.
    """
    owner = np.full(frames, _NOBODY, np.int32)
    is_offered = np.zeros(frames, np.bool_)
    taken = np.zeros(groups, np.bool_)
    for segment in order:
        mine = group[segment]
        taken[mine] |= offered[segment] and starts[segment] < starts[segment + 1]
        for row in range(starts[segment], starts[segment + 1]):
            at = frame[row]
            if owner[at] != mine:
                owner[at] = mine if owner[at] == _NOBODY else _SEVERAL
            is_offered[at] |= offered[segment]
    change = np.zeros(groups, np.int64)
    keeper = np.full(contents, _NOBODY, np.int32)
    seen = np.zeros(frames, np.bool_)
    for segment in order:
        if not offered[segment]:
            continue
        for row in range(starts[segment], starts[segment + 1]):
            number, at = content[row], frame[row]
            if number < 0 or seen[at]:
                continue
            seen[at] = True
            if owner[at] >= 0:
                change[owner[at]] -= 1
            if keeper[number] != owner[at]:
                free = keeper[number] == _NOBODY
                keeper[number] = owner[at] if free else _SEVERAL
    for number in range(1, contents):
        if keeper[number] >= 0:
            change[keeper[number]] += 1
    latest = np.full(contents, _NOBODY, np.int32)
    for segment in order:
        mine = group[segment]
        if taken[mine]:
            continue
        for row in range(starts[segment], starts[segment + 1]):
            number, at = content[row], frame[row]
            if number < 0 or seen[at] or owner[at] != mine:
                continue
            seen[at] = True
            change[mine] += 1
            if number > 0 and keeper[number] == _NOBODY and latest[number] != mine:
                latest[number] = mine
                change[mine] -= 1
    return change
