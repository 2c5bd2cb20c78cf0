"""Is it worth it here, and why: the figures, the course, who saves, what stands out."""

from functools import partial
from operator import is_
from typing import TYPE_CHECKING

import polars as pl
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal

from analyzer.findings import findings
from analyzer.report.columns import derived
from analyzer.report.summary import bounds, limits, nothing_offered
from analyzer.report.units import count_text, pages_text
from tui.draw import Slice, gapped
from tui.look import Ink, Look, State, look_of
from tui.session import Session
from tui.sheet import Sheet, columns_of
from tui.views.cards import cards
from tui.views.findings import Findings
from tui.views.prose import Page, Prose
from tui.views.sharing import OTHERS, Matrix, Order, tight_amount
from tui.views.states import COURSE
from tui.views.view import TableView, entitled, home, notice, subtitled, titled
from tui.widgets.chart import AreaChart, Layer
from tui.widgets.composition import Composition, Part
from tui.widgets.grid import Grid
from tui.widgets.heat_map import HeatMap
from tui.widgets.kpi import KpiStrip
from tui.widgets.source import Cell, Column, Key
from tui.widgets.timeline import Timeline

if TYPE_CHECKING:
    from analyzer.expression.expression import Expression
    from analyzer.moment import Moment
    from analyzer.result import ReplayResult


