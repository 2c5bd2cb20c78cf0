"""The strip of figures and the bar of parts: nothing wraps, nothing overflows."""

import pytest
from rich.cells import cell_len
from stage import heightened, lines, played, resized

from tui.look import PLAIN, Look, State
from tui.widgets.composition import Composition, Part
from tui.widgets.kpi import Card, KpiStrip

LOOKS = [
    PLAIN,
    Look("light"),
    Look("ansi"),
    Look(colour=False),
    Look(colour=False, ascii=True),
]
CARDS = [
    Card("Saved", "26.0 GiB", "40.9% of 63.6 GiB", State.SAVED, [1, 2, 3]),
    Card("Zero pages", "8.19 GiB", "31.5% of saved", State.ZERO, [0] * 500),
    Card("general_profit", "+25.2 GiB", "rmap cost 871 MiB", short="profit"),
    Card("name", "[b]漢字" * 30, "[red]x", State.KEPT),
    Card("ksmd CPU", "3.7%", "", State.VOLATILE, [5]),
]
PARTS = [
    Part("saved", 178, "17.8 GiB", State.SAVED),
    Part("zero", 82, "8.19 GiB", State.ZERO),
    Part("kept", 12, "1.21 GiB", State.KEPT, 2),
    Part("unshared", 305, "30.5 GiB", State.UNSHARED, 1),
    Part("volatile", 49, "4.96 GiB", State.VOLATILE, 1),
    Part("unscanned", 10, "977 MiB", State.UNSCANNED, 3),
]


@pytest.mark.parametrize(
    ("widget", "contents"), [(KpiStrip(), CARDS), (Composition(), PARTS)]
)
def test_every_width_and_height_is_kept(widget, contents):
    async def act(pilot):
        for width in (1, 11, 30, 63, 64, 100, 200):
            await resized(pilot, width, 6)
            for height in (1, 2, 3):
                await heightened(pilot, height)
                for count in (0, 1, len(contents)):
                    widget.set(contents[:count])
                    for look in LOOKS:
                        pilot.app.look = look
                        seen = lines(widget)
                        assert {cell_len(line) for line in seen} == {width}
                        if look.ascii:
                            text = "".join(seen).replace("漢", "").replace("字", "")
                            assert text.isascii()

    played(widget, act)


def test_a_strip_of_two_lines_has_no_subtitles():
    strip = KpiStrip()

    async def act(pilot):
        strip.set(CARDS[:3])
        assert "40.9%" in lines(strip)[2]
        await heightened(pilot, 2)
        seen = lines(strip)
        assert len(seen) == 2
        assert "26.0 GiB" in seen[1]
        assert "40.9%" not in "".join(seen)

    played(strip, act)


def test_narrow_strips_shorten_labels_and_leave_out_the_last_cards():
    strip = KpiStrip()

    async def act(pilot):
        strip.set([*CARDS[:3], CARDS[4]])
        await resized(pilot, 55, 6)
        assert "profit" in lines(strip)[0]
        assert "general_profit" not in lines(strip)[0]
        await resized(pilot, 30, 6)
        assert "Zero pages" in lines(strip)[0]
        assert "profit" not in lines(strip)[0]

    played(strip, act)


def test_the_legend_lets_go_of_the_highest_rank_first():
    bar = Composition()

    async def act(pilot):
        bar.set(PARTS)
        for width, labels in (
            (120, "saved zero kept unshared volatile unscanned"),
            (92, "saved zero kept unshared volatile"),
            (75, "saved zero unshared volatile"),
            (54, "saved zero unshared"),
            (36, "saved zero"),
            (8, ""),
        ):
            await resized(pilot, width, 6)
            words = lines(bar)[-1].split()
            found = [part.label for part in PARTS if part.label in words]
            assert found == labels.split()

    played(bar, act)


def test_without_colour_the_bar_is_textures():
    bar = Composition()

    async def act(_):
        bar.set(PARTS)
        assert list(dict.fromkeys(lines(bar)[0])) == list("█▓▒░~·")

    played(bar, act, look=Look(colour=False))
