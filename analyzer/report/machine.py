"""The reports other programs read: JSON, whose keys are a contract, and CSV.

Figures are exact integers under the names of docs/savings.md; nothing is rounded,
and there is no NaN.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final

import polars as pl

from analyzer.compare import Comparison
from analyzer.expression.expression import Expression
from analyzer.findings import Finding, findings
from analyzer.policy import MergePolicy
from analyzer.report.columns import TABLES
from analyzer.report.escape import printable
from analyzer.report.findings import sentence
from analyzer.report.layout import Layout
from analyzer.report.rows import fitting, rows
from analyzer.result import ReplayResult, Savings, TraceInfo
from analyzer.worth import cost_of
from traces.schema import PAGE_SIZE
from traces.tool import tool

REPLAY_SCHEMA: Final = "ksm-analyze/replay/1"
"""Changes its number only when a key goes or changes its meaning."""

INFO_SCHEMA: Final = "ksm-analyze/info/1"


def replay_json(result: ReplayResult, layout: Layout) -> str:
    """One object; docs/commands/replay.md lists its keys. Mappings can be many, so
    they are in it only when *layout.by* asks for them."""
    document: dict[str, Any] = {
        "schema": REPLAY_SCHEMA,
        "generated_by": tool(),
        "trace": trace_object(result.trace),
        "knobs": result.knobs.as_files(),
        "kernel_profile": result.profile,
        **policy_object(result),
        "settled": result.settled,
        "counters": result.counters._asdict(),
        "savings": savings_object(result.savings),
        "ideal": result.ideal._asdict(),
        "uncertainty": result.uncertainty._asdict(),
        "sharing": result.sharing._asdict(),
        "composition": result.composition._asdict(),
        "cost": _cost_object(result),
        "findings": list(map(_finding_object, findings(result))),
        "passes": _objects(result.passes),
        "workloads": _objects(_counted(result, result.workloads)),
        "processes": _objects(_counted(result, result.processes)),
        "kinds": _objects(result.kinds),
        "contents": _objects(result.contents),
    }
    if layout.by == "mapping":
        document["mappings"] = _objects(result.mappings)
    if layout.where is not None:
        name = TABLES[layout.by].frame
        document["filter"] = filter_object(result, layout.by, layout.where)
        document[name] = _objects(_counted(result, _meant(result, layout)))
    return json_text(document)


def _meant(result: ReplayResult, layout: Layout) -> pl.DataFrame:
    """The rows of the table *layout.by* that fit, with the result's columns."""
    frame: pl.DataFrame = getattr(result, TABLES[layout.by].frame)
    return rows(result, layout.by, layout.where).select(frame.columns)


def filter_object(
    told: ReplayResult | Comparison, by: str, where: Expression
) -> dict[str, str | int]:
    """`filter`: which table is not whole, and why."""
    some, every = fitting(told, by, where)
    return {
        "table": TABLES[by].frame,
        "expression": str(where),
        "rows": some,
        "of": every,
    }


def _cost_object(result: ReplayResult) -> dict[str, Any] | None:
    """`cost`: estimates all; null where there was no scan."""
    cost = cost_of(result)
    if cost is None:
        return None
    return {
        "estimate": True,
        "source": result.costs,
        "cpu_ns": cost.cpu_ns,
        "time_ns": cost.time_ns,
        "cpu_share": cost.cpu_share,
        "time_to_percent_ns": {str(k): v for k, v in cost.reached_ns.items()},
        "pages_scanned_per_page_saved": cost.scanned_per_page_saved,
    }


def _finding_object(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "subject": finding.subject,
        "text": sentence(finding).text,
        "numbers": finding.numbers,
        "place": asdict(finding.place),
        "good": finding.good,
        "bytes_at_stake": finding.weight,
    }


def replay_csv(result: ReplayResult, layout: Layout) -> str:
    """The table *layout.by* as it is in the result, a header line first."""
    frame = _table(result, layout)
    return csv_text(frame.columns, frame.iter_rows())


def replay_parquet(result: ReplayResult, layout: Layout) -> bytes:
    """The same table as a Parquet file; names in it are exact."""
    return parquet_bytes(_table(result, layout))


def parquet_bytes(frame: pl.DataFrame) -> bytes:
    """*frame* as a Parquet file."""
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


def _table(result: ReplayResult, layout: Layout) -> pl.DataFrame:
    frame = _counted(result, _meant(result, layout))
    return frame.head(layout.rows) if layout.rows else frame


def policy_object(result: ReplayResult) -> dict[str, Any]:
    """Who was offered, in both schemas."""
    policy = MergePolicy.parse(result.policy)
    return {
        "policy": policy.offer.value,
        "opt_in": policy.opt_in or None,
        "opt_out": policy.opt_out or None,
        "opt_in_trees": list(policy.trees),
        "uncertain": policy.uncertain.value,
    }


def _counted(result: ReplayResult, frame: pl.DataFrame) -> pl.DataFrame:
    """*frame* without what nobody has counted in a result without detail."""
    uncounted = ["ideal_if_toggled"] if result.compositions.is_empty() else []
    return frame.drop(uncounted, strict=False)


def trace_object(trace: TraceInfo) -> dict[str, Any]:
    """`trace` in both schemas, without what only a replay can count."""
    members = asdict(trace)
    del members["frames"]
    return members


def savings_object(savings: Savings) -> dict[str, int]:
    """`savings` in both schemas."""
    return {
        "pages_saved_zero": savings.pages_saved_zero,
        "pages_saved_nonzero": savings.pages_saved_nonzero,
        "bytes_saved_zero": savings.pages_saved_zero * PAGE_SIZE,
        "bytes_saved_nonzero": savings.pages_saved_nonzero * PAGE_SIZE,
        "pages_saved_by_split": savings.pages_saved_by_split,
    }


def json_text(document: Mapping[str, Any]) -> str:
    """*document* with a line for every key and every row, in ASCII.

    Compact, and yet a line-wise diff of two reports says what changed.
    """
    members = (f"{_dumped(key)}:{_member(value)}" for key, value in document.items())
    return "{\n" + ",\n".join(members) + "\n}\n"


def csv_text(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """RFC 4180 but for the line ends, which are newlines; a record is one line,
    because control characters in names are written as `\\xNN`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(
            [printable(cell) if isinstance(cell, str) else cell for cell in row]
        )
    return out.getvalue()


def _objects(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return frame.rows(named=True)


def _member(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(map(_dumped, value)) + "\n]"
    return _dumped(value)


def _dumped(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
