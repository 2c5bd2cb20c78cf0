"""A process lies over the views: what keys of the app do there."""

import asyncio
from collections.abc import Awaitable, Callable

from flights import Flight, seen
from textual.pilot import Pilot

from tui.app import KsmApp
from tui.views.process import Process


def in_a_process(
    demo: Flight, then: Callable[[KsmApp, Pilot[int]], Awaitable[None]]
) -> None:
    async def run() -> None:
        async with seen(demo, size=(120, 40)) as pilot, asyncio.timeout(60):
            app = pilot.app
            await press(app, pilot, "2 right down enter")
            assert isinstance(app.screen, Process)
            await then(app, pilot)

    asyncio.run(run())


async def press(app: KsmApp, pilot: Pilot[int], keys: str) -> None:
    for key in keys.split():
        await pilot.press(key)
        await pilot.pause(0.1)
        while app.tasks.all():
            await pilot.pause(0.02)


def test_its_mappings_are_copied_and_exported(demo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    async def then(app, pilot):
        mappings = app.screen.rows()
        await press(app, pilot, "Y e enter")
        copied = (tmp_path / "ksm-analyze" / "clip.txt").read_text().splitlines()
        assert len(copied) == 1 + len(mappings.rows)
        exported = (tmp_path / "process.csv").read_text().splitlines()
        assert exported[0].startswith("mapping,process")
        assert len(exported) == 1 + len(mappings.rows)

    in_a_process(demo, then)


def test_a_view_is_gone_to_and_seen(demo):
    async def then(app, pilot):
        await press(app, pilot, "slash")
        assert isinstance(app.screen, Process), "a process is not filtered"
        await press(app, pilot, "3")
        assert not isinstance(app.screen, Process)
        assert app.view.NAME == "sharing"

    in_a_process(demo, then)


def test_what_some_pages_hold_is_replayed_and_left_again(demo):
    async def then(app, pilot):
        await press(app, pilot, "tab enter")
        assert app.view.NAME == "contents"
        assert app.session.a.part is not None
        some = len(app.view.rows().rows)
        await press(app, pilot, "backspace")
        assert app.session.a.part is None
        assert len(app.view.rows().rows) > some

    in_a_process(demo, then)
