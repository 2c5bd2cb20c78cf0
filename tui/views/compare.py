"""A beside B: what differs in what was asked, per workload, and over the passes."""

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import polars as pl
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from analyzer.compare import Align, Comparison, compare
from analyzer.report.compare import doubts
from analyzer.report.escape import printable
from tui.draw import figure, signed
from tui.look import Glyph, Ink, Look, look_of
from tui.session import Session
from tui.views.figures import change_ink, change_words, figure_words
from tui.views.prose import Page, Prose
from tui.views.view import TableView, subtitled, titled
from tui.widgets.grid import Grid
from tui.widgets.kpi import Card, KpiStrip
from tui.widgets.lines import Curve, Lines
from tui.widgets.source import Cell, Column, Key, Source, by_values

if TYPE_CHECKING:
    from analyzer.expression.expression import Expression

_BAR: Final = 27
"""Cells of a bar to both sides; odd, for the line between them."""
_SETTINGS: Final = 3
_ALIGNS: tuple[Align, ...] = ("pass", "time", "scanned")

CARDS = (
    ("saved", "", "pages_saved", 1),
    ("zero", "", "pages_saved_zero", 1),
    ("general_profit", "profit", "general_profit", 1),
    ("ksmd CPU, est.", "CPU est.", "cpu_ppm", -1),
    ("90% after, est.", "90% est.", "time_to_90_ns", -1),
)
"""Title, the same shorter, figure of `Comparison.totals`, and which sign of a change
is good."""
FIGURES = ("pages_saved", "pages_saved_zero", "pages_saved_nonzero", "net_saved")
"""The figures of a workload that can be laid side by side."""


class Compare(TableView):
    """Cards, a table of workloads with bars to both sides, both curves."""

    NAME = "compare"
    SCOPED_CSS = False
    DEFAULT_CSS = """
    Compare { layout: vertical; }
    Compare > KpiStrip { height: 3; }
    .-short Compare > KpiStrip, .-narrow Compare > KpiStrip { height: 2; }
    .-tiny Compare > KpiStrip { display: none; }
    Compare > .settings {
        height: auto;
        max-height: 4;
        scrollbar-gutter: auto;
        overflow: hidden;
    }
    Compare.-uncertain > .settings { max-height: 9; }
    .-short Compare.-uncertain > .settings { max-height: 5; }
    Compare > Grid { height: 3fr; }
    Compare > Lines { height: 2fr; }
    .-short Compare > Lines, .-narrow Compare > Lines, .-tiny Compare > Lines {
        display: none;
    }
    Compare.-alone > KpiStrip, Compare.-alone > Grid, Compare.-alone > Lines {
        display: none;
    }
    Compare.-alone > .settings { max-height: 100%; padding: 2 4; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "align", "Align", id="compare.align",
                tooltip="Lay the curves side by side by pass, time or pages scanned"),
        Binding("f", "figure", "Figure", id="compare.figure",
                tooltip="Compare what is saved, zero, non-zero, or net"),
    ]  # fmt: skip

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._comparison: Comparison | None = None
        self._expression: Expression | None = None
        self._align: Align = "pass"
        self._figure = FIGURES[0]

    def compose(self) -> ComposeResult:
        yield KpiStrip()
        yield Prose(classes="settings")
        yield titled(
            Grid(_columns(self._figure), _Rows.empty(self.session), sort="delta",
                 empty="no workloads"),
            "workloads",
        )  # fmt: skip
        yield titled(Lines(self.session.amount), "pages merged")

    def look_at(self) -> None:
        found = self._compared()
        self.set_class(found is None, "-alone")
        if found is None:
            self.query_one(Prose).say(_say_alone)
            return
        self.set_class(found.uncertain, "-uncertain")
        self._cards(found)
        self.query_one(Prose).say(partial(_say_settings, found))
        self._table(found)
        self._curves(found)

    def filter(self, expression: "Expression | None") -> str:
        found = self._compared()
        if found is None:
            return ""
        told = self.narrowed(_workloads(found), "workload", expression)
        self._expression = expression
        return f"{told} workloads" if told else ""

    def frame(self) -> pl.DataFrame | None:
        found = self._compared()
        if found is None:
            return None
        at = {name: n for n, name in enumerate(found.workloads["workload"])}
        return found.workloads[[at[key] for key in self.main().visible_rows()]]

    def find(self, name: str) -> None:
        self.main().select(name)

    def action_align(self) -> None:
        self._align = _ALIGNS[(_ALIGNS.index(self._align) + 1) % len(_ALIGNS)]
        found = self._compared()
        if found is not None:
            self._curves(found)

    def action_figure(self) -> None:
        at = FIGURES.index(self._figure)
        self._figure = FIGURES[(at + 1) % len(FIGURES)]
        self.main().show_columns(_columns(self._figure))
        found = self._compared()
        if found is not None:
            self._table(found)

    def _compared(self) -> Comparison | None:
        """A beside B; None until both have a result."""
        a, b = self.session.a, self.session.b
        if a is None or b is None or a.result is None or b.result is None:
            return None
        found = self._comparison
        if found is None or found.a is not a.result or found.b is not b.result:
            found = self._comparison = compare(a.result, b.result)
        return found

    def _cards(self, found: Comparison) -> None:
        totals = {row["figure"]: row for row in found.totals.iter_rows(named=True)}
        cards = []
        for title, short, name, good in CARDS:
            row = totals[name]
            b, delta = row["b"], row["delta"]
            value = figure_words(self.session, name, b)
            told = change_words(self.session, name, delta)
            ink = change_ink(delta, good)
            cards.append(Card(title, value, told, ink, short=short, ink=ink))
        self.query_one(KpiStrip).set(cards)

    def _table(self, found: Comparison) -> None:
        frame = _workloads(found)
        if self._expression is not None:
            frame = frame.filter(self._expression.select(frame))
        grid = self.main()
        grid.show(_Rows(frame, self._figure, self.session))
        a, b = self._names()
        towards = look_of(self).glyph(Glyph.TOWARDS)
        grid.border_title = Content(f"{printable(a)} {towards} {printable(b)}")
        only = int((frame["only"] != "").sum())
        told = f"{only} only in one" if only else ""
        subtitled(grid, told, "w swaps")

    def _curves(self, found: Comparison) -> None:
        curves = found.curves(self._align)
        a, b = self._names()
        lines = self.query_one(Lines)
        lines.set(
            [
                Curve(a, Ink.GAIN, _known(curves["a"])),
                Curve(b, Ink.WARNING, _known(curves["b"])),
            ],
            self.session.amount,
        )
        lines.cursor = max(curves.height - 1, 0)
        lines.border_title = Content(f"pages merged, by {self._align}")

    def _names(self) -> tuple[str, str]:
        a, b = self.session.a, self.session.b
        assert a is not None
        assert b is not None
        return f"A {a.name}", f"B {b.name}"


class _Rows(Source):
    """Workloads of both sides, by name."""

    def __init__(self, frame: pl.DataFrame, figure: str, session: Session) -> None:
        self.session, self.figure = session, figure
        self._rows = {row["workload"]: row for row in frame.iter_rows(named=True)}
        deltas = (self._delta(row) for row in self._rows.values())
        self._most = max(map(abs, deltas), default=0)

    @classmethod
    def empty(cls, session: Session) -> "_Rows":
        return cls(pl.DataFrame({"workload": []}), FIGURES[0], session)

    def roots(self) -> list[Key]:
        return list(self._rows)

    def order(self, column: str, descending: bool, keys: Any) -> list[Key]:
        if column == "name":
            return by_values(keys, keys, descending)
        values = [self._value(self._rows[key], column) for key in keys]
        if column == "delta":
            values = [abs(value or 0) for value in values]
        return by_values(keys, values, descending)

    def cell(self, key: Key, column: str, width: int, look: Look) -> Cell:
        row = self._rows[key]
        if column == "name":
            only = f" (only in {row['only'].upper()})" if row["only"] else ""
            return f"{row['workload'] or '(none)'}{only}"
        value = self._value(row, column)
        if column == "bar":
            return signed(self._delta(row), width, self._most, look)
        if value is None:
            return "-"
        if column == "share":
            return f"{value * 100:+.0f}%" if value else "="
        if column == "delta":
            told = change_words(self.session, self.figure, value)
            return figure(told, width, look, change_ink(value, 1), bold=True)
        return figure(figure_words(self.session, self.figure, value), width, look)

    def _value(self, row: dict[str, Any], column: str) -> Any:
        a, b = row[f"{self.figure}_a"], row[f"{self.figure}_b"]
        match column:
            case "a":
                return a
            case "b":
                return b
            case "share":
                return (b - a) / abs(a) if a and b is not None else None
        return self._delta(row)

    def _delta(self, row: dict[str, Any]) -> int:
        """What B has more; of a workload only one side has, all of it."""
        return int((row[f"{self.figure}_b"] or 0) - (row[f"{self.figure}_a"] or 0))


def _workloads(comparison: Comparison) -> pl.DataFrame:
    """The joined workloads, with B's figures under their plain names for filters."""
    frame = comparison.workloads
    plain = [
        pl.coalesce(f"{name}_b", f"{name}_a").alias(name)
        for name in (column.removesuffix("_b") for column in frame.columns)
        if f"{name}_b" in frame.columns
    ]
    return frame.with_columns(plain)


