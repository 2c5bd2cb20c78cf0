"""The screen of a live host, over made-up folders of /sys and /proc."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from builders import Proc, trace_file
from live_host import COUNTERS, LiveHost, live_host
from results import result
from textual.binding import Binding
from textual.pilot import Pilot

from analyzer.counters import KsmCounters
from analyzer.knobs import KsmKnobs
from analyzer.live.prediction import Figures, Prediction
from traces.errors import InputError
from tui.jobs import Order
from tui.live import forecast
from tui.live.app import INTERVALS, LiveApp
from tui.variant import Settings
from tui.widgets.grid import Grid

SIZES = [(80, 24), (120, 40)]
NEVER = 3600.0
"""Seconds: the test says when the next look is taken."""


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LiveHost:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = live_host(tmp_path, monkeypatch)
    made.process(11, "web", merging=50, items=60, zero=2, profit=9, offered=True)
    made.process(12, "db [red]\x1b[31m", merging=90, items=95, offered=True)
    made.process(13, "idle", offered=True)
    return made


@asynccontextmanager
async def shown(
    app: LiveApp, size: tuple[int, int] = (120, 40), beside: Prediction | None = None
) -> AsyncIterator[Pilot[int]]:
    """*app* after its first look, with a prediction *beside* it."""
    async with app.run_test(size=size) as pilot:
        while app.history.last is None:
            await pilot.pause(0.01)
        if beside is not None:
            app.predict(beside)
        await pilot.pause()
        yield pilot


async def look(app: LiveApp, pilot: Pilot[int]) -> None:
    """Take another sample now."""
    before = len(app.history.samples)
    app.look_now()
    while len(app.history.samples) == before:
        await pilot.pause(0.01)
    await pilot.pause()


def text(app: LiveApp) -> list[str]:
    """The lines of the screen."""
    width, height = app.size
    lines = app.screen._compositor.render_strips()
    assert len(lines) == height
    found = ["".join(segment.text for segment in line) for line in lines]
    assert all(len(line) <= width for line in found)
    return found


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def foretold(elsewhere: str | None = None, settled: bool = True) -> Prediction:
    return Prediction(
        path="a.parquet",
        captured_at="2026-01-01T00:00:00+00:00",
        policy="captured",
        profile="6.18",
        knobs=KsmKnobs(),
        full_scans=4,
        settled=settled,
        counters=KsmCounters(**COUNTERS | {"rmap_items": 9, "pages_sharing": 360}),
        limits=["one snapshot"],
        elsewhere=elsewhere,
        processes={} if elsewhere else {(11, "web"): Figures(100, 0, 0, 0)},
        born_until=None,
        groups={("web", "web"): Figures(100, 0, 0, 0)},
    )


@pytest.mark.parametrize("size", SIZES)
def test_the_screen_tells_what_the_files_say(size: tuple[int, int]) -> None:
    async def test() -> None:
        app = LiveApp(interval=NEVER)
        async with shown(app, size):
            screen = "\n".join(text(app))
            assert "run 1: ksmd runs" in screen
            assert "3 processes known to ksmd" in screen
            # Most merging first; names are neither markup nor escapes.
            assert [key[0] for key in app.grid.visible_rows()] == [12, 11, 13]
            assert "db [red]\\x1b[31m" in screen
            assert "360 KiB" in screen

    run(test)


def test_figures_move_and_rows_stay_themselves(host: LiveHost) -> None:
    async def test() -> None:
        app = LiveApp(interval=NEVER)
        async with shown(app) as pilot:
            await pilot.press("down")
            assert app.grid.selected == (11, 5)
            host.process(11, "web", merging=200, items=250, offered=True)
            host.set(pages_sharing=190)
            await look(app, pilot)
            # It is the first row now, and still the one under the cursor.
            assert app.grid.visible_rows()[0] == (11, 5)
            assert app.grid.selected == (11, 5)
            assert "+600 KiB" in "\n".join(text(app))
            # The same number later is another process.
            host.process(11, "web", merging=1, items=2, offered=True, born=6)
            await look(app, pilot)
            assert (11, 5) not in app.grid.visible_rows()
            host.gone(11)
            await look(app, pilot)
            assert [key[0] for key in app.grid.visible_rows()] == [12, 13]

    run(test)


def test_the_cursor_at_the_top_stays_there(host: LiveHost) -> None:
    async def test() -> None:
        app = LiveApp(interval=NEVER)
        async with shown(app) as pilot:
            assert app.grid.selected == (12, 5)
            host.process(11, "web", merging=200, items=250, offered=True)
            await look(app, pilot)
            assert app.grid.selected == (11, 5)

    run(test)


@pytest.mark.parametrize("size", SIZES)
def test_a_prediction_is_labelled_and_dated(size: tuple[int, int]) -> None:
    async def test() -> None:
        app = LiveApp(interval=NEVER)
        async with shown(app, size, beside=foretold()) as pilot:
            screen = "\n".join(text(app))
            assert "predicted from a capture of 2026-01-01" in screen
            assert "400 KiB" in screen
            assert "50.0%" in screen
            # use_zero_pages is 1 here.
            await pilot.press("i")
            await pilot.pause()
            assert "use_zero_pages is 1 here, 0 in the prediction" in said(app)

    run(test)


def said(app: LiveApp) -> str:
    """What was last told beside the screen."""
    return list(app._notifications)[-1].message


def test_a_prediction_of_elsewhere_is_shown_for_groups() -> None:
    async def test() -> None:
        app = LiveApp(interval=NEVER)
        async with shown(app) as pilot:
            app.predict(foretold("captured on prod", settled=False))
            await pilot.pause()
            screen = "\n".join(text(app))
            assert "captured on prod" in screen
            assert "predicted" in screen
            assert ("web", "web") in app.grid.visible_rows()
            await pilot.press("i")
            await pilot.pause()
            assert "processes are compared by workload and name" in said(app)
            assert "before nothing could merge any more" in said(app)

    run(test)


class Replay:
    """A job that ends as a test says."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages_to_come = messages
        self.orders: list[Order] = []

    def __call__(self, order: Order) -> "Replay":
        self.orders.append(order)
        return self

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        for message in self.messages_to_come:
            yield message

    async def end(self) -> None:
        """Nothing goes on."""


