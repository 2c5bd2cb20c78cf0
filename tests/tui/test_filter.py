"""Filters, sorting, marks and grouping: what is selected and kept stays so."""

import asyncio

import pytest
from flights import screen_text, seen, told, until
from textual.widgets import Static

from tui.filter_line import FilterLine
from tui.session import Unit


def flow(act, *what, **options):
    async def run() -> None:
        async with seen(*what, **options) as pilot:
            await act(pilot)

    asyncio.run(run())


def said(app) -> str:
    return str(app.query_one("#filter-told", Static).content)


def is_wrong(app) -> bool:
    return app.query_one("#filter-told", Static).has_class("-wrong")


async def filtered(pilot, words: str) -> None:
    await pilot.press("slash")
    pilot.app.query_one("#filter-words").value = words
    await pilot.pause()
    await pilot.press("enter")
    await pilot.pause()


FITTING = {
    "overview": ('workload == "web*"', "1 of 3 workloads"),
    "workloads": ('comm == "python3" and saved > 0', "processes"),
    "sharing": ("saved > 2MiB", "2 of 3 workloads"),
    "contents": ("zero", "1 of 1000 contents"),
    "what_if": ("web", "of 9 processes"),
    "time": ("saved > 1MiB", "this view is of all processes"),
}


@pytest.mark.parametrize("view", FITTING)
def test_a_filter_keeps_what_fits_and_a_wrong_one_is_told(demo, view):
    words, counted = FITTING[view]

    async def act(pilot) -> None:
        app = pilot.app
        await app.go(view)
        await pilot.pause()
        whole = app.view.rows()
        await filtered(pilot, words)
        assert counted in said(app)
        assert not is_wrong(app)
        kept = app.view.rows()
        if view not in ("what_if", "time"):
            assert 0 < len(kept.rows) < len(whole.rows) or view == "workloads"
        # A wrong one: where and what instead; what is listed stays.
        await filtered(pilot, "savde > 1GiB")
        assert is_wrong(app)
        assert "savde" in said(app)
        assert app.view.rows() == kept
        # One that fits nothing.
        await filtered(pilot, "no-such-thing")
        if view in ("overview", "workloads"):
            assert "no rows match" in screen_text(app)
            assert "esc clears" in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert not app.query_one(FilterLine).shown
        assert app.view.rows() == whole

    flow(act, demo)


def test_a_filter_goes_along_and_says_where_it_does_not_fit(demo):
    async def act(pilot) -> None:
        app = pilot.app
        await app.go("workloads")
        # A column that only the end of a replay knows.
        await filtered(pilot, "comm == python3 and cross >= 0%")
        assert "processes" in said(app)
        assert not is_wrong(app)
        await pilot.press("comma")
        await pilot.pause()
        assert is_wrong(app)
        assert "not here" in said(app)
        assert len(app.view.rows().rows) == 3
        await pilot.press("full_stop")
        await pilot.pause()
        assert not is_wrong(app)
        # Neither contents nor pairs have such columns.
        for name in ("overview", "sharing", "contents", "time", "what_if", "compare"):
            await app.go(name)
            await pilot.pause()
            if name in ("overview", "sharing", "contents"):
                assert is_wrong(app)
                assert app.view.rows().rows
        await app.go("workloads")
        await pilot.pause()
        assert not is_wrong(app)

    flow(act, demo)


def test_a_view_can_be_opened_filtered(demo):
    async def act(pilot) -> None:
        assert len(pilot.app.view.rows().rows) == 1
        assert "1 of 3 workloads" in said(pilot.app)

    flow(act, demo, where="web")


def test_compare_is_filtered_from_the_first_time_it_is_seen(demo):
    async def act(pilot) -> None:
        app = pilot.app
        await app.go("what_if")
        await pilot.press("right", "f5")
        await until(pilot, lambda: not app.tasks.all())
        app.session.choose(b=app.session.variants[1])
        await app.go("workloads")
        await filtered(pilot, "web")
        await app.go("compare")
        await pilot.pause()
        (row,) = app.view.rows().rows
        assert row[0].startswith("web")
        assert "1 of 3 workloads" in said(app)

    flow(act, demo)


def test_what_is_selected_stays_so(demo):
    async def act(pilot) -> None:
        app = pilot.app
        await app.go("workloads")
        grid = app.view.main()
        await pilot.press("right", "down", "down")
        selected = grid.selected
        assert selected[0] == "process"
        for keys in (["greater_than_sign"], ["r"], ["comma"], ["u"], ["full_stop"]):
            await pilot.press(*keys)
            await pilot.pause()
            assert grid.selected == selected, keys
        await pilot.resize_terminal(70, 20)
        await pilot.pause()
        assert grid.selected == selected
        await pilot.resize_terminal(160, 50)
        comm = app.view._tree.processes.value(selected[1], "pid")
        await filtered(pilot, f"pid == {comm}")
        assert grid.selected == selected
        await pilot.press("escape")
        await pilot.pause()
        assert grid.selected == selected
        await pilot.press("4")
        await until(pilot, lambda: app.view.NAME == "contents")
        await pilot.press("2")
        await until(pilot, lambda: app.view.NAME == "workloads")
        assert grid.selected == selected

    flow(act, demo)


def test_marks_stay_and_can_be_all_that_is_listed(demo):
    async def act(pilot) -> None:
        app = pilot.app
        await app.go("workloads")
        grid = app.view.main()
        await pilot.press("space", "space")
        marked = grid.marks
        assert len(marked) == 2
        assert app.session.marks == marked
        await pilot.press("comma", "greater_than_sign", "M")
        assert set(grid.visible_rows()) == marked
        await pilot.press("M")
        assert len(grid.visible_rows()) == 3
        # They can be toggled together in the draft.
        await pilot.press("6")
        await until(pilot, lambda: app.view.NAME == "what_if")
        await pilot.press("O")
        assert set(app.view.draft.workloads) == {which for _, which in marked}
        await pilot.press("2")
        await until(pilot, lambda: app.view.NAME == "workloads")
        await pilot.press("ctrl+a")
        assert not grid.marks
        await pilot.press("ctrl+a")
        assert len(grid.marks) == 3

    flow(act, demo)


def test_processes_are_grouped_otherwise_with_the_same_sums(demo):
    async def act(pilot) -> None:
        app = pilot.app
        await app.go("workloads")
        grid = app.view.main()
        processes = demo.result.processes
        whole = int(
            (processes["pages_saved_zero"] + processes["pages_saved_nonzero"]).sum()
        )
        groupings = []
        for _ in range(7):
            table = app.view._tree.groups
            assert sum(table.column("pages_saved")) == whole
            groupings.append(str(grid.border_title).split(" ")[0])
            await pilot.press("m")
            await pilot.pause()
        assert groupings == [
            "workload", "user", "unit", "container", "pod", "vm", "comm",
        ]  # fmt: skip
        assert str(grid.border_title).startswith("workload")

    flow(act, demo)


def test_units_are_those_of_the_settings_and_go_round(demo):
    async def act(pilot) -> None:
        app = pilot.app
        for unit in (Unit.PAGES, Unit.SHARE, Unit.BYTES):
            await pilot.press("u")
            assert app.session.unit is unit
            assert any(str(unit) in line for line in told(app))

    flow(act, demo)
