"""The pass cursor: by keys, by name, by itself; and what names a moment."""

import asyncio
from contextlib import suppress

import polars as pl
import pytest
from flights import seen, told, until
from hypothesis import given
from hypothesis import strategies as st

from tui.moments import Unclear, moment_named
from tui.widgets.scrubber import Scrubber

MINUTE = 60 * 10**9
COURSE = pl.DataFrame(
    {
        "full_scans": range(1, 121),
        "time_ns": [scan * MINUTE // 2 for scan in range(1, 121)],
        "pages_saved_zero": [min(scan, 100) for scan in range(1, 121)],
        "pages_saved_nonzero": [0] * 120,
    }
)


@pytest.mark.parametrize(
    ("words", "at"),
    [
        ("42", 41),
        (" 42 ", 41),
        ("0", 0),
        ("1000", 119),
        ("+10", 15),
        ("-10", -5),
        ("07:30", 14),
        ("1:00:00", 119),
        ("00:30", 0),
        ("5.7 min", 11),
        ("5.7min", 11),
        ("90 s", 2),
        ("1 h", 119),
        ("95%", 94),
        ("100 %", 99),
        ("0%", 0),
    ],
)
def test_a_moment_is_called_by_number_step_time_or_share(words, at):
    assert moment_named(words, COURSE, 5) == at


@pytest.mark.parametrize(
    "words", ["nonsense", "", "5 parsecs", "%", "+", "1:2:3:4", "4" * 5000, "[red]"]
)
def test_nonsense_is_no_moment(words):
    with pytest.raises(Unclear):
        moment_named(words, COURSE, 5)


@given(st.text(max_size=30))
def test_whatever_is_typed_is_a_moment_or_unclear(words):
    with suppress(Unclear):
        assert isinstance(moment_named(words, COURSE, 5), int)


def test_a_jump_goes_where_it_says_or_tells_why_not(demo):
    async def run() -> None:
        async with seen(demo) as pilot:
            app = pilot.app

            async def jump(words: str) -> int:
                await pilot.press("g")
                await pilot.pause()
                app.screen.query_one("Input").value = words
                await pilot.press("enter")
                await pilot.pause()
                at: int = app.session.at
                return at

            assert await jump("2") == 1
            assert await jump("+10") == 3
            assert await jump("-2") == 1
            assert await jump("00:30") == 2
            assert await jump("0.1 min") == 0
            assert await jump("95%") == app.session.enough_at
            assert await jump("[red]soon") == app.session.enough_at
            assert any("[red]soon names no moment" in line for line in told(app))
            await pilot.press("g", "escape")
            assert app.session.at == app.session.enough_at

    asyncio.run(run())


def test_it_plays_to_the_end_and_pauses(demo):
    async def run() -> None:
        async with seen(demo) as pilot:
            app = pilot.app
            scrubber = app.query_one("#scrubber", Scrubber)
            await pilot.press("p")
            await pilot.pause()
            # From the end it begins anew.
            assert app.session.at < 3
            assert scrubber._course.playing
            await pilot.press("p")
            at = app.session.at
            await pilot.pause(0.3)
            assert app.session.at == at
            await pilot.press("p")
            await until(pilot, lambda: app.session.at_end)
            await until(pilot, lambda: not scrubber._course.playing)

    asyncio.run(run())


def test_bookmarks_are_set_listed_and_gone_to(demo):
    async def run() -> None:
        async with seen(demo) as pilot:
            app = pilot.app
            await pilot.press("B")
            await pilot.pause()
            assert any("no bookmark" in line for line in told(app))
            await pilot.press("comma", "b", "comma", "comma", "b", "full_stop")
            assert app.session.bookmarks == [0, 2]
            await pilot.press("B")
            await pilot.pause()
            await pilot.press("down", "enter")
            await until(pilot, lambda: app.session.at == 2)
            await pilot.press("b")
            assert app.session.bookmarks == [0]

    asyncio.run(run())


def test_every_part_of_the_frame_follows_the_cursor(demo):
    async def run() -> None:
        async with seen(demo) as pilot:
            app = pilot.app
            await pilot.press("left_curly_bracket")
            await pilot.pause()
            assert app.session.at == 0
            assert "pass 1/4" in app.query_one("#scrubber", Scrubber)._course.label
            await pilot.press("right_curly_bracket")
            await pilot.pause()
            assert "pass 4/4" in app.query_one("#scrubber", Scrubber)._course.label
            # The edges hold.
            await pilot.press("full_stop")
            assert app.session.at == 3

    asyncio.run(run())
