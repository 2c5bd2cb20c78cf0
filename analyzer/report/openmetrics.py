"""Figures as OpenMetrics 1.0 text: gauges a monitoring system can scrape.

Only gauges, and no timestamps, so that Prometheus's older text format, which
node_exporter's textfile collector reads, means the same by it.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final, NamedTuple

import polars as pl

from analyzer.counters import KsmCounters
from analyzer.report.escape import printable
from analyzer.report.layout import Layout
from analyzer.report.rows import rows
from analyzer.result import ReplayResult
from analyzer.worth import at_least, cost_of, pages_offered, pass_of
from traces.schema import PAGE_SIZE

ROWS: Final = 20
"""Workloads with gauges of their own unless more are asked for: each is a handful of
time series in whatever reads this."""

Sample = tuple[Mapping[str, str], int | str]
"""Labels, and the value: an integer, or a decimal number as it is written."""

_UNITS: Final = ("bytes", "pages", "seconds")

_COUNTERS: Final[Mapping[str, str]] = {
    "pages_shared": "KSM pages with at least one member.",
    "pages_sharing": "Members beyond the first of each KSM page.",
    "pages_unshared": "Pages in the unstable tree.",
    "pages_volatile": "Items in neither tree.",
    "pages_skipped": "Pages passed over by smart scan since the start.",
    "pages_scanned": "Pages processed since the start.",
    "full_scans": "Full scans since the start.",
    "ksm_zero_pages": "Mappings of the zero page placed by ksmd.",
    "stable_node_chains": "Contents with more than one KSM page.",
    "stable_node_dups": "KSM pages in such chains.",
    "rmap_items": "Pages ksmd keeps a note of, 64 bytes each.",
    "general_profit": "Bytes saved less bytes of rmap_items.",
}
"""The kernel's counters, in a line each; docs/savings.md says it at length."""


class Family(NamedTuple):
    """A metric, and all its samples."""

    name: str
    """Without prefix; a unit in it is its last word."""
    help: str
    samples: list[Sample]
    estimate: bool = False
    """Whether it is an estimate, and not what the simulated ksmd counted; in HELP."""


def openmetrics(result: ReplayResult, layout: Layout) -> str:
    """An exposition of *result*: totals, the ideal, the kernel's counters, and the
    *layout.rows* workloads that save most (`ROWS` unless said, 0 for all).

    Every sample has the label `source`: what *layout.source* says, else the trace's
    path. HELP ends in `[exact within limits]`
    or `[estimate]`; `limits` counts what the other formats tell in sentences.
    """
    source = {"source": layout.source or result.trace.path}
    return exposition(
        family._replace(
            samples=[({**source, **labels}, value) for labels, value in family.samples]
        )
        for family in _families(result, layout)
    )


def exposition(families: Iterable[Family]) -> str:
    """OpenMetrics text of *families*, those without samples left out."""
    lines = [line for family in families for line in _lines(family)]
    return "\n".join([*lines, "# EOF\n"])


def seconds(nanoseconds: int) -> str:
    """`1.5` of 1500000000: every digit, no exponent."""
    whole, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".")


def _families(result: ReplayResult, layout: Layout) -> Iterator[Family]:
    found, ideal = result.composition, result.ideal
    yield _one("trace_pages", "Pages in the capture.", result.trace.pages)
    yield _one(
        "offered_bytes",
        "Memory offered to ksmd; saved, kept and unmerged add up to it.",
        pages_offered(result) * PAGE_SIZE,
    )
    yield _by_kind(
        "saved_bytes",
        "Physical memory that comes free, by whether its content is zero.",
        result.savings.pages_saved_zero,
        result.savings.pages_saved_nonzero,
    )
    yield _one(
        "kept_bytes", "The one copy kept of merged pages.", found.kept * PAGE_SIZE
    )
    yield _one(
        "unmerged_bytes",
        "Memory no other page was merged with.",
        found.unmerged * PAGE_SIZE,
    )
    yield _by_kind(
        "ideal_saved_bytes",
        "What a merger without any limit would save on the same pages.",
        ideal.pages_saved_zero,
        ideal.pages_saved_nonzero,
    )
    yield from _bounds(result)
    yield from _counters(result.counters)
    yield from _course(result)
    yield from _workloads(result, layout)
    yield from _origin(result)


def _bounds(result: ReplayResult) -> Iterator[Family]:
    found = result.uncertainty
    yield _by_kind(
        "saved_at_most_bytes",
        "The ideal, whatever the captures cannot tell.",
        found.pages_saved_zero_at_most,
        found.pages_saved_nonzero_at_most,
    )
    yield _one(
        "saved_at_least",
        "1 where savings are the least there can be.",
        int(at_least(result)),
    )
    yield Family(
        "uncertain_pages",
        "Pages that may be untouched (zero), of the file cache (other), or of fork.",
        [
            ({"what": "zero"}, found.zero_pages),
            ({"what": "other"}, found.other_pages),
            ({"what": "shared"}, found.shared_pages),
        ],
    )


