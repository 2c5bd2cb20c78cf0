"""What `verify` found: text for people, JSON for programs."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from analyzer.report.escape import printable
from analyzer.report.machine import json_text
from analyzer.verify import Difference, Residue, StepVerdict, Verdict
from traces.tool import tool

VERIFY_SCHEMA: Final = "ksm-analyze/verify/1"


def verdict_text(verdict: Verdict, steps: bool) -> str:
    """A line for the recording and, if *steps*, one for each step with figures; each
    figure that differs has its own line in any case."""
    lines = [_headline(verdict)]
    if steps:
        lines.append(f"  compared: {', '.join(_names(verdict))}")
    for step in verdict.steps:
        if steps or step.differences:
            lines.append(f"  {_step(step)}")
        lines += [f"    {_difference(found)}" for found in step.differences]
    if verdict.recording.not_compared:
        names = printable(", ".join(sorted(verdict.recording.not_compared)))
        lines.append(f"  not simulated, so not compared: {names}")
    return "\n".join(lines) + "\n"


def summary_text(verdicts: Sequence[Verdict]) -> str:
    """What it all comes to."""
    figures = sum(verdict.figures for verdict in verdicts)
    turns = sum(verdict.turns for verdict in verdicts)
    failures = sum(verdict.failures for verdict in verdicts)
    residues = sum(verdict.residues for verdict in verdicts)
    agree = figures - failures - residues
    told = f"{_counted(len(verdicts), 'recording')}, {_counted(turns, 'observation')}"
    lines = [f"{told}: {agree} of {_counted(figures, 'figure')} agree"]
    sizes = _sizes(verdicts)
    for residue in Residue:
        rows = [found for found in sizes if found.residue is residue]
        if rows:
            most = max(abs(found.by) for found in rows)
            lines.append(
                f"{_counted(len(rows), 'known residue')} ({residue.value}), "
                f"by up to {most}"
            )
    lines.append(f"{_counted(failures, 'failure')}")
    return "\n".join(lines) + "\n"


def verdicts_json(verdicts: Sequence[Verdict]) -> str:
    """One object; docs/commands/verify.md lists its keys."""
    return json_text(
        {
            "schema": VERIFY_SCHEMA,
            "generated_by": tool(),
            "agrees": not any(verdict.failures for verdict in verdicts),
            "figures": sum(verdict.figures for verdict in verdicts),
            "failures": sum(verdict.failures for verdict in verdicts),
            "residues": sum(verdict.residues for verdict in verdicts),
            "recordings": [_object(verdict) for verdict in verdicts],
        }
    )


def _headline(verdict: Verdict) -> str:
    recording = verdict.recording
    told = [_counted(verdict.figures, "figure")]
    if verdict.failures:
        told.append(_counted(verdict.failures, "failure"))
    if verdict.residues:
        told.append(_counted(verdict.residues, "known residue"))
    if not verdict.differences:
        told.append("all agree")
    name, kernel = printable(recording.name), printable(recording.kernel)
    return f"{name}  Linux {kernel}: {', '.join(told)}"


def _names(verdict: Verdict) -> list[str]:
    """The figures that the recording holds, in the order of their first sight."""
    names: dict[str, None] = {}
    for step in verdict.recording.steps:
        for seen in step.seen:
            names |= dict.fromkeys(seen.machine)
    for step in verdict.recording.steps:
        for seen in step.seen:
            for stat in seen.processes.values():
                names |= dict.fromkeys(f"a process's {name}" for name in stat)
    return list(names)


def _step(step: StepVerdict) -> str:
    turns = f" x {step.turns}" if step.turns > 1 else ""
    told = f"step {step.step}, {step.op}{turns}: "
    if not step.differences:
        return told + f"all {_counted(step.figures, 'figure')} agree"
    names = Counter(found.figure for found in step.differences)
    return (
        told + f"{step.agreeing} of {_counted(step.figures, 'figure')} agree, "
        f"not always: {', '.join(names)}"
    )


def _difference(found: Difference) -> str:
    whose = f" of {printable(found.process)}" if found.process else ""
    known = f"  known: {found.residue.value}" if found.residue else "  FAILURE"
    return (
        f"turn {found.turn}: {found.figure}{whose} is {found.kernel} in the kernel, "
        f"{found.simulated} simulated ({found.by:+d}){known}"
    )


def _sizes(verdicts: Sequence[Verdict]) -> list[Difference]:
    return [found for verdict in verdicts for found in verdict.differences]


def _object(verdict: Verdict) -> dict[str, Any]:
    recording = verdict.recording
    return {
        "recording": recording.name,
        "description": recording.description,
        "kernel": recording.kernel,
        "profile": recording.profile.name,
        "figures": verdict.figures,
        "failures": verdict.failures,
        "residues": verdict.residues,
        "not_compared": sorted(recording.not_compared),
        "steps": list(map(_step_object, verdict.steps)),
    }


def _step_object(step: StepVerdict) -> dict[str, Any]:
    return {
        "step": step.step,
        "op": step.op,
        "turns": step.turns,
        "figures": step.figures,
        "agreeing": step.agreeing,
        "differences": list(_difference_objects(step)),
    }


def _difference_objects(step: StepVerdict) -> Iterator[dict[str, Any]]:
    for found in step.differences:
        row = found._asdict()
        row["process"] = found.process or None
        row["residue"] = found.residue.value if found.residue else None
        yield {**row, "by": found.by}


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
