"""The figures ksmd reports, and the two profits the kernel derives from them."""

from typing import Final, NamedTuple

from traces.schema import PAGE_SIZE

RMAP_ITEM_SIZE: Final = 64
"""sizeof(struct ksm_rmap_item) on every 64-bit kernel from 5.10 to 7.3."""


class KsmCounters(NamedTuple):
    """The read-only files of /sys/kernel/mm/ksm; field order is column order.

    `pages_scanned`, `pages_skipped` and `full_scans` count from the replay's start.
    """

    pages_shared: int
    """Stable nodes with at least one member."""
    pages_sharing: int
    """Members beyond the first of each stable node."""
    pages_unshared: int
    """Items in the unstable tree."""
    pages_volatile: int
    """Items in neither tree, the skipped ones among them."""
    pages_skipped: int
    pages_scanned: int
    full_scans: int
    ksm_zero_pages: int
    """Mappings of the zero page that ksmd placed."""
    stable_node_chains: int
    stable_node_dups: int
    rmap_items: int
    """Not a file of its own: all ksm_rmap_items together."""
    general_profit: int
    """Bytes; see `general_profit`."""


def general_profit(pages_sharing: int, ksm_zero_pages: int, rmap_items: int) -> int:
    """Bytes saved less bytes of rmap_items (mm/ksm.c general_profit_show, 6.6)."""
    return (pages_sharing + ksm_zero_pages) * PAGE_SIZE - rmap_items * RMAP_ITEM_SIZE


def process_profit(merging_pages: int, zero_pages: int, rmap_items: int) -> int:
    """Bytes, as in /proc/PID/ksm_stat (mm/ksm.c ksm_process_profit, 6.6).

    Counts the kept page of each node as saved too, so the processes' profits
    exceed `general_profit`.
    """
    return (merging_pages + zero_pages) * PAGE_SIZE - rmap_items * RMAP_ITEM_SIZE


def ksm_stat(rmap_items: int, merging_pages: int, zero_pages: int) -> dict[str, int]:
    """The figures of /proc/PID/ksm_stat (fs/proc/base.c proc_pid_ksm_stat, 6.6)."""
    return {
        "ksm_rmap_items": rmap_items,
        "ksm_merging_pages": merging_pages,
        "ksm_zero_pages": zero_pages,
        "ksm_process_profit": process_profit(merging_pages, zero_pages, rmap_items),
    }
