"""The page map: each page has its cell, none is hidden, holes are blank."""

import pytest
from stage import lines, played, pressed, resized

from analyzer.report.units import pages_text
from tui.draw import HOLE
from tui.look import PLAIN, Ink, Look, State
from tui.widgets.page_map import PageMap

KINDS = list(State)
MONO = Look(colour=False)


def test_any_map_fits_any_size_in_any_look():
    shown = PageMap()

    async def act(pilot):
        for size in ((3, 3), (20, 5), (80, 24)):
            await resized(pilot, *size)
            for count in (0, 1, 7, 5000):
                shown.set("x", bytes(at % 6 for at in range(count)), KINDS, pages_text)
                for look in (PLAIN, Look("ansi"), MONO, Look(ascii=True)):
                    pilot.app.look = look
                    seen = lines(shown)
                    assert {len(line) for line in seen} <= {shown.size.width}
                    assert not look.ascii or "".join(seen).isascii()
                    cells = shown.size.width * shown.size.height
                    assert shown.pages_per_cell * cells >= count

    played(shown, act)


def test_without_colour_textures_tell_the_states_and_holes_are_blank():
    shown = PageMap()

    async def act(_):
        shown.set("x", bytes([0, 1, HOLE, 4, HOLE, 5]), KINDS)
        assert lines(shown)[0].rstrip() == "█▓ ~ ·"

    played(shown, act, look=MONO)


def test_a_cell_has_an_upper_and_a_lower_slice():
    shown = PageMap()

    async def act(pilot):
        shown.set("x", bytes([0, 1, HOLE, 1, 1, HOLE, 0, 0]), KINDS)
        pilot.app.set_focus(None)
        await pilot.pause()
        both, halves, whole, *_ = shown.render_line(0)
        assert (both.text, both.style) == ("▀", PLAIN.style(State.SAVED, State.ZERO))
        assert (halves.text, halves.style) == (
            "▄▀",
            PLAIN.style(State.ZERO, Ink.GROUND),
        )
        assert (whole.text, whole.style) == (" ", PLAIN.style(Ink.TEXT, State.SAVED))

    played(shown, act)


@pytest.mark.parametrize(
    ("keys", "pages"),
    [
        ("enter", (0, 1)),
        ("right right left enter", (2, 3)),
        ("down enter", (156, 157)),
        ("up enter", (0, 1)),
        ("end enter", (998, 999)),
        ("G down enter", (998, 999)),
        ("G home enter", (0, 1)),
    ],
)
def test_keys_move_and_enter_opens_the_pages(keys, pages):
    shown = PageMap()
    shown.set("x", bytes(1000), KINDS)
    _, said = pressed(shown, *keys.split())
    opened = [message for message in said if isinstance(message, PageMap.Opened)]
    assert [(message.first, message.last) for message in opened] == [pages]


def test_a_click_selects_and_the_second_opens():
    shown = PageMap()
    shown.set("x", bytes(1000), KINDS)

    async def act(pilot):
        await pilot.double_click(PageMap, offset=(3, 1))

    said = played(shown, act)
    assert shown is said[0].page_map
    assert [type(message) for message in said] == [PageMap.Moved, PageMap.Opened]
    assert (said[0].first, said[0].last) == (4, 5)


def test_titles_are_literal_and_say_what_a_cell_is():
    shown = PageMap()

    async def act(pilot):
        shown.set("page map of [heap] \x1b", bytes(100_000), KINDS, pages_text)
        await pilot.pause()
        assert str(shown._border_title) == "page map of [heap] \\x1b"
        assert str(shown._border_subtitle) == "1 cell = 60 pages (240 KiB)"

    played(shown, act)
