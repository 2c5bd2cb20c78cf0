"""One numbering for the frames pages were captured in and those they map now."""

import numpy as np
import numpy.typing as npt

from analyzer.engine.slots import IN_STABLE, PAGELESS


def place_frames(
    captured: npt.NDArray[np.int64],
    frame: npt.NDArray[np.int32],
    where: npt.NDArray[np.uint16],
    content: npt.NDArray[np.int32],
    origin: npt.NDArray[np.int64],
    zero_contents: int,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """(before, after, content) of pages, all in one numbering of frames.

    A captured frame is the simulated one that stands for it (*origin*), while pages
    map that; one that was merged away stands for itself, behind all others. So does
    one that was written to since a KSM page was made of it: what it held then is still
    there, and it is not what was captured last. -1 in *captured* is a frame of its
    own. *content* is int32[simulated frames], zero below *zero_contents*.
    """
    before = np.full(len(captured), -1, np.int32)
    mapped = np.flatnonzero((where & PAGELESS) == 0)
    stands = np.full(int(captured.max(initial=-1)) + 1, -1, np.int32)
    used = np.zeros(len(content), np.bool_)
    used[frame[mapped]] = True
    known = np.flatnonzero(used & (origin[: len(content)] >= 0))
    known = known[origin[known] < len(stands)]
    stands[origin[known]] = known
    inside = captured >= 0
    stand_in = stands[captured[inside]]
    pageless = (where[inside] & PAGELESS) != 0
    now, then = content[frame[inside]], content[stand_in]
    same = np.where(pageless, (then >= 0) & (then < zero_contents), now == then)
    before[inside] = np.where((stand_in >= 0) & same, stand_in, -1)
    # Frames nobody captured are unmerged pages' own, if they have one.
    own = np.flatnonzero(~inside & ((where & (PAGELESS | IN_STABLE)) == 0))
    before[own] = frame[own]
    rest = np.flatnonzero(before < 0)
    alone = captured[rest] < 0
    names = np.where(alone, -1 - rest, captured[rest])
    _, number = np.unique(names, return_inverse=True)
    before[rest] = len(content) + number
    grown = np.full(len(content) + int(number.max(initial=-1)) + 1, -1, np.int32)
    grown[: len(content)] = content
    zero = (where[rest] & PAGELESS) != 0
    grown[before[rest]] = np.where(zero, 0, content[frame[rest]])
    return before, frame.astype(np.int32), grown
