"""What is shown where there is nothing, not all, or not any more of it."""

import asyncio
import shutil

import pytest
from builders import Proc, trace_file
from flights import Flight, flown, screen_text, seen, told, until

from tui.app import KsmApp
from tui.variant import Progress, Settings
from tui.views.opening import Opening
from tui.widgets.top_bar import TopBar


def flow(act, *what, **options):
    async def run() -> None:
        async with seen(*what, **options) as pilot:
            await act(pilot)

    asyncio.run(run())


@pytest.fixture(autouse=True)
def nobodys_log(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    path = trace_file(
        folder / "small.parquet",
        Proc("AABZ", pid=1, workload="web", mergeable=False),
        Proc("AACZ", pid=2, workload="db", mergeable=False),
    )
    return flown(path, folder)


def test_nothing_offered_says_why_and_what_to_try(small, tmp_path):
    none = flown(small.trace, tmp_path, policy="captured")

    async def act(pilot) -> None:
        app = pilot.app
        text = screen_text(app)
        assert "2 processes with 8 pages were captured, none is offered" in text
        assert "What-if" in text
        # No view is an empty pane.
        for name in ("workloads", "sharing", "contents", "time", "what_if", "compare"):
            await app.go(name)
            await pilot.pause()
        assert app.view.NAME == "compare"
        # What it would save is an F5 away.
        await app.go("what_if")
        view = app.view
        view.draft.turn("policy", "all")
        await pilot.press("f5")
        await until(pilot, lambda: not app.tasks.all())
        assert sum(app.session.variants[-1].result.savings[:2]) == 4

    flow(act, none)


@pytest.mark.parametrize("content", [b"PAR1garbagePAR1"])
def test_a_file_that_is_none_is_told_with_what_to_do(tmp_path, content):
    path = tmp_path / "[red]bad.parquet"
    path.write_bytes(content)

    async def act(pilot) -> None:
        app = pilot.app
        text = screen_text(app)
        assert "This cannot be shown" in text
        assert "[red]bad.parquet" in text
        assert "R tries again" in text
        # Every key is harmless where there is nothing.
        keys = "1234567,.{}gpbxwueyYzt/JB"
        names = {",": "comma", ".": "full_stop", "{": "left_curly_bracket"}
        names |= {"}": "right_curly_bracket", "/": "slash"}
        for key in keys:
            await pilot.press(names.get(key, key))
            await pilot.press("escape")
        await pilot.press("f5", "ctrl+x", "enter")
        assert app.error is not None
        # Mended, it is opened.
        path.unlink()
        trace_file(path, Proc("AABZ"))
        await pilot.press("R")
        await until(pilot, lambda: app.view is not None)
        assert app.error is None

    async def run() -> None:
        async with seen(path, wait=False) as pilot:
            await until(pilot, lambda: pilot.app.error is not None)
            await act(pilot)

    asyncio.run(run())


def test_a_damaged_trace_is_refused_with_its_log(tmp_path):
    path = trace_file(tmp_path / "trace.parquet", Proc(range(1, 3000)))
    data = bytearray(path.read_bytes())
    data[1000:9000] = bytes(8000)
    path.write_bytes(data)

    async def run() -> None:
        async with seen(path, wait=False) as pilot:
            app = pilot.app
            await until(pilot, lambda: app.error is not None)
            await pilot.pause()
            text = screen_text(app)
            assert "This cannot be shown" in text
            assert "Traceback" not in text
            assert isinstance(app.body.visible_content, Opening)

    asyncio.run(run())


def test_a_changed_file_is_told_and_read_again(small, tmp_path):
    path = tmp_path / "trace.parquet"
    shutil.copy(small.trace, path)

    async def act(pilot) -> None:
        app = pilot.app
        await until(pilot, lambda: app.view is not None)
        assert app.session.result.trace.processes == 2
        trace_file(tmp_path / "new.parquet", Proc("AAB", workload="other"))
        (tmp_path / "new.parquet").replace(path)
        app._look_for_changes()
        top = app.query_one("#top", TopBar)
        assert top._heading.alarm == "changed: R reloads"
        await app.go("workloads")
        await pilot.press("R")
        await until(
            pilot,
            lambda: app.session.result and app.session.result.trace.processes == 1,
        )
        await until(pilot, lambda: app.view is not None)
        assert app.view.main().visible_rows() == [("group", "other")]
        assert top._heading.alarm == ""

    flow(act, path)


def test_a_saved_result_without_its_trace_says_what_cannot_be_done(demo, tmp_path):
    saved = tmp_path / "saved.parquet"
    shutil.copy(demo.saved, saved)

    async def act(pilot) -> None:
        app = pilot.app
        app.session.a.traces = ()
        await pilot.press("comma", "x")
        await pilot.pause()
        assert any("no pages to replay" in line for line in told(app))
        await app.go("what_if")
        await pilot.press("right", "f5")
        await pilot.pause()
        assert any("cannot be replayed" in line for line in told(app))
        assert len(app.session.variants) == 1
        app.open_process(0)
        await pilot.pause()
        assert "replay the trace to see them" in screen_text(app)
        # All figures are there.
        assert app.screen.rows().rows
        await pilot.press("escape")
        for name in ("overview", "workloads", "sharing", "contents", "time"):
            await app.go(name)
            await pilot.pause()

    flow(act, saved)


def test_a_result_without_detail_can_be_looked_at(small, tmp_path):
    from analyzer.replay import run

    saved = tmp_path / "plain.parquet"
    run([small.trace]).save(saved)

    async def act(pilot) -> None:
        app = pilot.app
        assert app.session.count == 1
        for name in ("workloads", "sharing", "contents", "time", "what_if", "compare"):
            await app.go(name)
            await pilot.pause()
        app.open_process(0)
        await pilot.pause()

    flow(act, saved)


def test_two_files_are_a_and_b(demo, small):
    async def act(pilot) -> None:
        app = pilot.app
        a, b = app.session.variants
        assert (app.session.a, app.session.b) == (a, b)
        await app.go("compare")
        await pilot.pause()
        text = screen_text(app)
        assert "(only in A)" in text
        assert "(only in B)" in text
        assert f"A {a.name} → B {b.name}" in text
        await pilot.press("w")
        await pilot.pause()
        assert (app.session.a, app.session.b) == (b, a)
        # The draft is of the other trace now, and none of its replays are.
        await app.go("what_if")
        await pilot.pause()
        assert app.session.variant_of(b.settings) is b
        # Any variant can be made either side.
        grid = app.view.query_one("#wi-variants")
        grid.focus()
        grid.select(a)
        await pilot.press("a")
        await pilot.pause()
        assert (app.session.a, app.session.b) == (a, b)
        grid.select(a)
        await pilot.press("b")
        await pilot.pause()
        assert (app.session.a, app.session.b) == (b, a)

    flow(act, demo, small)


def test_without_b_compare_says_how_to_get_one(demo):
    async def act(pilot) -> None:
        app = pilot.app
        await app.go("compare")
        await pilot.pause()
        assert "nothing to compare yet" in screen_text(app)
        await pilot.press("w")
        assert any("no B yet" in line for line in told(app))

    flow(act, demo)


def test_an_unknown_kernel_is_refused_at_the_start(small):
    app = KsmApp([small.trace], Settings(kernel="0.1"))

    async def run() -> None:
        async with seen(small.trace, settings=Settings(kernel="0.1")) as pilot:
            await pilot.pause()
            assert "0.1" in screen_text(pilot.app)
            assert pilot.app.session.a.progress is Progress.FAILED

    asyncio.run(run())
    app.clean_up()


def test_opened_with_other_settings_it_shows_their_replay(demo, tmp_path):
    assert isinstance(demo, Flight)
    trace = trace_file(tmp_path / "t.parquet", Proc("AABZ"), Proc("AAZ", pid=2))

    async def act(pilot) -> None:
        result = pilot.app.session.result
        assert result.policy == "none"
        assert sum(result.composition) == 0

    flow(act, trace, settings=Settings(policy="none"))
