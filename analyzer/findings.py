"""What in a result is worth a person's attention, found by rules.

Every finding is computed and holds the numbers it rests on; analyzer/report/findings.py
says it in a sentence, docs/findings.md states the rules.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from analyzer.counters import general_profit
from analyzer.policy import MergePolicy
from analyzer.result import ReplayResult
from analyzer.worth import (
    ENOUGH,
    at_least,
    pages_merged,
    pages_saved,
    pages_saved_at_most,
    pass_of,
    truncated,
)
from traces.schema import PAGE_SIZE

MOST: Final = 8
"""Findings of one result: as many as a person reads before the table."""

SMALL: Final = 0.01
"""Workloads with less than this part of the whole are left alone: whatever is done
about them hardly moves a total."""

ZERO_DOMINATED: Final = 0.5
"""From more than half on, the savings are mostly memory that was never filled, which
one knob treats better than ksmd's trees do."""

LOW_PROFIT: Final = 0.25
"""Below a quarter of the average, ksmd's work is better spent on the others."""

MUCH_VOLATILE: Final = 0.1
"""Below a tenth, pages that change cost ksmd little beside those that stay."""

FAR_FROM_IDEAL: Final = 0.9
"""Reaching less of the ideal than this is more than the remainder that
max_page_sharing always leaves at the kernel's default, one page in 256."""


class Kind(StrEnum):
    """What a finding is about; at most one finding of each kind."""

    BIGGEST_SAVER = "biggest_saver"
    ENOUGH_BY_PASS = "enough_by_pass"
    ZERO_DOMINATED = "zero_dominated"
    LOWEST_PROFIT = "lowest_profit"
    LOSS = "loss"
    NEGATIVE_PROFIT = "negative_profit"
    VOLATILE = "volatile"
    OPT_IN_POTENTIAL = "opt_in_potential"
    KNOB_LIMITS = "knob_limits"
    CROSS_SHARING = "cross_sharing"


class View(StrEnum):
    """Where a figure can be looked at."""

    OVERVIEW = "overview"
    WORKLOADS = "workloads"
    SHARING = "sharing"
    CONTENTS = "contents"
    TIME = "time"
    WHAT_IF = "what_if"


@dataclass(frozen=True, slots=True)
class Place:
    """The row that shows a finding."""

    view: View
    key: str | int = ""
    """The workload, the pass or the knob; raw, empty for the whole view."""
    other: str = ""
    """The second workload of a pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found."""

    kind: Kind
    subject: str
    """The workload, pass or knob it is about; a raw name."""
    numbers: Mapping[str, Any]
    """What it rests on: pages, bytes and counts, exact; shares from 0 to 1."""
    place: Place
    good: bool | None
    """Whether it speaks for merging (True), against it (False) or for neither."""
    weight: int
    """Bytes at stake; the heaviest finding comes first."""


def findings(result: ReplayResult) -> list[Finding]:
    """At most `MOST`, the one with most bytes at stake first."""
    found = [
        *_biggest_saver(result),
        *_negative_profit(result),
        *_knob_limits(result),
        *_opt_in_potential(result),
        *_profits(result),
        *_zero_dominated(result),
        *_cross_sharing(result),
        *_volatile(result),
        *_enough_by_pass(result),
    ]
    return sorted(found, key=lambda finding: -finding.weight)[:MOST]


def _biggest_saver(result: ReplayResult) -> Iterator[Finding]:
    rows = _workloads(result)
    # Of a single workload it would say what the headline says.
    if len(rows) < 2:
        return
    row = _first(rows, lambda row: -row["pages_saved"])
    if row["pages_saved"] <= 0:
        return
    yield Finding(
        kind=Kind.BIGGEST_SAVER,
        subject=row["workload"],
        numbers={
            "pages_saved": row["pages_saved"],
            "pages_saved_in_all": pages_saved(result),
            "pages": row["pages"],
        },
        place=Place(View.WORKLOADS, row["workload"]),
        good=True,
        weight=row["pages_saved"] * PAGE_SIZE,
    )