def _columns(figure: str) -> list[Column]:
    title = {"pages_saved": "saved", "pages_saved_zero": "zero",
             "pages_saved_nonzero": "non-zero", "net_saved": "net"}[figure]  # fmt: skip
    return [
        Column("name", "workload", 18, 0, flex=1, right=False),
        Column("a", f"A {title}", 11, 2),
        Column("b", f"B {title}", 11, 3),
        Column("delta", "B - A", 11, 1),
        Column("bar", "loss │ gain".center(_BAR), _BAR, 4, right=False,
               sortable=False, pictorial=True),
        Column("share", "%", 6, 5),
    ]  # fmt: skip


def _say_alone(page: Page) -> None:
    page.line("There is nothing to compare yet.", bold=True).gap()
    page.line(
        ("6", Ink.ACCENT),
        (" What-if: change a knob, ", Ink.MUTED),
        ("F5", Ink.ACCENT),
        (" replays it, ", Ink.MUTED),
        ("b", Ink.ACCENT),
        (" on a variant makes it B", Ink.MUTED),
    )
    page.line(("or open two files: ", Ink.MUTED), "ksm-analyze view A B")


def _say_settings(comparison: Comparison, page: Page) -> None:
    for doubt in doubts(comparison):
        page.line((doubt, Ink.WARNING))
    towards = page.look.glyph(Glyph.TOWARDS)
    for found in comparison.differs[:_SETTINGS]:
        page.line((f"{found.name} ", Ink.MUTED), str(found.a),
                  (f" {towards} ", Ink.DIM), str(found.b))  # fmt: skip
    more = len(comparison.differs) - _SETTINGS
    told = f"{more} more settings differ" if more > 0 else ""
    if not comparison.differs:
        told = "the same settings"
    page.line((", ".join(filter(None, [told, "all at the end of both"])), Ink.DIM))


def _known(values: pl.Series) -> list[int]:
    """The values until a side ends."""
    return values.drop_nulls().to_list()
