"""A table that can be sorted, filtered and looked at after any pass.

Its first rows stand in the page as they are; these and all others that are in the file
are also columns of whole numbers, from which page.js draws the rest. Who is in neither
is in a row of their sums, which are exact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from analyzer.report.columns import COLUMNS, TABLES, remainder, shown
from analyzer.report.rows import nothing_shown, rows
from analyzer.report.web.changes import Changes, changes, length
from analyzer.report.web.figures import drawn, unit_of, values_of
from analyzer.report.web.markup import Attribute, Markup, name, tag
from analyzer.result import ReplayResult

BAR: Final = "bar"
"""The column of bars, which are no figures."""

UNNAMED: Final = "(none)"

ESSENTIAL: Final = (
    "pages",
    "pages_saved",
    "pages_saved_zero",
    "pages_saved_nonzero",
    "net_saved",
)
"""What a report remembers first of how rows came about: what they had saved."""

Histories = Mapping[str, npt.NDArray[np.int64]]
"""Column → int64[moments, rows]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much of a table is in the report."""

    kept: int
    """Rows in the file; those after them are added up."""
    shown: int
    """Rows that are shown before more are asked for."""
    remembered: int = 0
    """Characters that may be spent on how rows came about, first rows first."""


class Table:
    """One of `columns.TABLES`, drawn at the end of the replay."""

    def __init__(
        self,
        result: ReplayResult,
        by: str,
        extent: Extent,
        histories: Histories | None = None,
    ) -> None:
        self._by, self._extent = by, extent
        self._histories = histories or {}
        frame = rows(result, by)
        self._rows = frame.height
        self._columns = _columns(by, frame)
        self._head = frame.head(extent.kept)
        self._rest = frame.slice(extent.kept)
        self._sums = remainder(TABLES[by], frame)
        self._scale: int = max([0, *self._head["pages_saved"]])
        self._remembered = self._history()

    def data(self) -> dict[str, Any]:
        """What page.js draws it from."""
        names: dict[str, int] = {}
        values = {
            column: self._stored(column, names) for column in self._values(self._head)
        }
        return {
            "columns": [
                {
                    "name": column,
                    "unit": BAR if column == BAR else unit_of(column),
                    "of": values_of(column),
                    "stays": column != BAR and _stays(column),
                }
                for column in self._columns
            ],
            "key": TABLES[self._by].key,
            "rows": self._rows,
            "names": list(names),
            "values": values,
            "history": self._remembered,
            "shown": self._extent.shown,
            "scale": self._scale,
            "sums": self._sum_rows(),
        }

    def markup(self, title: str) -> Markup:
        """The table, its first rows and its sums."""
        if not self._rows:
            return tag("p", nothing_shown(self._by, None), class_="nothing")
        head = [self._title(column) for column in self._columns]
        first = self._head.head(self._extent.shown).rows(named=True)
        foot = [
            self._row(
                {**dict.fromkeys(self._columns), **row["values"]},
                label=row["label"],
                id=f"{self._by}-{row['what']}",
            )
            for row in self._sum_rows()
        ]
        return tag(
            "table",
            tag("caption", title, class_="unseen"),
            tag("thead", tag("tr", *head)),
            tag("tbody", *map(self._row, first)),
            tag("tfoot", *foot) if foot else "",
            id=f"{self._by}-table",
        )

    @property
    def told(self) -> str:
        """How many rows there are, and are shown."""
        return f"{min(self._extent.shown, self._head.height)} of {self._rows}"

    @property
    def more(self) -> bool:
        """Whether there are more rows in the file than are shown at first."""
        return self._head.height > self._extent.shown

    @property
    def kept(self) -> int:
        """Rows in the file."""
        return self._head.height

    @property
    def size(self) -> int:
        """Characters spent on how rows came about."""
        return length(self._remembered)

    @property
    def remembered(self) -> int:
        """Rows of which it is known how they came about."""
        return min(map(len, self._remembered.values()), default=0)

    def _values(self, frame: pl.DataFrame) -> list[str]:
        """The columns whose values the drawn ones need."""
        needed = [value for c in self._columns if c != BAR for value in values_of(c)]
        if BAR in self._columns:
            needed += ["pages_saved_nonzero", "pages_saved_zero"]
        return [value for value in dict.fromkeys(needed) if value in frame.columns]

    def _stored(self, column: str, names: dict[str, int]) -> list[int | None]:
        """The values of one column; texts by their place among *names*."""
        found = self._head[column].to_list()
        if unit_of(column) != "text":
            return found
        return [names.setdefault(_text(column, value), len(names)) for value in found]

    def _history(self) -> dict[str, list[Changes]]:
        """Column → how the first rows came to their values: of as many rows as fit,
        and then of other columns, if they fit too."""
        told = {column: self._told(column) for column in ESSENTIAL}
        if not self._histories:
            return {}
        each = zip(*told.values(), strict=True)
        lengths = np.cumsum([sum(map(length, row)) + len(row) for row in each])
        fit = int(np.searchsorted(lengths, self._extent.remembered, "right"))
        told = {column: rows[:fit] for column, rows in told.items()}
        for column in self._values(self._head):
            if column in self._histories and column not in told:
                more = {**told, column: self._told(column)[:fit]}
                if length(more) <= self._extent.remembered:
                    told = more
        return told

    def _told(self, column: str) -> list[Changes]:
        """How the rows in the file came to their values."""
        if column not in self._histories:
            return []
        return [changes(series) for series in self._histories[column].T[: self.kept]]

    def _sum_rows(self) -> list[dict[str, Any]]:
        """The sums of those not in the file, and of all."""
        if self._rows < 2 or not self._sums:
            return []
        found = []
        if self._rest.height:
            sums = remainder(TABLES[self._by], self._rest)
            label = f"{self._rest.height} more, not in this file"
            found.append(self._sum_row("rest", label, sums, slice(self.kept, None)))
        found.append(self._sum_row("all", f"all {self._rows}", self._sums, slice(None)))
        return found

    def _sum_row(
        self, what: str, label: str, sums: Mapping[str, Any], which: slice
    ) -> dict[str, Any]:
        values = {
            column: sums[column]
            for column in self._values(self._head)
            if sums.get(column) is not None and COLUMNS[column].adds_up
        }
        return {
            "what": what,
            "label": label,
            "values": values,
            "history": {
                column: changes(series[:, which].sum(axis=1))
                for column, series in self._histories.items()
                if column in values
            },
        }

    def _title(self, column: str) -> Markup:
        if column == BAR:
            return tag("th", "non-zero + zero", scope="col", class_="bar")
        drawn_column = COLUMNS[column]
        return tag(
            "th",
            tag("button", drawn_column.title, type="button", title=column),
            scope="col",
            data_column=column,
            class_=None if drawn_column.right else "name",
            aria_sort="descending" if column == self._sorted_by else None,
        )

    @property
    def _sorted_by(self) -> str:
        return "pages_saved" if "pages_saved" in self._columns else ""

    def _row(
        self, row: Mapping[str, Any], label: str = "", **attributes: Attribute
    ) -> Markup:
        cells = [
            self._first(row, column, label)
            if column == TABLES[self._by].key
            else self._cell(row, column, total=bool(label))
            for column in self._columns
        ]
        return tag("tr", *cells, **attributes)

    def _first(self, row: Mapping[str, Any], column: str, label: str) -> Markup:
        text = label or _text(column, row[column])
        return tag("th", name(text or UNNAMED), scope="row", title=text or None)

    def _cell(self, row: Mapping[str, Any], column: str, total: bool) -> Markup:
        if column == BAR:
            # A sum is beyond the scale of the rows.
            return tag("td", "" if total else self._bar(row), class_="bar")
        if unit_of(column) == "text":
            text = _text(column, row[column])
            return tag("td", name(text), class_="name", title=text or None)
        values = [row.get(value) for value in values_of(column)]
        text = "" if None in values else drawn(unit_of(column), *values)
        return tag("td", text, class_=_class(column, row.get(column)))

    def _bar(self, row: Mapping[str, Any]) -> Markup:
        nonzero, zero = (
            100 * max(row[f"pages_saved_{what}"] or 0, 0) / (self._scale or 1)
            for what in ("nonzero", "zero")
        )
        return tag(
            "svg",
            tag("rect", class_="saved_nonzero", width=f"{nonzero:.2f}%", height="100%"),
            tag(
                "rect",
                class_="saved_zero",
                x=f"{nonzero:.2f}%",
                width=f"{zero:.2f}%",
                height="100%",
            ),
            class_="bar",
            aria_hidden="true",
        )


def _columns(by: str, frame: pl.DataFrame) -> list[str]:
    """The columns of the table *by* that are drawn: its key first, and a bar."""
    table = TABLES[by]
    others = [column for column in shown(table, frame) if column != table.key]
    if "pages_captured" in others and frame["pages_captured"].equals(frame["pages"]):
        others.remove("pages_captured")
    if not table.bar:
        return [table.key, *others]
    at = others.index("pages_saved_zero")
    # What may have to be scrolled to is what a terminal drops first.
    later = sorted(others[at + 1 :], key=table.columns.__getitem__)
    return [
        table.key, *others[:at], BAR, "pages_saved_nonzero", "pages_saved_zero", *later
    ]  # fmt: skip


def _stays(column: str) -> bool:
    """Whether its values are the same after every pass."""
    return unit_of(column) in ("text", "number", "address") or column == "processes"


def _text(column: str, value: Any) -> str:
    return "" if value is None else COLUMNS[column].text(value)


def _class(column: str, value: Any) -> str | None:
    """How a cell is drawn, beside what stands in it."""
    if column == "pages_saved":
        return "answer"
    if unit_of(column) == "profit" and value is not None:
        return "loss" if value < 0 else "gain"
    return None


def table_section(
    table: Table, identity: str, title: str, about: Sequence[str] = ()
) -> Markup:
    """The card of a table, with what it takes to sort and to filter it."""
    count = tag("output", table.told, class_="count", aria_live="polite")
    search = tag(
        "input",
        type="search",
        placeholder="filter",
        aria_label=f"filter {title.lower()}",
        spellcheck="false",
        class_="script",
    )
    more = tag("button", "show more", type="button", class_="more script")
    return tag(
        "section",
        tag("header", tag("h2", title), count, search),
        *(tag("p", line, class_="about") for line in about),
        tag(
            "div",
            table.markup(title),
            class_="scroll",
            tabindex=0,
            role="region",
            aria_label=f"{title}, table",
        ),
        more if table.more else "",
        class_="card table",
        id=identity,
    )
