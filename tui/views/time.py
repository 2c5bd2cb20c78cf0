"""How it came about: the states of all pages over the passes, and what ksmd did."""

from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical

from analyzer.report.units import (
    count_text,
    percent_text,
    profit_text,
)
from tui.look import Ink, State
from tui.views.states import COURSE
from tui.views.view import View, home, titled
from tui.widgets.chart import AreaChart, Layer
from tui.widgets.composition import Composition, Part
from tui.widgets.lane import Lane
from tui.widgets.timeline import Timeline

if TYPE_CHECKING:
    import polars as pl

    from analyzer.expression.expression import Expression

_PPM = 1_000_000
_LEGEND = {
    State.SAVED: ("non-zero", 0),
    State.ZERO: ("zero", 0),
    State.KEPT: ("kept", 1),
    State.UNSHARED: ("unshared", 0),
    State.VOLATILE: ("volatile", 0),
    State.UNSCANNED: ("not scanned", 2),
}
"""State → what it is called beside the others, and how soon it gives way to them."""


class Time(View):
    """A large chart, and a lane for each thing that ksmd's work is measured by."""

    NAME = "time"
    SCOPED_CSS = False
    DEFAULT_CSS = """
    Time { layout: vertical; }
    Time > Composition { height: 2; }
    Time > AreaChart { height: 1fr; }
    Time > Vertical { height: auto; }
    .-tall Time Lane { height: 4; }
    .-short Time .lane-2, .-narrow Time .lane-2 { display: none; }
    .-tiny Time > Composition, .-tiny Time > Vertical { display: none; }
    """

    def compose(self) -> ComposeResult:
        course = self.session.course
        assert course is not None
        yield Composition()
        chart = AreaChart(self.session.amount, self._label)
        yield titled(chart, "pages by state over full scans", "← → scrub")
        with titled(Vertical(), "ksmd"):
            for number, lane in enumerate(_lanes()):
                yield lane.add_class(f"lane-{1 if number < 2 else 2}")

    def main(self) -> AreaChart:
        return self.query_one(AreaChart)

    def look_at(self) -> None:
        course = self.session.course
        if course is None:
            return
        chart = self.main()
        layers = [
            Layer(state, course[name].to_list()) for state, name in COURSE.items()
        ]
        chart.set(
            layers, most=self.session.pages_offered, formatter=self.session.amount
        )
        self.query_one(Composition).set(self._parts(course))
        for lane in self.query(Lane):
            lane.set(_values(course, lane.name or ""))
        for timeline in self.query(Timeline):
            timeline.cursor = self.session.at

    def filter(self, expression: "Expression | None") -> str:
        return "" if expression is None else "this view is of all processes"

    def frame(self) -> "pl.DataFrame | None":
        return self.session.course

    def row(self) -> str:
        course = self.session.course
        if course is None:
            return ""
        return "\t".join(map(str, course.row(self.session.at)))

    @on(Timeline.Scrubbed)
    def _scrubbed(self, event: Timeline.Scrubbed) -> None:
        home(self).go_to(event.index)

    def _parts(self, course: "pl.DataFrame") -> list[Part]:
        """What the colours of the chart stand for, and how much it is at the pass."""
        pages = course.row(self.session.at, named=True)
        parts = []
        for state, column in COURSE.items():
            label, rank = _LEGEND[state]
            amount = self.session.amount(pages[column])
            parts.append(Part(label, pages[column], amount, state, rank))
        return parts

    def _label(self, index: int) -> str:
        course = self.session.course
        assert course is not None
        scan = str(course["full_scans"][index])
        return f"pass {scan}" if index == 0 else scan


def _lanes() -> list[Lane]:
    return [
        Lane("pages scanned in the pass", Ink.ACCENT, count_text,
             name="scan_scanned"),
        Lane("ksmd CPU in the pass, estimated", Ink.WARNING, _share, name="cpu_ppm"),
        Lane("skipped by smart_scan in the pass", Ink.MUTED, count_text,
             name="scan_skipped"),
        Lane("general_profit", Ink.GAIN, profit_text, name="general_profit"),
    ]  # fmt: skip


def _values(course: "pl.DataFrame", name: str) -> list[int]:
    if name == "cpu_ppm":
        return [
            round(share * _PPM) for share in course["cpu_share"].fill_null(0).to_list()
        ]
    values: list[int] = course[name].to_list()
    return values


def _share(ppm: int) -> str:
    return percent_text(ppm / _PPM)
