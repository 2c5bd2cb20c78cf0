"""Places in the totals that both scans keep alike; each adds some of its own."""

from typing import Final

SHARED: Final = 0
SHARING: Final = 1
UNSHARED: Final = 2
ITEMS: Final = 3
ZERO_PAGES: Final = 4
CHAINS: Final = 5
DUPS: Final = 6
SKIPPED: Final = 7
SCANNED: Final = 8
FULL_SCANS: Final = 9
FRAMES_USED: Final = 10
CHANGES: Final = 11
"""Merges, joins, placed zero pages, splits and freed items so far."""
COMMON: Final = 12
"""The first place that is a scan's own."""
