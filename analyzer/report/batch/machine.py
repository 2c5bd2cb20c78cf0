"""Summaries other programs read: JSON, CSV and Parquet, under the same names."""

from typing import Any, Final

import polars as pl

from analyzer.report.batch.entry import Batch, Entry, Figures, total
from analyzer.report.layout import Layout
from analyzer.report.machine import csv_text, json_text, parquet_bytes
from traces.tool import tool

BATCH_SCHEMA: Final = "ksm-analyze/report/1"
"""Changes its number only when a key goes or changes its meaning."""

_SCHEMA: Final = {
    "source": pl.String,
    "path": pl.String,
    "kind": pl.String,
    "report": pl.String,
    **dict.fromkeys(Figures._fields, pl.Int64),
    "limits": pl.Int64,
    "truncated": pl.Boolean,
    "at_least": pl.Boolean,
    "error": pl.String,
}


def frame(batch: Batch) -> pl.DataFrame:
    """A row per source, in the order they were named; figures of one that failed are
    null."""
    nothing: dict[str, Any] = dict.fromkeys(Figures._fields)
    rows = [
        {
            **{name: _encodable(value) for name, value in _object(one).items()},
            **(one.figures._asdict() if one.figures else nothing),
            "limits": len(one.limits),
        }
        for one in batch.entries
    ]
    return pl.DataFrame(rows, schema=_SCHEMA)


def _encodable(value: Any) -> Any:
    """Names of files can be bytes that are no text."""
    if not isinstance(value, str):
        return value
    return value.encode(errors="backslashreplace").decode()


def summary_parquet(batch: Batch, _: Layout) -> bytes:
    """`frame` as a Parquet file."""
    return parquet_bytes(frame(batch))


def summary_csv(batch: Batch, _: Layout) -> str:
    """`frame` as CSV; switches are 0 or 1."""
    rows = frame(batch).with_columns(pl.col(pl.Boolean).cast(pl.Int8))
    return csv_text(rows.columns, rows.iter_rows())


def summary_json(batch: Batch, _: Layout) -> str:
    """One object; docs/commands/report.md lists its keys."""
    return json_text(
        {
            "schema": BATCH_SCHEMA,
            "generated_by": tool(),
            "command": batch.command,
            "sources": [
                {**_object(one), "figures": one.figures and one.figures._asdict()}
                for one in batch.entries
            ],
            "totals": {
                "sources": len(batch.good),
                "failed": len(batch.bad),
                **total(batch)._asdict(),
            },
            "skipped": [one._asdict() for one in batch.skipped],
        }
    )


def _object(one: Entry) -> dict[str, Any]:
    return {
        "source": one.source,
        "path": one.path,
        "kind": one.kind or None,
        "report": one.report or None,
        "limits": one.limits,
        "truncated": one.truncated,
        "at_least": one.at_least,
        "error": one.error or None,
    }