async def foretelling(app: LiveApp, pilot: Pilot[int]) -> None:
    """Wait until the file that was named has been dealt with."""
    while app.foretelling:
        await pilot.pause(0.01)
    await pilot.pause()


def test_a_saved_result_is_its_prediction(tmp_path: Path) -> None:
    result().save(tmp_path / "saved.parquet")

    async def test() -> None:
        app = LiveApp(tmp_path / "saved.parquet", interval=NEVER)
        async with shown(app) as pilot:
            await foretelling(app, pilot)
            assert "predicted from a capture of 2026-01-01" in text(app)[1]

    run(test)


def test_a_trace_is_replayed_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = trace_file(tmp_path / "a.parquet", Proc("AAB"))
    result().save(tmp_path / "written.parquet")
    replay = Replay({"stage": "scan"}, {"done": str(tmp_path / "written.parquet")})
    monkeypatch.setattr(forecast, "Job", replay)
    settings = Settings(KsmKnobs(pages_to_scan=777), "captured", "6.12", 3)

    async def test() -> None:
        app = LiveApp(trace, settings, interval=NEVER)
        async with shown(app) as pilot:
            await foretelling(app, pilot)
            assert "predicted from a capture of" in text(app)[1]

    run(test)
    (order,) = replay.orders
    assert order.traces == (str(trace),)
    assert order.knobs["pages_to_scan"] == 777
    assert (order.policy, order.kernel, order.passes) == ("captured", "6.12", 3)


@pytest.mark.parametrize(
    ("messages", "reason"),
    [(({"error": "out of memory"},), "out of memory"), ((), "given up")],
)
def test_a_replay_that_fails_leaves_the_live_figures(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    messages: tuple[dict[str, Any], ...],
    reason: str,
) -> None:
    trace = trace_file(tmp_path / "a.parquet", Proc("AAB"))
    monkeypatch.setattr(forecast, "Job", Replay(*messages))

    async def test() -> None:
        app = LiveApp(trace, interval=NEVER)
        async with shown(app) as pilot:
            await foretelling(app, pilot)
            assert f"no prediction: {reason}" in text(app)[1].replace(
                "the replay was ", ""
            )
            assert "360 KiB" in "\n".join(text(app))

    run(test)


def test_a_file_that_is_neither_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("PAR1")

    async def test() -> None:
        app = LiveApp(tmp_path / "a.parquet", interval=NEVER)
        async with shown(app) as pilot:
            await foretelling(app, pilot)
            assert "no prediction" in text(app)[1]

    run(test)


def test_what_cannot_be_seen_is_told(host: LiveHost) -> None:
    async def test() -> None:
        (host.ksm / "pages_skipped").unlink()
        app = LiveApp(interval=NEVER)
        async with shown(app) as pilot:
            assert "i: 1 limit" in "\n".join(text(app))
            await pilot.press("i")
            await pilot.pause()
            assert said(app) == "this kernel does not tell pages_skipped"

    run(test)


