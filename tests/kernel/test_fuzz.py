"""Random processes under this machine's ksmd and under the model, side by side: every
figure after every event and every wake-up is the same.

KSM_ANALYZE_FUZZ_CASES says how many cases run, 200 unless it is set, and
KSM_ANALYZE_FUZZ_SEED which is the first. 200 take half a minute on a quiet machine.
"""

import os
import time
from collections.abc import Iterator

import pytest
from kernel.chance import case
from kernel.evidence import Evidence, evidence, shortest
from kernel.this_machine import Agent, first_agent

from analyzer.verify import Residue

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.usefixtures("ksmd_is_ours", "ksmd_is_the_models"),
]

CASES = int(os.environ.get("KSM_ANALYZE_FUZZ_CASES", "200"))
FIRST_SEED = int(os.environ.get("KSM_ANALYZE_FUZZ_SEED", "0"))

SECONDS = 90.0 * max(CASES, 200) / 200
"""What all cases may take on a busy machine: the rest is left out, and `pytest -s`
says how many were."""
SHRINKING = 30.0
"""Seconds spent on finding out what a failure needs."""


@pytest.fixture(scope="module")
def first(ksmd_is_ours: None) -> Iterator[Agent]:  # noqa: ARG001
    with first_agent() as agent:
        yield agent


def test_no_random_sequence_of_events_tells_model_and_kernel_apart(
    first: Agent,
) -> None:
    """The order of bytes shows in two places only: in chains, and in the middle of a
    scan where KSM pages that nobody maps any more wait to be forgotten."""
    found = _all(first, mid_scan=False)
    differences = [row for each in found for row in each.verdict.differences]
    turns = sum(each.verdict.turns for each in found)
    chains = [row for row in differences if row.residue is Residue.CHAINS]
    assert len(chains) <= turns // 10
    assert not [row for row in differences if row.residue is Residue.MID_SCAN]
    passing = [row for each in found for row in each.passing_differences]
    assert len(passing) <= turns // 100


def test_events_in_the_middle_of_a_scan_blur_little(first: Agent) -> None:
    """Whether a page that was just faulted in can merge hangs on what else the same
    processor has faulted in since; that order shows, too."""
    found = _all(first, mid_scan=True)
    blurred = [
        row
        for each in found
        for row in each.verdict.differences
        if row.residue is Residue.MID_SCAN
    ]
    figures = sum(each.verdict.figures for each in found)
    assert len(blurred) <= figures // 100


def _all(first: Agent, mid_scan: bool) -> list[Evidence]:
    started, found = time.monotonic(), []
    for seed in range(FIRST_SEED, FIRST_SEED + CASES):
        if time.monotonic() - started > SECONDS:
            break
        found.append(_checked(first, seed, mid_scan))
    print(f"{len(found)} of {CASES} cases")
    return found


def _checked(first: Agent, seed: int, mid_scan: bool) -> Evidence:
    """A difference counts if it comes again. Another program may have come to ksmd's
    list and have left it before anybody looked; and a page on its way through reclaim
    has a reference more, so that it cannot merge just then."""
    tried = case(seed, mid_scan)
    seen = evidence(tried.knobs, tried.steps, first)
    if seen.failures:
        seen = evidence(tried.knobs, tried.steps, first)
    if seen.failures:
        small = shortest(tried.knobs, tried.steps, first, SHRINKING) or seen
        pytest.fail(f"seed {seed}, mid_scan {mid_scan}\n{small.text()}", pytrace=False)
    return seen
