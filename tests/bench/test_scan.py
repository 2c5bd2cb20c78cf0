"""Full scans of both engines: how many pages a second, with smart scan and without."""

from collections.abc import Callable
from pathlib import Path
from statistics import harmonic_mean

import pytest
from bench.engines import Engine, engines
from bench.measure import Ledger

from analyzer.knobs import KsmKnobs

PASSES = 8
MERGING = 2
"""The pass, counted from one, in which most pages merge."""
FIRST_SKIPS = 5
"""The first pass in which smart scan passes over pages; in the next it does not."""


@pytest.mark.parametrize("use_zero_pages", [False, True])
@pytest.mark.parametrize("smart_scan", [True, False])
@pytest.mark.parametrize("max_page_sharing", [2, 256])
def test_both_engines_agree_after_every_pass(
    mix_with_frames: Path,
    ledger: Ledger,
    max_page_sharing: int,
    smart_scan: bool,
    use_zero_pages: bool,
) -> None:
    if ledger.full:
        pytest.skip("shown on 64 Ki pages; the full size is for measuring")
    knobs = KsmKnobs(
        max_page_sharing=max_page_sharing,
        smart_scan=smart_scan,
        use_zero_pages=use_zero_pages,
    )
    one, other = (make() for make in engines(mix_with_frames, knobs).values())
    for _ in range(PASSES):
        one.full_scan()
        other.full_scan()
        assert one.counters() == other.counters()
    assert one.counters().pages_sharing > 0
    assert (one.counters().pages_skipped > 0) == smart_scan


@pytest.mark.parametrize("smart_scan", [False, True])
def test_the_speed_of_a_pass(
    mix_with_frames: Path, pages: int, ledger: Ledger, smart_scan: bool
) -> None:
    makers = engines(mix_with_frames, KsmKnobs(smart_scan=smart_scan))
    scanning: dict[str, Engine] = {}

    def renew() -> None:
        scanning.clear()
        scanning.update({name: make() for name, make in makers.items()})

    def scan(name: str) -> Callable[[], None]:
        return lambda: scanning[name].full_scan()

    how = "smart scan" if smart_scan else "no smart scan"
    steps = PASSES if smart_scan else MERGING + 1
    contenders = {name: scan(name) for name in makers}
    took = ledger.race_in_steps(f"pass, {how}", steps, contenders, renew, rounds=3)
    one, other = (engine.counters() for engine in scanning.values())
    assert one == other
    for name in makers:
        speeds = [pages / step[name].median("cpu") / 1e6 for step in took]
        merging = f"merging pass, {how}, {name}"
        ledger.at_least(merging, speeds[MERGING - 1], 45 if smart_scan else 60, "M/s")
        if smart_scan:
            skipping = harmonic_mean(speeds[FIRST_SKIPS - 1 :])
            ledger.at_least(
                f"passes {FIRST_SKIPS} to {PASSES}: visited, {name}",
                skipping,
                45,
                "M/s",
            )
