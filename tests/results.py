"""A replay's result made by hand, small enough to check its drawings by eye."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from analyzer.counters import KsmCounters, general_profit, process_profit
from analyzer.knobs import KsmKnobs
from analyzer.result import (
    TABLES,
    Composition,
    End,
    Ideal,
    ReplayResult,
    Savings,
    Sharing,
    TraceInfo,
    Uncertainty,
)

NAMES = ("vm-win11-vdi", "web-frontend", "pg-orders", "jvm-search", "cron-batch")

HOSTILE = (
    "[red]bold[/red]",
    "esc\x1b[31m\x1b]0;owned\x07",
    "\u202ertl override",
    "日本語のとても長い名前です",
    "",
    "x" * 300,
    "two\nlines\r\n",
    "pipe|tick`<b>&amp;",
    '=cmd,"quoted"',
    "e\u0301\u0302\u0303 combining",
    "שלום עולם",
    "\U0001f980 crab",
    "\udcff".encode("utf-8", "replace").decode(),
)


def result(names: Sequence[str] = NAMES, passes: int = 4) -> ReplayResult:
    """Two processes per name; every figure follows from the name's position."""
    processes = _frame("processes", list(_processes(names)))
    figures = TABLES["workloads"][2:]
    workloads = (
        processes.group_by("workload", maintain_order=True)
        .agg(pl.len().alias("processes"), *(pl.col(name).sum() for name in figures))
        .select(TABLES["workloads"])
    )
    mappings = _frame("mappings", list(_mappings(processes)))
    kinds = (
        mappings.group_by("kind", maintain_order=True)
        .agg(
            pl.len().alias("mappings"),
            *(pl.col(name).sum() for name in TABLES["kinds"][2:]),
        )
        .select(TABLES["kinds"])
    )
    total: dict[str, int] = {name: int(processes[name].sum()) for name in figures}
    zero, nonzero = total["pages_saved_zero"], total["pages_saved_nonzero"]
    kept = total["ksm_merging_pages"] - nonzero
    each = [_counters(total, kept, step, passes) for step in range(1, passes + 1)]
    return ReplayResult(
        trace=TraceInfo(
            path="prod-node-17.parquet",
            pages=total["pages"],
            frames=total["pages"],
            processes=processes.height,
            workloads=workloads.height,
            epochs=1,
            captured_at="2026-01-01T00:00:00+00:00",
            kernel="6.18.0",
            limits=["3 pages changed while they were read; each counts as last read"],
        ),
        knobs=KsmKnobs(pages_to_scan=4000, use_zero_pages=True),
        profile="6.18",
        costs="measured on this host",
        policy="all",
        settled=True,
        counters=each[-1],
        end=End(3 * passes, passes * 90_000_000_000, passes * 1_500_000_000, False),
        savings=Savings(zero, nonzero, pages_saved_by_split=zero // 8),
        ideal=Ideal(
            total["ideal_saved_zero"],
            total["ideal_saved_nonzero"],
            distinct_contents=total["pages"] // 2,
        ),
        uncertainty=Uncertainty(
            0, 0, 0, total["ideal_saved_zero"], total["ideal_saved_nonzero"]
        ),
        sharing=Sharing(
            within_process=nonzero // 2,
            within_workload=nonzero // 4,
            across_workloads=nonzero - nonzero // 2 - nonzero // 4,
        ),
        composition=Composition(
            saved_nonzero=nonzero,
            saved_zero=zero,
            kept=kept,
            unmerged=total["pages"] - nonzero - zero - kept,
        ),
        passes=_frame(
            "passes",
            [
                {
                    "wakeups": 3 * step,
                    **counters._asdict(),
                    "time_ns": step * 90_000_000_000,
                    "cpu_ns": step * 1_500_000_000,
                }
                for step, counters in enumerate(each, 1)
            ],
        ),
        process_passes=_frame(
            "process_passes",
            [
                {
                    **{name: row.get(name, 0) for name in TABLES["process_passes"]},
                    "full_scans": step,
                }
                for step in range(1, passes + 1)
                for row in processes.rows(named=True)
            ],
        ),
        process_savings=_frame(
            "process_savings",
            [
                {**row, "full_scans": step, **_saved(row, step, passes)}
                for step in range(1, passes + 1)
                for row in processes.rows(named=True)
            ],
        ),
        compositions=_frame(
            "compositions",
            [_composition(processes, c, total["pages"], passes) for c in each],
        ),
        processes=processes,
        workloads=workloads,
        pairs=_frame("pairs", list(_pairs(workloads))),
        mappings=mappings,
        kinds=kinds,
        contents=_frame("contents", list(_contents(names, zero))),
        holders=_frame("holders", list(_holders(names, zero))),
    )


def other_result() -> ReplayResult:
    """Another capture of the host of `result`, under other knobs and with losses."""
    found = result((*NAMES[1:], "ci-runner"), passes=3)
    zero, nonzero, split = found.savings
    return replace(
        found,
        trace=replace(
            found.trace, path="prod-node-17-evening.parquet", limits=["another limit"]
        ),
        knobs=KsmKnobs(pages_to_scan=1000, use_zero_pages=True),
        settled=False,
        savings=Savings(zero, nonzero - 100_000, split),
    )


def uncertain_result() -> ReplayResult:
    """A dump of the host of `result`: of the last process as many pages more may never
    have been touched as it has zero pages, of the first as many may be of the file
    cache."""
    found = result()

    def doubted(frame: pl.DataFrame, pid: int, name: str) -> pl.DataFrame:
        part = pl.when(pl.col("pid") == pid).then(pl.col("zero_pages"))
        return frame.with_columns(part.otherwise(0).alias(name))

    tables: dict[str, pl.DataFrame] = {}
    for name in ("processes", "mappings"):
        frame = doubted(getattr(found, name), 1063, "uncertain_zero_pages")
        tables[name] = doubted(frame, 1000, "uncertain_pages")
    names = ["uncertain_zero_pages", "uncertain_pages"]
    for name, of, by in (
        ("workloads", "processes", "workload"),
        ("kinds", "mappings", "kind"),
    ):
        sums = tables[of].group_by(by).agg(pl.col(names).sum())
        tables[name] = getattr(found, name).update(sums, on=by)
    zero, other = (int(tables["processes"][name].sum()) for name in names)
    return replace(
        found,
        uncertainty=Uncertainty(
            zero,
            other,
            1234,
            found.ideal.pages_saved_zero + zero,
            found.ideal.pages_saved_nonzero + other // 2 + 617,
        ),
        **tables,
    )


def empty() -> ReplayResult:
    """Nothing was offered to ksmd."""
    full = result(passes=1)
    counters = KsmCounters(*(0,) * len(KsmCounters._fields))._replace(full_scans=1)
    frames: dict[str, Any] = {
        name: getattr(full, name).clear() for name in TABLES if name != "passes"
    }
    return replace(
        full,
        counters=counters,
        end=End(1, 24_000_000, 0, later=False),
        savings=Savings(0, 0, 0),
        ideal=Ideal(0, 0, 0),
        uncertainty=Uncertainty(0, 0, 0, 0, 0),
        sharing=Sharing(0, 0, 0),
        composition=Composition(0, 0, 0, 0),
        passes=_frame(
            "passes",
            [{"wakeups": 1, **counters._asdict(), "time_ns": 24_000_000, "cpu_ns": 0}],
        ),
        **frames,
    )


def equal(one: ReplayResult, other: ReplayResult) -> bool:
    """Whether all fields, and all frames with their types, are the same."""
    plain = [name for name in one.__slots__ if name not in TABLES]
    return all(getattr(one, name) == getattr(other, name) for name in plain) and all(
        getattr(one, name).schema == getattr(other, name).schema
        and getattr(one, name).equals(getattr(other, name))
        for name in TABLES
    )


def _processes(names: Sequence[str]) -> Any:
    for number in range(2 * len(names)):
        at = number // 2
        pages = 1_000_000 // (at + 1) ** 2 + number
        zero, saved = pages // 8, pages // 3
        merging = saved + pages // 50
        # The last process is left with a loss: its fork relative was unmerged.
        loss = 40_000 if number == 2 * len(names) - 1 and number else 0
        yield {
            "process": number,
            "host": "node-17",
            "pid": 1000 + 7 * number,
            "comm": names[at][:15],
            "workload": names[at],
            "user": "root",
            "unit": f"{names[at]}.service",
            "container": "",
            "pod": "",
            "vm": names[at] if names[at].startswith("vm-") else "",
            "cgroup": f"/system.slice/{names[at]}.service",
            "pages": pages,
            "pages_captured": pages,
            "zero_pages": zero + 10,
            "fill_pages": 5,
            "uncertain_zero_pages": 0,
            "uncertain_pages": 0,
            "ksm_rmap_items": pages,
            "ksm_merging_pages": merging,
            "ksm_zero_pages": zero,
            "ksm_process_profit": process_profit(merging, zero, pages),
            "pages_unshared": (pages - zero - merging) * 9 // 10,
            "pages_volatile": pages // 100,
            "pages_split": 0,
            "pages_saved_zero": zero,
            "pages_saved_nonzero": saved - loss,
            "pages_unmerged": pages - zero - merging,
            "pages_cross": merging // (number + 2),
            "ideal_saved_zero": zero + 10,
            "ideal_saved_nonzero": saved + 20,
            "ideal_if_toggled": -saved // 2,
        }


def _mappings(processes: pl.DataFrame) -> Any:
    for row in processes.rows(named=True):
        halves = {name: row[name] // 2 for name in TABLES["kinds"][2:]}
        rest = {name: row[name] - half for name, half in halves.items()}
        for kind, figures in (("heap", halves), ("anon", rest)):
            yield {
                "mapping": 2 * row["process"] + (kind == "anon"),
                **{name: row[name] for name in TABLES["mappings"][1:6]},
                "kind": kind,
                "name": "[heap]" if kind == "heap" else "",
                "start_vpn": 0x7F00_0000_0 + row["process"],
                **figures,
            }


def _pairs(workloads: pl.DataFrame) -> Any:
    for row in workloads.rows(named=True):
        for other in workloads["workload"]:
            own = other == row["workload"]
            left = row["pages_saved_nonzero"] - 10 * (workloads.height - 1)
            yield {
                "workload": row["workload"],
                "other": other,
                "pages_saved": left if own else 10,
                "contents": row["processes"] if own else 1,
            }


def _contents(names: Sequence[str], zero: int) -> Any:
    for rank, what in enumerate(("zero", "other", "fill", "other")):
        copies = (zero + 5) // (rank + 1) ** 3
        yield {
            "digest": -81985529216486896 >> rank,
            "what": what,
            "copies": copies,
            "frames": copies,
            "processes": 2 * len(names) - rank,
            "workloads": len(names),
            "whose": ", ".join(names[:3]),
            "pages_saved": copies - bool(rank),
        }


def _saved(row: dict[str, int], step: int, passes: int) -> dict[str, int]:
    names = "pages_saved_zero", "pages_saved_nonzero"
    return {name: row[name] * step // passes for name in names}


def _composition(
    processes: pl.DataFrame, counters: KsmCounters, pages: int, passes: int
) -> dict[str, int]:
    step = counters.full_scans
    rows = [_saved(row, step, passes) for row in processes.rows(named=True)]
    zero = sum(row["pages_saved_zero"] for row in rows)
    nonzero = sum(row["pages_saved_nonzero"] for row in rows)
    kept = counters.pages_shared
    return {
        "full_scans": step,
        "saved_nonzero": nonzero,
        "saved_zero": zero,
        "kept": kept,
        "unmerged": pages - zero - nonzero - kept,
    }


def _holders(names: Sequence[str], zero: int) -> Any:
    for content in _contents(names, zero):
        for at, name in enumerate(names):
            share = content["copies"] // len(names)
            rest = content["copies"] % len(names) if at == 0 else 0
            yield {
                "digest": content["digest"],
                "workload": name,
                "kind": "heap",
                "processes": 2,
                "copies": share + rest,
            }


def _counters(total: dict[str, int], kept: int, step: int, passes: int) -> KsmCounters:
    def part(value: int) -> int:
        return value if step == passes else value * (2**step - 1) // 2**step

    sharing, zero = part(total["pages_saved_nonzero"]), part(total["ksm_zero_pages"])
    items = total["ksm_rmap_items"]
    shared = part(kept)
    unshared = part(total["pages_unmerged"] * 9 // 10)
    return KsmCounters(
        pages_shared=shared,
        pages_sharing=sharing,
        pages_unshared=unshared,
        pages_volatile=max(items - shared - sharing - unshared - zero, 0),
        pages_skipped=items * step // 5,
        pages_scanned=items * step,
        full_scans=step,
        ksm_zero_pages=zero,
        stable_node_chains=2,
        stable_node_dups=9,
        rmap_items=items,
        general_profit=general_profit(sharing, zero, items),
    )


def _frame(name: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, infer_schema_length=None).select(TABLES[name])
