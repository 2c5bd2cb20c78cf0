"""Page states → what was saved, for every process, workload and mapping.

Two figures stand side by side. The kernel's own per-process figures do not add up
to its global ones; `pages_saved_zero` and `pages_saved_nonzero` do: their sum over
all processes is the number of physical frames that came free. docs/savings.md
defines every column.
"""

from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from analyzer.counters import process_profit
from analyzer.engine import attribution
from analyzer.engine.state import SPLIT_ZERO
from analyzer.engine.steady import ROWS, ZERO, steady
from analyzer.outcome import Outcome
from analyzer.result import (
    TABLES,
    Composition,
    Ideal,
    Pass,
    ReplayResult,
    Savings,
    TraceInfo,
)
from analyzer.sharing import repeated_contents, who_shares

NAMES: Final = ["user", "unit", "container", "pod", "vm", "cgroup"]
"""What a process is known by, beside its pid, comm and workload."""

_GRID: Final = 6
"""Decimals to which shares are taken before they are cut to whole pages: sums of
fractions that make a whole page are off by less than this."""


class Tallies:
    """The figures of every pass, collected while a replay runs."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._passes: list[dict[str, int]] = []
        self._figures: list[npt.NDArray[np.int64]] = []

    def add(self, step: Pass, figures: npt.NDArray[np.int64]) -> None:
        self._passes.append(
            {
                "wakeups": step.wakeups,
                **step.counters._asdict(),
                "time_ns": step.time_ns,
                "cpu_ns": step.cpu_ns,
            }
        )
        self._figures.append(figures)

    def passes(self) -> pl.DataFrame:
        schema = dict.fromkeys(TABLES["passes"], pl.Int64)
        return pl.DataFrame(self._passes, schema=schema)

    def process_passes(self) -> pl.DataFrame:
        scans = [row["full_scans"] for row in self._passes]
        empty = np.zeros((0, 4), np.int64)
        figures = np.concatenate([empty, *self._figures])
        everyone = np.arange(self._processes, dtype=np.int32)
        return pl.DataFrame(
            {
                "full_scans": np.repeat(np.array(scans, np.int64), self._processes),
                "process": np.tile(everyone, len(scans)),
                "ksm_rmap_items": figures[:, 0],
                "ksm_merging_pages": figures[:, 1],
                "ksm_zero_pages": figures[:, 2],
                "pages_unshared": figures[:, 3],
            }
        )

    def last(self) -> npt.NDArray[np.int64]:
        """int64[processes, 4]"""
        if self._figures:
            return self._figures[-1]
        return np.zeros((self._processes, 4), np.int64)


def result_of(
    outcome: Outcome, tallies: Tallies, info: TraceInfo, contents: int
) -> ReplayResult:
    """Everything a replay that ended in *outcome* is worth."""
    host = outcome.host
    zero_rows = host.zero_rows()
    before = attribution.mappings_before(host.frame, host.frames)
    after = attribution.mappings_after(
        outcome.after, outcome.where, len(outcome.content) or 1
    )
    marks = attribution.mark(
        host.frame, outcome.after, outcome.where, zero_rows, len(after)
    )
    savings = Savings(*attribution.freed(before, after, marks))
    sharing, node, node_workloads = who_shares(outcome, zero_rows, after, marks)
    segments = len(host.mapping)
    shares = np.zeros((segments, 4))
    counts = np.zeros((segments, 4), np.int64)
    attribution.weigh(
        host.start, host.frame, outcome.after, outcome.where, outcome.offered,
        zero_rows, before, after, node, node_workloads, shares, counts,
    )  # fmt: skip
    ideal, ideal_shares = _ideal(outcome, before, zero_rows, shares[:, 2:])
    processes = _processes(
        outcome, tallies.last(), savings, ideal, shares, ideal_shares, counts, zero_rows
    )
    mappings = _mappings(outcome, processes, shares, counts, zero_rows)
    offered_frames = _offered_frames(outcome)
    return ReplayResult(
        trace=replace(info, frames=int(np.count_nonzero(before))),
        knobs=outcome.knobs,
        profile=outcome.profile,
        costs=outcome.costs,
        policy=outcome.policy,
        settled=outcome.settled,
        counters=outcome.counters,
        savings=savings,
        ideal=ideal,
        sharing=sharing,
        composition=Composition(
            saved_nonzero=savings.pages_saved_nonzero,
            saved_zero=savings.pages_saved_zero,
            kept=outcome.counters.pages_shared,
            unmerged=offered_frames
            - savings.pages_saved_nonzero
            - savings.pages_saved_zero
            - outcome.counters.pages_shared,
        ),
        passes=tallies.passes(),
        process_passes=tallies.process_passes(),
        processes=processes,
        workloads=grouped(processes, "workload", "processes", "pages"),
        mappings=mappings,
        kinds=grouped(mappings, "kind", "mappings", "pages"),
        contents=repeated_contents(outcome, before, after, contents),
    )


def grouped(table: pl.DataFrame, by: str, count: str, first: str) -> pl.DataFrame:
    """Sums per *by* of all columns from *first* on; *count* says of how many rows."""
    summed = table.columns[table.columns.index(first) :]
    return (
        table.group_by(by)
        .agg(pl.len().cast(pl.Int64).alias(count), pl.col(summed).sum())
        .sort(by)
    )


def whole_pages(
    shares: npt.NDArray[np.float64], total: int, order: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Cut *shares* to whole pages that add up to *total*, by largest remainder.

    Ties go to the earlier in *order* (a permutation of the shares). Where the shares
    themselves do not add up to *total*, they are scaled to it first.
    """
    wanted = shares.round(_GRID)
    sum_ = float(wanted.sum())
    if abs(sum_ - total) > 0.5 and sum_:
        wanted = (shares * (total / sum_)).round(_GRID)
    pages = np.floor(wanted).astype(np.int64)
    missing = total - int(pages.sum())
    remainder = (wanted - pages)[order].round(_GRID)
    largest = order[np.argsort(-remainder, kind="stable")]
    if missing > 0 and len(pages):
        pages[largest] += missing // len(pages)
        pages[largest[: missing % len(pages)]] += 1
    return pages


def _processes(
    outcome: Outcome,
    last: npt.NDArray[np.int64],
    savings: Savings,
    ideal: Ideal,
    shares: npt.NDArray[np.float64],
    ideal_shares: npt.NDArray[np.float64],
    counts: npt.NDArray[np.int64],
    zero_rows: npt.NDArray[np.bool_],
) -> pl.DataFrame:
    host = outcome.host
    table = host.processes
    owner = host.segment_process
    by_pid = np.argsort(table["pid"].to_numpy(), kind="stable")
    saved = _summed(shares, owner, table.height)
    pages = _per_process(_rows(outcome), owner, table.height)
    columns = {
        "pages": pages,
        "zero_pages": _per_process(_zeros(outcome, zero_rows), owner, table.height),
        "fill_pages": _per_process(_zeros(outcome, host.fill), owner, table.height),
        "ksm_rmap_items": last[:, 0],
        "ksm_merging_pages": last[:, 1],
        "ksm_zero_pages": last[:, 2],
        "ksm_process_profit": np.array(
            [process_profit(m, z, i) for i, m, z, _ in last.tolist()], np.int64
        ),
        "pages_saved_zero": whole_pages(saved[:, 0], savings.pages_saved_zero, by_pid),
        "pages_saved_nonzero": whole_pages(
            saved[:, 1], savings.pages_saved_nonzero, by_pid
        ),
        "pages_unmerged": _per_process(
            counts[:, attribution.UNMERGED], owner, table.height
        ),
        "pages_cross": _per_process(counts[:, attribution.CROSS], owner, table.height),
        "ideal_saved_zero": whole_pages(
            ideal_shares[:, 0], ideal.pages_saved_zero, by_pid
        ),
        "ideal_saved_nonzero": whole_pages(
            ideal_shares[:, 1], ideal.pages_saved_nonzero, by_pid
        ),
    }
    known = ["process", "host", "pid", "comm", "workload", *NAMES]
    return table.select(known).with_columns(_integers(columns))


def _mappings(
    outcome: Outcome,
    processes: pl.DataFrame,
    shares: npt.NDArray[np.float64],
    counts: npt.NDArray[np.int64],
    zero_rows: npt.NDArray[np.bool_],
) -> pl.DataFrame:
    host = outcome.host
    owner = host.segment_process
    saved = {
        name: _inside(shares[:, column], owner, processes[name].to_numpy())
        for column, name in enumerate(("pages_saved_zero", "pages_saved_nonzero"))
    }
    columns = {
        "pages": _rows(outcome),
        "zero_pages": _zeros(outcome, zero_rows),
        "fill_pages": _zeros(outcome, host.fill),
        "ksm_merging_pages": counts[:, attribution.MERGING],
        "ksm_zero_pages": counts[:, attribution.PLACED],
        **saved,
    }
    about = host.mappings[host.mapping.tolist()].select(
        "mapping", "process", "kind", "name", "start_vpn"
    )
    known = processes.select("process", "host", "pid", "comm", "workload")
    named: pl.DataFrame = about.join(
        known, on="process", how="left", maintain_order="left"
    )
    order = ["mapping", *known.columns, "kind", "name", "start_vpn"]
    return named.select(order).with_columns(_integers(columns))


def _integers(columns: dict[str, npt.NDArray[np.int64]]) -> list[pl.Series]:
    return [pl.Series(name, values, pl.Int64) for name, values in columns.items()]


