"""What a result comes to, in numbers: worked out from it, stored nowhere.

The reports, the findings and the comparison say the same because they all ask here.
"""

from typing import Final, NamedTuple

import polars as pl

from analyzer.policy import MergePolicy, Uncertain
from analyzer.result import ReplayResult
from traces.schema import OF_THE_REST

ENOUGH: Final = 0.95
"""The share of the final savings after which a replay has shown what it is worth."""


class Cost(NamedTuple):
    """What ksmd's work costs: estimated from the costs of a page."""

    cpu_ns: int
    time_ns: int
    cpu_share: float
    """ksmd's CPU time per simulated time: 1.0 is a whole CPU."""
    reached_ns: dict[int, int]
    """Percent of the final merging → simulated time until it was first reached."""
    scanned_per_page_saved: float | None


def pages_saved(result: ReplayResult) -> int:
    """Zero and non-zero together."""
    return result.savings.pages_saved_zero + result.savings.pages_saved_nonzero


def pages_saved_at_most(result: ReplayResult) -> int:
    """The ideal, whatever the captures cannot tell."""
    return (
        result.uncertainty.pages_saved_zero_at_most
        + result.uncertainty.pages_saved_nonzero_at_most
    )


def counted_in(result: ReplayResult) -> bool:
    """Whether pages that may not count were taken for pages that do."""
    asked = MergePolicy.parse(result.policy).uncertain is Uncertain.COUNT_IN
    return asked and any(result.uncertainty[:2])


def at_least(result: ReplayResult) -> bool:
    """Whether savings are the least there can be, as some things cannot be told."""
    return any(result.uncertainty[:3]) and not counted_in(result)


def truncated(result: ReplayResult) -> bool:
    """Whether a part of what was captured is missing: then nothing is said of it, and
    what is told is neither the least nor the most of the whole."""
    return any(limit.endswith(OF_THE_REST) for limit in result.trace.limits)


def pages_offered(result: ReplayResult) -> int:
    """Frames offered to ksmd."""
    return sum(result.composition)


def pages_merged(result: ReplayResult) -> pl.Series:
    """int64[passes]: what the kernel's counters hold as saved after each full scan."""
    return result.passes.select(
        (pl.col("pages_sharing") + pl.col("ksm_zero_pages")).alias("pages_merged")
    ).to_series()


def pass_of(result: ReplayResult, share: float = ENOUGH) -> int | None:
    """The full scan after which *share* of the merging was done and stayed done;
    None where nothing merged."""
    merged = pages_merged(result)
    if not merged.len() or merged[-1] <= 0:
        return None
    short = (merged < share * merged[-1]).arg_true()
    return int(short[-1]) + 2 if short.len() else 1


def cost_of(result: ReplayResult) -> Cost | None:
    """None where there was no scan."""
    if not result.passes.height:
        return None
    last = result.passes.row(-1, named=True)
    merged = pages_merged(result)
    reached = {}
    if merged[-1] > 0:
        for percent in (50, 90, 99):
            enough = (merged * 100 >= percent * merged[-1]).arg_true()
            reached[percent] = int(result.passes["time_ns"][int(enough[0])])
    saved = pages_saved(result)
    return Cost(
        cpu_ns=last["cpu_ns"],
        time_ns=last["time_ns"],
        cpu_share=last["cpu_ns"] / last["time_ns"] if last["time_ns"] else 0.0,
        reached_ns=reached,
        scanned_per_page_saved=last["pages_scanned"] / saved if saved > 0 else None,
    )
