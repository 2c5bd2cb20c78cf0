"""Two replays side by side: what differs in what was asked, and in every figure.

Figures are counts of 4096-byte pages whatever the captures' digests mean, so any two
results can be compared: of one trace under two settings, of one host at two times, of
two hosts. Rows are joined by name; contents are not compared.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import polars as pl

from analyzer.counters import RMAP_ITEM_SIZE
from analyzer.result import ReplayResult
from analyzer.worth import (
    cost_of,
    pages_merged,
    pages_offered,
    pages_saved,
    pages_saved_at_most,
)
from traces.schema import PAGE_SIZE

Align = Literal["pass", "time", "scanned"]

AXES: Final[dict[Align, str]] = {
    "pass": "full_scans",
    "time": "time_ns",
    "scanned": "pages_scanned",
}
"""Along what two courses can be laid → the column of `passes`."""

UNITS: Final = {
    "pages_offered": "pages",
    "pages_saved": "pages",
    "pages_saved_nonzero": "pages",
    "pages_saved_zero": "pages",
    "pages_saved_at_most": "pages",
    "pages_ideal": "pages",
    "general_profit": "bytes",
    "pages_shared": "count",
    "pages_sharing": "count",
    "pages_unshared": "count",
    "pages_volatile": "count",
    "ksm_zero_pages": "count",
    "rmap_items": "count",
    "pages_scanned": "count",
    "full_scans": "count",
    "time_ns": "ns",
    "cpu_ns": "ns",
    "cpu_ppm": "ppm",
    "time_to_50_ns": "ns",
    "time_to_90_ns": "ns",
    "time_to_99_ns": "ns",
}
"""The figures of `Comparison.totals` → their unit; `ppm` is millionths of a CPU."""

_ESTIMATES: Final = frozenset(name for name in UNITS if name.endswith(("_ns", "_ppm")))

_ALONE: Final = frozenset({"process", "pid", "ideal_if_toggled"})
"""Integers that hold of one row alone: sums and changes of them mean nothing."""


class Difference(NamedTuple):
    """A setting that is not the same on both sides."""

    name: str
    """A knob, `policy`, `kernel` or `costs`."""
    a: int | str
    b: int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What B has beyond A. Every delta is B less A."""

    a: ReplayResult
    b: ReplayResult
    differs: tuple[Difference, ...]
    totals: pl.DataFrame
    """figure, unit, estimate, a, b, delta; null where a side has no such figure."""
    workloads: pl.DataFrame
    """workload, only, and for every figure F of both: F_a, F_b, F_delta (int64).

    `only` is `a` or `b` for a row of one side, whose other figures are null, and
    empty for one of both. Those come first, the largest change of `pages_saved` before
    the others."""
    processes: pl.DataFrame
    """The same by host, pid, workload and comm. A process whose host, workload, comm
    and pid are on both sides has a row of its own; the others of one workload and comm
    are added up, as pids change from capture to capture: their host and pid are null,
    and `processes_a`, `processes_b` say how many they are."""

    @property
    def uncertain(self) -> bool:
        """Whether there is anything that either side's captures cannot tell."""
        return any(any(side.uncertainty[:3]) for side in (self.a, self.b))

    def told_totals(self) -> pl.DataFrame:
        """The rows of `totals` that say something: the most that is saved is the ideal
        where nothing is uncertain."""
        if self.uncertain:
            return self.totals
        return self.totals.filter(pl.col("figure") != "pages_saved_at_most")

    def curves(self, align: Align) -> pl.DataFrame:
        """`at`, `a`, `b` (int64): pages merged by then, from 0 on, at every point
        where either side finished a full scan. Null after a side's last."""
        a, b = (_curve(side, AXES[align]) for side in (self.a, self.b))
        points = pl.concat([a.select("at"), b.select("at")]).unique().sort("at")
        return points.with_columns(_along(points, a, "a"), _along(points, b, "b"))

    def swapped(self) -> "Comparison":
        """A beyond B."""
        return compare(self.b, self.a)


def compare(a: ReplayResult, b: ReplayResult) -> Comparison:
    """*b* beside *a*; both may be of any trace."""
    return Comparison(
        a=a,
        b=b,
        differs=tuple(_differences(_settings(a), _settings(b))),
        totals=_totals(a, b),
        workloads=_joined(a.workloads, b.workloads, ["workload"]),
        processes=_processes(a.processes, b.processes),
    )


def _settings(result: ReplayResult) -> dict[str, int | str]:
    return {
        **result.knobs.as_files(),
        "policy": result.policy,
        "kernel": result.profile,
        "costs": result.costs,
    }


def _differences(a: dict[str, int | str], b: dict[str, int | str]) -> list[Difference]:
    return [Difference(name, a[name], b[name]) for name in a if a[name] != b[name]]


