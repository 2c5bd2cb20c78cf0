"""Every widget stands in any app, on the ground of its look."""

import asyncio

import pytest
from textual.app import App

from tui.look import PLAIN, Ink, Look, State
from tui.widgets.chart import AreaChart
from tui.widgets.composition import Composition
from tui.widgets.grid import Grid
from tui.widgets.heat_map import HeatMap
from tui.widgets.kpi import KpiStrip
from tui.widgets.lane import Lane
from tui.widgets.lines import Lines
from tui.widgets.page_map import PageMap
from tui.widgets.source import Column, Source


class Names(Source):
    """Two rows."""

    def roots(self):
        return ["a", "b"]

    def cell(self, key, *_):
        return key


def widgets():
    return [
        AreaChart(),
        Composition(),
        Grid([Column("name", "name", 9, 0, right=False)], Names()),
        HeatMap(),
        KpiStrip(),
        Lane("lane", State.SAVED),
        Lines(),
        PageMap(),
    ]


class Dressed(App[None]):
    """An app that has a look."""

    look = Look("light")

    def compose(self):
        yield from widgets()


class Undressed(App[None]):
    """An app that has none."""

    def compose(self):
        yield from widgets()


@pytest.mark.parametrize(
    ("kind", "look"), [(Dressed, Dressed.look), (Undressed, PLAIN)]
)
def test_a_widget_wears_the_look_of_its_app(kind, look):
    async def act():
        app = kind()
        async with app.run_test(size=(90, 60)) as pilot:
            await pilot.pause()
            ground = look.style(bg=Ink.GROUND).bgcolor
            for widget in app.screen.children:
                for y in range(widget.size.height):
                    line = widget.render_line(y)
                    assert line.cell_length == widget.scrollable_content_region.width
                    assert all(segment.style.bgcolor for segment in line)
                last = list(widget.render_line(widget.size.height - 1))[-1]
                assert last.style.bgcolor in (
                    ground,
                    look.style(bg=Ink.SURFACE).bgcolor,
                )

    asyncio.run(act())
