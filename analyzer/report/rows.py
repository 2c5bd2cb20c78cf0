"""The rows of a table that a report shows: ranked, and only those that are meant."""

from typing import Final

import polars as pl

from analyzer.compare import Comparison
from analyzer.expression.expression import Expression
from analyzer.expression.fields import FIELDS, Kind
from analyzer.report.columns import TABLES, derived, ranked
from analyzer.report.escape import printable
from analyzer.result import TABLES as RESULT_TABLES
from analyzer.result import ReplayResult

_TEXTS: Final = [field.name for field in FIELDS.values() if field.kind is Kind.TEXT]


def rows(
    result: ReplayResult, by: str, where: Expression | None = None
) -> pl.DataFrame:
    """The table *by*, a key of `columns.TABLES`, with the columns that are only drawn,
    in the order it is read; of its rows those that fit *where*.

    Figures are those of the table's own rows. Of what these lack, a mapping has its
    process's names; a workload has the names and figures of its processes, and fits
    if it does with any one of them. Raises UsageError for a field in none of these.
    """
    table = TABLES[by]
    frame = ranked(table, getattr(result, table.frame))
    if where is None:
        return frame
    return frame.filter(_fitting(by, where, frame, result.processes))


def compared(
    comparison: Comparison, by: str, where: Expression | None = None
) -> pl.DataFrame:
    """The table *by* of a comparison, of workloads or of processes: of its rows those
    that `rows` has for either side, and those for several processes if it has any.

    Raises as `rows`.
    """
    frame: pl.DataFrame = getattr(comparison, TABLES[by].frame)
    if where is None:
        return frame
    keys = ["workload"] if by == "workload" else ["host", "pid", "workload", "comm"]
    sides = (comparison.a, comparison.b)
    fit = pl.concat(rows(side, by, where).select(keys) for side in sides)
    if by == "workload":
        return frame.join(fit, on=keys, how="semi", maintain_order="left")
    # A process that has no row of its own is in that of its workload and name.
    added_up = fit.join(frame, on=keys, how="anti").with_columns(
        pl.lit(None, frame.schema[name]).alias(name) for name in ("host", "pid")
    )
    return frame.join(
        pl.concat([fit, added_up]),
        on=keys,
        how="semi",
        nulls_equal=True,
        maintain_order="left",
    )


def check(by: str, where: Expression) -> None:
    """Refuse before a replay what `rows` would refuse after it."""
    frame, processes = (
        derived(pl.DataFrame(schema=dict.fromkeys(RESULT_TABLES[name], pl.Int64)))
        for name in (TABLES[by].frame, "processes")
    )
    _fitting(by, where, frame, processes)


def fitting(
    told: ReplayResult | Comparison, by: str, where: Expression
) -> tuple[int, int]:
    """How many rows of the table *by* fit *where*, of how many."""
    if isinstance(told, Comparison):
        some = compared(told, by, where).height
    else:
        some = rows(told, by, where).height
    return some, getattr(told, TABLES[by].frame).height


def fitting_sentence(
    told: ReplayResult | Comparison, by: str, where: Expression
) -> str:
    """`saved > 1GiB: 3 of 12 rows`; escaped."""
    some, every = fitting(told, by, where)
    return f"{printable(str(where))}: {some} of {every} rows"


def nothing_shown(by: str, where: Expression | None) -> str:
    """Why the table *by* has no rows; escaped."""
    if where is None:
        return f"no {by} was offered to ksmd"
    return f"no {by} fits {printable(str(where))}"


def _fitting(
    by: str, where: Expression, frame: pl.DataFrame, processes: pl.DataFrame
) -> pl.Series:
    """bool per row of *frame*"""
    if all(FIELDS[name].column(frame.columns) for name in where.names()):
        return where.select(frame)
    if by == "workload":
        lacking = [name for name in processes.columns if name not in frame.columns]
        parts = processes.select("workload", *lacking).join(frame, on="workload")
        found = parts.filter(where.select(parts))["workload"]
        return frame["workload"].is_in(found.unique().to_list())
    if by == "mapping":
        names = [
            name
            for name in _TEXTS
            if name in processes.columns and name not in frame.columns
        ]
        owners = processes.select("process", *names)
        frame = frame.join(owners, on="process", how="left", maintain_order="left")
    return where.select(frame)