class Overview(TableView):
    """Figures, one bar of everything, and four panes."""

    NAME = "overview"
    SCOPED_CSS = False
    DEFAULT_CSS = """
    Overview { layout: vertical; }
    Overview > KpiStrip { height: 3; margin: 0 0 1 0; }
    Overview > Composition { height: 3; }
    Overview > #ov-upper { height: 11fr; }
    Overview > #ov-lower { height: 9fr; }
    Overview AreaChart { width: 3fr; height: 1fr; }
    Overview Grid { width: 2fr; height: 1fr; }
    Overview HeatMap { width: 3fr; height: 1fr; }
    Overview Findings { width: 2fr; height: 1fr; }
    Overview > .nothing { display: none; height: 1fr; padding: 2 4; }
    Overview.-nothing > .nothing { display: block; }
    Overview.-nothing > #ov-upper, Overview.-nothing > #ov-lower,
    Overview.-nothing > Composition { display: none; }
    .-short Overview > KpiStrip, .-narrow Overview > KpiStrip { height: 2; margin: 0; }
    .-short Overview > Composition, .-narrow Overview > Composition { height: 2; }
    .-short Overview > #ov-lower, .-narrow Overview > #ov-lower { display: none; }
    .-narrow Overview > #ov-upper { layout: vertical; }
    .-narrow Overview AreaChart { width: 1fr; height: 9; }
    .-narrow Overview Grid { width: 1fr; height: 1fr; }
    .-tiny Overview > KpiStrip { height: 2; margin: 0; }
    .-tiny Overview > Composition, .-tiny Overview > #ov-lower,
    .-tiny Overview AreaChart { display: none; }
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._expression: Expression | None = None
        self._of: object = None
        self._detail_of: tuple[ReplayResult | None, ...] = (None, None)
        self._detail_drawn: object = None

    def compose(self) -> ComposeResult:
        moment = self.session.moment
        assert moment is not None
        yield KpiStrip()
        yield Composition()
        yield Prose(classes="nothing")
        with Horizontal(id="ov-upper"):
            chart = AreaChart(self.session.amount, self._label)
            yield titled(chart, "pages by state over full scans", "click or , .")
            grid = Grid(
                _columns(),
                self._sheet(moment),
                sort="pages_saved",
                empty="no rows match; esc clears the filter",
            )
            yield titled(grid, "workloads by saved")
        with Horizontal(id="ov-lower"):
            yield titled(HeatMap(summary=False), "who shares with whom", "3 for all")
            yield titled(Findings(), "findings")

    def look_at(self) -> None:
        moment, result = self.session.moment, self.session.result
        if moment is None or result is None:
            return
        nothing = self.session.pages_offered == 0
        self.set_class(nothing, "-nothing")
        course = self.session.course
        assert course is not None
        seen = course.head(self.session.at + 1)
        self.query_one(KpiStrip).set(cards(self.session, moment, seen))
        if nothing:
            self.query_one(Prose).say(self._say_nothing)
            return
        parts = self._parts(moment)
        self.query_one(Composition).set(parts)
        self.main().show(self._sheet(moment))
        self._draw_course()
        self._draw_detail()

    def filter(self, expression: "Expression | None") -> str:
        moment = self.session.moment
        if moment is None:
            return ""
        rows = derived(moment.workloads)
        told = self.narrowed(rows, "workload", expression)
        self._expression = expression
        return f"{told} workloads" if told else ""

    def frame(self) -> pl.DataFrame | None:
        moment = self.session.moment
        if moment is None:
            return None
        rows = moment.workloads
        at = {name: row for row, name in enumerate(rows["workload"].to_list())}
        return rows[[at[key] for key in self.main().visible_rows()]]

    def find(self, name: str) -> None:
        self.main().select(name)

    @on(Timeline.Scrubbed)
    def _scrubbed(self, event: Timeline.Scrubbed) -> None:
        home(self).go_to(event.index)

    @on(Grid.Opened)
    def _opened(self, event: Grid.Opened) -> None:
        home(self).go_to_view("workloads", str(event.key))

    @on(HeatMap.Opened)
    def _sharing(self) -> None:
        home(self).go_to_view("sharing")

    @on(Findings.Opened)
    def _finding(self, event: Findings.Opened) -> None:
        place = event.finding.place
        if place.view == "time" and isinstance(place.key, int):
            home(self).go_to(place.key - 1)
        home(self).go_to_view(str(place.view), str(place.key))

    def _label(self, index: int) -> str:
        course = self.session.course
        assert course is not None
        scan = str(course["full_scans"][index])
        return f"pass {scan}" if index == 0 else scan

    def _sheet(self, moment: "Moment") -> "_Sheet":
        frame = derived(moment.workloads)
        if self._expression is not None:
            frame = frame.filter(self._expression.select(frame))
        return _Sheet(frame, "workload", self.session)

    def _parts(self, moment: "Moment") -> list[Part]:
        amount, found = self.session.amount, moment.composition
        return [
            Part(title, pages, amount(pages), state, rank)
            for title, pages, state, rank in (
                ("non-zero", found.saved_nonzero, State.SAVED, 0),
                ("zero", found.saved_zero, State.ZERO, 1),
                ("kept", found.kept, State.KEPT, 2),
                ("unmerged", found.unmerged, State.UNSHARED, 3),
            )
        ]

    def _draw_course(self) -> None:
        course = self.session.course
        assert course is not None
        chart = self.query_one(AreaChart)
        shown = id(course), self.session.unit
        if self._of != shown:
            self._of = shown
            layers = [
                Layer(state, course[name].to_list()) for state, name in COURSE.items()
            ]
            amount = self.session.amount
            chart.set(layers, most=self.session.pages_offered, formatter=amount)
        chart.cursor = self.session.at

    def _draw_detail(self) -> None:
        found, result = self.session.detail, self.session.result
        assert found is not None
        assert result is not None
        heat, said = self.query_one(HeatMap), self.query_one(Findings)
        entitled(heat, "who shares with whom", notice(self.session))
        # Both are of the end, so that most steps of the pass cursor leave them alone.
        of = found.result, result
        drawn = self.session.unit, look_of(self), heat.display
        if drawn == self._detail_drawn and all(map(is_, of, self._detail_of)):
            return
        self._detail_of, self._detail_drawn = of, drawn
        if heat.display:
            matrix = Matrix(found.result.pairs, Order.SAVED, None)
            heat.set(
                [name or OTHERS for name in matrix.names],
                [
                    [max(matrix.saved(row, column), 0) for column in matrix.names]
                    for row in matrix.names
                ],
                self.session.amount,
                tight=partial(tight_amount, self.session),
            )
        notes = [*_bounds(result), *_by_split(result), *limits(result)]
        said.show(findings(result), notes)
        entitled(said, "findings", "of the end")
        subtitled(said, "enter shows")

    def _say_nothing(self, page: Page) -> None:
        result = self.session.result
        assert result is not None
        page.line(nothing_offered(result), bold=True).gap()
        for told in _bounds(result):
            page.line(told).gap()
        captured = int(result.processes["pages_captured"].sum())
        kept_out = any(result.uncertainty[:2])
        offered = "none is sure to be there" if kept_out else "none is offered"
        page.line(
            f"{count_text(result.processes.height)} processes with "
            f"{count_text(captured)} pages were captured, {offered}."
        )
        dial, value = ("uncertain", "count-in") if kept_out else ("policy", "all")
        page.line(("6", Ink.ACCENT), (" What-if: turn ", Ink.MUTED), dial,
                  (f" to {value}, ", Ink.MUTED), ("F5", Ink.ACCENT),
                  (" says exactly what that would save", Ink.MUTED))  # fmt: skip


class _Sheet(Sheet):
    """Workloads with a bar of what they save, zero apart."""

    def cell(self, key: Key, column: str, width: int, look: Look) -> Cell:
        if column == "bar":
            return self._bar(key, width, look)
        if column == "workload" and not key:
            return "(none)"
        return super().cell(key, column, width, look)

    def _bar(self, key: Key, width: int, look: Look) -> Cell:
        most = max(self.table.column("pages_saved"), default=0)
        slices = [
            Slice(self.table.value(key, "pages_saved_nonzero"), State.SAVED),
            Slice(self.table.value(key, "pages_saved_zero"), State.ZERO),
        ]
        return gapped(slices, width, max(most, 1), look)


def _bounds(result: "ReplayResult") -> list[str]:
    """What the captures cannot tell, and the most it may save."""
    return [f"{label} {told}" for label, told in bounds(result)]


def _by_split(result: "ReplayResult") -> list[str]:
    """What is saved only because huge pages are split."""
    split = result.savings.pages_saved_by_split
    if not split:
        return []
    return [f"{pages_text(split)} of zero pages by splitting huge pages"]


def _columns() -> list[Column]:
    ranks = {
        "workload": 0,
        "pages_saved": 1,
        "share_saved": 2,
        "net_saved": 4,
        "processes": 5,
    }
    widths = {"workload": 14, "share_saved": 6, "processes": 6, "net_saved": 10}
    columns = columns_of(ranks, widths, {"workload": 2})
    bar = Column("bar", "zero apart", 10, 3, flex=3, right=False, sortable=False,
                 pictorial=True)  # fmt: skip
    return [*columns[:3], bar, *columns[3:]]
