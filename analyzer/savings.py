"""Page states → what was saved, for every process, workload and mapping.

Two figures stand side by side. The kernel's own per-process figures do not add up
to its global ones; `pages_saved_zero` and `pages_saved_nonzero` do: their sum over
all processes is the number of physical frames that came free. docs/savings.md
defines every column.
"""

from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from analyzer.contents import Within, repeated_contents
from analyzer.counters import KsmCounters, process_profit
from analyzer.engine import attribution
from analyzer.engine.contents import content_numbers
from analyzer.engine.state import SPLIT_ZERO
from analyzer.engine.toggling import toggled
from analyzer.grouping import grouped
from analyzer.host import Host
from analyzer.ideal import ideal_of, uncertainty
from analyzer.outcome import Outcome
from analyzer.result import (
    MAPPING_FIGURES,
    TABLES,
    Composition,
    Ideal,
    Pass,
    ReplayResult,
    Savings,
    TraceInfo,
)
from analyzer.shares import whole_pages
from analyzer.sharing import PAIRS, who_shares, workload_pairs
from analyzer.uncertain import UncertainRows

NAMES: Final = ["user", "unit", "container", "pod", "vm", "cgroup"]
"""What a process is known by, beside its pid, comm and workload."""


class Weights(NamedTuple):
    """What every frame and every segment of an outcome counts for."""

    zero_rows: npt.NDArray[np.bool_]
    before: npt.NDArray[np.uint32]
    """[frame] rows that mapped it when captured."""
    after: npt.NDArray[np.uint32]
    """[frame] rows that map it now."""
    marks: npt.NDArray[np.uint8]
    savings: Savings
    shares: npt.NDArray[np.float64]
    """[segment, 4] zero and other pages saved, zero and other frames before."""


class Worth(NamedTuple):
    """What a pass has saved."""

    processes: npt.NDArray[np.int64]
    """[process, 3] pages offered, zero and other pages saved."""
    savings: Savings
    frames: int
    """Offered to ksmd."""


class Scales:
    """Weighs the outcomes of one replay; what its passes share is found once."""

    def __init__(self) -> None:
        self._host: Host | None = None
        self._zero_rows: npt.NDArray[np.bool_] = np.empty(0, np.bool_)
        self._before: npt.NDArray[np.uint32] = np.empty(0, np.uint32)

    def weigh(self, outcome: Outcome) -> Weights:
        host = outcome.host
        if host is not self._host:
            self._host = host
            self._zero_rows = host.zero_rows()
            self._before = attribution.mappings_before(host.frame, host.frames)
        zero_rows, before = self._zero_rows, self._before
        after = attribution.mappings_after(
            outcome.after, outcome.where, len(outcome.content) or 1
        )
        marks = attribution.mark(
            host.frame, outcome.after, outcome.where, zero_rows, len(after)
        )
        savings = Savings(*attribution.freed(before, after, marks))
        shares = np.zeros((len(host.mapping), 4))
        attribution.weigh(
            host.start, host.frame, outcome.after, outcome.where, zero_rows,
            before, after, shares,
        )  # fmt: skip
        return Weights(zero_rows, before, after, marks, savings, shares)

    def worth(self, outcome: Outcome) -> Worth:
        """What *outcome* has saved, as `result_of` has it."""
        weights = self.weigh(outcome)
        host = outcome.host
        owner = host.segment_process
        pages = _per_process(_rows(outcome), owner, host.processes.height)
        zero, nonzero = _saved(host, weights)
        figures = np.stack([pages, zero, nonzero], 1)
        return Worth(figures, weights.savings, _offered_frames(outcome))


