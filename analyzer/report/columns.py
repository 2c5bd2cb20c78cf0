"""How every column looks, declared once for the command line, reports and screen.

A frame's columns say what a figure is (docs/savings.md); here is its title, its
unit and, per table, which columns go first when there is no room for all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

import polars as pl

from analyzer.counters import RMAP_ITEM_SIZE
from analyzer.report.escape import printable
from analyzer.report.units import (
    NOTHING,
    bytes_text,
    count_text,
    duration_text,
    pages_text,
    percent_text,
    profit_text,
)
from traces.schema import PAGE_SIZE, UNKNOWN


class Unit(Enum):
    """What kind of value a column holds, and so how it is written."""

    NAME = auto()
    """Text from outside: escaped, and shortened where there is no room."""
    NUMBER = auto()
    """An identity such as a pid: every digit."""
    COUNT = auto()
    PAGES = auto()
    """Stored as pages, drawn as bytes."""
    BYTES = auto()
    PROFIT = auto()
    """Bytes, gain or loss: always with a sign."""
    DURATION = auto()
    """Nanoseconds."""
    SHARE = auto()
    """0 to 1, drawn as a percentage; null where there is nothing to share."""
    PAGE_NUMBER = auto()
    """A virtual page number, drawn as the address."""
    DIGEST = auto()


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a frame."""

    title: str
    unit: Unit
    adds_up: bool = True
    """Whether the sum over rows means something."""

    @property
    def right(self) -> bool:
        """Whether it is aligned to the right."""
        return self.unit is not Unit.NAME

    def text(self, value: Any) -> str:
        """One cell."""
        return _cell(self.unit, value)


@dataclass(frozen=True, slots=True)
class Table:
    """One of the tables a report can show."""

    frame: str
    """Field of `ReplayResult`."""
    columns: Mapping[str, int]
    """Column → rank, in the order they are drawn; the highest rank goes first
    when room is short, rank 0 stays."""
    key: str
    """The column that names the row."""
    by_savings: bool = True
    """Sorted by what is saved; else in the frame's own order."""
    ends: bool = False
    """Whether its last row is shown even if rows before it are not; such rows are
    moments, and have no sum."""
    overlaps: frozenset[str] = frozenset()
    """Columns whose rows count some of the same things, and so have no sum here."""
    bar: bool = True
    """Whether a bar of non-zero and zero savings is drawn beside it."""


