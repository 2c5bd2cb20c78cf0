"""The simulated ksmd against real ones: every figure of every shipped recording."""

import json
from dataclasses import replace
from typing import Any

import pytest

from analyzer.profile import profile_of
from analyzer.recording import Figured, Recording, parse, shipped
from analyzer.report.verdict import summary_text, verdict_text, verdicts_json
from analyzer.verify import Residue, verify

SHIPPED = list(shipped())


@pytest.mark.parametrize("recording", SHIPPED, ids=lambda each: each.name)
def test_equals_the_kernel_in_every_figure(recording: Recording) -> None:
    verdict = verify(recording)
    assert verdict.figures or not any(step.seen for step in recording.steps)
    assert verdict.differences == ()


def test_without_the_order_of_bytes_only_known_residues_are_left() -> None:
    unsorted = [replace(each, contents_sorted=False) for each in SHIPPED]
    found = [row for each in unsorted for row in verify(each).differences]
    chains = [row for row in found if row.residue is Residue.CHAINS]
    assert {row.figure for row in chains} <= {"stable_node_chains", "stable_node_dups"}
    assert len(chains) <= 203
    assert max(abs(row.by) for row in chains) <= 5
    others = [row for row in found if row.residue is not Residue.CHAINS]
    assert {row.residue for row in others} == {Residue.MID_SCAN}
    assert len(others) <= 46


def test_a_wrong_version_does_not_pass() -> None:
    """The profiles matter: 7.3's behaviour is not 6.1's."""
    old = profile_of("6.1")
    new = [each for each in SHIPPED if each.name.startswith("7.3/")]
    failures = [verify(replace(each, profile=old)).failures for each in new]
    assert sum(map(bool, failures)) > 20


def recording(**figures: int) -> Recording:
    """One scan over three pages, two of them equal, with *figures* said of it."""
    steps: list[dict[str, Any]] = [
        {"op": "spawn", "proc": "A"},
        {"op": "mmap", "proc": "A", "start": 0, "n": 3, "flags": "m"},
        {"op": "write", "proc": "A", "start": 0, "ids": [1, 1, 2]},
        {"op": "scan", "n": 2, "observed": [{}, {"global": figures, "procs": {}}]},
    ]
    data = json.dumps({"kernel": "6.18", "steps": steps, "description": "small"})
    return parse(data.encode(), "small.json", "small")


def test_a_difference_is_told_with_its_size() -> None:
    verdict = verify(recording(pages_shared=1, pages_unshared=3))
    (found,) = verdict.differences
    assert (found.figure, found.kernel, found.simulated, found.by) == (
        "pages_unshared",
        3,
        1,
        -2,
    )
    assert verdict.failures == 1
    assert verdict.residues == 0


def test_the_text_tells_agreement_and_difference() -> None:
    verdict = verify(recording(pages_shared=1, pages_unshared=3))
    assert verdict_text(verdict, steps=True).splitlines() == [
        "small  Linux 6.18: 2 figures, 1 failure",
        "  compared: pages_shared, pages_unshared",
        "  step 4, scan x 2: 1 of 2 figures agree, not always: pages_unshared",
        "    turn 2: pages_unshared is 3 in the kernel, 1 simulated (-2)  FAILURE",
    ]
    assert summary_text([verdict]).splitlines() == [
        "1 recording, 2 observations: 1 of 2 figures agree",
        "1 failure",
    ]


def test_without_steps_only_the_recording_is_told() -> None:
    verdict = verify(recording(pages_shared=1))
    assert verdict_text(verdict, steps=False) == (
        "small  Linux 6.18: 1 figure, all agree\n"
    )


def test_the_json_tells_the_same() -> None:
    document = json.loads(verdicts_json([verify(recording(pages_unshared=3))]))
    assert document["schema"] == "ksm-analyze/verify/1"
    assert document["agrees"] is False
    (told,) = document["recordings"]
    assert told["recording"] == "small"
    assert told["profile"] == "6.18"
    assert told["steps"][0]["differences"] == [
        {
            "turn": 2,
            "process": None,
            "figure": "pages_unshared",
            "kernel": 3,
            "simulated": 1,
            "residue": None,
            "by": -2,
        }
    ]


def test_names_cannot_draw_on_the_terminal() -> None:
    made = replace(
        recording(pages_shared=1), name="\x1b[31m", not_compared=frozenset({"\x07"})
    )
    assert "\x1b" not in verdict_text(verify(made), steps=True)
    assert "\x07" not in verdict_text(verify(made), steps=True)


def test_what_is_not_held_is_not_compared() -> None:
    made = recording(pages_shared=1)
    last = replace(made.steps[-1], seen=(Figured({}, {}),) * 2)
    verdict = verify(replace(made, steps=(*made.steps[:-1], last)))
    assert verdict.figures == 0
