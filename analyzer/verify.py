"""Whether the simulated ksmd says what a real one said, figure by figure.

Two kinds of difference are known and have a name; both come from what digests do not
tell, and docs/model.md explains them. Every other difference is a failure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from analyzer.machine import Machine
from analyzer.recording import Observation, Recording, play


class Residue(Enum):
    """A difference that is known, and why it is there."""

    CHAINS = "chains after churn"
    """When the kernel tidies chains up depends on the order of the pages' bytes."""
    MID_SCAN = "changed in mid-scan"
    """Which pages meet depends on that order too, and on which page faults left a
    reference behind in a processor's batch."""


_CHAIN_FIGURES: Final = ("stable_node_chains", "stable_node_dups")


class Difference(NamedTuple):
    """One figure that is not as recorded."""

    turn: int
    process: str
    """Empty for a figure of the whole machine."""
    figure: str
    kernel: int
    simulated: int
    residue: Residue | None
    """None makes it a failure."""

    @property
    def by(self) -> int:
        """How much more the simulation says."""
        return self.simulated - self.kernel


@dataclass(frozen=True, slots=True)
class StepVerdict:
    """How the figures of one step's turns compare."""

    step: int
    op: str
    turns: int
    figures: int
    """Compared, over all turns."""
    differences: tuple[Difference, ...]

    @property
    def agreeing(self) -> int:
        """Figures that are equal."""
        return self.figures - len(self.differences)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one recording compares."""

    recording: Recording
    steps: tuple[StepVerdict, ...]

    @property
    def figures(self) -> int:
        """Compared, over all steps."""
        return sum(step.figures for step in self.steps)

    @property
    def turns(self) -> int:
        """Moments compared."""
        return sum(step.turns for step in self.steps)

    @property
    def differences(self) -> tuple[Difference, ...]:
        return tuple(found for step in self.steps for found in step.differences)

    @property
    def failures(self) -> int:
        """Differences that have no name."""
        return sum(found.residue is None for found in self.differences)

    @property
    def residues(self) -> int:
        return len(self.differences) - self.failures


def verify(recording: Recording) -> Verdict:
    """Replay *recording* and compare every figure it holds.

    Raises InputError for an event that the simulated kernel refuses.
    """
    sort = recording.contents_sorted
    machine = Machine(recording.knobs, recording.profile, ordered=sort)
    rows: dict[int, list[Difference]] = {}
    apart = False
    for seen in play(recording, machine):
        compared = list(_compared(seen, apart))
        rows.setdefault(seen.step, []).extend(compared)
        differs = any(row.by for row in compared if row.figure not in _CHAIN_FIGURES)
        # What went another way in mid-scan is seen until both are level again.
        apart = differs and (apart or seen.disturbed)
    return Verdict(recording, tuple(_step(recording, *each) for each in rows.items()))


def _step(recording: Recording, number: int, rows: list[Difference]) -> StepVerdict:
    step = recording.steps[number - 1]
    return StepVerdict(
        step=number,
        op=step.op,
        turns=len(step.seen),
        figures=len(rows),
        differences=tuple(row for row in rows if row.by),
    )


def _compared(seen: Observation, apart: bool) -> Iterator[Difference]:
    """Every figure that both sides have, equal ones too."""
    places = {"": (seen.seen.machine, seen.figures.machine)}
    for proc, stat in seen.seen.processes.items():
        places[proc] = stat, seen.figures.processes[proc]
    for process, (kernel, simulated) in places.items():
        for figure, value in kernel.items():
            if figure in simulated:
                known = _residue(seen, figure, apart)
                yield Difference(
                    seen.turn, process, figure, value, simulated[figure], known
                )


def _residue(seen: Observation, figure: str, apart: bool) -> Residue | None:
    if seen.churned and figure in _CHAIN_FIGURES:
        return Residue.CHAINS
    if seen.disturbed or apart:
        return Residue.MID_SCAN
    return None
