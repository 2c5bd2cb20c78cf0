"""How long ksmd sleeps, and what its work costs.

Sleeps are the kernel's; work is an estimate from `Costs`, and every figure that
comes of it is one.
"""

from typing import Final

from analyzer.costs import Costs

_TICK_MS: Final = 4
"""A kernel of 250 Hz, as distributions build it."""

NS_PER_MS: Final = 1_000_000


def sleep_ns(sleep_millisecs: int) -> int:
    """How long ksmd really sleeps: in whole ticks, and one more (schedule_timeout).

    0 is no sleep.
    """
    if sleep_millisecs == 0:
        return 0
    ticks = -(-sleep_millisecs // _TICK_MS) + 1
    return ticks * _TICK_MS * NS_PER_MS


def work_ns(costs: Costs, *, scanned: int, gated: int, steady: int, merged: int) -> int:
    """CPU time of a stretch of scanning.

    Of *scanned* pages, *gated* visits ended at the checksum, *steady* ones met a
    merged page, *merged* ones merged; the rest searched in vain.
    """
    searched = max(scanned - gated - steady - merged, 0)
    return round(
        costs.checksum * gated
        + costs.merged * steady
        + costs.merge * merged
        + costs.search * searched
    )