COLUMNS: Final[Mapping[str, Column]] = {
    "workload": Column("workload", Unit.NAME, adds_up=False),
    "comm": Column("process", Unit.NAME, adds_up=False),
    "host": Column("host", Unit.NAME, adds_up=False),
    "user": Column("user", Unit.NAME, adds_up=False),
    "unit": Column("unit", Unit.NAME, adds_up=False),
    "container": Column("container", Unit.NAME, adds_up=False),
    "pod": Column("pod", Unit.NAME, adds_up=False),
    "vm": Column("vm", Unit.NAME, adds_up=False),
    "kind": Column("kind", Unit.NAME, adds_up=False),
    "name": Column("mapping", Unit.NAME, adds_up=False),
    "what": Column("what", Unit.NAME, adds_up=False),
    "whose": Column("mostly in", Unit.NAME, adds_up=False),
    "pid": Column("pid", Unit.NUMBER, adds_up=False),
    "process": Column("process", Unit.NUMBER, adds_up=False),
    "mapping": Column("mapping", Unit.NUMBER, adds_up=False),
    "start_vpn": Column("address", Unit.PAGE_NUMBER, adds_up=False),
    "digest": Column("digest", Unit.DIGEST, adds_up=False),
    "processes": Column("procs", Unit.COUNT),
    "workloads": Column("workloads", Unit.COUNT),
    "mappings": Column("mappings", Unit.COUNT),
    "pages": Column("size", Unit.PAGES),
    "pages_captured": Column("captured", Unit.PAGES),
    "zero_pages": Column("zero pages", Unit.PAGES),
    "fill_pages": Column("fill pages", Unit.PAGES),
    "uncertain_zero_pages": Column("uncertain zero", Unit.PAGES),
    "uncertain_pages": Column("uncertain", Unit.PAGES),
    "pages_saved": Column("saved", Unit.PAGES),
    "share_saved": Column("%", Unit.SHARE, adds_up=False),
    "pages_saved_zero": Column("zero", Unit.PAGES),
    "pages_saved_nonzero": Column("non-zero", Unit.PAGES),
    "net_saved": Column("net", Unit.PROFIT),
    "share_cross": Column("cross", Unit.SHARE, adds_up=False),
    "pages_unmerged": Column("unmerged", Unit.PAGES),
    "pages_cross": Column("cross", Unit.PAGES),
    "ideal_saved_zero": Column("ideal zero", Unit.PAGES),
    "ideal_saved_nonzero": Column("ideal non-zero", Unit.PAGES),
    "ideal_if_toggled": Column("if toggled", Unit.PAGES, adds_up=False),
    "ksm_rmap_items": Column("rmap_items", Unit.COUNT),
    "ksm_merging_pages": Column("merging", Unit.COUNT),
    "ksm_zero_pages": Column("ksm_zero", Unit.COUNT),
    "ksm_process_profit": Column("profit", Unit.PROFIT),
    "copies": Column("copies", Unit.COUNT),
    "frames": Column("frames", Unit.COUNT),
    "full_scans": Column("pass", Unit.NUMBER, adds_up=False),
    "wakeups": Column("wakeups", Unit.COUNT, adds_up=False),
    "time_ns": Column("time", Unit.DURATION, adds_up=False),
    "cpu_ns": Column("CPU", Unit.DURATION, adds_up=False),
    "pages_scanned": Column("scanned", Unit.COUNT, adds_up=False),
    "pages_skipped": Column("skipped", Unit.COUNT, adds_up=False),
    "pages_shared": Column("shared", Unit.COUNT, adds_up=False),
    "pages_sharing": Column("sharing", Unit.COUNT, adds_up=False),
    "pages_unshared": Column("unshared", Unit.COUNT),
    "pages_volatile": Column("volatile", Unit.COUNT),
    "pages_split": Column("split", Unit.COUNT),
    "stable_node_chains": Column("chains", Unit.COUNT, adds_up=False),
    "stable_node_dups": Column("dups", Unit.COUNT, adds_up=False),
    "rmap_items": Column("rmap_items", Unit.COUNT, adds_up=False),
    "general_profit": Column("general_profit", Unit.PROFIT, adds_up=False),
}

_UNCERTAIN: Final = {"uncertain_zero_pages": 6, "uncertain_pages": 6}
"""Drawn beside the size, where there are any."""

TABLES: Final[Mapping[str, Table]] = {
    "workload": Table(
        "workloads",
        {
            "workload": 0,
            "processes": 8,
            "pages": 3,
            **_UNCERTAIN,
            "pages_saved": 1,
            "share_saved": 2,
            "pages_saved_zero": 4,
            "share_cross": 7,
            "pages_unshared": 10,
            "pages_volatile": 11,
            "pages_captured": 12,
            "pages_unmerged": 9,
            "net_saved": 5,
        },
        key="workload",
    ),
    "process": Table(
        "processes",
        {
            "pid": 1,
            "comm": 0,
            "workload": 5,
            "pages": 4,
            **_UNCERTAIN,
            "pages_saved": 2,
            "share_saved": 3,
            "pages_saved_zero": 5,
            "share_cross": 9,
            "pages_unshared": 13,
            "pages_volatile": 14,
            "pages_captured": 15,
            "ksm_merging_pages": 8,
            "ksm_zero_pages": 10,
            "ksm_rmap_items": 11,
            "net_saved": 6,
            "user": 12,
            "host": 5,
        },
        key="comm",
    ),
    "mapping": Table(
        "mappings",
        {
            "pid": 2,
            "comm": 0,
            "kind": 3,
            "name": 6,
            "start_vpn": 9,
            "pages": 5,
            **_UNCERTAIN,
            "pages_saved": 1,
            "share_saved": 4,
            "pages_saved_zero": 7,
            "ksm_merging_pages": 10,
            "workload": 11,
            "host": 6,
        },
        key="comm",
    ),
    "kind": Table(
        "kinds",
        {
            "kind": 0,
            "mappings": 5,
            "pages": 3,
            **_UNCERTAIN,
            "pages_saved": 1,
            "share_saved": 2,
            "pages_saved_zero": 4,
            "ksm_merging_pages": 6,
        },
        key="kind",
    ),
    "content": Table(
        "contents",
        {
            "digest": 0,
            "what": 2,
            "pages_saved": 1,
            "copies": 3,
            "frames": 7,
            "processes": 5,
            "workloads": 6,
            "whose": 4,
        },
        key="digest",
        by_savings=False,
        overlaps=frozenset({"processes", "workloads"}),
        bar=False,
    ),
    "pass": Table(
        "passes",
        {
            "full_scans": 0,
            "wakeups": 9,
            "time_ns": 12,
            "cpu_ns": 13,
            "pages_scanned": 5,
            "pages_skipped": 6,
            "pages_shared": 4,
            "pages_sharing": 1,
            "pages_unshared": 7,
            "pages_volatile": 8,
            "ksm_zero_pages": 2,
            "stable_node_dups": 11,
            "rmap_items": 10,
            "general_profit": 3,
        },
        key="full_scans",
        by_savings=False,
        ends=True,
        bar=False,
    ),
}
"""What `--by` can name."""


SHARES: Final[Mapping[str, tuple[str, str]]] = {
    "share_saved": ("pages_saved", "pages"),
    "share_cross": ("pages_cross", "ksm_merging_pages"),
}
"""Drawn columns of shares → the part and the whole they are of."""


def shown(table: Table, frame: pl.DataFrame) -> list[str]:
    """The columns of *table* worth drawing: one host needs no name in every row, and
    most captures know all pages."""
    names = [
        name
        for name in table.columns
        if name in frame.columns and not (name in _UNCERTAIN and not frame[name].sum())
    ]
    if "host" in names and frame["host"].n_unique() < 2:
        names.remove("host")
    return names


def derived(frame: pl.DataFrame) -> pl.DataFrame:
    """*frame* with the columns that are only drawn, where it has what they need."""
    has = set(frame.columns)
    if {"pages_saved_zero", "pages_saved_nonzero"} <= has:
        saved = pl.col("pages_saved_zero") + pl.col("pages_saved_nonzero")
        frame = frame.with_columns(saved.alias("pages_saved"))
        frame = frame.with_columns(_share("share_saved"))
    if {"pages_saved", "ksm_rmap_items"} <= set(frame.columns):
        cost = pl.col("ksm_rmap_items") * RMAP_ITEM_SIZE
        net = pl.col("pages_saved") * PAGE_SIZE - cost
        frame = frame.with_columns(net.alias("net_saved"))
    if {"pages_cross", "ksm_merging_pages"} <= has:
        frame = frame.with_columns(_share("share_cross"))
    return frame


def ranked(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """*frame* with the derived columns, in the order in which *table* is read."""
    frame = derived(frame)
    if not table.by_savings:
        return frame
    ties = [name for name in (table.key, "pid", "start_vpn") if name in frame.columns]
    return frame.sort(
        "pages_saved", *ties, descending=[True] + [False] * len(ties), nulls_last=True
    )


def remainder(table: Table, frame: pl.DataFrame) -> dict[str, Any]:
    """One row for all of *frame*: sums of what adds up, nothing for the rest."""
    if table.ends:
        return {}
    sums = frame.select(
        pl.col(name).sum()
        for name in frame.columns
        if name in COLUMNS and COLUMNS[name].adds_up and name not in table.overlaps
    )
    return derived(sums).row(0, named=True)


def _share(name: str) -> pl.Expr:
    part, whole = SHARES[name]
    share = pl.col(part) / pl.col(whole)
    return pl.when(pl.col(whole) != 0).then(share).otherwise(None).alias(name)


def _cell(unit: Unit, value: Any) -> str:
    if value is None:
        return NOTHING if unit is Unit.SHARE else ""
    match unit:
        case Unit.NAME:
            return printable(value)
        case Unit.NUMBER:
            return NOTHING if value == UNKNOWN else str(value)
        case Unit.COUNT:
            return count_text(value)
        case Unit.PAGES:
            return pages_text(value)
        case Unit.BYTES:
            return bytes_text(value)
        case Unit.PROFIT:
            return profit_text(value)
        case Unit.DURATION:
            return duration_text(value // 1_000_000)
        case Unit.SHARE:
            return percent_text(value)
        case Unit.PAGE_NUMBER:
            return f"{value * PAGE_SIZE:x}"
        case Unit.DIGEST:
            return f"{value % (1 << 64):016x}"