def test_enter_tells_the_exact_figures_or_unfolds() -> None:
    async def test() -> None:
        app = LiveApp(interval=NEVER)
        async with shown(app) as pilot:
            await pilot.press("enter")
            await pilot.pause()
            assert "ksm_merging_pages 90\n" in said(app)
            app.predict(foretold("captured on prod"))
            await pilot.pause()
            assert app.grid.select(("web", "web"))
            await pilot.press("enter")
            assert (11, 5) in app.grid.visible_rows()

    run(test)


def test_filter_by_text() -> None:
    async def test() -> None:
        app = LiveApp(interval=NEVER)
        async with shown(app) as pilot:
            await pilot.press("slash", *"web")
            await pilot.pause()
            assert [key[0] for key in app.grid.visible_rows()] == [11]
            assert "1 process" in "\n".join(text(app))
            await pilot.press("x")
            await pilot.pause()
            assert "esc clears" in "\n".join(text(app))
            await pilot.press("backspace", "escape")
            await pilot.pause()
            assert len(app.grid.visible_rows()) == 3
            assert app.focused is app.grid
            # What the filter found can still be gone to.
            await pilot.press("home", "n")
            assert app.grid.selected == (11, 5)

    run(test)


def test_a_filter_can_be_there_from_the_start() -> None:
    async def test() -> None:
        app = LiveApp(interval=NEVER, where="web")
        async with shown(app):
            assert [key[0] for key in app.grid.visible_rows()] == [11]

    run(test)


def test_sorting() -> None:
    async def test() -> None:
        app = LiveApp(interval=NEVER)
        async with shown(app) as pilot:
            await pilot.press("r")
            assert [key[0] for key in app.grid.visible_rows()] == [13, 11, 12]
            # Two columns back is the pid.
            await pilot.press("less_than_sign", "less_than_sign")
            assert app.grid.sorting == ("pid", True)

    run(test)


def test_columns_can_be_chosen() -> None:
    async def test() -> None:
        app = LiveApp(interval=NEVER)
        async with shown(app) as pilot:
            # The first in the list is the pid.
            await pilot.press("c", "space", "escape")
            await pilot.pause()
            assert "pid" not in app.grid.shown_columns()
            assert "ksm_merging_pages" in app.grid.shown_columns()

    run(test)


def test_pause_stops_looking_and_goes_on() -> None:
    async def test() -> None:
        app = LiveApp(interval=0.05)
        async with shown(app) as pilot:
            await pilot.press("p")
            assert "paused" in "\n".join(text(app))
            await pilot.pause(0.2)
            count = len(app.history.samples)
            await pilot.pause(0.3)
            assert len(app.history.samples) == count
            await pilot.press("p")
            await pilot.pause(0.3)
            assert len(app.history.samples) > count

    run(test)


def test_the_interval_is_changed_and_told() -> None:
    async def test() -> None:
        app = LiveApp(interval=1.0)
        async with shown(app) as pilot:
            await pilot.press("plus")
            assert "every 2 s" in text(app)[0]
            await pilot.press("minus", "minus")
            assert "every 0.5 s" in text(app)[0]
            for _ in INTERVALS:
                await pilot.press("minus")
            assert f"every {INTERVALS[0]:g} s" in text(app)[0]

    run(test)


def test_units() -> None:
    async def test() -> None:
        app = LiveApp(interval=NEVER)
        async with shown(app) as pilot:
            await pilot.press("u")
            await pilot.pause()
            assert app.grid.row_texts((12, 5))[3] == "90"

    run(test)


def test_copy_and_export(tmp_path: Path) -> None:
    async def test() -> None:
        app = LiveApp(interval=NEVER)
        async with shown(app, beside=foretold()) as pilot:
            await pilot.press("y")
            await pilot.pause()
            assert app.clipboard.startswith("db [red]")
            await look(app, pilot)
            for name, wanted in (("a.csv", 3), ("a.json", None)):
                app._export(str(tmp_path / name))
                written = (tmp_path / name).read_text()
                if wanted:
                    assert len(written.splitlines()) == wanted
            document = json.loads((tmp_path / "a.json").read_text())
            assert len(document["samples"]) == 2
            assert document["samples"][0]["pages_sharing"] == 90
            assert document["prediction"]["captured_at"].startswith("2026-01-01")
            app._export(str(tmp_path / "a.xls"))
            await pilot.pause()
            assert ".csv or .json" in said(app)
            app._export(str(tmp_path / "nowhere" / "a.csv"))
            await pilot.pause()
            assert "No such file" in said(app)
            await pilot.press("e")
            await pilot.pause()
            assert len(app.screen_stack) == 2

    run(test)


def test_in_ascii_no_cell_is_anything_else() -> None:
    async def test() -> None:
        app = LiveApp(interval=NEVER, plain=True)
        for size in SIZES:
            async with shown(app, size) as pilot:
                assert "\n".join(text(app)).isascii()
                for key in ("c", "question_mark"):
                    await pilot.press(key)
                    await pilot.pause()
                    assert "\n".join(text(app)).isascii()
                    await pilot.press("escape")
            app = LiveApp(interval=NEVER, plain=True)

    run(test)


def test_columns_that_are_chosen_have_a_mark() -> None:
    async def test() -> None:
        app = LiveApp(interval=NEVER)
        async with shown(app) as pilot:
            await pilot.press("c")
            await pilot.pause()
            before = sum(line.count("[x]") for line in text(app))
            await pilot.press("space")
            await pilot.pause()
            lines = text(app)
            assert sum(line.count("[x]") for line in lines) == before - 1
            assert any("[ ]" in line for line in lines)

    run(test)


def test_every_key_of_the_help_is_bound() -> None:
    async def test() -> None:
        app = LiveApp(interval=NEVER)
        async with shown(app) as pilot:
            await pilot.press("question_mark")
            await pilot.pause()
            helped = "\n".join(text(app))
            for words in (
                "Look more often",
                "Pause, and go on",
                "List marked rows only",
            ):
                assert words in helped
            # What the other app has, this one has not.
            assert "Bookmark" not in helped
            # Looking goes on behind it.
            await look(app, pilot)
            assert len(app.screen_stack) == 2
            await pilot.press("escape")
            await pilot.press("t")
            assert app.theme == "ksm-light"
            await pilot.press("q")
        assert app.return_value == 0

    run(test)


def test_ksm_that_goes_away_is_told_and_looked_for(host: LiveHost) -> None:
    async def test() -> None:
        app = LiveApp(interval=0.05)
        async with shown(app) as pilot:
            (host.ksm / "run").unlink()
            while "cannot read" not in text(app)[0]:
                await pilot.pause(0.02)
            host.set(run=2)
            while "all is un-merged" not in "\n".join(text(app)):
                await pilot.pause(0.02)
            assert "cannot read" not in text(app)[0]

    run(test)


@pytest.mark.parametrize("size", [(40, 12), (60, 18), (200, 60)])
def test_no_terminal_is_refused(size: tuple[int, int]) -> None:
    async def test() -> None:
        app = LiveApp(interval=NEVER)
        async with shown(app, size, beside=foretold()):
            screen = text(app)
            # The main table, the keys that lead on, and whether ksmd runs.
            assert any("360 KiB" in line for line in screen)
            assert "run 1: ksmd runs" in screen[-2]
            assert "Help" in screen[-1]

    run(test)


def test_without_colour_and_in_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        app = LiveApp(interval=NEVER, plain=True)
        async with shown(app, beside=foretold("captured on prod")) as pilot:
            for line in text(app)[:-1]:
                kept = "─│╭╮╰╯┃"  # Textual's own frames.
                assert all(c.isascii() or c in kept for c in line), line
            await pilot.press("t")
            assert app.theme == "ksm-mono"
            assert "one theme" in said(app)
            lines = app.screen._compositor.render_strips()
            styles = [s.style for line in lines for s in line if s.style is not None]
            assert not any(s.color and not s.color.is_default for s in styles)

    monkeypatch.setenv("NO_COLOR", "1")
    run(test)


def test_every_key_can_be_pressed() -> None:
    async def test() -> None:
        app = LiveApp(interval=NEVER)
        keys = [
            key
            for made in (Grid, LiveApp)
            for binding in made.BINDINGS
            if isinstance(binding, Binding) and binding.action != "quit"
            for key in binding.key.split(",")
        ]
        async with shown(app, beside=foretold("captured on prod")) as pilot:
            for key in keys:
                await pilot.press(key)
                while len(app.screen_stack) > 1:
                    await pilot.press("escape")
                app.grid.focus()
            assert app.is_running

    run(test)


def test_a_users_own_settings(nobodys_settings: Path) -> None:
    folder = nobodys_settings / "ksm-analyze"
    folder.mkdir()
    (folder / "view.toml").write_text(
        'theme = "ksm-light"\nunits = "pages"\n[keys]\n"app.theme" = "T"\n'
    )

    async def test() -> None:
        app = LiveApp(interval=NEVER)
        async with shown(app) as pilot:
            assert app.theme == "ksm-light"
            assert app.grid.row_texts((12, 5))[3] == "90"
            await pilot.press("T")
            assert app.theme == "ksm-ansi"

    run(test)


def test_a_host_without_ksm_never_gets_a_screen(host: LiveHost) -> None:
    for file in host.ksm.iterdir():
        file.unlink()
    host.ksm.rmdir()
    with pytest.raises(InputError, match="has no KSM"):
        LiveApp()
