"""The engine's totals as the figures that the kernel shows of them."""

from collections.abc import Sequence

from analyzer.counters import KsmCounters, general_profit
from analyzer.engine import totals as place


def counters_of(totals: Sequence[int]) -> KsmCounters:
    """The read-only files of /sys/kernel/mm/ksm."""
    shared, sharing = totals[place.SHARED], totals[place.SHARING]
    unshared, items = totals[place.UNSHARED], totals[place.ITEMS]
    zero = totals[place.ZERO_PAGES]
    return KsmCounters(
        pages_shared=shared,
        pages_sharing=sharing,
        pages_unshared=unshared,
        # Negative for a moment, while items are freed (pages_volatile_show).
        pages_volatile=max(items - shared - sharing - unshared, 0),
        pages_skipped=totals[place.SKIPPED],
        pages_scanned=totals[place.SCANNED],
        full_scans=totals[place.FULL_SCANS],
        ksm_zero_pages=zero,
        stable_node_chains=totals[place.CHAINS],
        stable_node_dups=totals[place.DUPS],
        rmap_items=items,
        general_profit=general_profit(sharing, zero, items),
    )