def _inside(
    shares: npt.NDArray[np.float64],
    owner: npt.NDArray[np.int32],
    totals: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Whole pages per segment that add up to each process's *totals*."""
    pages = np.zeros(len(shares), np.int64)
    bounds = np.searchsorted(owner, np.arange(len(totals) + 1))
    for process, total in enumerate(totals.tolist()):
        mine = slice(bounds[process], bounds[process + 1])
        count = mine.stop - mine.start
        pages[mine] = whole_pages(shares[mine], total, np.arange(count))
    return pages


def _ideal(
    outcome: Outcome,
    before: npt.NDArray[np.uint32],
    zero_rows: npt.NDArray[np.bool_],
    pss: npt.NDArray[np.float64],
) -> tuple[Ideal, npt.NDArray[np.float64]]:
    """The ideal over the offered pages, and each process's (zero, other) share.

    A frame that a page not offered maps too stays; the best such frame is the copy
    that the others come to share.
    """
    host = outcome.host
    segments = host.segments()
    digest, offered = host.digest, outcome.offered
    frame = host.frame
    if not offered.all():
        rows = np.repeat(offered, np.diff(host.start))
        digest, frame = digest[rows], frame[rows]
        lengths = np.diff(host.start)[offered]
        segments = segments._replace(
            start=np.concatenate(([0], np.cumsum(lengths))),
            process=segments.process[offered],
            kind=segments.kind[offered],
        )
    found = steady(digest, host.zero, segments)
    zero = found.process[:, ZERO]
    frames, zero_frames = _frames_of(frame, digest == host.zero, host.frames)
    stuck_zero, stuck_other = _stuck(outcome, before, zero_rows)
    ideal = Ideal(
        pages_saved_zero=zero_frames - stuck_zero,
        pages_saved_nonzero=frames - zero_frames - found.distinct - stuck_other,
        distinct_contents=found.distinct + int(zero.sum() > 0),
    )
    others = found.process[:, ROWS] - zero
    owner = host.segment_process
    count = host.processes.height
    before_shares = _summed(np.where(offered[:, None], pss, 0.0), owner, count)
    # After merging, a content's one page is shared by all rows that hold it.
    kept = others - found.share
    return ideal, before_shares - np.stack([np.zeros(count), kept], 1)


def _stuck(
    outcome: Outcome,
    before: npt.NDArray[np.uint32],
    zero_rows: npt.NDArray[np.bool_],
) -> tuple[int, int]:
    """(zero, other) frames that offered pages share with pages that are not."""
    host = outcome.host
    if outcome.offered.all():
        return 0, 0
    rows = np.repeat(outcome.offered, np.diff(host.start))
    inside = attribution.mappings_before(host.frame[rows], host.frames)
    held = (inside > 0) & (inside < before)
    first = rows & held[host.frame]
    _, at = np.unique(host.frame[first], return_index=True)
    digests = host.digest[first][at]
    zeros = zero_rows[first][at]
    others = digests[~zeros]
    return int(zeros.sum()), len(others) - len(np.unique(others))


def _frames_of(
    frame: npt.NDArray[np.int32], zero: npt.NDArray[np.bool_], frames: int
) -> tuple[int, int]:
    """How many frames *frame* names, and how many of them hold zero."""
    used = np.zeros(frames, np.bool_)
    used[frame] = True
    everything = int(np.count_nonzero(used))
    used[:] = False
    used[frame[zero]] = True
    return everything, int(np.count_nonzero(used))


def _offered_frames(outcome: Outcome) -> int:
    """Frames offered to ksmd, and those a split set free beside them."""
    host = outcome.host
    frame = host.frame
    if not outcome.offered.all():
        rows = np.repeat(outcome.offered, np.diff(host.start))
        frame = frame[rows | ((outcome.where & SPLIT_ZERO) != 0)]
    used = np.zeros(host.frames, np.bool_)
    used[frame] = True
    return int(np.count_nonzero(used))


def _per_segment(
    values: npt.NDArray[Any], start: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    if len(start) == 1:
        return np.zeros(0)
    sums: npt.NDArray[np.float64] = np.add.reduceat(
        values, start[:-1], dtype=np.float64
    )
    return sums


def _rows(outcome: Outcome) -> npt.NDArray[np.int64]:
    """int64[segments]: pages offered."""
    return np.where(outcome.offered, np.diff(outcome.host.start), 0)


def _zeros(outcome: Outcome, rows: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """int64[segments]: offered pages for which *rows* is true."""
    sums = _per_segment(rows.view(np.uint8), outcome.host.start)
    return np.where(outcome.offered, sums, 0).astype(np.int64)


def _per_process(
    values: npt.NDArray[np.int64], owner: npt.NDArray[np.int32], processes: int
) -> npt.NDArray[np.int64]:
    sums = np.zeros(processes, np.int64)
    np.add.at(sums, owner, values)
    return sums


def _summed(
    shares: npt.NDArray[np.float64], owner: npt.NDArray[np.int32], processes: int
) -> npt.NDArray[np.float64]:
    sums = np.zeros((processes, shares.shape[1]))
    np.add.at(sums, owner, shares)
    return sums
