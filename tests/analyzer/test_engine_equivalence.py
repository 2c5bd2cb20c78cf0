"""The compiled engine is the plain one: equal to tests/reference.py, compiled or not,
after every wake-up, on whatever machine hypothesis can think of."""

import os
import subprocess
import sys
from pathlib import Path

from engine import Engine
from hypothesis import given, settings
from reference import Ksmd
from snapshots import Snapshot, knobs, snapshots

from analyzer.knobs import KsmKnobs

FULL_SCANS = 16
"""Enough for smart scan's longest pause."""


def walk_side_by_side(snapshot: Snapshot, settings_: KsmKnobs) -> None:
    reference, engine = Ksmd(snapshot, settings_), Engine(snapshot, settings_)
    while reference.full_scans < FULL_SCANS:
        assert engine.wake_up() == reference.wake_up()
        assert engine.counters() == reference.counters()
        for number in range(len(snapshot)):
            assert engine.process(number) == reference.process(number)
            assert engine.unmerged(number) == reference.unmerged(number)


@settings(max_examples=300, deadline=None)
@given(snapshots(), knobs())
def test_equals_the_reference_after_every_wake_up(
    snapshot: Snapshot, settings_: KsmKnobs
) -> None:
    walk_side_by_side(snapshot, settings_)


@settings(max_examples=100, deadline=None)
@given(snapshots(nodes=2), knobs(merge_across_nodes=False))
def test_equals_the_reference_on_a_machine_of_two_nodes(
    snapshot: Snapshot, settings_: KsmKnobs
) -> None:
    walk_side_by_side(snapshot, settings_)


def test_its_plain_python_body_equals_the_reference_too() -> None:
    """What numba compiles is what is written there. In a process of its own, since
    compiling is switched off for good or not at all."""
    here = f"{Path(__file__)}::test_equals_the_reference_after_every_wake_up"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", here],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout
