"""Workloads, their processes and the mappings of these, as the rows of one grid."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from rich.segment import Segment

from analyzer.grouping import grouped
from analyzer.report.cells import cells
from analyzer.report.columns import derived
from analyzer.report.escape import printable
from traces.schema import PAGE_SIZE
from tui.draw import Cells, Slice, gapped
from tui.look import Ink, Look, State
from tui.session import Session
from tui.sheet import Table, drawn, state_bar
from tui.widgets.source import Cell, Column, Key, Source

if TYPE_CHECKING:
    from analyzer.expression.expression import Expression
    from analyzer.moment import Moment

GROUP: Final = "group"
PROCESS: Final = "process"
MAPPING: Final = "mapping"
"""The first part of a row's key says what it is; the second, which one."""

GROUPINGS: Final = ("workload", "user", "unit", "container", "pod", "vm", "comm")
"""What processes can be grouped by."""


class Tree(Source):
    """A moment's figures in three levels; those of mappings are a replay's end's."""

    tree = True

    def __init__(
        self,
        session: Session,
        moment: "Moment",
        expression: "Expression | None" = None,
        grouping: str = "workload",
    ) -> None:
        """Raises UsageError for names in *expression* that processes do not have."""
        self.session, self.grouping = session, grouping
        processes = derived(moment.processes)
        groups = derived(_groups(moment, grouping))
        self.processes = Table(processes, "process")
        self.groups = Table(groups, grouping)
        self._kept = _kept(expression, groups, processes, grouping)
        self._members: dict[Any, list[int]] = defaultdict(list)
        for process, group in zip(
            self.processes.keys, self.processes.column(grouping), strict=True
        ):
            if self._kept is None or process in self._kept:
                self._members[group].append(process)
        self._mappings: dict[int, Table] = {}

    def roots(self) -> Sequence[Key]:
        return [
            (GROUP, group) for group in self.groups.keys if self._members.get(group)
        ]

    def children(self, key: Key) -> Sequence[Key]:
        what, which = split(key)
        if what == GROUP:
            return [(PROCESS, process) for process in self._members[which]]
        if what == PROCESS:
            return [
                (MAPPING, (which, mapping)) for mapping in self.mappings(which).keys
            ]
        return ()

    def has_children(self, key: Key) -> bool:
        return split(key)[0] != MAPPING

    def order(
        self, column: str, descending: bool, keys: Sequence[Key]
    ) -> Sequence[Key]:
        if not keys:
            return keys
        what, which = split(keys[0])
        table = self._table(what, which)
        name = self._named(what) if column == "name" else column
        if name not in table.frame.columns:
            return keys
        inner = [self._row(key) for key in keys]
        back = dict(zip(inner, keys, strict=True))
        return [back[row] for row in table.ordered(inner, name, descending)]

    def cell(self, key: Key, column: str, width: int, look: Look) -> Cell:
        what, which = split(key)
        table = self._table(what, which)
        row = self._row(key)
        if column == "name":
            return self._name(what, table, row, width, look)
        if column == "states":
            if what == MAPPING:
                return _mapping_bar(table, row, width, look)
            return state_bar(table, row, width, look)
        if column not in table.frame.columns:
            return ""
        return drawn(self.session, column, table.value(row, column), width, look)

    def mappings(self, process: int) -> Table:
        """The mappings of a process, as a replay's end knows them."""
        if process not in self._mappings:
            found = self.session.detail
            assert found is not None
            mine = found.result.mappings.filter(pl.col("process") == process)
            self._mappings[process] = Table(derived(mine), "mapping")
        return self._mappings[process]

    def matching(self) -> str:
        """How many processes are listed, of all of them; empty without a filter."""
        if self._kept is None:
            return ""
        listed = sum(map(len, self._members.values()))
        return f"{listed} of {len(self.processes.keys)} processes"

    def matches(self) -> set[Key]:
        """The processes that are listed, and the groups they are in."""
        groups = [name for name, mine in self._members.items() if mine]
        found: set[Key] = {(GROUP, name) for name in groups}
        return found.union(
            (PROCESS, process) for mine in self._members.values() for process in mine
        )

    def frame(self, keys: Sequence[Key]) -> pl.DataFrame:
        """The exact figures of the groups and processes among *keys*, in that order."""
        rows = [split(key) for key in keys]
        groups = [which for what, which in rows if what == GROUP]
        processes = [which for what, which in rows if what == PROCESS]
        table = self.processes if processes else self.groups
        chosen = processes or groups
        return table.frame[[table.at[which] for which in chosen]]

    def _table(self, what: str, which: Any) -> Table:
        if what == GROUP:
            return self.groups
        return self.processes if what == PROCESS else self.mappings(which[0])

    def _row(self, key: Key) -> Any:
        what, which = split(key)
        return which[1] if what == MAPPING else which

    def _named(self, what: str) -> str:
        return {GROUP: self.grouping, PROCESS: "comm", MAPPING: "name"}[what]

    def _name(
        self, what: str, table: Table, row: Any, width: int, look: Look
    ) -> Cells | str:
        if what == GROUP:
            name = printable(str(row)) or "(none)"
            return _words([(name, Ink.TEXT, True)], width, look)
        if what == PROCESS:
            pid = str(table.value(row, "pid"))
            comm = printable(table.value(row, "comm"))
            return _words(
                [(pid, Ink.ACCENT, False), (f" {comm}", Ink.TEXT, False)], width, look
            )
        words = [(mapping_name(table, row), Ink.MUTED, False)]
        if not table.value(row, "name"):
            # Nothing else tells one anonymous mapping from the next.
            start = table.value(row, "start_vpn") * PAGE_SIZE
            words.append((f" {start:x}", Ink.DIM, False))
        return _words(words, width, look)


