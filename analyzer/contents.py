"""The contents that are shared most, and who holds them."""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from analyzer.engine import attribution
from analyzer.engine.holders import holders
from analyzer.host import numbers
from analyzer.outcome import Outcome

Within = tuple[int, int, int]
"""Pages of one mapping: its number, the first and the last page number."""

_NAMED: Final = 3
"""Workloads a content's row names."""


def repeated_contents(
    outcome: Outcome,
    before: npt.NDArray[np.uint32],
    after: npt.NDArray[np.uint32],
    rows: int,
    within: Within | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(`contents`, `holders`): the contents that save most, at most *rows* of them.

    With *within* they are those found there, and after those that save something
    come others; figures are over the whole host all the same.
    """
    host = outcome.host
    had, gone = attribution.freed_by_content(
        outcome.content, outcome.zero_contents, before, after, outcome.contents
    )
    if within is None:
        chosen, alone = _largest(gone, rows), np.empty(0, np.int64)
    else:
        chosen, alone = _found(outcome, gone, within, rows)
    found, processes, first = _holders(outcome, chosen, alone)
    first = np.concatenate([first, alone])
    digests = host.digest[first].view(np.int64)
    zero = host.zero.view(np.int64)
    fill = np.where(host.fill[first], "fill", "other")
    contents = pl.DataFrame(
        {
            "digest": digests,
            "what": np.where(digests == zero, "zero", fill).tolist(),
            "frames": np.append(had[chosen], np.ones_like(alone)),
            "processes": np.append(processes, np.ones_like(alone)),
            "pages_saved": np.append(gone[chosen], np.zeros_like(alone)),
        },
        schema_overrides={"what": pl.String},
    ).with_row_index("place")
    told = contents.join(_summed(found), on="place", maintain_order="left")
    named = found.join(contents.select("place", "digest"), on="place")
    order = ["place", "copies", "workload", "kind"]
    return (
        told.select(
            "digest", "what", "copies", "frames", "processes", "workloads", "whose",
            "pages_saved",
        ),
        named.sort(order, descending=[False, True, False, False]).select(
            "digest", "workload", "kind", "processes", "copies"
        ),
    )  # fmt: skip


def _largest(saved: npt.NDArray[np.int64], rows: int) -> npt.NDArray[np.int64]:
    """Content numbers with the largest *saved* (> 0), ties to the lower number."""
    rows = min(rows, int(np.count_nonzero(saved > 0)))
    if rows == 0:
        return np.zeros(0, np.int64)
    least = np.partition(saved, len(saved) - rows)[len(saved) - rows]
    above = np.flatnonzero(saved > least)
    level = np.flatnonzero(saved == least)[: rows - len(above)]
    chosen = np.concatenate([above, level])
    return chosen[np.lexsort((chosen, -saved[chosen]))]


def _found(
    outcome: Outcome, saved: npt.NDArray[np.int64], within: Within, limit: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(content numbers, rows whose content is found nowhere else) of a range, together
    at most *limit*."""
    rows = outcome.rows_within(*within)
    present = outcome.content[outcome.host.frame[rows]]
    alone = rows[present < 0]
    repeated = present[present >= 0]
    found = np.unique(np.where(repeated < outcome.zero_contents, 0, repeated))
    chosen = found[np.lexsort((found, -saved[found]))][:limit].astype(np.int64)
    return chosen, alone[: limit - len(chosen)]


def _holders(
    outcome: Outcome, chosen: npt.NDArray[np.int64], alone: npt.NDArray[np.int64]
) -> tuple[pl.DataFrame, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(place, workload, kind, processes, copies) of the *chosen* contents, and behind
    them of the rows *alone*; processes and first row of each of the chosen."""
    host = outcome.host
    workload, owner = host.workload, host.segment_process
    kinds = host.mappings["kind"]
    kind = numbers(kinds)[host.mapping] if len(kinds) else np.empty(0, np.int32)
    place = np.full(max(outcome.contents, 1), -1, np.int32)
    place[chosen] = np.arange(len(chosen))
    order = np.argsort(workload[owner], kind="stable")
    found, processes, first = holders(
        order, host.start, owner, workload, kind, outcome.offered, host.frame,
        outcome.content, outcome.zero_contents, place, len(chosen),
        int(kind.max(initial=0)) + 1,
    )  # fmt: skip
    segment = np.searchsorted(host.start, alone, side="right") - 1
    ones = np.ones_like(alone)
    lonely = np.stack(
        [
            len(chosen) + np.arange(len(alone)),
            workload[owner[segment]],
            kind[segment],
            ones,
            ones,
        ],
        1,
    )
    columns = ["place", "workload", "kind", "processes", "copies"]
    table = pl.DataFrame(np.concatenate([found, lonely]), schema=columns)
    return (
        table.with_columns(
            pl.col("place").cast(pl.UInt32),
            _named("workload", host.processes["workload"]),
            _named("kind", kinds),
        ),
        processes,
        first,
    )


def _named(column: str, names: pl.Series) -> pl.Expr:
    """*column* of ranks (`host.numbers`) as the names themselves."""
    known = names.unique().sort().cast(pl.String)
    return pl.lit(known).gather(pl.col(column)).alias(column)


def _summed(found: pl.DataFrame) -> pl.DataFrame:
    """Per place: `copies`, `workloads`, and those with most copies as `whose`."""
    each = (
        found.group_by("place", "workload")
        .agg(pl.col("copies").sum())
        .sort("place", "copies", "workload", descending=[False, True, False])
    )
    return each.group_by("place", maintain_order=True).agg(
        pl.col("copies").sum(),
        pl.len().cast(pl.Int64).alias("workloads"),
        pl.col("workload").head(_NAMED).str.join(", ").alias("whose"),
    )
