"""No dead keys: each does something in its place, or says why not."""

import asyncio
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

import pytest
from builders import Proc, trace_file
from flights import flown, seen, until
from textual.binding import Binding

from tui import keys
from tui.keys import all_keys
from tui.views.findings import Findings
from tui.views.offers import Offers
from tui.views.process import Process
from tui.widgets.dials import Dials
from tui.widgets.grid import Grid
from tui.widgets.heat_map import HeatMap
from tui.widgets.page_map import PageMap

ELSEWHERE = {"jobs.part", "jobs.give_up", "app.suspend", "app.quit"}
"""While a replay is awaited: tests/tui/test_jobs.py; on a real terminal only; and the
last key of all."""


def bindings() -> dict[str, tuple[type, Binding]]:
    """Id → the class that has it, and the binding."""
    found: dict[str, tuple[type, Binding]] = {}
    for module, name in keys._CLASSES:
        made = getattr(import_module(module), name)
        for binding in made.__dict__["BINDINGS"]:
            if binding.id is not None and binding.description:
                found.setdefault(binding.id, (made, binding))
    return found


def test_every_key_that_is_listed_has_an_action():
    found = bindings()
    assert set(found) == {key.id for key in all_keys()}
    for made, binding in found.values():
        action = binding.action.removeprefix("app.").partition("(")[0]
        owners = [made, import_module("tui.app").KsmApp]
        assert any(hasattr(owner, f"action_{action}") for owner in owners), binding


async def view(pilot: Any, name: str) -> Any:
    if name != pilot.app.view.NAME:
        await pilot.app.go(name)
    return pilot.app.view


async def focused(widget: Any) -> None:
    widget.focus()


async def grid(pilot: Any) -> None:
    made = (await view(pilot, "workloads")).main()
    made._rows.unfolded.clear()
    made._rows.only_marked = False
    made.sort_by("pages_saved", True)
    made.select(("group", "web.service"))
    await focused(made)


async def drilled(pilot: Any) -> Any:
    pilot.app.open_process(0)
    await until(pilot, lambda: isinstance(pilot.app.screen, Process))
    return pilot.app.screen


async def heat(pilot: Any) -> None:
    made = (await view(pilot, "sharing")).query_one(HeatMap)
    made.select(1, 1)
    await focused(made)


async def pages(pilot: Any) -> None:
    screen = await drilled(pilot)
    made = screen.query_one(Grid)
    await until(pilot, lambda: made.selected is not None)
    table = made._rows.source.table
    made.select(max(made.visible_rows(), key=lambda key: table.value(key, "pages")))
    await pilot.pause(0.1)
    await focused(screen.query_one(PageMap))
    await pilot.press("right", "right", "down")


async def dials(pilot: Any) -> None:
    made = (await view(pilot, "what_if")).query_one(Dials)
    made.select("sleep_millisecs")
    await focused(made)


async def findings(pilot: Any) -> None:
    await focused((await view(pilot, "overview")).query_one(Findings))


async def offers(pilot: Any) -> None:
    await focused((await view(pilot, "what_if")).query_one(Offers))


async def variants(pilot: Any) -> None:
    made = (await view(pilot, "what_if")).query_one("#wi-variants", Grid)
    await focused(made)


def at(name: str) -> Callable[[Any], Awaitable[Any]]:
    async def go(pilot: Any) -> None:
        await view(pilot, name)

    return go


PLACES: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "view": at("time"),
    "view.time": at("overview"),
    "view.next_pane": at("overview"),
    "view.previous_pane": at("overview"),
    "view.detail": grid,
    "view.group": grid,
    "find": grid,
    "time": at("overview"),
    "jobs": at("overview"),
    "app": grid,
    "grid": grid,
    "chart": at("time"),
    "findings": findings,
    "heat": heat,
    "sharing": heat,
    "dials": dials,
    "what_if": variants,
    "what_if.toggle": offers,
    "compare": at("compare"),
    "contents": at("contents"),
    "process": drilled,
    "pages": pages,
}
"""Group or id → where its keys are pressed."""

BEFORE: dict[str, list[str]] = {
    "find.back": ["slash", "w", "enter"],
    "time.on": ["left_curly_bracket"],
    "time.on_ten": ["left_curly_bracket"],
    "time.replay": ["comma"],
    "chart.right": ["left"],
    "grid.up": ["down"],
    "grid.page_up": ["end"],
    "grid.home": ["end"],
    "grid.fold": ["right"],
    "grid.next_match": ["slash", *"queue", "enter", "escape", "home"],
    "grid.last_match": ["slash", *"queue", "enter", "escape", "home"],
    "grid.only_marked": ["space"],
    "findings.up": ["down"],
    "dials.reset": ["right"],
    "what_if.a": ["end"],
    "what_if.b": ["home"],
    "heat.wider": ["minus", "minus"],
    "heat.narrower": ["plus"],
    "process.before": ["right_square_bracket"],
}


def state(app: Any) -> Any:
    """All that a person can see, and what is behind it."""
    lines = [list(strip) for strip in app.screen._compositor.render_strips()]
    session = app.session
    return (
        lines,
        app.screen,
        app.screen.focused,
        app.theme,
        len(app._notifications),
        session.a,
        session.b,
        session.at,
        session.unit,
        tuple(session.bookmarks),
    )


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    folder = tmp_path_factory.mktemp("other")
    path = trace_file(folder / "b.parquet", Proc("AABZ"), Proc("AB", pid=2))
    return flown(path, folder)


def test_every_key_does_something_in_its_place(demo, other, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    dead = []

    async def run() -> None:
        async with seen(demo, other, size=(120, 36)) as pilot:
            app = pilot.app
            a, b = app.session.variants
            for id_, (_, binding) in bindings().items():
                if id_ in ELSEWHERE:
                    continue
                # Whatever else is bound to it does the same.
                key = binding.key.split(",")[0]
                await anew(pilot, a, b)
                if id_ == "contents.all":
                    a.part, a.part_title = b.found, "some"
                await place_of(id_)(pilot)
                await pilot.press(*BEFORE.get(id_, []))
                await pilot.pause()
                before = state(app)
                await pilot.press(key)
                await until(pilot, lambda: not app.tasks.all())
                for _ in range(5):
                    if state(app) != before:
                        break
                    await pilot.pause(0.05)
                else:
                    dead.append((id_, key))
            await anew(pilot, a, b)
            await pilot.press("q")
            await pilot.pause()
            assert app.return_value == 0

    asyncio.run(run())
    assert dead == [], str(dead)


def place_of(id_: str) -> Callable[[Any], Awaitable[Any]]:
    return PLACES.get(id_) or PLACES[id_.partition(".")[0]]


async def anew(pilot: Any, a: Any, b: Any) -> None:
    """As it was opened, but for what panes remember."""
    app = pilot.app
    while len(app.screen_stack) > 1:
        app.pop_screen()
        await pilot.pause()
    if app.view is None:
        await until(pilot, lambda: app.view is not None)
        a, b = app.session.variants
    if app.screen.maximized is not None:
        app.screen.minimize()
    if app._playing:
        app.action_play()
    app.action_clear()
    a.part = None
    a.at_pass.clear()
    app.session.a, app.session.b = a, b
    app.session.bookmarks.clear()
    app.session.go_to(99)
    app.changed()
    app.clear_notifications()
