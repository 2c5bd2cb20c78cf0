"""A result as it stood after any of its full scans.

A result with detail knows of every full scan what a replay that stops there prints,
but for what only its end knows; one without detail knows its end only. Moments are
counted from 0, the last being the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from analyzer.counters import RMAP_ITEM_SIZE, KsmCounters
from analyzer.grouping import grouped
from analyzer.result import Composition, ReplayResult
from traces.schema import PAGE_SIZE

_AT_THE_END: Final = [
    "pages_unmerged",
    "pages_cross",
    "ideal_saved_zero",
    "ideal_saved_nonzero",
    "ideal_if_toggled",
]

_OF_AN_EPOCH: Final = [
    "pages_captured",
    "zero_pages",
    "fill_pages",
    "uncertain_zero_pages",
    "uncertain_pages",
]
"""What only stays the same where there is but one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What is known of one moment of a replay."""

    full_scans: int
    final: bool
    """Whether it is the result's own, the last."""
    wakeups: int
    time_ns: int
    cpu_ns: int
    counters: KsmCounters
    pages_saved_zero: int
    pages_saved_nonzero: int
    composition: Composition
    """In frames."""
    processes: pl.DataFrame
    """The columns of the result's own, less those that only its end knows unless this
    is it, and with `state_kept` and `state_unscanned`."""
    workloads: pl.DataFrame
    """The same, added up."""


def moments(result: ReplayResult) -> int:
    """How many there are: the full scans, and the end where that is later."""
    return max(result.compositions.height + result.end.later, 1)


def moment(result: ReplayResult, at: int) -> Moment:
    """The moment *at*, from 0. Raises IndexError where there is none."""
    count = moments(result)
    if not 0 <= at < count:
        raise IndexError(f"moment {at} of {count}")
    if at == count - 1:
        return _end(result)
    row = result.passes.row(at, named=True)
    composition = Composition(*result.compositions.row(at)[1:])
    processes = _processes(result, at)
    return Moment(
        full_scans=row["full_scans"],
        final=False,
        wakeups=row["wakeups"],
        time_ns=row["time_ns"],
        cpu_ns=row["cpu_ns"],
        counters=KsmCounters(*(row[name] for name in KsmCounters._fields)),
        pages_saved_zero=composition.saved_zero,
        pages_saved_nonzero=composition.saved_nonzero,
        composition=composition,
        processes=processes,
        workloads=grouped(processes, "workload", "processes", "pages"),
    )


def _end(result: ReplayResult) -> Moment:
    toggled = result.workloads.select("workload", "ideal_if_toggled")
    processes = _with_states(result.processes)
    workloads = grouped(processes, "workload", "processes", "pages")
    return Moment(
        full_scans=result.counters.full_scans,
        final=True,
        wakeups=result.end.wakeups,
        time_ns=result.end.time_ns,
        cpu_ns=result.end.cpu_ns,
        counters=result.counters,
        pages_saved_zero=result.savings.pages_saved_zero,
        pages_saved_nonzero=result.savings.pages_saved_nonzero,
        composition=result.composition,
        processes=processes,
        # This figure does not add up.
        workloads=workloads.update(toggled, on="workload"),
    )


def _processes(result: ReplayResult, at: int) -> pl.DataFrame:
    unknown = _AT_THE_END + (_OF_AN_EPOCH if result.trace.epochs > 1 else [])
    everyone = result.processes.drop(unknown)
    count = everyone.height
    # Every pass has a row for each process, in their order.
    figures = result.process_passes.slice(at * count, count)
    saved = result.process_savings.slice(at * count, count)
    known = [
        *figures.get_columns()[2:],
        *saved.get_columns()[2:],
    ]
    return _with_states(everyone.with_columns(known).with_columns(_profit()))


def _profit() -> pl.Expr:
    """The column form of `counters.process_profit`."""
    merged = pl.col("ksm_merging_pages") + pl.col("ksm_zero_pages")
    cost = pl.col("ksm_rmap_items") * RMAP_ITEM_SIZE
    return (merged * PAGE_SIZE - cost).alias("ksm_process_profit")


def _with_states(processes: pl.DataFrame) -> pl.DataFrame:
    saved = pl.col("pages_saved_zero") + pl.col("pages_saved_nonzero")
    waiting = pl.col("pages_unshared") + pl.col("pages_volatile")
    kept = (_merged() - saved).clip(0)
    return processes.with_columns(
        kept.alias("state_kept"),
        (pl.col("pages") - saved - kept - waiting).clip(0).alias("state_unscanned"),
    )


def _merged() -> pl.Expr:
    """Pages that share a frame now, or that a split gave up."""
    kernel = pl.col("ksm_merging_pages") + pl.col("ksm_zero_pages")
    return kernel + pl.col("pages_split")


