"""Digests cut into parts small enough for the cache, by their topmost bits.

Both the ideal and the numbering of contents work a part at a time: a hash table
of one part stays in the second-level cache, where one over all would wait for
memory at every row.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analyzer.engine.jit import jit

THREADS: Final = 2
"""Threads of a partition; a fixed number, so that results never depend on the
machine."""

_MIN_BITS: Final = 4
_MAX_BITS: Final = 10
_PART_ROWS: Final = 1 << 14


def bits_for(rows: int) -> int:
    """How many topmost bits cut *rows* into parts of about 16 Ki."""
    wanted = (max(rows, 1) // _PART_ROWS).bit_length()
    return min(max(wanted, _MIN_BITS), _MAX_BITS)


def side_by_side(work: Callable[[int], Any], count: int = THREADS) -> list[Any]:
    """Run ``work(0)`` … ``work(count - 1)`` in threads; kernels release the GIL."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


def halves(rows: int) -> npt.NDArray[np.int64]:
    """int64[THREADS + 1]: the bounds of each thread's rows."""
    return np.array([rows * t // THREADS for t in range(THREADS + 1)], np.int64)


@jit
def histogram(
    digests: npt.NDArray[np.uint64],
    lo: int,
    hi: int,
    shift: np.uint64,
    zero: np.uint64,
    counts: npt.NDArray[np.int64],
) -> None:
    """Count rows *lo* to *hi* per part, the zero page's left out."""
    for i in range(lo, hi):
        x = digests[i]
        counts[x >> shift] += x != zero


def places(
    digests: npt.NDArray[np.uint64], zero: np.uint64, bits: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where each thread puts its rows of each part: (cursors, starts, ends).

    cursors is int64[THREADS, parts]; parts lie one behind the other, and in each the
    rows keep their order.
    """
    parts = 1 << bits
    bounds = halves(len(digests))
    counts = np.zeros((THREADS, parts), np.int64)
    shift = np.uint64(64 - bits)
    side_by_side(
        lambda t: histogram(digests, bounds[t], bounds[t + 1], shift, zero, counts[t])
    )
    ends = np.cumsum(counts.T.ravel())
    starts = ends - counts.T.ravel()
    cursors = np.ascontiguousarray(starts.reshape(parts, THREADS).T)
    return cursors, cursors[0].copy(), ends.reshape(parts, THREADS)[:, -1].copy()
