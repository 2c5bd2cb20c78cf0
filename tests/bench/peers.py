"""The ideal as one would write it with a dataframe library.

The formulation is the fastest found: zero pages are dropped first, contents are
counted, and only those with copies are joined back, so that no count is ever carried
by every row. What occurs once is known by subtraction.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import polars as pl
from bench.answer import Answer
from bench.host import Host

Engine = Literal["in-memory", "streaming"]


def polars_ideal(pages: pl.DataFrame, host: Host, engine: Engine) -> Answer:
    """The full answer over *pages* (`Host.frame`)."""
    nonzero = pages.lazy().filter(pl.col("digest") != host.zero)
    shared = (
        nonzero.group_by("digest")
        .agg(
            copies=pl.len(),
            across=pl.col("process").min() != pl.col("process").max(),
        )
        .filter(pl.col("copies") > 1)
        .collect(engine=engine)
    )
    merged = nonzero.join(shared.lazy(), on="digest").collect(engine=engine)
    figures = (
        pl.len().alias("merging"),
        pl.col("across").sum().alias("cross"),
        (1 - 1 / pl.col("copies")).sum().alias("share"),
    )
    rows = (pl.len(), (pl.col("digest") == host.zero).sum().alias("zero"))
    plans = [
        pages.lazy().group_by("process").agg(rows),
        merged.lazy().group_by("process").agg(*figures),
        merged.lazy().select("process", "digest").unique().group_by("process").len(),
        pages.lazy().group_by("kind").agg(rows),
        merged.lazy().group_by("kind").agg(*figures),
        pages.lazy().group_by("workload").agg(rows),
        merged.lazy().group_by("workload").len(),
        merged.lazy().select("workload", "digest").unique().group_by("workload").len(),
        shared.lazy().group_by(pl.col("copies").log(2).floor()).len(),
    ]
    return _answer(
        host, shared.height, merged.height, pl.collect_all(plans, engine=engine)
    )


def polars_totals(path: Path, zero: int) -> tuple[int, int, int]:
    """`Answer.totals` straight from a trace: the least one would ask for."""
    counts = (
        pl.scan_parquet(path)
        .select("digest")
        .filter(pl.col("digest") != zero)
        .group_by("digest")
        .len("copies")
    )
    repeats = pl.col("copies") > 1
    totals = counts.select(
        pl.len(), repeats.sum().alias("shared"), pl.col("copies").filter(repeats).sum()
    )
    row = totals.collect(engine="streaming").row(0)
    return int(row[0]), int(row[1]), int(row[2])


def duckdb_ideal(pages: pl.DataFrame, host: Host) -> Callable[[], Answer] | None:
    """The same in SQL; None where duckdb is not installed."""
    try:
        import duckdb
    except ImportError:
        return None
    database = duckdb.connect()
    database.register("pages", pages.to_arrow())
    database.execute("create table p as select * from pages")

    def table(query: str) -> pl.DataFrame:
        rows = database.execute(query).fetchall()
        names = [column[0] for column in database.description]
        return pl.DataFrame(rows, schema=names, orient="row")

    def answer() -> Answer:
        database.execute(_SHARED, [int(host.zero)])
        database.execute(_MERGED)
        tables = [table(query.format(zero=host.zero)) for query in _QUERIES]
        sizes = database.execute(
            "select (select count(*) from s), (select count(*) from m)"
        )
        return _answer(host, *sizes.fetchone(), tables)

    return answer


_SHARED: Final = """
create or replace temp table s as
select digest, count(*) as copies, min(process) <> max(process) as across
from p where digest <> $1 group by digest having count(*) > 1
"""
_MERGED: Final = """
create or replace temp table m as
select p.*, copies, across from p join s using (digest)
"""
_ROWS: Final = """
select {by}, count(*) as len, count(*) filter (digest = {{zero}}) as zero
from p group by {by}
"""
_FIGURES: Final = """
select {by}, count(*) as merging, count(*) filter (across) as cross,
    sum(1 - 1 / copies) as share
from m group by {by}
"""
_DISTINCT: Final = """
select {by}, count(*) as len
from (select distinct {by}, digest from m) group by {by}
"""
_QUERIES: Final = (
    _ROWS.format(by="process"),
    _FIGURES.format(by="process"),
    _DISTINCT.format(by="process"),
    _ROWS.format(by="kind"),
    _FIGURES.format(by="kind"),
    _ROWS.format(by="workload"),
    "select workload, count(*) as len from m group by workload",
    _DISTINCT.format(by="workload"),
    "select floor(log2(copies)) as power, count(*) as len from s group by power",
)


def _answer(host: Host, shared: int, merged: int, tables: list[pl.DataFrame]) -> Answer:
    by_process, process, of_process, by_kind, kind, by_load, load, of_load, copies = (
        tables
    )
    processes, workloads = len(host.workload), int(host.workload.max()) + 1

    def column(table: pl.DataFrame, name: str, size: int) -> Any:
        values = np.zeros(size, table[name].to_numpy().dtype)
        values[table.to_series(0).to_numpy().astype(np.int64)] = table[name].to_numpy()
        return values

    rows, zero = (column(by_process, name, processes) for name in ("len", "zero"))
    merging = column(process, "merging", processes).astype(np.int64)
    single = rows.astype(np.int64) - zero - merging
    load_rows, load_zero = (column(by_load, n, workloads) for n in ("len", "zero"))
    load_single = (
        load_rows.astype(np.int64) - load_zero - column(load, "len", workloads)
    )
    distinct = int(single.sum()) + shared
    return Answer(
        totals=np.array([distinct, shared, merged]),
        histogram=column(copies, "len", 40),
        process=np.column_stack(
            (
                rows,
                zero,
                single + column(of_process, "len", processes),
                merging,
                column(process, "cross", processes),
            )
        ),
        share=column(process, "share", processes),
        kind=np.column_stack(
            [column(by_kind, name, host.kinds) for name in ("len", "zero")]
            + [column(kind, name, host.kinds) for name in ("merging", "cross")]
        ),
        workload=load_single + column(of_load, "len", workloads),
    )