class Tallies:
    """The figures of every pass, collected while a replay runs."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._passes: list[dict[str, int]] = []
        self._figures: list[npt.NDArray[np.int64]] = []
        self._saved: list[npt.NDArray[np.int64]] = []
        self._compositions: list[dict[str, int]] = []

    def add(
        self,
        step: Pass,
        figures: npt.NDArray[np.int64],
        worth: Worth | None = None,
    ) -> None:
        """Note a pass, each process's figures (int64[processes, 6]) and, where detail
        is wanted, what they are worth."""
        if worth is not None:
            composed = composition(worth.frames, worth.savings, step.counters)
            scans = step.counters.full_scans
            self._saved.append(worth.processes)
            self._compositions.append({"full_scans": scans, **composed._asdict()})
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
        return self._by_process("process_passes", self._figures)

    def process_savings(self) -> pl.DataFrame:
        return self._by_process("process_savings", self._saved)

    def compositions(self) -> pl.DataFrame:
        schema = dict.fromkeys(TABLES["compositions"], pl.Int64)
        return pl.DataFrame(self._compositions, schema=schema)

    def _by_process(
        self, name: str, figures: list[npt.NDArray[np.int64]]
    ) -> pl.DataFrame:
        """Table *name* of int64[processes, figures] for each pass."""
        scans = [row["full_scans"] for row in self._passes[: len(figures)]]
        everyone = np.arange(self._processes, dtype=np.int32)
        titles = TABLES[name][2:]
        together = np.concatenate([np.zeros((0, len(titles)), np.int64), *figures])
        return pl.DataFrame(
            {
                "full_scans": np.repeat(np.array(scans, np.int64), self._processes),
                "process": np.tile(everyone, len(scans)),
                **{title: together[:, at] for at, title in enumerate(titles)},
            }
        )

    def last(self) -> npt.NDArray[np.int64]:
        """int64[processes, 6]"""
        if self._figures:
            return self._figures[-1]
        return np.zeros((self._processes, 6), np.int64)


def result_of(
    outcome: Outcome,
    tallies: Tallies,
    info: TraceInfo,
    contents: int,
    detail: bool = False,
    within: Within | None = None,
) -> ReplayResult:
    """Everything a replay that ended in *outcome* is worth."""
    host = outcome.host
    weights = Scales().weigh(outcome)
    zero_rows, before, after, marks, savings, shares = weights
    sharing, node, node_workloads = who_shares(outcome, zero_rows, after, marks)
    counts = np.zeros((len(host.mapping), 4), np.int64)
    attribution.count(
        host.start, outcome.after, outcome.where, outcome.offered, zero_rows,
        node, node_workloads, counts,
    )  # fmt: skip
    found = ideal_of(outcome, before, zero_rows)
    ideal_shares = _ideal_shares(outcome, found.kept, shares[:, 2:])
    processes = _processes(
        outcome, tallies.last(), weights, found.ideal, ideal_shares, counts
    )
    workloads = grouped(processes, "workload", "processes", "pages")
    if detail:
        processes, workloads = _toggled(outcome, processes, workloads)
    mappings = _mappings(outcome, processes, shares, counts, zero_rows)
    repeated, held = repeated_contents(outcome, before, after, contents, within)
    if detail:
        pairs = workload_pairs(outcome, workloads, zero_rows, before, after, node)
    else:
        pairs = pl.DataFrame(schema=PAIRS)
    return ReplayResult(
        trace=replace(info, frames=int(np.count_nonzero(before))),
        knobs=outcome.knobs,
        profile=outcome.profile,
        costs=outcome.costs,
        policy=outcome.policy,
        settled=outcome.settled,
        counters=outcome.counters,
        end=outcome.end,
        savings=savings,
        ideal=found.ideal,
        uncertainty=uncertainty(outcome, zero_rows, found),
        sharing=sharing,
        composition=composition(_offered_frames(outcome), savings, outcome.counters),
        passes=tallies.passes(),
        process_passes=tallies.process_passes(),
        process_savings=tallies.process_savings(),
        compositions=tallies.compositions(),
        processes=processes,
        workloads=workloads,
        pairs=pairs,
        mappings=mappings,
        kinds=grouped(mappings, "kind", "mappings", "pages"),
        contents=repeated,
        holders=held if detail else held.clear(),
    )


def composition(frames: int, savings: Savings, counters: KsmCounters) -> Composition:
    """Where *frames* offered frames went."""
    zero, nonzero, kept = *savings[:2], counters.pages_shared
    return Composition(nonzero, zero, kept, frames - nonzero - zero - kept)


def _processes(
    outcome: Outcome,
    last: npt.NDArray[np.int64],
    weights: Weights,
    ideal: Ideal,
    ideal_shares: npt.NDArray[np.float64],
    counts: npt.NDArray[np.int64],
) -> pl.DataFrame:
    host = outcome.host
    zero_rows = weights.zero_rows
    table = host.processes
    owner = host.segment_process
    by_pid = _by_pid(host)
    zero, nonzero = _saved(host, weights)
    pages = _per_process(_rows(outcome), owner, table.height)
    captured = _per_process(np.diff(host.start), owner, table.height)
    uncertain_zero, uncertain = _by_process(host, outcome.uncertain)
    if host.uncertain.kept_out:
        captured = captured + sum(_by_process(host, host.uncertain))
    columns = {
        "pages": pages,
        "pages_captured": captured,
        "zero_pages": _per_process(_zeros(outcome, zero_rows), owner, table.height),
        "fill_pages": _per_process(_zeros(outcome, host.fill), owner, table.height),
        "uncertain_zero_pages": uncertain_zero,
        "uncertain_pages": uncertain,
        "ksm_rmap_items": last[:, 0],
        "ksm_merging_pages": last[:, 1],
        "ksm_zero_pages": last[:, 2],
        "ksm_process_profit": np.array(
            [process_profit(m, z, i) for i, m, z, *_ in last.tolist()], np.int64
        ),
        "pages_unshared": last[:, 3],
        "pages_volatile": last[:, 4],
        "pages_split": last[:, 5],
        "pages_saved_zero": zero,
        "pages_saved_nonzero": nonzero,
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
        "ideal_if_toggled": np.zeros(table.height, np.int64),
    }
    known = ["process", "host", "pid", "comm", "workload", *NAMES]
    return table.select(known).with_columns(_integers(columns))


def _by_process(
    host: Host, uncertain: UncertainRows
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """int64[processes]: zero pages that may never have been touched, and pages that
    may be of the file cache."""
    owner: npt.NDArray[np.int32] = host.mappings["process"].to_numpy()
    count = host.processes.height
    return (
        _per_process(uncertain.zero, owner, count),
        _per_process(uncertain.others, owner, count),
    )


def _saved(
    host: Host, weights: Weights
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(zero, other) int64[processes]: whole pages saved by each."""
    saved = _summed(weights.shares, host.segment_process, host.processes.height)
    by_pid = _by_pid(host)
    return (
        whole_pages(saved[:, 0], weights.savings.pages_saved_zero, by_pid),
        whole_pages(saved[:, 1], weights.savings.pages_saved_nonzero, by_pid),
    )


