"""What is in a file, told without a replay: text for people, JSON for programs."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from analyzer.report.escape import printable
from analyzer.report.ink import Line, Span, flowed, painted
from analyzer.report.machine import (
    INFO_SCHEMA,
    json_text,
    policy_object,
    savings_object,
    trace_object,
)
from analyzer.report.summary import bounds, saved, stated, uncertain_pages
from analyzer.report.units import (
    bytes_text,
    count_text,
    counted,
    left_out,
    pages_text,
    share_text,
)
from analyzer.result import ReplayResult, TraceInfo
from analyzer.worth import pages_offered, pages_saved
from traces.schema import Facts
from traces.tool import tool

if TYPE_CHECKING:
    from analyzer.replay import Survey

_LABEL: Final = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """A file's contents, counted."""

    kind: str
    """`trace` or `result`."""
    trace: TraceInfo
    zero_pages: int
    """Rows whose content is zero."""
    distinct_contents: int
    """The zero page included."""
    uncertain_zero_pages: int
    """Of the zero pages, those that may never have been touched."""
    uncertain_pages: int
    """Pages that may be of the file cache."""
    sentences: Mapping[str, str]
    """Label → what people want to know beyond that."""
    members: Mapping[str, Any]
    """The same for programs: further keys of the JSON object."""


def inventory_of_trace(facts: Facts, found: "Survey") -> Inventory:
    """What a trace's footer says, and a count of its contents."""
    sentences = {
        "source": f"{facts.source}, by {facts.tool}, {_host(facts)}",
        "digests": f"{facts.digest}, seed {facts.seed_id}",
        "workload": f"by {facts.label_by}",
    }
    if facts.ksm:
        sentences["ksmd"] = ", ".join(
            f"{name} {value}" for name, value in facts.ksm.items()
        )
    if "MemTotal" in facts.meminfo:
        sentences["memory"] = f"{bytes_text(facts.meminfo['MemTotal'])} in the host"
    if facts.skipped:
        sentences["left out"] = ", ".join(
            left_out(count, reason) for reason, count in facts.skipped.items()
        )
    members = asdict(facts)
    for told in ("limits", "kernel", "captured_at"):
        del members[told]
    return Inventory(
        kind="trace",
        trace=found.info,
        zero_pages=found.zero_pages,
        distinct_contents=found.distinct_contents,
        uncertain_zero_pages=found.uncertain_zero_pages,
        uncertain_pages=found.uncertain_pages,
        sentences=sentences,
        members={"capture": members},
    )


def _host(facts: Facts) -> str:
    return f"on host {facts.host}" if facts.host else "of a host it does not name"


def inventory_of_result(result: ReplayResult) -> Inventory:
    """What a saved replay began with, and came to."""
    share = share_text(pages_saved(result), pages_offered(result))
    return Inventory(
        kind="result",
        trace=result.trace,
        zero_pages=int(result.processes.select(pl.col("zero_pages").sum()).item()),
        distinct_contents=result.ideal.distinct_contents,
        uncertain_zero_pages=result.uncertainty.zero_pages,
        uncertain_pages=result.uncertainty.other_pages,
        sentences={
            "saved": f"{saved(result)} ({share} of "
            f"{pages_text(pages_offered(result))} offered)",
            **dict(bounds(result)),
            **{
                label: sentence
                for label, sentence in stated(result)
                if label in ("offered", "knobs", "scans")
            },
        },
        members={
            **policy_object(result),
            "knobs": result.knobs.as_files(),
            "settled": result.settled,
            "savings": savings_object(result.savings),
            "uncertainty": result.uncertainty._asdict(),
        },
    )


def info_json(inventory: Inventory) -> str:
    """One object; docs/commands/info.md lists its keys."""
    return json_text(
        {
            "schema": INFO_SCHEMA,
            "generated_by": tool(),
            "kind": inventory.kind,
            "trace": trace_object(inventory.trace),
            "zero_pages": inventory.zero_pages,
            "distinct_contents": inventory.distinct_contents,
            "uncertain_zero_pages": inventory.uncertain_zero_pages,
            "uncertain_pages": inventory.uncertain_pages,
            **inventory.members,
        }
    )


def info_text(inventory: Inventory, width: int) -> str:
    """A line per fact, at most *width* cells wide."""
    lines: list[Line] = []
    for label, sentence in _labelled(inventory):
        first, *others = flowed([[Span(printable(sentence))]], width, indent=_LABEL)
        lines += [[Span(label.ljust(_LABEL)), *first], *others]
    for limit in inventory.trace.limits:
        first, *others = flowed([[Span(printable(limit))]], width, indent=2)
        lines += [[Span("! "), *first], *others]
    return painted(lines, colour=False)


def _labelled(inventory: Inventory) -> Iterator[tuple[str, str]]:
    trace, pages = inventory.trace, inventory.trace.pages
    replayed = "a saved replay of " if inventory.kind == "result" else ""
    yield inventory.kind, f"{replayed}{trace.path}"
    yield "pages", f"{count_text(pages)}, {pages_text(pages)}"
    zero = inventory.zero_pages
    yield "zero", f"{count_text(zero)}, {share_text(zero, pages)} of them"
    unsure = inventory.uncertain_zero_pages, inventory.uncertain_pages
    if any(unsure) and inventory.kind == "trace":
        yield "uncertain", ", ".join(uncertain_pages(*unsure))
    yield "contents", f"{count_text(inventory.distinct_contents)} distinct"
    workloads = counted(trace.workloads, "workload")
    yield "processes", f"{trace.processes} in {workloads}"
    yield "captured", f"{trace.captured_at}, kernel {trace.kernel or 'not told'}"
    yield "epochs", str(trace.epochs)
    yield from inventory.sentences.items()
