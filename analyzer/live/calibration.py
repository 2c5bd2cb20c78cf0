"""What a page costs this host's ksmd, measured on workloads of our own.

Each figure comes from full scans in which every page is treated alike, as the CPU time
of the kernel thread before and after: no figure is the small difference of two large
ones.
"""

import os
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from statistics import median
from typing import Final, NamedTuple

from analyzer.costs import Calibration
from analyzer.knobs import KsmKnobs
from analyzer.live.afterwards import unwinding
from analyzer.live.cpu import clock_of_ksmd
from analyzer.live.ksmd import Ksmd, exclusively, require_ksmd, use_by_others
from analyzer.live.programs import Program, stopped, workload
from traces.errors import InputError

COPIES: Final = 16
"""Of each content in workload.copies: one search in so many is no merge."""

# Without smart_scan every page is processed in every scan.
_KNOBS: Final = KsmKnobs(smart_scan=False, use_zero_pages=False)


class _Scans(NamedTuple):
    """Nanoseconds per page of one workload's full scans."""

    first: float
    second: float
    later: list[float]


def calibrate(pages: int = 32768, rounds: int = 3) -> Calibration:
    """Measure, *rounds* times, with workloads of *pages*; the medians.

    Raises InputError where ksmd cannot be had: no KSM, not root, or in use.
    """
    require_ksmd()
    with unwinding(), exclusively():
        if used := use_by_others():
            raise InputError(f"{used}: a calibration needs it idle")
        clock = clock_of_ksmd()
        alone = [_scans("unique", pages, clock) for _ in range(rounds)]
        alike = [_scans("copies", pages, clock) for _ in range(rounds)]
    search = median(time for scans in alone for time in scans.later)
    # Of each content's copies the first is searched for in vain.
    share = (pages * 3 // 4 // COPIES + 1) / pages
    merging = median(scans.second for scans in alike)
    return Calibration(
        host=socket.gethostname(),
        kernel=os.uname().release,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        pages=pages,
        checksum=round(median(scans.first for scans in (*alone, *alike)), 1),
        search=round(search, 1),
        merge=round((merging - share * search) / (1 - share), 1),
        merged=round(median(time for scans in alike for time in scans.later), 1),
    )


def _scans(name: str, pages: int, clock: Callable[[], int]) -> _Scans:
    program = Program(name, workload(name, str(pages)), whole=False)
    with stopped([program]), Ksmd(_KNOBS) as ksmd:
        first, second, *later = (
            time / pages for time in _times(ksmd, clock, full_scans=5)
        )
        return _Scans(first, second, later)


def _times(ksmd: Ksmd, clock: Callable[[], int], full_scans: int) -> Iterator[int]:
    for _ in range(full_scans):
        began = clock()
        ksmd.full_scan()
        yield clock() - began
