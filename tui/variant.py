"""One way to run ksmd over one capture: what is asked, and what came out."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from analyzer.knobs import KsmKnobs

if TYPE_CHECKING:
    from analyzer.result import ReplayResult


class Settings(NamedTuple):
    """Everything of a replay that can be chosen."""

    knobs: KsmKnobs = KsmKnobs()
    policy: str = "all"
    """As `str(MergePolicy)` writes it."""
    kernel: str | None = None
    passes: int | None = None

    def changes(self, other: "Settings") -> list[str]:
        """What of this is not as in *other*: `pages_to_scan 4000`, one each."""
        ours, theirs = self.knobs.as_files(), other.knobs.as_files()
        told = [f"{name} {ours[name]}" for name in ours if ours[name] != theirs[name]]
        if self.policy != other.policy:
            told.append(self.policy)
        if self.kernel != other.kernel:
            told.append(f"kernel {self.kernel or 'as captured'}")
        if self.passes != other.passes:
            told.append(f"passes {self.passes or 'to the end'}")
        return told


class Progress(StrEnum):
    """How far a variant has come."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(slots=True, kw_only=True, eq=False)
class Found:
    """What a finished replay left behind."""

    result: "ReplayResult"
    pages: Path | None = None
    """The state of every page, in a file; None where that was not asked for."""


@dataclass(slots=True, kw_only=True, eq=False)
class Variant:
    """A row of What-if, and either side of Compare."""

    name: str
    settings: Settings
    traces: tuple[Path, ...]
    """The captures it replays; none for a saved result, which can be looked at but
    not be replayed another way."""
    source: Path
    """The file it was opened from."""
    progress: Progress = Progress.QUEUED
    stage: str = ""
    scans: list[dict[str, Any]] = field(default_factory=list)
    """While it runs: the counters after every scan until now."""
    partial: bool = False
    """Whether `found` is only of the passes until now."""
    found: Found | None = None
    at_pass: dict[int, Found] = field(default_factory=dict)
    """Replays that ended at an earlier pass, for what only the end of one knows."""
    part: Found | None = None
    """A replay whose contents are those of some pages of a mapping only."""
    part_title: str = ""
    """Which pages these are; safe to print."""
    error: str = ""
    hint: str = ""

    @property
    def result(self) -> "ReplayResult | None":
        return self.found.result if self.found else None
