"""Who shares with whom: a matrix of workloads, and a pane about a pair of them."""

from collections import defaultdict
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

import polars as pl
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from analyzer.report.columns import derived
from analyzer.report.escape import printable
from analyzer.report.units import count_text, pages_text, share_text
from traces.schema import PAGE_SIZE
from tui.draw import tight
from tui.look import Ink
from tui.session import Session, Unit
from tui.views.prose import Page, Prose
from tui.views.view import Rows, View, entitled, notice, subtitled, titled
from tui.widgets.heat_map import HeatMap, Split

if TYPE_CHECKING:
    from analyzer.expression.expression import Expression

OTHERS: Final = "(all others)"
"""What the workloads beyond the largest are called together."""
_TOP: Final = 8
_TITLE: Final = "non-zero saved in the row because of the column"

_Choice = TypeVar("_Choice", bound=StrEnum)


class Order(StrEnum):
    """How the workloads are put in rows."""

    SAVED = "by what they save"
    NAME = "by name"
    CLUSTER = "sharers side by side"


class Values(StrEnum):
    """What a cell says."""

    AMOUNT = "amount"
    SHARE = "% of the row"
    CROSS = "only across workloads"


class Matrix:
    """The pairs of a result as a square, in an order."""

    def __init__(
        self, pairs: pl.DataFrame, order: Order, kept: set[str] | None
    ) -> None:
        self._cells: dict[tuple[str, str], tuple[int, int]] = {
            (row, column): (saved, contents)
            for row, column, saved, contents in pairs.select(
                "workload", "other", "pages_saved", "contents"
            ).iter_rows()
        }
        self._totals: dict[str, int] = defaultdict(int)
        for (row, _), (saved, _) in self._cells.items():
            self._totals[row] += saved
        names = dict.fromkeys(name for pair in self._cells for name in pair)
        shown = [name for name in names if kept is None or name in kept or not name]
        self.names = self._ordered(shown, order)

    def saved(self, row: str, column: str) -> int:
        """Pages saved in *row* because *column* holds the same."""
        return self._cells.get((row, column), (0, 0))[0]

    def contents(self, row: str, column: str) -> int:
        """Different contents that both have merged."""
        return self._cells.get((row, column), (0, 0))[1]

    def total(self, row: str) -> int:
        """What the workload saves of non-zero pages."""
        return self._totals.get(row, 0)

    def split(self, row: str) -> Split:
        """What a workload saves with itself, and because of others."""
        itself = self.saved(row, row)
        return Split(max(itself, 0), max(self.total(row) - itself, 0))

    def _ordered(self, names: list[str], order: Order) -> list[str]:
        # What is left over is no workload: it stays last.
        names = sorted(names, key=lambda name: (not name, -self.total(name), name))
        if order is Order.NAME:
            return sorted(names, key=lambda name: (not name, name))
        if order is Order.CLUSTER:
            return self._clustered(names)
        return names

    def _clustered(self, names: list[str]) -> list[str]:
        """Each next to the one not yet placed that it shares most with."""
        placed, left = names[:1], names[1:]
        while left:
            last = placed[-1]
            following = max(left, key=lambda name: (bool(name), self.saved(last, name)))
            placed.append(following)
            left.remove(following)
        return placed


