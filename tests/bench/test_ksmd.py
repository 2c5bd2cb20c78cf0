"""The real ksmd beside the simulated ones, on the same pages: root, and an idle ksmd.

What is compared is CPU time, of the kernel's thread and of this process, of the scan
in which everything merges: the second, as the first only notes checksums.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from bench.engines import engines
from bench.measure import Ledger, Timing

from analyzer.knobs import KsmKnobs
from analyzer.live.cpu import clock_of_ksmd
from analyzer.live.ksmd import Ksmd, exclusively, require_ksmd, use_by_others
from analyzer.live.programs import Program, stopped, workload
from analyzer.policy import MergePolicy, Offer
from analyzer.profile import Profile, chosen_profile
from traces.capture.live import Capture, Settings
from traces.capture.select import Selection, select
from traces.errors import InputError

pytestmark = pytest.mark.kernel

KNOBS = KsmKnobs(smart_scan=False)
SCANS = 4
MERGING = 2
"""The scan, counted from one, in which pages merge."""


class Stage(NamedTuple):
    """Processes that stand still, as they were captured, and a ksmd that waits."""

    ksmd: Ksmd
    clock: Callable[[], int]
    """ksmd's CPU time so far, in ns."""
    trace: Path
    pages: int
    """Offered."""
    profile: Profile


@pytest.fixture
def stage(ledger: Ledger, tmp_path: Path) -> Iterator[Stage]:
    """256 MiB, half of it unique, an eighth zero, of the others 16 copies each; or
    32 MiB where nothing is measured."""
    profile = chosen_profile(None, os.uname().release)
    if not profile.plain_snapshot:
        pytest.skip(f"the snapshot engine has no ksmd as old as {os.uname().release}")
    half = 1 << 15 if ledger.full else 1 << 12
    programs = [
        Program(name, workload(name, str(half)), whole=False)
        for name in ("copies", "unique")
    ]
    with ExitStack() as stack:
        try:
            require_ksmd()
            clock = clock_of_ksmd()
            stack.enter_context(exclusively(wait=ledger.full))
        except InputError as error:
            pytest.skip(str(error))
        if used := use_by_others():
            pytest.skip(used)
        pids = stack.enter_context(stopped(programs))
        ksmd = stack.enter_context(Ksmd(KNOBS))
        trace = tmp_path / "trace.parquet"
        chosen = select(Selection(pids=frozenset(pids)))
        for _ in Capture(chosen, Settings()).write(trace):
            pass
        yield Stage(ksmd, clock, trace, 2 * half, profile)


def test_the_merging_scan_beside_the_real_one(stage: Stage, ledger: Ledger) -> None:
    offered = MergePolicy(Offer.CAPTURED)
    makers = engines(stage.trace, KNOBS, offered, stage.profile)
    took = {name: Timing([], []) for name in ("ksmd", *makers)}
    for _ in range(7 if ledger.full else 1):
        stage.ksmd.start_over()
        simulated = {name: make() for name, make in makers.items()}
        for number in range(1, SCANS + 1):
            spent = [real_scan(stage)]
            for engine in simulated.values():
                timing = Timing([], [])
                timing.add(engine.full_scan)
                spent.append(timing)
                agree(stage.ksmd.counters(), engine.counters()._asdict())
            if number == MERGING:
                for timing, once in zip(took.values(), spent, strict=True):
                    timing.cpu.extend(once.cpu)
                    timing.wall.extend(once.wall)
    assert stage.ksmd.counters()["pages_sharing"] > stage.pages // 4
    ledger.keep("merging scan of captured pages", took)
    for name in makers:
        ratio = took["ksmd"].ratio(took[name])
        ledger.at_least(f"merging scan: CPU of ksmd / {name}", ratio, 100)
    each = took["ksmd"].median("cpu") / stage.pages * 1e9
    ledger.context("merging scan: CPU of ksmd, a page", each, "ns")


def real_scan(stage: Stage) -> Timing:
    """What a full scan takes the kernel's thread."""
    cpu, wall = stage.clock(), time.perf_counter()
    stage.ksmd.full_scan()
    return Timing([(stage.clock() - cpu) / 1e9], [time.perf_counter() - wall])


def agree(kernel: Mapping[str, int], model: Mapping[str, int]) -> None:
    """Every figure that both have; totals go on over the rounds in the kernel."""
    known = kernel.keys() & model.keys() - {"pages_scanned", "pages_skipped"}
    assert len(known) > 5
    assert {name: kernel[name] for name in known} == {n: model[n] for n in known}