def _by_pid(host: Host) -> npt.NDArray[np.int64]:
    order: npt.NDArray[np.int64] = np.argsort(
        host.processes["pid"].to_numpy(), kind="stable"
    )
    return order


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
        "uncertain_zero_pages": outcome.uncertain.zero[host.mapping],
        "uncertain_pages": outcome.uncertain.others[host.mapping],
        "ksm_merging_pages": counts[:, attribution.MERGING],
        "ksm_zero_pages": counts[:, attribution.PLACED],
        **saved,
    }
    named = _named(host, processes, host.mapping)
    table = named.with_columns(_integers(columns))
    return _with_empty(outcome, processes, table)


def _with_empty(
    outcome: Outcome, processes: pl.DataFrame, table: pl.DataFrame
) -> pl.DataFrame:
    """*table* with the mappings of which every page is kept out."""
    host, uncertain = outcome.host, outcome.uncertain
    left = uncertain.zero + uncertain.others
    left[host.mapping] = 0
    empty = np.flatnonzero(left)
    if not len(empty):
        return table
    none = np.zeros(len(empty), np.int64)
    columns = dict.fromkeys(MAPPING_FIGURES, none)
    columns["uncertain_zero_pages"] = uncertain.zero[empty]
    columns["uncertain_pages"] = uncertain.others[empty]
    named = _named(host, processes, empty)
    both = table.vstack(named.with_columns(_integers(columns)))
    return both.sort("process", "start_vpn", "mapping")


def _named(
    host: Host, processes: pl.DataFrame, mapping: npt.NDArray[Any]
) -> pl.DataFrame:
    """What is known of some mappings, and of whose they are."""
    about = host.mappings[mapping.tolist()].select(
        "mapping", "process", "kind", "name", "start_vpn"
    )
    known = processes.select("process", "host", "pid", "comm", "workload")
    named: pl.DataFrame = about.join(
        known, on="process", how="left", maintain_order="left"
    )
    return named.select("mapping", *known.columns, "kind", "name", "start_vpn")


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


def _ideal_shares(
    outcome: Outcome, kept: npt.NDArray[np.float64], pss: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """float64[processes, 2]: the (zero, other) pages each would save ideally; *kept*
    is what it would be left with, *pss* (zero, other) what each segment had."""
    owner, count = outcome.host.segment_process, outcome.host.processes.height
    before = _summed(np.where(outcome.offered[:, None], pss, 0.0), owner, count)
    return before - np.stack([np.zeros(count), kept], 1)


def _toggled(
    outcome: Outcome, processes: pl.DataFrame, workloads: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both with `ideal_if_toggled` counted."""
    host = outcome.host
    numbers, repeated = content_numbers(host.digest, host.zero)
    owner = host.segment_process
    tables = []
    for table, group in ((processes, owner), (workloads, host.workload[owner])):
        change = toggled(
            np.argsort(group, kind="stable"), host.start, group, outcome.offered,
            host.frame, host.frames, numbers, max(repeated, 1), table.height,
        )  # fmt: skip
        tables.append(table.with_columns(pl.Series("ideal_if_toggled", change)))
    return tables[0], tables[1]


def _offered_frames(outcome: Outcome) -> int:
    """Frames offered to ksmd, and those a split set free beside them."""
    host = outcome.host
    frame = host.frame
    if not outcome.offered.all():
        rows = outcome.offered_rows()
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