class Sharing(View):
    """The matrix, and the pair under its cursor."""

    NAME = "sharing"
    SCOPED_CSS = False
    DEFAULT_CSS = """
    Sharing { layout: vertical; }
    .-wide Sharing { layout: horizontal; }
    Sharing > HeatMap { height: 1fr; width: 1fr; }
    Sharing > Prose { height: 13; width: 1fr; }
    .-wide Sharing > Prose { height: 1fr; width: 60; }
    .-short Sharing > Prose { height: 7; }
    .-narrow Sharing > Prose, .-tiny Sharing > Prose { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "order", "Order", id="sharing.order",
                tooltip="Order: saved, name, sharers side by side"),
        Binding("v", "values", "Values", id="sharing.values",
                tooltip="Cells: amount, % of the row, only across workloads"),
        Binding("d", "detail", "Detail", show=False, id="view.detail"),
    ]  # fmt: skip

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._order, self._values = Order.SAVED, Values.AMOUNT
        self._kept: set[str] | None = None
        self._matrix: Matrix | None = None
        self._shown: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        yield titled(HeatMap(), _TITLE)
        yield titled(Prose(), "pair")

    def main(self) -> HeatMap:
        return self.query_one(HeatMap)

    def look_at(self) -> None:
        found, session = self.session.detail, self.session
        kept = None if self._kept is None else frozenset(self._kept)
        shown = found, session.unit, self._order, self._values, kept
        self._say_where()
        if found is None or shown == self._shown:
            return
        self._shown = shown
        self._matrix = matrix = Matrix(found.result.pairs, self._order, self._kept)
        self.main().set(
            [name or OTHERS for name in matrix.names],
            [
                [self._value(row, column) for column in matrix.names]
                for row in matrix.names
            ],
            self._formatted,
            "linear" if self._values is Values.SHARE else "log",
            self._tight,
            [matrix.split(row) for row in matrix.names],
        )
        self._tell()

    def filter(self, expression: "Expression | None") -> str:
        moment, found = self.session.moment, self.session.detail
        if moment is None or found is None:
            return ""
        workloads = derived(moment.workloads)
        if expression is None:
            self._kept = None
            return ""
        names = workloads.filter(expression.select(workloads))["workload"].to_list()
        self._kept = set(names)
        return f"{len(names)} of {workloads.height} workloads"

    def rows(self) -> Rows | None:
        matrix = self._matrix
        if matrix is None:
            return None
        names = [printable(name or OTHERS) for name in matrix.names]
        return Rows(
            ["workload", *names],
            [
                [title, *(self._formatted(self._value(row, c)) for c in matrix.names)]
                for title, row in zip(names, matrix.names, strict=True)
            ],
        )

    def frame(self) -> pl.DataFrame | None:
        found = self.session.detail
        return None if found is None else found.result.pairs

    def row(self) -> str:
        pair = self._pair()
        if pair is None or self._matrix is None:
            return ""
        saved = self._matrix.saved(*pair)
        return "\t".join([*(printable(name or OTHERS) for name in pair), str(saved)])

    def find(self, name: str) -> None:
        if self._matrix is not None and name in self._matrix.names:
            at = self._matrix.names.index(name)
            self.main().select(at, at)

    def action_order(self) -> None:
        self._order = _next(self._order)
        self.notify(str(self._order), timeout=1.5)
        self.look_at()

    def action_values(self) -> None:
        self._values = _next(self._values)
        self.notify(str(self._values), timeout=1.5)
        self.look_at()

    def action_detail(self) -> None:
        pane = self.query_one(Prose)
        pane.display = not pane.display
        self._tell()

    @on(HeatMap.Moved)
    def _moved(self) -> None:
        self._tell()

    @on(HeatMap.Opened)
    def _opened(self) -> None:
        self.action_detail()

    def _value(self, row: str, column: str) -> int | None:
        assert self._matrix is not None
        saved = self._matrix.saved(row, column)
        if self._values is Values.CROSS and row == column:
            return None
        # Left alone by a fork relative a page can cost more; the pane says so.
        saved = max(saved, 0)
        if self._values is Values.SHARE:
            total = self._matrix.total(row)
            return round(saved * 1000 / total) if total > 0 else 0
        return saved

    def _formatted(self, value: int | None) -> str:
        if value is None:
            return ""
        if self._values is Values.SHARE:
            return f"{value / 10:.0f}%"
        return self.session.amount(value)

    def _tight(self, value: int) -> str:
        if self._values is Values.SHARE:
            return f"{value / 10:.0f}%"
        return tight_amount(self.session, value)

    def _pair(self) -> tuple[str, str] | None:
        if self._matrix is None or not self._matrix.names:
            return None
        heat = self.main()
        return self._matrix.names[heat.row], self._matrix.names[heat.column]

    def _say_where(self) -> None:
        entitled(self.main(), _TITLE, notice(self.session))
        subtitled(self.main(), "o order", "v values")

    def _tell(self) -> None:
        pane, pair = self.query_one(Prose), self._pair()
        found = self.session.detail
        if pair is None or found is None or self._matrix is None:
            return
        # The matrix is of non-zero contents, and so is what stands beside it.
        other = found.result.contents.filter(pl.col("what") != "zero")
        holders = found.result.holders.join(other, on="digest", how="semi")
        pane.say(partial(_about, *pair, self._matrix, holders, self.session))


def _about(
    row: str,
    column: str,
    matrix: Matrix,
    holders: pl.DataFrame,
    session: Session,
    page: Page,
) -> Page:
    if row == column:
        page.title(row or OTHERS, ("   with itself", Ink.CURSOR))
    else:
        page.title(f"{row or OTHERS} and {column or OTHERS}", ("", Ink.DIM))
    for name, other in dict.fromkeys([(row, column), (column, row)]):
        saved, total = matrix.saved(name, other), matrix.total(name)
        share = share_text(saved, total) if total > 0 else "-"
        page.row(
            f"saved in {name or OTHERS}",
            session.amount(saved),
            (f"{share} of its non-zero",),
            named=32,
            bold=True,
        )
    contents = matrix.contents(row, column)
    held = "contents both hold" if row != column else "contents merged within it"
    page.row(held, count_text(contents), named=32)
    if row != column and row and column:
        page.row(
            "if kept apart",
            f"-{pages_text(contents)}",
            named=32,
            ink=Ink.LOSS if contents else Ink.DIM,
        )
        page.line(("  for one more copy of each", Ink.DIM))
        _top(row, column, holders, page)
    return page


def _top(row: str, column: str, holders: pl.DataFrame, page: Page) -> None:
    """Of the contents that save most, those both hold."""
    held = [
        holders.filter(pl.col("workload") == name)
        .group_by("digest")
        .agg(pl.col("copies").sum())
        for name in (row, column)
    ]
    both = (
        held[0]
        .join(held[1], on="digest", suffix="_there")
        .with_columns((pl.col("copies") + pl.col("copies_there")).alias("together"))
        .sort("together", "digest", descending=[True, False])
        .head(_TOP)
    )
    if not both.height:
        return
    page.heading("shared, among the contents that save most")
    for digest, here, there in both.select(
        "digest", "copies", "copies_there"
    ).iter_rows():
        copies = (f"{count_text(here)} here", f"{count_text(there)} there")
        page.row(f"{digest % (1 << 64):016x}", "copies", copies, named=20)


def tight_amount(session: Session, pages: int) -> str:
    """So much in at most four cells, in the unit that was chosen."""
    if session.unit is Unit.BYTES:
        return tight(pages * PAGE_SIZE)
    if session.unit is Unit.PAGES:
        return tight(pages)
    return session.amount(pages)[:4]


def _next(value: _Choice) -> _Choice:
    values = list(type(value))
    return values[(values.index(value) + 1) % len(values)]