def course(result: ReplayResult) -> pl.DataFrame:
    """A row per moment: how the replay went on.

    `full_scans`, `time_ns`, `cpu_ns`, the counters, `pages_saved_zero` and
    `pages_saved_nonzero` as at that moment; `cpu_share` (null where no time passed),
    `scan_scanned` and `scan_skipped` (pages) since the moment before alone. The other
    columns are states, in pages offered, and add up to these unless items have lost
    their pages: `saved_nonzero`, `saved_zero`, `kept` (merged or on the zero page,
    less the saved), `unshared`, `volatile`, and `unscanned`, the rest.
    """
    times = ["full_scans", "time_ns", "cpu_ns"]
    counters = [name for name in KsmCounters._fields if name != "full_scans"]
    told = result.passes.head(result.compositions.height).select(*times, *counters)
    sums = _sums(result)
    if told.height < moments(result):
        end = {**result.counters._asdict(), **result.end._asdict()}
        told = told.vstack(
            pl.DataFrame([end], schema_overrides=told.schema)[told.columns]
        )
        sums = sums.vstack(result.processes.select(_totals()))
    saved = pl.col("saved_zero") + pl.col("saved_nonzero")
    kept = (pl.col("merged") - saved).clip(0)
    rest = pl.col("pages") - saved - kept - pl.col("unshared") - pl.col("volatile")
    return pl.concat([told, sums], how="horizontal").select(
        *times,
        (
            _since("cpu_ns") / pl.when(_since("time_ns") != 0).then(_since("time_ns"))
        ).alias("cpu_share"),
        *counters,
        pl.col("saved_zero").alias("pages_saved_zero"),
        pl.col("saved_nonzero").alias("pages_saved_nonzero"),
        "saved_nonzero",
        "saved_zero",
        kept.alias("kept"),
        "unshared",
        "volatile",
        rest.clip(0).alias("unscanned"),
        _since("pages_scanned").alias("scan_scanned"),
        _since("pages_skipped").alias("scan_skipped"),
    )


def history(result: ReplayResult, processes: Sequence[int]) -> list[int]:
    """Pages saved by some *processes* together, at every moment."""
    count = result.processes.height
    saved = result.process_savings.select(
        pl.col("pages_saved_zero") + pl.col("pages_saved_nonzero")
    ).to_series()
    # A row of the matrix for each full scan, a column for each process.
    told = saved.to_numpy().reshape(-1, count)[:, list(processes)].sum(axis=1).tolist()
    if len(told) < moments(result):
        end = result.processes[list(processes)]
        told.append(int((end["pages_saved_zero"] + end["pages_saved_nonzero"]).sum()))
    return [int(pages) for pages in told]


def figures(
    result: ReplayResult, name: str, at: Sequence[int]
) -> npt.NDArray[np.int64]:
    """int64[at, processes]: the column *name* of `process_passes` or of
    `process_savings` at the moments *at*, for each of `result.processes`."""
    told = result.process_savings
    if name not in told.columns:
        told = result.process_passes
    count, last = result.processes.height, moments(result) - 1
    by_pass = told[name].to_numpy().reshape(-1, max(count, 1))
    end = result.processes[name].to_numpy()
    rows = [end if moment == last else by_pass[moment] for moment in at]
    return np.array(rows, np.int64).reshape(len(at), count)


def kinds_of(result: ReplayResult, processes: Sequence[int]) -> pl.DataFrame:
    """`result.kinds` of some *processes* alone, at the end; `pages_saved` beside."""
    mine = result.mappings.filter(pl.col("process").is_in(list(processes)))
    saved = pl.col("pages_saved_zero") + pl.col("pages_saved_nonzero")
    kinds = grouped(mine, "kind", "mappings", "pages")
    return kinds.with_columns(saved.alias("pages_saved")).sort(
        "pages_saved", "kind", descending=[True, False]
    )


def _since(name: str) -> pl.Expr:
    """By how much *name* has grown since the row before."""
    return pl.col(name) - pl.col(name).shift(1, fill_value=0)


def _sums(result: ReplayResult) -> pl.DataFrame:
    """Figures of all processes together, a row per full scan."""
    scans = result.compositions.select("full_scans").lazy()
    # Rows of both tables are those of the same processes and scans.
    told = result.process_passes.head(result.process_savings.height)
    saved = result.process_savings.drop("full_scans", "process")
    both = pl.concat([told, saved], how="horizontal").lazy()
    sums = both.group_by("full_scans").agg(_totals())
    found = scans.join(sums, on="full_scans", how="left", maintain_order="left")
    return found.drop("full_scans").fill_null(0).collect()


def _totals() -> list[pl.Expr]:
    figures = {
        "pages": pl.col("pages"),
        "merged": _merged(),
        "unshared": pl.col("pages_unshared"),
        "volatile": pl.col("pages_volatile"),
        "saved_zero": pl.col("pages_saved_zero"),
        "saved_nonzero": pl.col("pages_saved_nonzero"),
    }
    return [value.sum().alias(name) for name, value in figures.items()]
