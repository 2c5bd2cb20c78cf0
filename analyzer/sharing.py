"""Who shares with whom."""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from analyzer.engine import attribution
from analyzer.engine.pairs import pairs
from analyzer.outcome import Outcome
from analyzer.result import Sharing
from analyzer.shares import whole_pages

_PAIRED: Final = 48
"""Workloads that `workload_pairs` tells apart."""

PAIRS: Final = {
    "workload": pl.String,
    "other": pl.String,
    "pages_saved": pl.Int64,
    "contents": pl.Int64,
}


def who_shares(
    outcome: Outcome,
    zero_rows: npt.NDArray[np.bool_],
    after: npt.NDArray[np.uint32],
    marks: npt.NDArray[np.uint8],
) -> tuple[Sharing, npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """How far apart sharers are: (Sharing, node of each frame, workloads per node)."""
    host = outcome.host
    process = host.segment_process
    workload = host.workload
    order = np.argsort(workload[process], kind="stable")
    frames = len(after)
    node, nodes = attribution.number_nodes(outcome.after, outcome.where, frames)
    spread, workloads = attribution.sharers(
        order, host.start, process, workload, host.frame, outcome.after,
        outcome.where, zero_rows, after, marks, node, nodes,
    )  # fmt: skip
    return Sharing(*spread.tolist()), node, workloads


def workload_pairs(
    outcome: Outcome,
    workloads: pl.DataFrame,
    zero_rows: npt.NDArray[np.bool_],
    before: npt.NDArray[np.uint32],
    after: npt.NDArray[np.uint32],
    node: npt.NDArray[np.int32],
) -> pl.DataFrame:
    """What each workload has saved because of each: the table `pairs`.

    The workloads that save most are told apart; all others, and one without a name,
    are together under the empty name. Rows of a workload add up to what it has saved.
    """
    host = outcome.host
    named = workloads.filter(pl.col("workload") != "")
    most = named.sort("pages_saved_nonzero", "workload", descending=[True, False])
    names = [*most["workload"].head(_PAIRED), ""]
    place = {name: at for at, name in enumerate(names)}
    # Workloads are sorted by name, and numbered so in the host.
    classes = np.array(
        [place.get(name, len(names) - 1) for name in workloads["workload"]], np.uint8
    )
    saved, contents = pairs(
        host.start, classes[host.workload[host.segment_process]], host.frame,
        outcome.after, outcome.where, zero_rows, outcome.content,
        outcome.zero_contents, before, after, node, len(names),
    )  # fmt: skip
    totals = np.zeros(len(names), np.int64)
    np.add.at(totals, classes, workloads["pages_saved_nonzero"].to_numpy())
    whole = [_exactly(*row) for row in zip(saved, totals.tolist(), strict=True)]
    table = pl.DataFrame(
        {
            "workload": np.repeat(names, len(names)),
            "other": names * len(names),
            "pages_saved": np.concatenate(whole),
            "contents": contents.ravel(),
        },
        schema=PAIRS,
    )
    return table.filter((pl.col("pages_saved") != 0) | (pl.col("contents") != 0))


def _exactly(shares: npt.NDArray[np.float64], total: int) -> npt.NDArray[np.int64]:
    """*shares* cut to whole pages that add up to *total*; the largest takes what
    cutting the shares of processes has added or taken."""
    shares[np.argmax(np.abs(shares))] += total - shares.sum()
    return whole_pages(shares, total, np.arange(len(shares)))
