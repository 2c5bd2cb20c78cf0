"""What a result comes to, in sentences: the same words in every readable format."""

from collections.abc import Iterator
from typing import Final

import polars as pl

from analyzer.knobs import KsmKnobs
from analyzer.report.escape import printable
from analyzer.report.units import (
    count_text,
    duration_text,
    pages_text,
    share_text,
)
from analyzer.result import ReplayResult, TraceInfo

ENOUGH: Final = 0.95
"""The share of the final savings after which a replay has shown what it is worth."""

_OFFERS: Final = {
    "all": "every compatible mapping, as if all had called PR_SET_MEMORY_MERGE",
    "captured": "only the mappings that were mergeable when captured",
}


def pages_saved(result: ReplayResult) -> int:
    """Zero and non-zero together."""
    return result.savings.pages_saved_zero + result.savings.pages_saved_nonzero


def pages_offered(result: ReplayResult) -> int:
    """Frames offered to ksmd."""
    return sum(result.composition)


def pass_of(result: ReplayResult, share: float = ENOUGH) -> int | None:
    """The full scan after which *share* of the merging was done and stayed done;
    None where nothing merged."""
    merged = result.passes.select(
        pl.col("pages_sharing") + pl.col("ksm_zero_pages")
    ).to_series()
    if not merged.len() or merged[-1] <= 0:
        return None
    short = (merged < share * merged[-1]).arg_true()
    return int(short[-1]) + 2 if short.len() else 1


def stated(result: ReplayResult, by: str = "") -> Iterator[tuple[str, str]]:
    """Label and sentence of everything that stands below the table *by*; escaped."""
    if by == "content":
        kept, all_of_them = result.contents.height, result.ideal.distinct_contents
        yield "contents", f"the {kept} that save most of {count_text(all_of_them)}"
    if pages_offered(result):
        yield "ideal", _ideal(result)
        yield "sharing", _sharing(result)
    split = result.savings.pages_saved_by_split
    if split:
        yield "split", f"{pages_text(split)} of zero pages by splitting huge pages"
    yield "offered", _OFFERS.get(result.policy, printable(result.policy))
    yield "knobs", _knobs(result.knobs)
    yield "scans", _scans(result)
    yield "trace", _trace(result.trace)


def nothing_offered(result: ReplayResult) -> str:
    """Why there is nothing to show, and what would show something."""
    if result.policy == "captured":
        return (
            "nothing was offered to ksmd, as no mapping was mergeable; try --policy all"
        )
    return "nothing was offered to ksmd: the trace holds no pages"


def limits(result: ReplayResult) -> list[str]:
    """What keeps the figures from being the whole truth; escaped."""
    return [printable(text) for text in result.trace.limits]


def _ideal(result: ReplayResult) -> str:
    ideal = result.ideal
    most = ideal.pages_saved_zero + ideal.pages_saved_nonzero
    if not most:
        return "0 B: no two pages are equal"
    return (
        f"{pages_text(most)} (non-zero {pages_text(ideal.pages_saved_nonzero)}, "
        f"zero {pages_text(ideal.pages_saved_zero)}), "
        f"of which {share_text(pages_saved(result), most)} was reached"
    )


def _sharing(result: ReplayResult) -> str:
    sharing = result.sharing
    return (
        f"{pages_text(sharing.within_process)} within processes, "
        f"{pages_text(sharing.within_workload)} within workloads, "
        f"{pages_text(sharing.across_workloads)} across"
    )


def _knobs(knobs: KsmKnobs) -> str:
    usual = KsmKnobs().as_files()
    changed = [
        f"{name} {value}"
        for name, value in knobs.as_files().items()
        if value != usual[name]
    ]
    if not changed:
        return "the kernel's defaults"
    return f"{', '.join(changed)} (else the kernel's defaults)"


def _scans(result: ReplayResult) -> str:
    scans = result.passes.height
    wakeups = int(result.passes["wakeups"][-1]) if scans else 0
    asleep = duration_text(wakeups * result.knobs.sleep_millisecs)
    ending = "nothing left to merge" if result.settled else "more may merge"
    return (
        f"{_counted(scans, 'full scan')}, {_counted(wakeups, 'wake-up')}, "
        f"{asleep} asleep; {ending}"
    )


def _trace(trace: TraceInfo) -> str:
    epochs = f", {trace.epochs} epochs" if trace.epochs > 1 else ""
    return printable(
        f"{trace.path}: {_counted(trace.pages, 'page')}, "
        f"{_counted(trace.processes, 'process', 'processes')}, "
        f"{_counted(trace.workloads, 'workload')}{epochs}; "
        f"{trace.captured_at[:10]}, {trace.kernel}"
    )


def _counted(number: int, one: str, more: str = "") -> str:
    noun = one if number == 1 else more or f"{one}s"
    return f"{count_text(number)} {noun}"
