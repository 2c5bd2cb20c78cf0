"""What came of many sources, each replayed on its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from analyzer.result import ReplayResult
from analyzer.worth import at_least, cost_of, pages_offered, pass_of
from traces.schema import OF_THE_REST


class Figures(NamedTuple):
    """What a summary tells of one replay."""

    pages: int
    """In the capture, offered to ksmd or not."""
    pages_offered: int
    """Frames."""
    pages_saved_zero: int
    pages_saved_nonzero: int
    ideal_saved_zero: int
    ideal_saved_nonzero: int
    pages_saved_zero_at_most: int
    """The ideal, whatever the capture cannot tell."""
    pages_saved_nonzero_at_most: int
    general_profit: int
    estimated_cpu_ns: int
    full_scans: int
    full_scans_to_95_percent: int | None
    """None where nothing merged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What came of one source."""

    source: str
    """What it is called, different from all others."""
    path: str
    kind: str = ""
    """`trace`, `result`, or the format of the dump; empty where it failed."""
    report: str = ""
    """The file of its own report, beside the summary; empty for none."""
    figures: Figures | None = None
    """None where it failed."""
    at_least: bool = False
    """Whether its savings are the least there can be."""
    limits: list[str] = field(default_factory=list)
    """What keeps its figures from being the whole truth."""
    error: str = ""
    hint: str = ""

    @property
    def truncated(self) -> bool:
        """Whether part of a dump was missing."""
        return any(limit.endswith(OF_THE_REST) for limit in self.limits)


class Skipped(NamedTuple):
    """Something in a folder that is no source."""

    path: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What came of all."""

    entries: Sequence[Entry]
    skipped: Sequence[Skipped]
    command: str
    """What makes the same figures again."""

    @property
    def good(self) -> list[tuple[Entry, Figures]]:
        """The sources that did not fail."""
        return [(one, one.figures) for one in self.entries if one.figures is not None]

    @property
    def bad(self) -> list[Entry]:
        """Those that did."""
        return [one for one in self.entries if one.figures is None]


def entry_of(source: str, path: str, kind: str, result: ReplayResult) -> Entry:
    """The row of a *result*."""
    cost = cost_of(result)
    figures = Figures(
        pages=result.trace.pages,
        pages_offered=pages_offered(result),
        pages_saved_zero=result.savings.pages_saved_zero,
        pages_saved_nonzero=result.savings.pages_saved_nonzero,
        ideal_saved_zero=result.ideal.pages_saved_zero,
        ideal_saved_nonzero=result.ideal.pages_saved_nonzero,
        pages_saved_zero_at_most=result.uncertainty.pages_saved_zero_at_most,
        pages_saved_nonzero_at_most=result.uncertainty.pages_saved_nonzero_at_most,
        general_profit=result.counters.general_profit,
        estimated_cpu_ns=cost.cpu_ns if cost else 0,
        full_scans=result.passes.height,
        full_scans_to_95_percent=pass_of(result),
    )
    return Entry(
        source=source,
        path=path,
        kind=kind,
        figures=figures,
        at_least=at_least(result),
        limits=result.trace.limits,
    )


def failed(source: str, path: str, error: str, hint: str | None = None) -> Entry:
    """The row of a source that failed; its *error* names the file in any case."""
    told = error if error.startswith(f"{path}: ") else f"{path}: {error}"
    return Entry(source=source, path=path, error=told, hint=hint or "")


class Total(NamedTuple):
    """What adds up over sources."""

    pages: int
    pages_offered: int
    pages_saved_zero: int
    pages_saved_nonzero: int
    ideal_saved_zero: int
    ideal_saved_nonzero: int
    general_profit: int
    estimated_cpu_ns: int


def total(batch: Batch) -> Total:
    """Sums over the sources that did not fail."""
    return Total(
        *(sum(getattr(of, name) for _, of in batch.good) for name in Total._fields)
    )