def _totals(a: ReplayResult, b: ReplayResult) -> pl.DataFrame:
    left, right = _figures(a), _figures(b)
    frame = pl.DataFrame(
        {
            "figure": list(UNITS),
            "unit": list(UNITS.values()),
            "estimate": [name in _ESTIMATES for name in UNITS],
            "a": [left.get(name) for name in UNITS],
            "b": [right.get(name) for name in UNITS],
        },
        schema_overrides={"a": pl.Int64, "b": pl.Int64},
    )
    return frame.with_columns((pl.col("b") - pl.col("a")).alias("delta"))


def _figures(result: ReplayResult) -> dict[str, int]:
    found: dict[str, int] = {
        **result.counters._asdict(),
        **result.savings._asdict(),
        "pages_offered": pages_offered(result),
        "pages_saved": pages_saved(result),
        "pages_saved_at_most": pages_saved_at_most(result),
        "pages_ideal": result.ideal.pages_saved_zero + result.ideal.pages_saved_nonzero,
    }
    if cost := cost_of(result):
        found["time_ns"], found["cpu_ns"] = cost.time_ns, cost.cpu_ns
        found["cpu_ppm"] = round(cost.cpu_share * 1_000_000)
        for percent, reached in cost.reached_ns.items():
            found[f"time_to_{percent}_ns"] = reached
    return found


def _processes(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    keys = ["host", "pid", "workload", "comm"]
    return _joined(_grouped(a, b, keys), _grouped(b, a, keys), keys)


def _grouped(frame: pl.DataFrame, other: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """*frame*, with one row for all that have no namesake of the same pid in
    *other*."""
    known = other.select(keys).unique().with_columns(pl.lit(True).alias("known"))
    found = frame.join(known, on=keys, how="left", maintain_order="left")
    alone = [
        pl.when(pl.col("known")).then(pl.col(name)).alias(name)
        for name in ("host", "pid")
    ]
    return (
        found.with_columns(alone)
        .group_by(keys, maintain_order=True)
        .agg(pl.len().alias("processes"), pl.col(_figures_of(frame)).sum())
    )


def _joined(a: pl.DataFrame, b: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    a, b = _with_savings(a), _with_savings(b)
    figures = [name for name in _figures_of(a) if name in _figures_of(b)]
    sides = [
        side.select(
            *keys,
            *(pl.col(name).cast(pl.Int64).alias(f"{name}_{mark}") for name in figures),
            pl.lit(mark).alias(f"only_{mark}"),
        )
        for side, mark in ((a, "a"), (b, "b"))
    ]
    joined = sides[0].join(
        sides[1], on=keys, how="full", coalesce=True, nulls_equal=True
    )
    only = (
        pl.when(pl.col("only_a").is_null())
        .then(pl.lit("b"))
        .when(pl.col("only_b").is_null())
        .then(pl.lit("a"))
        .otherwise(pl.lit(""))
    )
    triples = (
        column
        for name in figures
        for column in (
            pl.col(f"{name}_a"),
            pl.col(f"{name}_b"),
            (pl.col(f"{name}_b") - pl.col(f"{name}_a")).alias(f"{name}_delta"),
        )
    )
    change = pl.coalesce("pages_saved_delta", "pages_saved_a", "pages_saved_b").abs()
    return joined.select(*keys, only.alias("only"), *triples).sort(
        "only", change, *keys, descending=[False, True, *(False for _ in keys)]
    )


def _with_savings(frame: pl.DataFrame) -> pl.DataFrame:
    """*frame* with what it saves, and what is left of that after ksmd's notes."""
    saved = pl.col("pages_saved_zero") + pl.col("pages_saved_nonzero")
    net = saved * PAGE_SIZE - pl.col("ksm_rmap_items") * RMAP_ITEM_SIZE
    return frame.with_columns(saved.alias("pages_saved"), net.alias("net_saved"))


def _figures_of(frame: pl.DataFrame) -> list[str]:
    return [
        name
        for name, kind in frame.schema.items()
        if kind.is_integer() and name not in _ALONE
    ]


def _curve(result: ReplayResult, axis: str) -> pl.DataFrame:
    """at, pages: the start, and the end of every full scan."""
    points: dict[str, Any] = {
        "at": [0, *result.passes[axis]],
        "pages": [0, *pages_merged(result)],
    }
    frame = pl.DataFrame(points, schema={"at": pl.Int64, "pages": pl.Int64})
    return frame.unique("at", keep="last", maintain_order=True)


def _along(points: pl.DataFrame, curve: pl.DataFrame, name: str) -> pl.Series:
    """int64[points]: what *curve* had last reached, until it ends."""
    reached = points.join_asof(curve.sort("at"), on="at")
    ended = pl.col("at") > curve["at"].max()
    return reached.select(pl.when(~ended).then(pl.col("pages")).alias(name)).to_series()
