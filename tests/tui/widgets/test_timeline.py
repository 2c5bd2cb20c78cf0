"""Charts over passes: any number of moments, one cursor, nothing hidden by a look."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from stage import lines, played, resized

from analyzer.report.units import pages_text
from tui.draw import last_of
from tui.look import PLAIN, Glyph, Look, State
from tui.widgets.chart import AreaChart, Layer
from tui.widgets.lane import Lane
from tui.widgets.lines import Curve, Lines
from tui.widgets.timeline import Marker, Timeline, ticks

COUNTS = [0, 1, 2, 7, 120, 5000]
SIZES = [(1, 1), (9, 4), (39, 9), (60, 12), (120, 30)]
ASCII = Look(colour=False, ascii=True)
MONO = Look(colour=False)


def fill_area(chart, count):
    growing = [1000 * at for at in range(count)]
    layers = [Layer(State.SAVED, growing), Layer(State.UNSHARED, growing[::-1])]
    marks = [Marker(count // 2, Glyph.BRAND, "[red]exit"), Marker(9999, Glyph.MARK, "")]
    chart.set(layers, marks)
    return chart


def fill_lane(lane, count):
    lane.set([at % 7 - 1 for at in range(count)])
    return lane


def fill_lines(chart, count):
    chart.set(
        [
            Curve("A baseline", State.SAVED, list(range(count))),
            Curve("B [b]漢字", State.VOLATILE, [2 * at for at in range(count // 2)]),
        ]
    )
    return chart


def area(count):
    return fill_area(AreaChart(pages_text, lambda at: str(at + 1)), count)


def curves(count):
    return fill_lines(Lines(pages_text, pages_text), count)


@pytest.mark.parametrize(
    ("chart", "fill"),
    [
        (AreaChart(pages_text), fill_area),
        (Lane("pages scanned", State.ZERO), fill_lane),
        (Lines(pages_text, pages_text), fill_lines),
    ],
    ids=["area", "lane", "lines"],
)
def test_any_number_of_moments_fits_any_size(chart, fill):
    async def act(pilot):
        for size in SIZES:
            await resized(pilot, *size)
            for count in COUNTS:
                fill(chart, count)
                for look in (PLAIN, Look("ansi"), MONO, ASCII):
                    pilot.app.look = look
                    for cursor in {0, count // 3, count + 5}:
                        chart.cursor = cursor
                        check(lines(chart), chart.size.width, look)

    played(chart, act)


def check(shown, width, look):
    assert [cell_len(line) for line in shown] == [width] * len(shown)
    if look.ascii:
        assert "".join(shown).replace("漢", "").replace("字", "").isascii()


@given(st.integers(1, 300), st.integers(1, 1000), st.data())
def test_a_column_found_for_a_moment_is_the_last_of_its_own(columns, count, data):
    class Fixed(Timeline):
        count = property(lambda _: count)
        columns = property(lambda _: columns)

    chart = Fixed()
    index = data.draw(st.integers(0, count - 1))
    column = chart.column_of(index)
    assert 0 <= column < columns
    assert chart.index_at(column) >= index
    if count <= columns:
        assert chart.index_at(column) == index
        assert column == columns - 1 or chart.index_at(column + 1) > index
    else:
        assert column == 0 or chart.index_at(column - 1) < index
    assert chart.index_at(columns - 1) == count - 1


@given(st.integers(1, 300), st.integers(1, 300))
def test_no_moment_has_more_room_than_another(columns, count):
    shown = [last_of(at, columns, count) for at in range(columns)]
    widths = [shown.count(index) for index in set(shown)]
    assert max(widths) - min(widths) <= 1


def test_the_scale_is_that_of_all_moments():
    chart = AreaChart(lambda value: f"={value}")
    values = [5] * 500
    values[1] = 4096
    chart.set([Layer(State.SAVED, values)])

    async def act(_):
        assert chart.render_line(0).text.lstrip().startswith("=4096")

    played(chart, act, size=(60, 12))


def test_a_full_layer_fills_the_area_and_the_future_is_faint():
    chart = AreaChart()
    chart.set([Layer(State.SAVED, [8] * 101)])

    async def act(_):
        chart.cursor = 50
        saved = PLAIN.style(State.SAVED).color
        faint = PLAIN.style(State.SAVED, faded=True).color
        at = chart.margin + chart.column_of(50)
        for y in range(10):
            line = chart.render_line(y)
            grounds = [segment.style.bgcolor for segment in line for _ in segment.text]
            assert set(grounds[chart.margin : at + 1]) == {saved}
            assert set(grounds[at + 1 :]) == {faint}
            assert line.text[at] == "┃"

    played(chart, act, size=(80, 12))


def test_a_layer_of_nothing_is_not_drawn():
    chart = AreaChart()
    chart.set([Layer(State.SAVED, [0, 0]), Layer(State.ZERO, [3, 4])])

    async def act(_):
        saved = PLAIN.style(State.SAVED).color
        for y in range(10):
            for segment in chart.render_line(y):
                assert segment.style is None or segment.style.color != saved
                assert segment.style is None or segment.style.bgcolor != saved

    played(chart, act, size=(80, 12))


def test_layers_are_told_apart_without_colour():
    chart = area(120)

    async def act(_):
        shown = "\n".join(lines(chart))
        assert "█" in shown
        assert "░" in shown

    played(chart, act, look=MONO)


def scrubs(said):
    return [message.index for message in said if isinstance(message, Timeline.Scrubbed)]


def test_clicks_drags_and_keys_ask_for_another_moment():
    chart = area(120)

    async def act(pilot):
        await pilot.mouse_down(AreaChart, offset=(10, 3))
        await pilot.hover(AreaChart, offset=(79, 3))
        await pilot.mouse_up(AreaChart, offset=(79, 3))
        await pilot.hover(AreaChart, offset=(20, 3))
        chart.cursor = 119
        chart.focus()
        await pilot.press("right", "left")

    assert scrubs(played(chart, act))[-1] == 118
    assert set(scrubs(played(area(120), _click(79)))) == {119}
    assert scrubs(played(area(0), _click(40))) == []


def _click(x):
    async def act(pilot):
        await pilot.click(AreaChart, offset=(x, 3))

    return act


def test_the_axis_names_the_cursor_and_what_happened():
    chart = area(120)

    async def act(_):
        chart.cursor = 99
        floor, labels = lines(chart)[-2:]
        assert "◆" in floor
        assert "▲100" in labels
        assert "[red]exit" in labels

    played(chart, act)


@given(st.integers(0, 100_000), st.integers(1, 250))
def test_ticks_leave_room_for_their_labels(count, columns):
    at = ticks(count, columns, str)
    assert bool(at) == bool(count)
    assert (len(at) - 1) * (len(str(count)) + 1) <= columns


def test_a_lane_says_the_value_at_the_cursor_and_the_peak():
    shown = Lane("general_profit", State.SAVED, pages_text)
    shown.set([0, 256, 512])

    async def act(_):
        shown.cursor = 1
        assert "general_profit  1.00 MiB   peak 2.00 MiB" in shown.render_line(0).text

    played(shown, act)


def test_the_legend_says_what_each_curve_has_at_the_cursor():
    shown = curves(120)

    async def act(_):
        shown.cursor = 10
        legend = lines(shown)[-1]
        assert "A baseline 40.0 KiB" in legend
        assert "B [b]漢字 80.0 KiB" in legend
        assert "B - A 40.0 KiB" in legend
        shown.cursor = 100
        assert "B [b]漢字 -" in lines(shown)[-1]

    played(shown, act)


def test_curves_without_colour_have_signs():
    shown = curves(120)

    async def act(_):
        text = "".join(lines(shown))
        assert "o A baseline" in text
        assert "x B " in text

    played(shown, act, look=ASCII)