def _enough_by_pass(result: ReplayResult) -> Iterator[Finding]:
    merged = pages_merged(result)
    reached = pass_of(result)
    # The last pass always has all of it.
    if reached is None or reached == len(merged):
        return
    until, last = int(merged[reached - 1]), int(merged[-1])
    # Where pages have gone since, more was merged once than there is in the end.
    if until > last:
        return
    yield Finding(
        kind=Kind.ENOUGH_BY_PASS,
        subject=str(reached),
        numbers={
            "share": ENOUGH,
            "pass": reached,
            "passes": len(merged),
            "pages_merged": until,
            "pages_merged_at_the_end": last,
            "time_ns": int(result.passes["time_ns"][reached - 1]),
        },
        place=Place(View.TIME, reached),
        good=None,
        weight=(last - until) * PAGE_SIZE,
    )


def _zero_dominated(result: ReplayResult) -> Iterator[Finding]:
    least = SMALL * pages_saved(result)
    rows = [
        row
        for row in _workloads(result)
        if row["pages_saved"] >= max(least, 1)
        and row["pages_saved_zero"] > ZERO_DOMINATED * row["pages_saved"]
    ]
    if not rows:
        return
    row = _first(rows, lambda row: -row["pages_saved_zero"])
    yield Finding(
        kind=Kind.ZERO_DOMINATED,
        subject=row["workload"],
        numbers={
            "pages_saved_zero": row["pages_saved_zero"],
            "pages_saved": row["pages_saved"],
            "workloads": len(rows),
            "use_zero_pages": int(result.knobs.use_zero_pages),
        },
        place=Place(View.WORKLOADS, row["workload"]),
        good=None,
        weight=row["pages_saved_zero"] * PAGE_SIZE,
    )


def _profits(result: ReplayResult) -> Iterator[Finding]:
    """The workload that loses most; if none does, the one that pays least.

    Nothing is said where savings are but the least there can be, or of what is left of
    a truncated dump.
    """
    saved, items = pages_saved(result), result.counters.rmap_items
    rows = [
        row
        for row in _workloads(result)
        if row["ksm_rmap_items"] >= max(SMALL * items, 1)
        and not (row["uncertain_zero_pages"] or row["uncertain_pages"])
    ]
    if truncated(result) or (at_least(result) and result.uncertainty.shared_pages):
        return
    if not rows:
        return
    worst = _first(rows, lambda row: row["net_saved"])
    lowest = _first(rows, lambda row: row["pages_saved"] / row["ksm_rmap_items"])
    if worst["net_saved"] < 0:
        yield _profit(Kind.LOSS, worst, saved, items, -worst["net_saved"])
    elif lowest["pages_saved"] * items < LOW_PROFIT * saved * lowest["ksm_rmap_items"]:
        cost = -general_profit(0, 0, lowest["ksm_rmap_items"])
        yield _profit(Kind.LOWEST_PROFIT, lowest, saved, items, cost)


def _profit(
    kind: Kind, row: dict[str, Any], saved: int, items: int, weight: int
) -> Finding:
    return Finding(
        kind=kind,
        subject=row["workload"],
        numbers={
            "pages_saved": row["pages_saved"],
            "rmap_items": row["ksm_rmap_items"],
            "net_saved": row["net_saved"],
            "saved_per_rmap_item": row["pages_saved"] / row["ksm_rmap_items"],
            "average": saved / items,
        },
        place=Place(View.WORKLOADS, row["workload"]),
        good=False,
        weight=weight,
    )


def _negative_profit(result: ReplayResult) -> Iterator[Finding]:
    counters = result.counters
    untold = pages_saved_at_most(result) - pages_saved(result)
    may_pay = counters.general_profit + untold * PAGE_SIZE * at_least(result) >= 0
    if may_pay or truncated(result):
        return
    yield Finding(
        kind=Kind.NEGATIVE_PROFIT,
        subject="general_profit",
        numbers={
            "general_profit": counters.general_profit,
            "pages_merged": counters.pages_sharing + counters.ksm_zero_pages,
            "rmap_items": counters.rmap_items,
        },
        place=Place(View.OVERVIEW),
        good=False,
        weight=-counters.general_profit,
    )


def _volatile(result: ReplayResult) -> Iterator[Finding]:
    # In one snapshot volatile pages are first visits and skipped ones: nothing
    # has changed.
    if result.trace.epochs < 2:
        return
    rows = _workloads(result)
    least = SMALL * sum(row["pages"] for row in rows)
    rows = [row for row in rows if row["pages"] >= max(least, 1)]
    if not rows:
        return
    row = _first(rows, lambda row: -row["pages_volatile"] / row["pages"])
    if row["pages_volatile"] < MUCH_VOLATILE * row["pages"]:
        return
    yield Finding(
        kind=Kind.VOLATILE,
        subject=row["workload"],
        numbers={"pages_volatile": row["pages_volatile"], "pages": row["pages"]},
        place=Place(View.WORKLOADS, row["workload"]),
        good=False,
        weight=row["pages_volatile"] * PAGE_SIZE,
    )


