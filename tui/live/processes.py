"""The processes that ksmd knows, as rows that keep their identity."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from analyzer.live.history import History
from analyzer.live.sample import Group, ProcessSample
from analyzer.report.units import (
    NOTHING,
    count_text,
    pages_text,
    percent_text,
    profit_text,
)
from tui import draw
from tui.look import Ink, Look
from tui.widgets.source import Cell, Column, Key, Source, by_values

if TYPE_CHECKING:
    from analyzer.live.prediction import Figures, Prediction

COLUMNS: Final = (
    Column("comm", "process", 16, 0, flex=3, right=False),
    Column("pid", "pid", 7, 2),
    Column("workload", "workload", 14, 6, flex=2, right=False),
    Column("ksm_merging_pages", "merging", 9, 0),
    Column("change", "change", 9, 5),
    Column("predicted", "predicted", 9, 1),
    Column("reached", "reached", 7, 3),
    Column("ksm_zero_pages", "ksm_zero", 9, 7),
    Column("ksm_process_profit", "profit", 10, 4),
    Column("ksm_rmap_items", "rmap_items", 10, 8),
    Column("offered", "offered", 7, 9, right=False),
)
"""Those of the same name elsewhere have the same title there."""

_OF_A_PREDICTION: Final = ("predicted", "reached")


def columns(predicted: bool) -> list[Column]:
    """What the grid shows, with or without a prediction."""
    return [c for c in COLUMNS if predicted or c.key not in _OF_A_PREDICTION]


class Row(NamedTuple):
    """A process, or processes of one workload and name added up; pages, and bytes of
    profit."""

    comm: str
    pid: int | None
    """None for several."""
    workload: str
    ksm_merging_pages: int
    change: int | None
    """Of ksm_merging_pages since the sample before."""
    predicted: int | None
    """ksm_merging_pages at the end of the replay."""
    reached: float | None
    """Merging of predicted, 0 to 1 or more."""
    ksm_zero_pages: int | None
    ksm_process_profit: int | None
    ksm_rmap_items: int | None
    offered: str
    """How it is offered to ksmd: by prctl, by madvise, no more; empty where the
    kernel does not tell."""


class Processes(Source):
    """The processes of the last sample whose names have *words* in them.

    A prediction of this very boot stands beside each process; any other is of
    workloads and names, and then these are the rows, the processes beneath them.
    """

    def __init__(
        self,
        history: History,
        prediction: "Prediction | None" = None,
        words: str = "",
        in_pages: bool = False,
    ) -> None:
        self.tree = prediction is not None and prediction.elsewhere is not None
        self._prediction = prediction
        self._in_pages = in_pages
        last = history.last
        known = last.processes if last is not None else ()
        wanted = words.casefold()
        found = [process for process in known if _has(process, wanted)]
        self._rows: dict[Key, Row] = {
            process.key: self._row(process, history.merged_since(process))
            for process in found
        }
        self._children: dict[Key, list[Key]] = {}
        if self.tree:
            self._group(found)
        self._roots = list(self._children if self.tree else self._rows)
        self._missing = _missing(prediction, known) if not wanted else []

    @property
    def count(self) -> int:
        """Processes that are listed."""
        return len(self._rows) - len(self._children)

    def row(self, key: Key) -> Row:
        """The figures behind a row."""
        return self._rows[key]

    def has(self, key: Key, words: str) -> bool:
        """Whether a row is of a process with *words* in its names or pid."""
        row = self._rows[key]
        return row.pid is not None and _has(row, words.casefold())

    def exactly(self, key: Key) -> list[str]:
        """The figures of a row, none of them rounded but the share."""
        row = self._rows[key]
        told = [f"{row.comm}, pid {row.pid}, {row.workload}"]
        for column in COLUMNS[3:]:
            value = getattr(row, column.key)
            if value not in (None, ""):
                if column.key == "reached":
                    value = percent_text(value)
                told.append(f"{column.key} {value}")
        return told

    def roots(self) -> Sequence[Key]:
        return self._roots

    def children(self, key: Key) -> Sequence[Key]:
        return self._children.get(key, ())

    def has_children(self, key: Key) -> bool:
        return key in self._children

    def order(
        self, column: str, descending: bool, keys: Sequence[Key]
    ) -> Sequence[Key]:
        values = [getattr(self._rows[key], column) for key in keys]
        if values and isinstance(values[0], str):
            values = [value.casefold() for value in values]
        return by_values(keys, values, descending)

    def cell(self, key: Key, column: str, width: int, look: Look) -> Cell:
        row = self._rows[key]
        value = getattr(row, column)
        if column == "change" and value is not None:
            ink = Ink.GAIN if value > 0 else Ink.LOSS if value else Ink.DIM
            return draw.figure(self._changed(value), width, look, ink)
        if column == "predicted" and value is not None:
            return draw.figure(self._pages(value), width, look, Ink.CURSOR)
        if isinstance(value, str):
            return value
        return NOTHING if value is None else self._text(column, value)

    def summary(self, column: str, width: int, look: Look) -> Cell | None:  # noqa: ARG002
        """What was predicted of processes that ksmd does not know here."""
        if not self._missing:
            return None
        if column == "comm":
            return f"{len(self._missing)} more predicted"
        if column == "predicted":
            return self._pages(sum(each.ksm_merging_pages for each in self._missing))
        return ""

    def _row(self, process: ProcessSample, change: int | None) -> Row:
        figures = self._prediction.of(process) if self._prediction else None
        return _with_prediction(
            Row(
                comm=process.comm,
                pid=process.pid,
                workload=process.workload,
                ksm_merging_pages=process.ksm_merging_pages,
                change=change,
                predicted=None,
                reached=None,
                ksm_zero_pages=process.ksm_zero_pages,
                ksm_process_profit=process.ksm_process_profit,
                ksm_rmap_items=process.ksm_rmap_items,
                offered=_offered(process),
            ),
            figures,
        )

    def _group(self, found: Iterable[ProcessSample]) -> None:
        groups: dict[Group, list[Key]] = {}
        for process in found:
            groups.setdefault(process.group, []).append(process.key)
        assert self._prediction is not None
        for group, keys in groups.items():
            rows = [self._rows[key] for key in keys]
            self._rows[group] = _with_prediction(
                _sum(rows), self._prediction.groups.get(group)
            )
            self._children[group] = keys

    def _text(self, column: str, value: Any) -> str:
        return _TEXTS.get(column, self._pages)(value)

    def _pages(self, pages: int) -> str:
        return count_text(pages) if self._in_pages else pages_text(pages)

    def _changed(self, pages: int) -> str:
        return f"+{self._pages(pages)}" if pages > 0 else self._pages(pages)


_TEXTS: Final[Mapping[str, Callable[[Any], str]]] = {
    "pid": str,
    "reached": percent_text,
    "ksm_rmap_items": count_text,
    "ksm_process_profit": profit_text,
}
"""All others are pages."""


def _has(process: ProcessSample | Row, words: str) -> bool:
    names = (process.comm, process.workload, str(process.pid))
    return any(words in name.casefold() for name in names)


def _with_prediction(row: Row, figures: "Figures | None") -> Row:
    if figures is None:
        return row
    predicted = figures.ksm_merging_pages
    reached = row.ksm_merging_pages / predicted if predicted else None
    return row._replace(predicted=predicted, reached=reached)


def _sum(rows: Sequence[Row]) -> Row:
    ways = {row.offered for row in rows}
    return Row(
        comm=rows[0].comm,
        pid=None,
        workload=rows[0].workload,
        ksm_merging_pages=sum(row.ksm_merging_pages for row in rows),
        change=_total(row.change for row in rows),
        predicted=None,
        reached=None,
        ksm_zero_pages=_total(row.ksm_zero_pages for row in rows),
        ksm_process_profit=_total(row.ksm_process_profit for row in rows),
        ksm_rmap_items=_total(row.ksm_rmap_items for row in rows),
        offered=ways.pop() if len(ways) == 1 else "both",
    )


def _total(values: Iterable[int | None]) -> int | None:
    """Their sum, of those that are told; None where none is."""
    told = [value for value in values if value is not None]
    return sum(told) if told else None


def _offered(process: ProcessSample) -> str:
    if process.merge_any:
        return "prctl"
    if process.mergeable is None:
        return ""
    return "madvise" if process.mergeable else "no"


def _missing(
    prediction: "Prediction | None", known: Iterable[ProcessSample]
) -> "list[Figures]":
    """What was predicted of processes that are not among the *known*."""
    if prediction is None:
        return []
    if prediction.elsewhere is not None:
        groups = {process.group for process in known}
        return [f for group, f in prediction.groups.items() if group not in groups]
    here = {(p.pid, p.comm) for p in known if prediction.of(p) is not None}
    return [f for name, f in prediction.processes.items() if name not in here]