def _counters(counters: KsmCounters) -> Iterator[Family]:
    for name, value in counters._asdict().items():
        unit = "_bytes" if name == "general_profit" else ""
        told = f"The kernel's {name} at the end. {_COUNTERS[name]}"
        yield _one(f"{name}{unit}", told, value)


def _course(result: ReplayResult) -> Iterator[Family]:
    """How long it took, which is estimated from the costs of a page."""
    cost = cost_of(result)
    if cost is not None:
        yield _one(
            "ksmd_cpu_seconds",
            "CPU time of ksmd until the end.",
            seconds(cost.cpu_ns),
            estimate=True,
        )
        yield _one(
            "ksmd_time_seconds",
            "Time ksmd takes until the end, its sleeps included.",
            seconds(cost.time_ns),
            estimate=True,
        )
        yield Family(
            "time_to_savings_seconds",
            "Time until so many percent of the final merging.",
            [
                ({"percent": str(percent)}, seconds(time))
                for percent, time in cost.reached_ns.items()
            ],
            estimate=True,
        )
    reached = pass_of(result)
    if reached is not None:
        yield _one(
            "full_scans_to_95_percent",
            "Full scans until 95 percent of the final merging was done.",
            reached,
        )
    yield _one(
        "settled",
        "1 where the replay ran until nothing was left to merge.",
        int(result.settled),
    )


def _workloads(result: ReplayResult, layout: Layout) -> Iterator[Family]:
    frame = _by_label(rows(result, "workload", layout.where))
    wanted = ROWS if layout.rows is None else layout.rows
    head, rest = (frame.head(wanted), frame[wanted:]) if wanted else (frame, frame[:0])
    yield Family(
        "workload_offered_bytes",
        "Memory of a workload offered to ksmd; pages mapped twice count twice.",
        [
            ({"workload": row["workload"]}, row["pages"] * PAGE_SIZE)
            for row in head.rows(named=True)
        ],
    )
    yield Family(
        "workload_saved_bytes",
        "What a workload saves; below zero where fork shared more before.",
        [
            ({"workload": row["workload"], **labels}, value)
            for row in head.rows(named=True)
            for labels, value in _kinds(
                row["pages_saved_zero"], row["pages_saved_nonzero"]
            )
        ],
    )
    yield _one("other_workloads", "Workloads without gauges of their own.", rest.height)
    yield _one(
        "other_workloads_offered_bytes",
        "Memory of these workloads offered to ksmd.",
        int(rest["pages"].sum()) * PAGE_SIZE,
    )
    yield _by_kind(
        "other_workloads_saved_bytes",
        "What these workloads save together.",
        int(rest["pages_saved_zero"].sum()),
        int(rest["pages_saved_nonzero"].sum()),
    )


def _by_label(frame: pl.DataFrame) -> pl.DataFrame:
    """*frame* with names as labels show them, each once: two names that differ in
    what is shown by number only would be one series given twice."""
    shown = [printable(name) for name in frame["workload"].to_list()]
    figures = "pages", "pages_saved_zero", "pages_saved_nonzero"
    return (
        frame.with_columns(pl.Series("workload", shown, pl.String))
        .group_by("workload", maintain_order=True)
        .agg(pl.col(name).sum() for name in figures)
    )


def _origin(result: ReplayResult) -> Iterator[Family]:
    yield Family(
        "replay",
        "Always 1; the labels say whose ksmd was simulated and what it was offered.",
        [({"kernel": result.profile, "policy": result.policy}, 1)],
    )
    yield _one(
        "limits",
        "What the capture and its replay cannot tell: sentences in the other formats.",
        len(result.trace.limits),
    )
    captured = _timestamp(result.trace.captured_at)
    if captured is not None:
        yield _one("captured_timestamp_seconds", "When it was captured.", captured)


def _timestamp(text: str) -> str | None:
    try:
        return seconds(round(datetime.fromisoformat(text).timestamp()) * 1_000_000_000)
    except (ValueError, OverflowError):
        return None


def _one(name: str, told: str, value: int | str, estimate: bool = False) -> Family:
    return Family(name, told, [({}, value)], estimate)


def _by_kind(name: str, told: str, zero: int, nonzero: int) -> Family:
    return Family(name, told, list(_kinds(zero, nonzero)))


def _kinds(zero: int, nonzero: int) -> Iterator[Sample]:
    yield {"kind": "zero"}, zero * PAGE_SIZE
    yield {"kind": "nonzero"}, nonzero * PAGE_SIZE


def _lines(family: Family) -> Iterator[str]:
    if not family.samples:
        return
    name = f"ksm_analyze_{family.name}"
    yield f"# TYPE {name} gauge"
    unit = name.rsplit("_", 1)[-1]
    if unit in _UNITS:
        yield f"# UNIT {name} {unit}"
    grade = "estimate" if family.estimate else "exact within limits"
    yield f"# HELP {name} {family.help} [{grade}]"
    for labels, value in family.samples:
        told = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        yield f"{name}{{{told}}} {value}"


def _escaped(text: str) -> str:
    """*text* as a label's value; without control characters, as on a terminal."""
    return printable(text).replace("\\", "\\\\").replace('"', '\\"')
