"""One numbering for the frames pages were captured in and those they map now."""

import numpy as np
import numpy.typing as npt

from analyzer.engine.jit import jit
from analyzer.engine.slots import IN_STABLE, PAGELESS


def place_frames(
    captured: npt.NDArray[np.int64],
    frame: npt.NDArray[np.int32],
    where: npt.NDArray[np.uint16],
    content: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """(before, after, content) of pages, all in one numbering of frames.

    A captured frame is the simulated one that its unmerged pages map; one that was
    merged away stands for itself, behind all others. -1 in *captured* is a frame of
    its own. *content* is int32[simulated frames].
    """
    known = captured >= 0
    classes = np.empty(len(captured), np.int64)
    _, classes[known] = np.unique(captured[known], return_inverse=True)
    top = int(classes[known].max(initial=-1)) + 1
    lone = int(np.count_nonzero(~known))
    classes[~known] = np.arange(top, top + lone)
    stands = np.full(top + lone, -1, np.int64)
    taken = np.zeros(len(content), np.bool_)
    fresh = _place(classes, frame, where, stands, taken, len(content))
    grown = np.full(fresh, -1, np.int32)
    grown[: len(content)] = content
    before = stands[classes].astype(np.int32)
    beyond = before >= len(content)
    grown[before[beyond]] = np.where(
        where[beyond] & PAGELESS, 0, content[frame[beyond]]
    )
    return before, frame.astype(np.int32), grown


@jit
def _place(classes, frame, where, stands, taken, fresh):
    for merged in range(2):
        for row in range(len(classes)):
            one = classes[row]
            if stands[one] >= 0 or where[row] & PAGELESS or taken[frame[row]]:
                continue
            if (where[row] & IN_STABLE != 0) == (merged == 1):
                stands[one] = frame[row]
                taken[frame[row]] = True
    for row in range(len(classes)):
        if stands[classes[row]] < 0:
            stands[classes[row]] = fresh
            fresh += 1
    return fresh
