"""What came of a capture: counts while it runs, and what they mean in sentences."""

import os
from collections import Counter
from dataclasses import dataclass, field

from traces.capture import host


@dataclass(slots=True)
class Tally:
    """What came of a capture so far."""

    processes: int = 0
    pages: int = 0
    ksm_pages: int = 0
    """Pages that ksmd had merged already."""
    skipped: Counter[str] = field(default_factory=Counter)
    """What was left out: reason, with its unit → count; zero counts may be there."""
    reread_pages: int = 0
    """Pages read a second time to see what changes."""
    sampled_pages: int = 0
    """Pages of the processes of which some were read a second time."""
    changed_pages: float = 0.0
    """How many of `sampled_pages` changed meanwhile, extrapolated."""
    zeroed_processes: int = 0
    """Processes in which ksmd has placed zero pages."""

    def add_epoch(self, epoch: "Tally") -> None:
        """Take in the tally of one more snapshot of the same capture.

        The same page may be skipped in every one: so the most that any of them skipped
        is told. What was read twice adds up.
        """
        self.processes = max(self.processes, epoch.processes)
        self.pages = max(self.pages, epoch.pages)
        self.ksm_pages = max(self.ksm_pages, epoch.ksm_pages)
        self.zeroed_processes = max(self.zeroed_processes, epoch.zeroed_processes)
        self.skipped |= epoch.skipped
        self.reread_pages += epoch.reread_pages
        self.sampled_pages += epoch.sampled_pages
        self.changed_pages += epoch.changed_pages

    def counted(self) -> dict[str, int]:
        """What was left out, without the reasons that did not occur."""
        return {why: count for why, count in self.skipped.items() if count}

    def limits(self, *, frozen: bool, frames_known: bool) -> list[str]:
        """What this capture cannot tell, a sentence each."""
        found = []
        if not frames_known:
            found.append(
                "Frames are known to root only: memory still shared by fork cannot be "
                "told from copies, so savings are a lower and an upper bound."
            )
        if not frozen and self.reread_pages:
            share = self.changed_pages / self.sampled_pages if self.sampled_pages else 0
            found.append(
                "Processes ran while they were read: an estimated "
                f"{share:.2%} of the pages changed meanwhile "
                f"({self.reread_pages} pages were read twice)."
            )
        if self.ksm_pages:
            found.append(
                f"ksmd had merged pages already (mappings: {self.ksm_pages}); each "
                "mapping counts as a page of its own, as after writing 2 to run."
            )
        if self.zeroed_processes:
            found.append(
                "ksmd has placed zero pages (ksm_zero_pages; processes: "
                f"{self.zeroed_processes}): they look like memory never written "
                "and are missing here."
            )
        if swapped := self.skipped["pages in swap"]:
            found.append(
                f"Pages in swap ({swapped}) were left there: their content is unknown."
            )
        if denied := self.skipped["processes without permission"]:
            found.append(
                f"Not all selected processes could be read (missing: {denied}): "
                f"{permission_hint()}."
            )
        return found


def permission_hint() -> str:
    """Who may read a process that this user may not."""
    scope = host.ptrace_scope()
    if os.geteuid() == 0:
        return "root needs CAP_SYS_PTRACE here"
    if scope:
        return (
            "root may read them; others may not while "
            f"/proc/sys/kernel/yama/ptrace_scope is {scope}"
        )
    return "root and their own user may read them"