def _groups(moment: "Moment", grouping: str) -> pl.DataFrame:
    if grouping == "workload":
        return moment.workloads
    return grouped(moment.processes, grouping, "processes", "pages")


def split(key: Key) -> tuple[str, Any]:
    """What a row is and which one."""
    assert isinstance(key, tuple)
    return key[0], key[1]


def mapping_name(table: Table, row: Any) -> str:
    """`[heap]`, a file's path, or the kind of an anonymous one; safe to print."""
    name, kind = table.value(row, "name"), table.value(row, "kind")
    return printable(name) if name else f"[{kind}]"


def tree_columns(grouping: str, uncertain: bool) -> list[Column]:
    """The columns in the order they are drawn; the highest rank is left out first.

    Those of *uncertain* pages are there where there are any.
    """
    unsure = [
        Column("uncertain_zero_pages", "unc. zero", 9, 6),
        Column("uncertain_pages", "uncertain", 9, 6),
    ]
    return [
        Column("name", grouping, 24, 0, flex=3, right=False),
        Column("processes", "procs", 6, 11),
        Column("pages", "size", 9, 6),
        *(unsure if uncertain else ()),
        Column("pages_saved", "saved", 9, 1),
        Column("share_saved", "saved%", 7, 2),
        Column("states", "page states", 14, 3, flex=2, right=False, sortable=False,
               pictorial=True),
        Column("net_saved", "net", 10, 4),
        Column("share_cross", "cross", 7, 5),
        Column("pages_saved_zero", "zero", 9, 7),
        Column("pages_unshared", "unshared", 9, 8),
        Column("pages_volatile", "volatile", 9, 9),
        Column("pages_captured", "captured", 9, 10),
        Column("ksm_merging_pages", "merging", 9, 12),
        Column("ksm_zero_pages", "ksm_zero", 9, 13),
        Column("ksm_rmap_items", "rmap_items", 10, 14),
        Column("ksm_process_profit", "profit", 10, 15),
    ]  # fmt: skip


def _words(parts: Sequence[tuple[str, str, bool]], width: int, look: Look) -> Cells:
    """Coloured words cut to a width together."""
    out: Cells = []
    left = width
    for words, ink, bold in parts:
        shown = look.clipped(words, left)
        out.append(Segment(shown, look.style(ink, bold=bold)))
        left -= cells(shown)
    return [*out, Segment(" " * left)] if left > 0 else out


def _mapping_bar(table: Table, row: Any, width: int, look: Look) -> Cells:
    """A mapping's pages: what is saved of them, and the rest."""
    slices = [
        Slice(table.value(row, "pages_saved_nonzero"), State.SAVED),
        Slice(table.value(row, "pages_saved_zero"), State.ZERO),
    ]
    return gapped(slices, width, table.value(row, "pages"), look)


def _kept(
    expression: "Expression | None",
    groups: pl.DataFrame,
    processes: pl.DataFrame,
    grouping: str,
) -> set[int] | None:
    """The processes that match, or whose group does."""
    if expression is None:
        return None
    mine = processes.filter(expression.select(processes))
    kept = set(mine["process"].to_list())
    if grouping == "workload" and expression.names() <= set(groups.columns):
        names = groups.filter(expression.select(groups))["workload"]
        theirs = processes.filter(pl.col("workload").is_in(names.implode()))
        kept |= set(theirs["process"].to_list())
    return kept
