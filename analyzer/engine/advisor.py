"""The scan-time advisor: how many pages the next wake-ups take (Linux 6.8).

scan_time_advisor() of mm/ksm.c in its own integers; divisions round down, and a
result of 0 gives way to 1 where the kernel does so.
"""

from dataclasses import dataclass

_NS_PER_S = 1_000_000_000


@dataclass(slots=True)
class Advisor:
    """What the advisor remembers; made when it is switched on."""

    target_scan_time: int
    """Seconds."""
    max_cpu: int
    """Percent."""
    max_pages_to_scan: int
    change: int = 0
    """The smoothed change of scan times, in percent."""
    last_scan_time: int = 0
    """Seconds; 0 before the first scan."""

    def advise(self, pages_to_scan: int, scan_ns: int, cpu_ns: int) -> int:
        """pages_to_scan after a full scan that lasted *scan_ns* and took *cpu_ns*."""
        scan_time = scan_ns // _NS_PER_S or 1
        cpu_ms = cpu_ns // 1_000_000
        cpu_percent = cpu_ms * 100 // (scan_time * 1000) or 1
        factor = self.target_scan_time * 100 // scan_time or 1
        change = scan_time * 100 // (self.last_scan_time or scan_time) or 1
        change = (70 * self.change + 30 * change) // 100
        pages = pages_to_scan * 100 // factor
        pages = pages * change // 100
        cost = pages_to_scan // cpu_percent or 1
        pages = min(pages, cost * self.max_cpu)
        pages = max(pages, cost * 10)
        self.change, self.last_scan_time = change, scan_time
        return min(pages, self.max_pages_to_scan)
