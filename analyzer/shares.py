"""Shares of pages cut to whole pages, without losing any."""

from typing import Final

import numpy as np
import numpy.typing as npt

_GRID: Final = 6
"""Decimals to which shares are taken before they are cut to whole pages: sums of
fractions that make a whole page are off by less than this."""


def whole_pages(
    shares: npt.NDArray[np.float64], total: int, order: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Cut *shares* to whole pages that add up to *total*, by largest remainder.

    Ties go to the earlier in *order* (a permutation of the shares). Where the shares
    themselves do not add up to *total*, they are scaled to it first.
    """
    wanted = shares.round(_GRID)
    sum_ = float(wanted.sum())
    if abs(sum_ - total) > 0.5 and sum_:
        wanted = (shares * (total / sum_)).round(_GRID)
    pages = np.floor(wanted).astype(np.int64)
    missing = total - int(pages.sum())
    remainder = (wanted - pages)[order].round(_GRID)
    largest = order[np.argsort(-remainder, kind="stable")]
    if missing > 0 and len(pages):
        pages[largest] += missing // len(pages)
        pages[largest[: missing % len(pages)]] += 1
    return pages
