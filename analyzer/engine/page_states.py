"""What became of each page, as one small number."""

import numpy as np

from analyzer.engine.jit import jit
from analyzer.engine.state import (
    GONE,
    HAS_ITEM,
    IN_STABLE,
    IN_UNSTABLE,
    PAGE_KEPT,
    PAGE_NOT_OFFERED,
    PAGE_SAVED,
    PAGE_UNSCANNED,
    PAGE_UNSHARED,
    PAGE_VOLATILE,
    PAGE_ZERO,
)


@jit
def page_states(starts, offered, after, where, zero_rows, frames):
    """uint8[rows]: the PAGE_… of `state`.

    Of each KSM page of other than zeros the first row is PAGE_KEPT.
    """
    states = np.empty(len(where), np.uint8)
    kept = np.zeros(frames, np.bool_)
    for segment in range(len(starts) - 1):
        for row in range(starts[segment], starts[segment + 1]):
            bits = where[row]
            if bits & GONE:
                state = PAGE_ZERO
            elif not offered[segment]:
                state = PAGE_NOT_OFFERED
            elif bits & IN_STABLE:
                state = PAGE_SAVED if kept[after[row]] else PAGE_KEPT
                kept[after[row]] = True
                if zero_rows[row]:
                    state = PAGE_ZERO
            elif bits & IN_UNSTABLE:
                state = PAGE_UNSHARED
            else:
                state = PAGE_VOLATILE if bits & HAS_ITEM else PAGE_UNSCANNED
            states[row] = state
    return states