def _opt_in_potential(result: ReplayResult) -> Iterator[Finding]:
    rows = [
        row
        for row in _workloads(result)
        if row["pages_captured"] > 0
        and row["pages"] == 0
        and (row["ideal_if_toggled"] or 0) > 0
    ]
    if not rows:
        return
    row = _first(rows, lambda row: -row["ideal_if_toggled"])
    yield Finding(
        kind=Kind.OPT_IN_POTENTIAL,
        subject=row["workload"],
        numbers={
            "ideal_if_toggled": row["ideal_if_toggled"],
            "pages_captured": row["pages_captured"],
            "workloads": len(rows),
            "opt_out": int(bool(MergePolicy.parse(result.policy).opt_out)),
        },
        place=Place(View.WHAT_IF, row["workload"]),
        good=True,
        weight=row["ideal_if_toggled"] * PAGE_SIZE,
    )


def _knob_limits(result: ReplayResult) -> Iterator[Finding]:
    """The ideal is far above what was reached, and why, where that can be told."""
    saved = pages_saved(result)
    ideal = result.ideal.pages_saved_zero + result.ideal.pages_saved_nonzero
    if saved >= FAR_FROM_IDEAL * ideal:
        return
    gap = ideal - saved
    knob, told = _limiting_knob(result, gap)
    yield Finding(
        kind=Kind.KNOB_LIMITS,
        subject=knob,
        numbers={"pages_ideal": ideal, "pages_saved": saved, **told},
        place=Place(View.WHAT_IF, knob) if knob else Place(View.OVERVIEW),
        good=False,
        weight=gap * PAGE_SIZE,
    )


def _limiting_knob(result: ReplayResult, gap: int) -> tuple[str, dict[str, int]]:
    """The knob, or `passes`, that stands between the savings and the ideal, and its
    numbers; no name where nothing in the result tells."""
    counters, knobs = result.counters, result.knobs
    # Without the limit, every chain would be a single KSM page.
    kept = counters.stable_node_dups - counters.stable_node_chains
    scans = {"full_scans": result.passes.height}
    if 2 * kept >= gap:
        limit = {"max_page_sharing": knobs.max_page_sharing, "pages_kept": kept}
        return "max_page_sharing", limit
    if result.trace.epochs > 1:
        return "pages_to_scan", {"pages_to_scan": knobs.pages_to_scan, **scans}
    if not result.settled:
        return "passes", scans
    if not knobs.merge_across_nodes:
        return "merge_across_nodes", {"merge_across_nodes": 0}
    return "", {}


def _cross_sharing(result: ReplayResult) -> Iterator[Finding]:
    both: dict[tuple[str, str], int] = {}
    for row in result.pairs.rows(named=True):
        # A row is booked where the saving is; a pair has both directions.
        one, other = sorted((row["workload"], row["other"]))
        # All workloads that are not told apart are under the empty name.
        if "" != one != other:
            both[one, other] = both.get((one, other), 0) + row["pages_saved"]
    if not both:
        return
    (one, other), saved = min(both.items(), key=lambda item: (-item[1], item[0]))
    if saved < max(SMALL * pages_saved(result), 1):
        return
    yield Finding(
        kind=Kind.CROSS_SHARING,
        subject=one,
        numbers={"pages_saved": saved, "pages_saved_in_all": pages_saved(result)},
        place=Place(View.SHARING, one, other),
        good=None,
        weight=saved * PAGE_SIZE,
    )


def _workloads(result: ReplayResult) -> list[dict[str, Any]]:
    """The rows of `workloads`, with what each saves before and after ksmd's notes."""
    rows = result.workloads.rows(named=True)
    for row in rows:
        row["pages_saved"] = row["pages_saved_zero"] + row["pages_saved_nonzero"]
        row["net_saved"] = general_profit(row["pages_saved"], 0, row["ksm_rmap_items"])
    return rows


def _first(
    rows: Sequence[dict[str, Any]], key: Callable[[dict[str, Any]], float]
) -> dict[str, Any]:
    """The row with the lowest *key*, ties to the name."""
    return min(rows, key=lambda row: (key(row), row["workload"]))
