"""Names from outside are shown as they are, and do nothing."""

import asyncio
import unicodedata

import pytest
from builders import Proc, trace_file
from flights import flown, screen_text, seen, until

from tui.variant import Progress, Settings

HOSTILE = [
    "[red]x",
    "[/]",
    "[heap]",
    "[@click=app.quit]q[/]",
    "👩‍👩‍👧 emoji",
    "漢字ワークロード",
    "\u202egnp.exe",
    "a" * 300,
    "line\nbreak\rtab\t",
    "\x1b[31mred\x1b]0;title\x07",
    "\x9b31m",
    "",
    "$(reboot) `x` \\[x]",
    "%s {0} 'q' \"q\"",
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    procs = [
        Proc("AABZ", pid=10 + at, comm=name, workload=name)
        for at, name in enumerate(HOSTILE)
    ]
    # The rest of what comes from outside is the same for all.
    extra = dict.fromkeys(("user", "unit", "container", "vm"), HOSTILE[0])
    extra["cgroup"] = HOSTILE[9]
    path = trace_file(folder / "[bold]t\x1b.parquet", *procs, extra=extra)
    return flown(path, folder)


def harmless(text: str) -> None:
    """No control character, and none that turns the direction of the rest."""
    for char in text.replace("\n", ""):
        assert unicodedata.category(char) not in ("Cc", "Cs"), repr(char)
        assert char not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def test_no_screen_does_what_a_name_says(hostile, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    async def run() -> None:
        async with seen(hostile, size=(140, 44)) as pilot:
            app = pilot.app
            shown = ""

            async def check() -> None:
                nonlocal shown
                await pilot.pause()
                text = screen_text(app)
                harmless(text)
                shown += text

            assert "[bold]t" in screen_text(app)
            for key in "1234567":
                await pilot.press(key)
                await check()
            await app.go("workloads")
            grid = app.view.main()
            for name in HOSTILE:
                grid.select(("group", name))
                await pilot.pause(0.07)
                await check()
            for name in (
                "[red]x",
                "[heap]",
                "[@click=app.quit]q[/]",
                "漢字ワークロード",
            ):
                assert name in shown
            # Whoever groups by what else came from outside, too.
            for grouping in ("user", "comm", "workload"):
                app.view.group_by(grouping)
                await check()
            for at in (0, 7, 8, 9):
                app.open_process(at)
                await check()
                await pilot.press("escape")
                await pilot.pause()
            await pilot.press("slash", *"[red]")
            await check()
            await pilot.press("escape")
            # Dialogs, the palette, notifications.
            await pilot.press("colon")
            await until(pilot, lambda: len(app.screen_stack) > 1)
            await pilot.press(*"red")
            await until(pilot, lambda: "process 10 [red]x" in screen_text(app))
            await check()
            await pilot.press("escape")
            await pilot.pause()
            grid.focus()
            await pilot.press("y", "Y", "e")
            await check()
            app.screen.query_one("Input").value = "[red]\x1b.csv"
            await pilot.press("enter")
            await check()
            assert list(tmp_path.glob("*.csv"))
            for text in tmp_path.glob("*.csv"):
                harmless(text.read_text())
            variant = app.add_variant("[red]\x1b[31m", Settings(policy="none"))
            await until(pilot, lambda: variant.progress is Progress.DONE)
            app.session.choose(b=variant)
            for key in "67":
                await pilot.press(key)
                await check()
            await pilot.press("e")
            await check()
            await pilot.press("escape")
            app.bell()
            await pilot.press("question_mark")
            await check()

    asyncio.run(run())


def test_a_failure_that_holds_a_name_is_told_safely(hostile, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    async def run() -> None:
        async with seen(hostile) as pilot:
            app = pilot.app
            await app.go("what_if")
            variant = app.add_variant("[blink]\x1b", Settings(kernel="[red]\x1b[2J"))
            await until(pilot, lambda: variant.progress is Progress.FAILED)
            await pilot.pause(0.1)
            text = screen_text(app)
            harmless(text)
            assert "[red]" in text

    asyncio.run(run())


def test_any_workload_can_be_toggled_or_says_why_not(hostile):
    async def run() -> None:
        async with seen(hostile) as pilot:
            app = pilot.app
            await app.go("what_if")
            view = app.view
            before = view.draft.settings()
            for name in HOSTILE:
                view.toggle(("group", name))
                policy = view.draft.settings().policy
                assert policy != before.policy
                view.toggle(("group", name))
                assert view.draft.settings() == before

    asyncio.run(run())
