"""How fast ksmd goes: its knob, or what the advisor makes of it."""

from dataclasses import replace

from analyzer.engine.advisor import Advisor
from analyzer.knobs import KsmKnobs


class Pace:
    """pages_to_scan from scan to scan, under *knobs*."""

    def __init__(self, knobs: KsmKnobs) -> None:
        self.advisor: Advisor | None = None
        self.pages_to_scan = knobs.pages_to_scan
        if knobs.advisor_mode == "scan-time":
            self.pages_to_scan = knobs.advisor_min_pages_to_scan
            self.advisor = Advisor(
                knobs.advisor_target_scan_time,
                knobs.advisor_max_cpu,
                knobs.advisor_max_pages_to_scan,
            )

    def after_scan(self, scan_ns: int, cpu_ns: int) -> None:
        """Take the advice, if there is one, after a scan of that length and work."""
        if self.advisor is not None:
            pages = self.advisor.advise(self.pages_to_scan, scan_ns, cpu_ns)
            self.pages_to_scan = max(pages, 1)

    def applied(self, knobs: KsmKnobs) -> KsmKnobs:
        """*knobs* with the present pages_to_scan."""
        return replace(knobs, pages_to_scan=self.pages_to_scan)
