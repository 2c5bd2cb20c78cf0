"""Full scans of ksmd: the engine's and the C reference's, scan by scan."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest
from bench.host import Host
from bench.measure import Ledger
from bench.native import CScan

from analyzer.engine import totals as place
from analyzer.engine.contents import content_numbers
from analyzer.engine.kernel import wake_up
from analyzer.engine.state import State, new_state

PASSES: Final = 8
MERGING: Final = 2
"""The pass, counted from one, in which most pages merge: the first only notes their
checksums."""

COUNTERS: Final = {name: getattr(place, name.upper()) for name in CScan.COUNTERS}


@pytest.fixture(scope="module")
def content(host: Host) -> npt.NDArray[np.int32]:
    """The number of each row's content."""
    return content_numbers(host.digest, host.zero)[0]


@pytest.mark.parametrize("use_zero_pages", [False, True])
@pytest.mark.parametrize("smart_scan", [True, False])
@pytest.mark.parametrize("max_page_sharing", [2, 16, 256])
def test_every_pass_gives_what_c_gives(
    content: npt.NDArray[np.int32],
    built: Callable[..., Any],
    ledger: Ledger,
    max_page_sharing: int,
    smart_scan: bool,
    use_zero_pages: bool,
) -> None:
    if ledger.full and max_page_sharing != 256:
        pytest.skip("shown on 64 Ki pages; the full size is for measuring")
    knobs = {
        "max_page_sharing": max_page_sharing,
        "use_zero_pages": use_zero_pages,
        "smart_scan": smart_scan,
    }
    c_scan = built(CScan, content, **knobs)
    state = fresh(content)
    for _ in range(PASSES):
        c_scan.full_scan()
        engine_scan(state, **knobs)
        assert c_scan.counters() == counters(state)
    assert counters(state)["sharing"] > 0


def test_a_pass_costs_what_it_costs_in_c(
    content: npt.NDArray[np.int32], built: Callable[..., Any], ledger: Ledger
) -> None:
    knobs = {"max_page_sharing": 256, "use_zero_pages": False, "smart_scan": True}
    states: list[State] = []
    c_scans: list[CScan] = []

    def renew() -> None:
        states[:] = [fresh(content)]
        c_scans[:] = [built(CScan, content, **knobs)]

    def ours() -> None:
        engine_scan(states[0], **knobs)

    def theirs() -> None:
        c_scans[0].full_scan()

    contenders = {"C": theirs, "ksm-analyze": ours}
    took = ledger.race_in_steps("pass", PASSES, contenders, renew)
    for number, timings in enumerate(took, start=1):
        our, c = timings["ksm-analyze"], timings["C"]
        if number == MERGING:
            speed = len(content) / our.median("cpu") / 1e6
            ledger.at_least("merging pass: speed", speed, 60, "M/s")
            ledger.at_most("merging pass: CPU of ksm-analyze / C", our.ratio(c), 1.5)
    everything = [
        sum(step["ksm-analyze"].median("cpu") for step in took),
        sum(step["C"].median("cpu") for step in took),
    ]
    ledger.context(
        f"all of {PASSES} passes: CPU of ksm-analyze / C", everything[0] / everything[1]
    )


def fresh(content: npt.NDArray[np.int32]) -> State:
    """ksmd before its first scan, its memory already in place."""
    state = new_state(np.arange(len(content), dtype=np.int32), content)
    for array in state:
        array[...] = array
    return state


def engine_scan(state: State, **knobs: int) -> None:
    """One full scan."""
    ended = wake_up(state, pages_to_scan=len(state.where) + 1, zero_contents=1, **knobs)
    assert ended


def counters(state: State) -> dict[str, int]:
    """So far, by the C reference's names."""
    return {name: int(state.totals[at]) for name, at in COUNTERS.items()}
