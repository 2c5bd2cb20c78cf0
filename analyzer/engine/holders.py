"""Who holds chosen contents, counted without a place for everybody who does not."""

import numpy as np

from analyzer.engine.jit import jit

# Columns of what holders() returns.
PLACE = 0
WORKLOAD = 1
KIND = 2
PROCESSES = 3
COPIES = 4


@jit
def holders(
    order, starts, process, workload, kind, offered, before, content, zero_contents,
    place, chosen, kinds,
):  # fmt: skip
    """Count the offered rows of chosen contents by workload and kind of mapping.

    Returns int64[found, 5], the columns above; int64[chosen] how many processes hold
    each; int64[chosen] the first row that holds it, or -1. *order* sorts the segments
    by workload, *kind* is [segment], below *kinds*; *place* is int32[content], where
    among the *chosen* it is, or -1; all zero contents are 0.
    """
    found = np.empty((1024, 5), np.int64)
    used = 0
    everyone = np.zeros(chosen, np.int64)
    first = np.full(chosen, -1, np.int64)
    latest = np.full(chosen, -1, np.int64)
    # Of the present workload.
    copies = np.zeros((chosen, kinds), np.int64)
    owners = np.zeros((chosen, kinds), np.int64)
    latest_owner = np.full((chosen, kinds), -1, np.int64)
    touched = np.empty((chosen * kinds, 2), np.int64)
    count = 0
    for nth in range(len(order)):
        segment = order[nth]
        owner = process[segment]
        if offered[segment]:
            which = kind[segment]
            for row in range(starts[segment], starts[segment + 1]):
                number = content[before[row]]
                if number < 0:
                    continue
                at = place[0 if number < zero_contents else number]
                if at < 0:
                    continue
                if first[at] < 0 or row < first[at]:
                    first[at] = row
                if copies[at, which] == 0:
                    touched[count, 0] = at
                    touched[count, 1] = which
                    count += 1
                copies[at, which] += 1
                if latest_owner[at, which] != owner:
                    latest_owner[at, which] = owner
                    owners[at, which] += 1
                if latest[at] != owner:
                    latest[at] = owner
                    everyone[at] += 1
        ends = nth + 1 == len(order)
        if ends or workload[process[order[nth + 1]]] != workload[owner]:
            if used + count > len(found):
                grown = np.empty((2 * (used + count), 5), np.int64)
                grown[:used] = found[:used]
                found = grown
            for k in range(count):
                at, which = touched[k, 0], touched[k, 1]
                found[used, PLACE] = at
                found[used, WORKLOAD] = workload[owner]
                found[used, KIND] = which
                found[used, PROCESSES] = owners[at, which]
                found[used, COPIES] = copies[at, which]
                used += 1
                copies[at, which] = 0
                owners[at, which] = 0
            count = 0
    return found[:used], everyone, first
