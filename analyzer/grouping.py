"""Sums of a table's rows by one of its columns."""

import polars as pl


def grouped(table: pl.DataFrame, by: str, count: str, first: str) -> pl.DataFrame:
    """Sums per *by* of all columns from *first* on; *count* says of how many rows."""
    summed = table.columns[table.columns.index(first) :]
    return (
        table.group_by(by)
        .agg(pl.len().cast(pl.Int64).alias(count), pl.col(summed).sum())
        .sort(by)
    )
