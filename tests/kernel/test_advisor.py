"""The scan-time advisor of this machine beside ours, decision by decision.

The kernel decides by its own clock and by ksmd's CPU time at the end of a scan. Both
are read from outside a moment later, so every decision is worked out for all times
that may have been meant, and the kernel's must be among them.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import pytest
from kernel.programs import available

from analyzer.engine.advisor import Advisor
from analyzer.knobs import SYSFS
from analyzer.live.ksmd import Ksmd
from analyzer.live.programs import stopped

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("ksmd_is_ours")]

DECISIONS = 8
PATIENCE = 90.0
"""Seconds for all of them."""

TARGET, MAX_CPU, MOST = 2, 70, 30000
SETTINGS = {
    "sleep_millisecs": 20,
    "advisor_target_scan_time": TARGET,
    "advisor_max_cpu": MAX_CPU,
    "advisor_min_pages_to_scan": 500,
    "advisor_max_pages_to_scan": MOST,
    "advisor_mode": "scan-time",
    "run": 1,
}


@contextmanager
def advised() -> Iterator[None]:
    names = [name for name in SETTINGS if name.startswith("advisor_")][:-1]
    before = {name: (SYSFS / name).read_text() for name in names}
    try:
        for name, value in SETTINGS.items():
            (SYSFS / name).write_text(str(value))
        yield
    finally:
        (SYSFS / "advisor_mode").write_text("none")
        for name, text in before.items():
            (SYSFS / name).write_text(text)


def ksmd_cpu_ns() -> int:
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text() == "ksmd\n":
                return int((comm.parent / "schedstat").read_text().split()[0])
        except OSError:
            continue
    raise AssertionError("there is no ksmd")


def decisions() -> Iterator[tuple[float, int, int]]:
    """(when a scan had ended, ksmd's CPU time, pages_to_scan from then on)."""
    scans, until = 0, time.monotonic() + PATIENCE
    while time.monotonic() < until:
        now = int((SYSFS / "full_scans").read_text())
        if now > scans:
            assert now == scans + 1, "a scan was missed"
            scans = now
            cpu = ksmd_cpu_ns()
            yield time.monotonic(), cpu, int((SYSFS / "pages_to_scan").read_text())
        time.sleep(0.002)


def test_every_decision_is_one_of_ours(tmp_path: Path) -> None:
    if not (SYSFS / "advisor_mode").exists():
        pytest.skip("this kernel has no advisor: it came with 6.8")
    with stopped(available(tmp_path)), Ksmd(), advised():
        began, cpu = time.monotonic(), 0
        pages = 500
        # (change, last scan time) the advisor may remember.
        memories = {(0, 0)}
        for nth, (ended, used, decided) in enumerate(decisions()):
            lasted = ended - began
            seconds = {int(max(lasted - late, 0)) for late in (0.0, 0.03, 0.06, 0.1)}
            spent = range(used - cpu - 10_000_000, used - cpu + 1, 1_000_000)
            outcomes: dict[int, set[tuple[int, int]]] = {}
            for (change, last), second, ns in product(memories, seconds, spent):
                ours = Advisor(TARGET, MAX_CPU, MOST, change, last)
                if nth == 0:
                    # The first advice counts ksmd's CPU time since boot.
                    ns = used
                pages_then = ours.advise(pages, second * 1_000_000_000, max(ns, 0))
                memory = ours.change, ours.last_scan_time
                outcomes.setdefault(pages_then, set()).add(memory)
            assert decided in outcomes, (nth, lasted, used - cpu, pages, memories)
            memories, pages = outcomes[decided], decided
            began, cpu = ended, used
            if nth + 1 == DECISIONS:
                return
        pytest.fail(f"only {nth + 1} scans in {PATIENCE} s")
