"""What one look at this host's own KSM showed, and what happened between two looks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from analyzer.knobs import KsmKnobs

Group = tuple[str, str]
"""(workload, comm): what processes have in common over restarts and hosts."""


class ProcessSample(NamedTuple):
    """A process that ksmd knows, or that is offered to it; None is what the kernel
    does not tell."""

    pid: int
    start_ticks: int
    """With `pid` what tells this process from any other of this boot."""
    comm: str
    workload: str
    """As a capture names it."""
    ksm_merging_pages: int
    ksm_rmap_items: int | None
    ksm_zero_pages: int | None
    ksm_process_profit: int | None
    """Bytes."""
    merge_any: bool | None
    """Offered as a whole, by prctl (Linux 6.12 tells)."""
    mergeable: bool | None
    """Whether any of its mappings is offered (Linux 6.12 tells)."""

    @property
    def key(self) -> tuple[int, int]:
        """The same for one process in all samples."""
        return self.pid, self.start_ticks

    @property
    def group(self) -> Group:
        """What it is known by elsewhere."""
        return self.workload, self.comm


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The kernel's figures at one moment; None is what it does not tell."""

    time_ns: int
    """Since 1970."""
    clock_ns: int
    """On a clock that nobody sets, for differences."""
    run: int
    """0 ksmd stands still, 1 it runs, 2 all was un-merged."""
    settings: Mapping[str, str]
    """The knobs that this kernel has, as their files put them; of a choice, what is
    chosen."""
    knobs: KsmKnobs | None
    """The same as a replay knows them; None where they make it endless."""
    counters: Mapping[str, int | None]
    """Every field of `KsmCounters`; full_scans, pages_scanned and pages_skipped
    count from boot."""
    ksmd_cpu_ns: int | None
    """CPU time of ksmd since boot."""
    processes: tuple[ProcessSample, ...]
    """In ascending order of pid."""
    unreadable: int
    """Processes whose figures are not ours to read."""
    limits: tuple[str, ...]
    """What could not be seen, in sentences."""
    took_ns: int
    """How long the look took."""


class Rates(NamedTuple):
    """What changed from one sample to the next, per second; negative where a counter
    went back, None where it is not told."""

    pages_scanned: float | None
    pages_merged: float | None
    """The change of pages_sharing and ksm_zero_pages: pages that came free."""
    cpu_share: float | None
    """ksmd's share of one CPU, 0 to 1."""


def rates(before: Sample, after: Sample) -> Rates:
    """The changes from *before* to *after*, a later sample of the same host."""
    seconds = (after.clock_ns - before.clock_ns) / 1e9

    def per_second(was: int | None, now: int | None) -> float | None:
        return None if was is None or now is None else (now - was) / seconds

    cpu = per_second(before.ksmd_cpu_ns, after.ksmd_cpu_ns)
    scanned = [sample.counters["pages_scanned"] for sample in (before, after)]
    return Rates(
        pages_scanned=per_second(*scanned),
        pages_merged=per_second(pages_merged(before), pages_merged(after)),
        cpu_share=None if cpu is None else cpu / 1e9,
    )


def pages_merged(sample: Sample) -> int | None:
    """Pages that are free because of ksmd: pages_sharing and, where the kernel counts
    them, ksm_zero_pages."""
    sharing = sample.counters["pages_sharing"]
    zero = sample.counters["ksm_zero_pages"]
    return None if sharing is None else sharing + (zero or 0)
