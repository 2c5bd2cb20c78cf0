"""What this machine's kernel says to a list of events, kept as a recording, so that the
program's own `verify` is the judge and a failure can be handed on as a file."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from kernel.this_machine import Agent, ThisMachine, strangers

from analyzer.counters import RMAP_ITEM_SIZE
from analyzer.recording import Recording, parse
from analyzer.step import STANDING_STILL, Batch, Scan, UnmergeAll
from analyzer.verify import Difference, StepVerdict, Verdict, verify
from traces.errors import InputError
from traces.schema import PAGE_SIZE

Knobs = dict[str, int]
Steps = list[dict[str, Any]]

_UNDISTURBED: Final = 5
"""Attempts to be alone with ksmd."""


class CrowdedError(Exception):
    """Other processes came to ksmd's list again and again."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the kernel said, and how the model compares."""

    recording: bytes
    verdict: Verdict
    passing: frozenset[tuple[int, int]]
    """Steps and turns seen in the middle of a full scan after events. A KSM page that
    nobody maps any more is forgotten when a walk down the tree crosses it, at the
    latest when ksmd meets its last member: only in between does it matter when, which
    hangs on the order of the pages' bytes."""

    @property
    def failures(self) -> list[tuple[StepVerdict, Difference]]:
        """Differences without a name."""
        return [
            (step, row)
            for step in self.verdict.steps
            for row in step.differences
            if row.residue is None and (step.step, row.turn) not in self.passing
        ]

    @property
    def passing_differences(self) -> list[Difference]:
        """Those that are forgiven because the scan was under way."""
        return [
            row
            for step in self.verdict.steps
            for row in step.differences
            if row.residue is None and (step.step, row.turn) in self.passing
        ]

    def text(self) -> str:
        """The failures, one line each, and the recording."""
        lines = [
            f"step {step.step} ({step.op}), turn {row.turn}: "
            f"{row.process or 'machine'}.{row.figure}: "
            f"kernel {row.kernel}, model {row.simulated}"
            for step, row in self.failures
        ]
        return "\n".join([*lines, self.recording.decode()])


def evidence(knobs: Knobs, steps: Steps, first: Agent) -> Evidence:
    """Let it all happen in the kernel, and again in the model.

    Raises InputError for steps that cannot happen, and CrowdedError.
    """
    recording = parse(_document(knobs, steps), "these steps", "these steps")
    for _ in range(_UNDISTURBED):
        seen = _Seen()
        if not strangers([]):
            _happen(recording, first, seen)
        if seen.alone:
            document = _document(knobs, seen.added_to(steps))
            verdict = verify(parse(document, "this kernel", "this kernel"))
            return Evidence(document, verdict, frozenset(seen.passing))
        time.sleep(1)
    raise CrowdedError("other processes are offered to KSM here")


def shortest(
    knobs: Knobs, steps: Steps, first: Agent, seconds: float
) -> Evidence | None:
    """Of the fewest of *steps* that still differ, as far as they can be found in so
    many *seconds*; None when nothing differs any more."""
    until = time.monotonic() + seconds
    kept, found = steps, _difference(knobs, steps, first)
    size = max(len(kept) // 2, 1)
    while found and size and time.monotonic() < until:
        for fewer in _without(kept, size):
            tried = _difference(knobs, fewer, first)
            if tried:
                kept, found = fewer, tried
                break
            if time.monotonic() > until:
                break
        else:
            size //= 2
    return found


def _difference(knobs: Knobs, steps: Steps, first: Agent) -> Evidence | None:
    try:
        found = evidence(knobs, steps, first)
    except (InputError, OSError):
        # The kernel refuses some of what was possible in the longer sequence.
        return None
    return found if found.failures else None


def _without(steps: Steps, size: int) -> Iterator[Steps]:
    """*steps* with every run of *size* left out, the last first: what happened late is
    seldom what a later difference hangs on."""
    for start in range((len(steps) - 1) // size * size, -1, -size):
        yield steps[:start] + steps[start + size :]


@dataclass(slots=True)
class _Seen:
    """What was read on the way."""

    turns: list[list[dict[str, Any]]] = field(default_factory=list)
    """[step][turn]"""
    passing: set[tuple[int, int]] = field(default_factory=set)
    items: dict[str, int] = field(default_factory=dict)
    """[process] when last seen: what ksmd may still have of it once it has ended."""
    alone: bool = False

    def look(self, figures: dict[str, Any]) -> bool:
        """Whether ksmd has items of our processes alone."""
        for proc, stat in figures["procs"].items():
            self.items[proc] = stat["ksm_rmap_items"]
        machine = figures["global"]
        saved = machine["pages_sharing"] + machine["ksm_zero_pages"]
        items = (saved * PAGE_SIZE - machine["general_profit"]) // RMAP_ITEM_SIZE
        return bool(items <= sum(self.items.values()))

    def added_to(self, steps: Steps) -> Steps:
        return [
            step | {"observed": turns}
            for step, turns in zip(steps, self.turns, strict=True)
        ]


def _happen(recording: Recording, first: Agent, seen: _Seen) -> None:
    scanned = churned = under_way = False
    alone = True
    with ThisMachine(first, recording.knobs) as machine:
        for number, step in enumerate(recording.steps, 1):
            turns = []
            for turn in range(1, step.turns + 1):
                match step.what:
                    case Batch():
                        scanned, under_way = True, not machine.wake_up()
                    case Scan():
                        machine.full_scan()
                        scanned, under_way = True, False
                    case event:
                        event.happen(machine)
                        churned |= scanned and not isinstance(event, STANDING_STILL)
                        if isinstance(event, UnmergeAll):
                            scanned = churned = under_way = False
                if churned and under_way:
                    seen.passing.add((number, turn))
                turns.append(machine.figures())
                alone &= seen.look(turns[-1])
            seen.turns.append(turns)
        seen.alone = alone and not strangers(machine.pids)


def _document(knobs: Knobs, steps: Steps) -> bytes:
    release = os.uname().release
    document = {"kernel": release, "page_size": 4096, "knobs": knobs, "steps": steps}
    return json.dumps(document).encode()
