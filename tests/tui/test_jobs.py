"""Replays in the background: the process, its messages, the queue, and what the
screen shows of them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from flights import Held, screen_text, seen, told, until

from tui.jobs import Job, Order
from tui.logbook import log_path
from tui.tasks import Task, Tasks
from tui.variant import Progress, Settings, Variant
from tui.views.opening import Opening
from tui.widgets.grid import Grid
from tui.widgets.top_bar import TopBar


@pytest.fixture(autouse=True)
def nobodys_log(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def heard(order: Order, act=None) -> list[dict]:
    """All that a job says; *act* is called with the job and each message."""

    async def run() -> list[dict]:
        job, said = Job(order), []
        async for message in job.messages():
            said.append(message)
            if act is not None:
                act(job, message)
        assert not job.running
        return said

    return asyncio.run(run())


def variant_of(demo, **settings) -> Variant:
    trace = demo.trace
    return Variant(
        name="v", settings=Settings(**settings), traces=(trace,), source=trace
    )


def task_of(demo, name="v", at=None, **order) -> Task:
    variant = variant_of(demo)
    variant.name = name
    made = Order(traces=(str(demo.trace),), folder="/nowhere", **order)
    return Task(variant=variant, order=made, at=at)


def test_a_job_tells_its_stages_and_where_its_files_are(demo, tmp_path):
    order = Order(traces=(str(demo.trace),), folder=str(tmp_path), passes=1)
    said = heard(order)
    stages = [message["stage"] for message in said if "stage" in message]
    assert list(dict.fromkeys(stages)) == [
        "start", "read", "number", "scan", "weigh", "write",
    ]  # fmt: skip
    assert Path(said[-1]["done"]).is_relative_to(tmp_path)
    assert Path(said[-1]["pages"]).is_file()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "Parquet"),
        (lambda path: path.write_bytes(b"PAR1" * 100), "Parquet"),
    ],
    ids=["missing", "truncated", "none"],
)
def test_a_capture_that_cannot_be_read_is_told_in_a_line(demo, tmp_path, spoil, says):
    path = tmp_path / "trace.parquet"
    path.write_bytes(demo.trace.read_bytes())
    spoil(path)
    # As the worker's own lines, without starting another process for each.
    from flights import Near

    async def run() -> list[dict]:
        job = Near(Order(traces=(str(path),), folder=str(tmp_path)))
        return [message async for message in job.messages()]

    said = asyncio.run(run())
    assert list(said[-1]) == ["error", "hint"]
    assert str(path) in said[-1]["error"]
    assert says in said[-1]["error"]
    assert "\n" not in said[-1]["error"]


def test_a_killed_process_is_told_as_such(demo, tmp_path):
    def kill(job: Job, message: dict) -> None:
        if message.get("stage") == "start":
            os.kill(job._process.pid, signal.SIGKILL)

    said = heard(Order(traces=(str(demo.trace),), folder=str(tmp_path)), kill)
    assert "killed by signal 9" in said[-1]["error"]
    assert "\n" not in said[-1]["error"]


def test_a_cancelled_process_says_nothing_more(demo, tmp_path):
    order = Order(traces=(str(demo.trace),), folder=str(tmp_path))
    said = heard(order, lambda job, _: job.cancel())
    assert not any("error" in message or "done" in message for message in said)


def test_a_job_cancelled_before_it_began_ends(demo, tmp_path):
    async def run() -> list[dict]:
        job = Job(Order(traces=(str(demo.trace),), folder=str(tmp_path)))
        job.cancel()
        async with asyncio.timeout(20):
            return [message async for message in job.messages()]

    assert asyncio.run(run()) == []


def test_the_process_ends_with_whoever_started_it(tmp_path):
    order = Order(traces=("/nowhere.parquet",), folder=str(tmp_path))
    line = json.dumps({n: getattr(order, n) for n in Order.__dataclass_fields__})
    done = subprocess.run(
        [sys.executable, "-m", "tui.worker"],
        input=f"{line}\n",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert "Traceback" not in done.stderr


def test_the_queue_is_first_come_first_served(demo):
    changed = []
    tasks = Tasks(changed.append, lambda *_: None)
    one, two = task_of(demo, "one"), task_of(demo, "two")
    tasks.add(one)
    tasks.add(two)
    # The same again is not asked for twice.
    tasks.add(Task(variant=one.variant, order=one.order))
    assert tasks.all() == [one, two]
    tasks.cancel(two)
    assert tasks.all() == [one]
    assert two.variant.progress is Progress.CANCELLED
    assert changed[-1] is two


def test_replays_are_listed_cancelled_and_begun_again(demo):
    async def run() -> None:
        async with seen(demo, job=Held) as pilot:
            app = pilot.app
            await pilot.press("J")
            await pilot.pause()
            assert any("no replay runs or waits" in line for line in told(app))
            await pilot.press("ctrl+x")
            assert any("no replay runs" in line for line in told(app))
            await app.go("what_if")
            grid = app.view.query_one("#wi-variants", Grid)
            await pilot.press("right", "f5")
            await pilot.press("right", "f5")
            _, first, second = app.session.variants
            await until(pilot, lambda: first.scans)
            assert first.progress is Progress.RUNNING
            assert second.progress is Progress.QUEUED
            assert "2 to be done" in str(grid.border_subtitle)
            assert first.name in app.query_one("#top", TopBar)._heading.job
            # Another draft does not disturb what runs.
            await pilot.press("right")
            assert first.progress is Progress.RUNNING
            await pilot.press("J")
            await pilot.pause()
            text = screen_text(app)
            assert "waits" in text
            assert "pages_to_scan 200" in text
            await pilot.press("down", "enter")
            await until(pilot, lambda: second.progress is Progress.CANCELLED)
            assert first.progress is Progress.RUNNING
            await pilot.press("ctrl+x")
            await until(pilot, lambda: first.progress is Progress.CANCELLED)
            assert not app.tasks.all()
            # What was given up can be asked for again.
            await pilot.press("left", "left", "f5")
            again = app.session.variants[-1]
            assert again is not first
            assert again.settings == first.settings
            await until(pilot, lambda: app.tasks.current and again.scans)
            app.tasks.current.job.let_go.set()
            await until(pilot, lambda: again.progress is Progress.DONE)

    asyncio.run(run())


@pytest.mark.parametrize("key", ["enter", "b"])
def test_a_stays_a_until_b_has_a_result(demo, key):
    """Or there would be nothing left to look at."""

    async def run() -> None:
        async with seen(demo, job=Held) as pilot:
            app = pilot.app
            await app.go("what_if")
            grid = app.view.query_one("#wi-variants", Grid)
            a = app.session.a

            async def make_a_the_other() -> None:
                grid.focus()
                grid.select(a)
                await pilot.press(key)
                await pilot.pause()

            await make_a_the_other()
            assert (app.session.a, app.session.b) == (a, None)
            await app.go("what_if")
            app.view.main().focus()
            await pilot.press("right", "f5")
            b = app.session.b
            await until(pilot, lambda: b.scans)
            await make_a_the_other()
            assert (app.session.a, app.session.b) == (a, b)
            assert any("B has no result yet" in line for line in told(app))
            app.tasks.current.job.let_go.set()
            await until(pilot, lambda: b.progress is Progress.DONE)
            await make_a_the_other()
            assert (app.session.a, app.session.b) == (b, a)

    asyncio.run(run())


def test_a_failed_replay_is_told_in_its_row_and_the_log(demo):
    async def run() -> None:
        async with seen(demo) as pilot:
            app = pilot.app
            await app.go("what_if")
            variant = app.add_variant("old", Settings(kernel="0.99"))
            await until(pilot, lambda: variant.progress is Progress.FAILED)
            grid = app.view.query_one("#wi-variants", Grid)
            assert f"old: {variant.error}" in grid.row_texts(variant)[0]
            assert "0.99" in log_path().read_text()
            assert any(variant.error in line for line in told(app))
            app.clear_notifications()
            grid.focus()
            grid.select(variant)
            await pilot.press("enter")
            await pilot.pause()
            assert any(variant.error in line for line in told(app))
            # All else goes on.
            await pilot.press("a")
            await pilot.pause()
            assert app.session.a is not variant
            await pilot.press("1")
            await until(pilot, lambda: app.view.NAME == "overview")

    asyncio.run(run())


def test_a_pass_that_cannot_be_replayed_is_told(demo, tmp_path):
    async def run() -> None:
        async with seen(demo) as pilot:
            app = pilot.app
            gone = tmp_path / "gone.parquet"
            app.session.a.traces = (gone,)
            await pilot.press("comma", "x")
            await until(
                pilot, lambda: any("gone.parquet" in line for line in told(app))
            )
            assert app.session.a.progress is Progress.DONE
            assert app.session.detail_is_of_the_end

    asyncio.run(run())


def test_what_is_there_can_be_looked_at_while_the_rest_is_replayed(demo):
    async def run() -> None:
        async with seen(demo.trace, job=Held, wait=False) as pilot:
            app = pilot.app
            await until(pilot, lambda: app.tasks.current and app.session.a.scans)
            opening = app.body.visible_content
            assert isinstance(opening, Opening)
            text = screen_text(app)
            assert "replay ksmd" in text
            assert "looks at the passes that are done" in text
            await pilot.press("enter")
            app.tasks.current.job.let_go.set()
            await until(pilot, lambda: app.view is not None)
            assert app.session.a.partial
            # What is seen is of the passes until now, and every screen says so.
            assert app.query_one("#top", TopBar)._heading.alarm == "partial: 1 passes"
            assert app.session.count == 1
            for key in "234567":
                await pilot.press(key)
                await pilot.pause()
            app.tasks.current.job.let_go.set()
            await until(pilot, lambda: not app.tasks.all())
            assert app.session.at_end
            assert app.session.count == 4
            assert app.query_one("#top", TopBar)._heading.alarm == ""
            assert app.session.a.progress is Progress.DONE
            assert not app.session.a.partial

    asyncio.run(run())


def test_a_replay_given_up_at_the_start_can_be_begun_again(demo):
    async def run() -> None:
        async with seen(demo.trace, job=Held, wait=False) as pilot:
            app = pilot.app
            await until(pilot, lambda: app.tasks.current and app.session.a.scans)
            await pilot.press("escape")
            await until(pilot, lambda: not app.tasks.all())
            await pilot.pause()
            assert "R begins again" in screen_text(app)
            await pilot.press("R")
            await until(pilot, lambda: app.tasks.current and app.session.a.scans)
            assert "R begins again" not in screen_text(app)
            app.tasks.current.job.let_go.set()
            await until(pilot, lambda: app.view is not None)

    asyncio.run(run())
