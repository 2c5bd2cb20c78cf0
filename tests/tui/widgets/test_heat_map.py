"""The heat map: every cell can be reached, read and told from nothing."""

import pytest
from rich.cells import cell_len
from stage import lines, played, pressed, resized

from analyzer.report.units import bytes_text
from tui.look import PLAIN, Look
from tui.widgets.heat_map import HeatMap, Split

ASCII = Look(colour=False, ascii=True)
MONO = Look(colour=False)


def heat(count=5, summary=True, **kwargs):
    shown = HeatMap("row shares with", summary=summary)
    values = [[(row + 1) << (2 * at) for at in range(count)] for row in range(count)]
    if count > 2:
        values[1][2], values[2][1] = None, 0
    shown.set([f"workload-{at}" for at in range(count)], values, bytes_text, **kwargs)
    return shown


@pytest.mark.parametrize(
    ("keys", "cell"),
    [
        ("right j", (1, 1)),
        ("left up", (0, 0)),
        ("end l l l l l l", (4, 4)),
        ("G home", (0, 0)),
        ("down k h", (0, 0)),
        ("pagedown", (4, 0)),
    ],
)
def test_keys_move_the_cursor(keys, cell):
    shown = heat()
    _, said = pressed(shown, *keys.split())
    assert (shown.row, shown.column) == cell
    moved = [message for message in said if isinstance(message, HeatMap.Moved)]
    assert cell == ((moved[-1].row, moved[-1].column) if moved else (0, 0))


def test_enter_opens_the_cell():
    _, said = pressed(heat(), "down", "right", "enter")
    opened = [message for message in said if isinstance(message, HeatMap.Opened)]
    assert [(message.row, message.column) for message in opened] == [(1, 1)]


def test_a_click_selects_and_the_second_opens():
    shown = heat()

    async def act(pilot):
        await pilot.double_click(HeatMap, offset=(shown._plan.names + 9, 3))

    said = played(shown, act)
    assert (shown.row, shown.column) == (2, 1)
    assert any(isinstance(message, HeatMap.Opened) for message in said)


@pytest.mark.parametrize("summary", [True, False])
def test_any_map_fits_any_size_in_any_look(summary):
    shown = heat(0, summary=summary)

    async def act(pilot):
        for size in ((1, 1), (12, 5), (40, 9), (150, 24)):
            await resized(pilot, *size)
            for count in (0, 1, 5, 60):
                names = ["漢字" * 9, "[red]x", *map(str, range(count))][:count]
                values = [[at * 7 for at in range(count)]] * count
                shown.set(names, values, bytes_text)
                shown.select(count, count)
                await pilot.pause()
                for look in (PLAIN, Look("light"), Look("ansi"), MONO, ASCII):
                    pilot.app.look = look
                    seen = lines(shown)
                    width = shown.scrollable_content_region.width
                    assert {cell_len(line) for line in seen} == {width}
                    if look.ascii:
                        text = "".join(seen).replace("漢", "").replace("字", "")
                        assert text.isascii()

    played(shown, act)


def test_the_selected_cell_is_scrolled_into_sight_both_ways():
    shown = heat(120)

    async def act(pilot):
        shown.focus()
        shown.select(119, 119)
        await pilot.pause()
        assert shown.scroll_offset.x > 0
        assert shown.scroll_offset.y > 0
        seen = lines(shown)
        assert any(line.startswith("120 workload-119") for line in seen)
        assert "[" in "".join(seen)
        shown.select(0, 0)
        await pilot.pause()
        assert tuple(shown.scroll_offset) == (0, 0)

    played(shown, act)


def test_cells_say_figures_where_they_fit():
    shown = heat()

    async def act(pilot):
        await resized(pilot, 120, 24)
        line = lines(shown)[5]
        assert "5" in line
        assert "1.2K" in line
        shown.focus()
        await pilot.press(*["minus"] * 9)
        assert "1.2K" not in lines(shown)[5]
        await pilot.press(*["plus"] * 4)
        assert "1.2K" in lines(shown)[5]

    played(shown, act)


def test_the_figure_under_the_cursor_is_whole():
    shown = heat()

    async def act(pilot):
        await resized(pilot, 120, 24)
        for width in range(2, 13):
            shown._chosen_width = width
            shown._fit()
            shown.select(4, 4)
            line = lines(shown)[5]
            assert ("1.2K" in line) == (width >= 5)
            assert "1.2" not in line.replace("1.2K", "")

    played(shown, act)


def test_columns_have_names_if_all_can_be_read_else_numbers():
    shown = heat()

    async def act(pilot):
        await resized(pilot, 120, 24)
        assert "workload-0 workload-1" in lines(shown)[0]
        await resized(pilot, 79, 24)
        assert lines(shown)[0].split()[3:8] == ["01", "02", "03", "04", "05"]
        shown.focus()
        await pilot.press(*["plus"] * 6)
        assert "workload-0  workload-1" in lines(shown)[0]
        await pilot.press(*["minus"] * 10)
        assert lines(shown)[0].split()[3:6] == ["01", "03", "05"]

    played(shown, act)


def test_what_is_not_there_is_blank_and_nothing_is_a_dot():
    shown = heat()

    async def act(_):
        shown.select(4, 4)
        start, width = shown._plan.names, shown._plan.cell
        one, two = lines(shown)[2:4]
        assert one[start + 2 * width : start + 3 * width].strip() == ""
        assert two[start + width : start + 2 * width].strip() == "·"

    played(shown, act)


def test_the_legend_says_least_and_most():
    async def act(pilot):
        shown = pilot.app.widget
        assert "1 B" in lines(shown)[7]
        assert "1.25 KiB  log scale" in lines(shown)[7]

    played(heat(), act)


@pytest.mark.parametrize("look", [MONO, Look("ansi"), ASCII], ids=str)
def test_heat_without_colours_is_shades(look):
    shown = heat()

    async def act(_):
        seen = lines(shown)
        assert look.shade(1) in seen[5]
        for y in range(1, 6):
            for segment in shown.render_line(y):
                assert not segment.style or not segment.style.bgcolor

    played(shown, act, look=look)


def test_the_bar_at_the_side_says_the_share_of_others():
    shown = heat()

    async def act(_):
        values = [[3, 1], [None, 0]]
        shown.set(["a", "b"], values)
        assert lines(shown)[1].rstrip().endswith("25.0%")
        assert lines(shown)[2].rstrip().endswith("-")
        shown.set(["a", "b"], values, splits=[Split(1, 1), Split(0, 1)])
        assert lines(shown)[1].rstrip().endswith("50.0%")

    played(shown, act)


def test_every_key_can_be_remapped_and_is_explained():
    ids = [binding.id for binding in HeatMap.BINDINGS]
    assert len(set(ids)) == len(ids)
    assert all(binding.description for binding in HeatMap.BINDINGS)
