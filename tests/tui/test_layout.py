"""What is left out where, and that a resize moves nobody's cursor."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from screens import Replays, Size, opened, settled
from textual.pilot import Pilot
from textual.widget import Widget

from tui.app import KsmApp
from tui.views.prose import Prose
from tui.widgets.chart import AreaChart
from tui.widgets.grid import Grid
from tui.widgets.heat_map import HeatMap
from tui.widgets.kpi import KpiStrip
from tui.widgets.scrubber import Scrubber

Act = Callable[[KsmApp, Pilot[int]], Awaitable[None]]


def play(replays: Replays, size: Size, act: Act, plain: bool = False) -> None:
    async def run() -> None:
        async with opened(replays, size, plain=plain) as (app, pilot):
            await act(app, pilot)

    asyncio.run(run())


def seen(widget: Widget) -> bool:
    """Whether any of it is on the screen."""
    return all(node.display for node in widget.ancestors_with_self) and bool(
        widget.region.area
    )


@pytest.mark.parametrize(
    ("size", "cards", "heat", "chart", "scrubber"),
    [
        ((200, 60), 3, True, True, True),
        ((120, 40), 3, True, True, True),
        ((100, 30), 2, False, True, True),
        ((80, 24), 2, False, True, True),
        ((80, 40), 2, False, True, True),
        ((60, 18), 2, False, False, False),
        ((40, 12), 2, False, False, False),
    ],
    ids=str,
)
def test_low_and_narrow_screens_lose_pictures_before_tables(
    replays: Replays, size: Size, cards: int, heat: bool, chart: bool, scrubber: bool
) -> None:
    async def act(app: KsmApp, pilot: Pilot[int]) -> None:
        shot = await settled(app, pilot)
        one = app.screen.query_one
        assert one(KpiStrip).size.height == cards
        assert seen(one(HeatMap)) is heat
        assert seen(one(AreaChart)) is chart
        assert seen(one(Scrubber)) is scrubber
        assert one("#overview Grid", Grid).size.height >= 4
        assert "pass 4/4" in shot.lines()[-2 if scrubber else 0]

    play(replays, size, act)


@pytest.mark.parametrize("key", "1234567")
def test_narrow_views_are_one_column_of_panes(replays: Replays, key: str) -> None:
    async def act(app: KsmApp, pilot: Pilot[int]) -> None:
        for size in ((80, 24), (60, 18), (40, 12)):
            await pilot.resize_terminal(*size)
            await pilot.press(key)
            await settled(app, pilot)
            assert app.view is not None
            panes = [pane for pane in app.view.query(".pane") if seen(pane)]
            assert panes
            for pane in panes:
                assert pane.region.x == 0
                assert pane.region.width >= size[0] - 1

    play(replays, (80, 24), act)


def test_the_detail_takes_the_place_of_the_tree_and_gives_it_back(
    replays: Replays,
) -> None:
    async def act(app: KsmApp, pilot: Pilot[int]) -> None:
        await pilot.press("2")
        await settled(app, pilot)
        assert app.view is not None
        tree, detail = app.view.query_one(Grid), app.view.query_one(Prose)
        assert (seen(tree), seen(detail)) == (True, False)
        await pilot.press("d")
        told = await settled(app, pilot)
        assert (seen(tree), seen(detail)) == (False, True)
        assert any("saved non-zero" in line for line in told.lines())
        await pilot.press("d")
        await settled(app, pilot)
        assert (seen(tree), seen(detail)) == (True, False)
        assert app.focused is tree

    play(replays, (80, 24), act)


def test_a_resize_keeps_the_cursor_and_has_it_in_sight(replays: Replays) -> None:
    async def act(app: KsmApp, pilot: Pilot[int]) -> None:
        await pilot.press("4", *["down"] * 30)
        assert app.view is not None
        table = app.view.query_one(Grid)
        chosen = table.selected
        for size in ((40, 12), (200, 60), (60, 18), (120, 40)):
            await pilot.resize_terminal(*size)
            await settled(app, pilot)
            assert table.selected == chosen
            rows = list(table.visible_rows())
            at = rows.index(chosen) - table.scroll_offset.y
            assert 0 <= at < table.size.height - 1

    play(replays, (120, 40), act)


def test_prose_is_written_anew_for_another_width(replays: Replays) -> None:
    async def act(app: KsmApp, pilot: Pilot[int]) -> None:
        await pilot.press("2")
        await settled(app, pilot)
        assert app.view is not None
        pane = app.view.query_one(Prose)
        for size in ((80, 24), (120, 40), (200, 60)):
            await pilot.resize_terminal(*size)
            shot = await settled(app, pilot)
            if seen(pane):
                left = pane.content_region.x
                bar = next(line[left:] for line in shot.lines() if "▇" in line[left:])
                assert bar.count("▇") == pane.scrollable_content_region.width

    play(replays, (120, 40), act)


def test_in_ascii_panes_keep_their_frames(replays: Replays) -> None:
    async def act(app: KsmApp, pilot: Pilot[int]) -> None:
        await pilot.press("2")
        lines = (await settled(app, pilot)).lines()
        assert lines[2].startswith("+- workload > process > mapping -")
        assert all(line[0] == line[-1] == "|" for line in lines[3:-3])

    play(replays, (120, 40), act, plain=True)
