"""What this machine's kernel says to a list of events, kept as a recording, so that the
program's own `verify` is the judge and a failure can be handed on as a file."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from kernel.this_machine import Agent, ThisMachine, strangers

from analyzer.recording import Recording, parse
from analyzer.step import Batch, Scan
from analyzer.verify import Verdict, verify
from traces.errors import KsmAnalyzeError

Knobs = dict[str, int]
Steps = list[dict[str, Any]]

_UNDISTURBED: Final = 5
"""Attempts to be alone with ksmd."""


class CrowdedError(Exception):
    """Other processes came to ksmd's list again and again."""


def judge(knobs: Knobs, steps: Steps, first: Agent) -> tuple[bytes, Verdict]:
    """Let it all happen in the kernel; the recording, and how the model compares.

    Raises KsmAnalyzeError for steps that cannot happen, and CrowdedError.
    """
    recording = parse(_document(knobs, steps), "these steps", "these steps")
    for _ in range(_UNDISTURBED):
        seen = _seen(recording, first)
        if seen is not None:
            document = _document(knobs, _observed(recording, steps, seen))
            return document, verify(parse(document, "this kernel", "this kernel"))
        time.sleep(1)
    raise CrowdedError("other processes are offered to KSM here")


def shortest(
    knobs: Knobs, steps: Steps, first: Agent, seconds: float
) -> tuple[bytes, Verdict] | None:
    """The recording of the fewest of *steps* that still differ, as far as it can be
    found in so many *seconds*; None when none does any more."""
    until = time.monotonic() + seconds
    kept, found = steps, _difference(knobs, steps, first)
    size = max(len(kept) // 2, 1)
    while found and time.monotonic() < until:
        for fewer in _without(kept, size):
            if time.monotonic() > until:
                break
            tried = _difference(knobs, fewer, first)
            if tried:
                kept, found = fewer, tried
                break
        else:
            if size == 1:
                break
            size //= 2
    return found


def figures_text(verdict: Verdict) -> str:
    """The differences that have no name, one line each."""
    return "\n".join(
        f"step {step.step} ({step.op}), turn {row.turn}: "
        f"{row.process or 'machine'}.{row.figure}: "
        f"kernel {row.kernel}, model {row.simulated}"
        for step in verdict.steps
        for row in step.differences
        if row.residue is None
    )


def _difference(
    knobs: Knobs, steps: Steps, first: Agent
) -> tuple[bytes, Verdict] | None:
    try:
        document, verdict = judge(knobs, steps, first)
    except KsmAnalyzeError:
        return None
    return (document, verdict) if verdict.failures else None


def _without(steps: Steps, size: int) -> Iterator[Steps]:
    """*steps* with every run of *size* left out, the last first: what happened late is
    seldom what a later difference hangs on."""
    for start in range((len(steps) - 1) // size * size, -1, -size):
        yield steps[:start] + steps[start + size :]


def _seen(recording: Recording, first: Agent) -> list[list[Any]] | None:
    """Per step, the figures after each turn; None when others were there too."""
    if strangers([]):
        return None
    seen = []
    with ThisMachine(first, recording.knobs) as machine:
        for step in recording.steps:
            turns = []
            for _ in range(step.turns):
                match step.what:
                    case Batch():
                        machine.wake_up()
                    case Scan():
                        machine.full_scan()
                    case event:
                        event.happen(machine)
                turns.append(machine.figures())
            seen.append(turns)
        alone = not strangers(machine.pids)
    return seen if alone else None


def _observed(recording: Recording, steps: Steps, seen: Sequence[list[Any]]) -> Steps:
    return [
        step | {"observed": turns} for step, turns in zip(steps, seen, strict=True)
    ]


def _document(knobs: Knobs, steps: Steps) -> bytes:
    release = os.uname().release
    document = {"kernel": release, "page_size": 4096, "knobs": knobs, "steps": steps}
    return json.dumps(document).encode()
