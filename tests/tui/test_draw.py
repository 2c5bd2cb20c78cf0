"""What holds for every width and every value: widths, order, nothing of nothing."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment

from tui import draw
from tui.draw import HOLE, Slice
from tui.look import PLAIN, Ink, Look, State

MONO, ASCII = Look(colour=False), Look(colour=False, ascii=True)
LOOKS = st.sampled_from([PLAIN, Look("light"), Look("ansi"), MONO, ASCII])
WIDTHS = st.integers(0, 120)
VALUES = st.lists(st.integers(0, 1 << 40), max_size=6)
PARTS = st.lists(
    st.tuples(st.integers(0, 1 << 36), st.sampled_from(list(State))).map(
        lambda pair: Slice(*pair)
    ),
    max_size=6,
    unique_by=lambda part: part.colour,
)


def plain(drawn):
    return "".join(segment.text for segment in drawn)


def states_of(drawn, look):
    """The states a bar shows, from left to right, each as often as it begins anew."""
    marks = {look.style(state).color: state for state in State}
    if not look.colour:
        marks = {look.texture(state): state for state in State}
        found = [marks.get(sign) for sign in plain(drawn)]
    else:
        found = []
        for segment in drawn:
            ground = segment.style and segment.style.bgcolor
            front = segment.style and segment.style.color
            found += [marks.get(front), marks.get(ground)]
    return list(dict.fromkeys(state for state in found if state))


@given(PARTS, WIDTHS, st.integers(0, 1 << 37), LOOKS)
def test_bars_are_exactly_as_wide_as_asked(parts, width, whole, look):
    for bar in (draw.stacked, draw.gapped):
        drawn = bar(parts, width, whole, look)
        assert cell_len(plain(drawn)) == width
        assert all(segment.text for segment in drawn)
        assert look is not ASCII or plain(drawn).isascii()


@given(PARTS, WIDTHS, st.integers(0, 1 << 37), st.sampled_from([PLAIN, MONO, ASCII]))
def test_bars_keep_order_and_draw_nothing_of_nothing(parts, width, whole, look):
    order = [part.colour for part in parts if part.value]
    for bar in (draw.stacked, draw.gapped):
        shown = states_of(bar(parts, width, whole, look), look)
        assert shown == [state for state in order if state in shown]


@given(PARTS, st.integers(6, 120), st.integers(1, 1 << 37))
def test_a_quarter_cell_is_shown_in_a_gapped_bar(parts, width, whole):
    whole = max(whole, sum(part.value for part in parts))
    shown = states_of(draw.gapped(parts, width, whole, PLAIN), PLAIN)
    for part in parts:
        if part.value * width >= whole / 4 and part.value:
            assert part.colour in shown


@given(st.integers(0, 1 << 30), st.integers(1, 100))
def test_a_bar_of_eighths_is_as_long_as_its_value(value, width):
    bar = draw.stacked([Slice(value, State.SAVED)], width, 1 << 30, PLAIN)
    saved = PLAIN.style(State.SAVED).color
    eighths = 0
    for segment in bar:
        if segment.style and segment.style.bgcolor == saved:
            eighths += 8 * len(segment.text)
        elif segment.style and segment.style.color == saved:
            eighths += " ▏▎▍▌▋▊▉█".index(segment.text)
    assert abs(eighths - value / (1 << 30) * width * 8) <= 0.5


@given(st.lists(st.floats(0, 1e12), max_size=200), WIDTHS, LOOKS)
def test_sparks_are_exactly_as_wide_and_blank_only_at_zero(values, width, look):
    drawn = plain(draw.spark(values, width, look, State.SAVED))
    assert cell_len(drawn) == width
    if len(values) == width:
        assert [sign == " " for sign in drawn] == [value == 0 for value in values]


@given(st.floats(-1e9, 1e9), WIDTHS, st.floats(0, 1e9), st.sampled_from([PLAIN, ASCII]))
def test_signed_bars_grow_from_the_middle(value, width, most, look):
    drawn = plain(draw.signed(value, width, most, look))
    assert len(drawn) == width
    if width:
        middle = (width - 1) // 2
        assert drawn[middle] == ("|" if look.ascii else "│")
        left, right = drawn[:middle].strip(), drawn[middle + 1 :].strip()
        assert not left or value < 0
        assert not right or value > 0
        if value and most and width >= 3:
            assert left or right


@given(st.binary(max_size=300), WIDTHS, LOOKS)
def test_ribbons_are_exactly_as_wide_and_hide_no_page(pages, width, look):
    kinds = list(State)
    states = bytes(kind % 6 if kind < 200 else HOLE for kind in pages)
    drawn = plain(draw.ribbon(states, kinds, width, look))
    assert len(drawn) == width
    if width and all(state == HOLE for state in states):
        assert not drawn.strip()
    if states and all(state != HOLE for state in states):
        assert " " not in drawn


@pytest.mark.parametrize(
    ("states", "kind"),
    [
        (b"\0\0\1", 0),
        (b"\0\1", 1),
        (bytes([HOLE, HOLE, 2]), 2),
        (bytes([HOLE]), None),
        (b"", None),
    ],
)
def test_the_prevailing_state_ties_go_further_along(states, kind):
    assert draw.dominant(states, 0, len(states), 3) == kind


@given(st.integers(1, 200), st.integers(1, 200))
def test_slices_are_never_empty_and_cover_everything(width, count):
    spans = [draw.span(at, width, count) for at in range(width)]
    assert all(0 <= first < end <= count for first, end in spans)
    assert {at for span in spans for at in range(*span)} == set(range(count))


@given(st.integers(1, 200), st.integers(1, 500))
def test_a_column_shows_its_last_moment_and_the_last_column_the_last(width, count):
    shown = [draw.last_of(at, width, count) for at in range(width)]
    assert shown == sorted(shown)
    assert shown[-1] == count - 1
    assert shown[0] >= 0


COLOURS = st.sampled_from([None, State.SAVED, State.ZERO, State.KEPT])


@given(st.lists(COLOURS, min_size=8, max_size=8))
def test_the_best_two_colours_are_right_when_two_are_enough(rows):
    filled, rest, fill = draw.two_colours(tuple(rows))
    assert 0 <= filled <= 8
    changes = sum(a != b for a, b in pairwise(rows))
    if changes == 0:
        assert (filled, rest) == (0, rows[0]) or (filled, fill) == (8, rows[0])
    if changes == 1 and rows[0] is not None:
        assert [fill] * filled + [rest] * (8 - filled) == rows


HOSTILE = [
    "[red]x[/red]",
    "漢字" * 40,
    "مرحبا",
    "e\u0301" * 30,
    "\x1b[31mred",
    "a" * 300,
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("width", [0, 1, 2, 7, 40, 120])
def test_names_are_cut_to_the_cell_and_shown_literally(name, width):
    drawn = plain(draw.text(name, width, PLAIN))
    assert cell_len(drawn) == width
    assert drawn.isprintable()
    if width == 120 and name.startswith("["):
        assert drawn.startswith(name)


def test_a_figure_has_its_unit_and_is_never_cut():
    assert plain(draw.figure("9.37 GiB", 10, PLAIN)) == "  9.37 GiB"
    assert plain(draw.figure("42", 5, PLAIN, Ink.GAIN)) == "   42"
    assert plain(draw.figure("9.37 GiB", 4, PLAIN)) == "####"


def test_textures_are_not_reversed_with_their_row():
    bars = [
        draw.gapped([Slice(1, State.SAVED)], 8, 2, MONO),
        draw.ribbon(bytes([0, HOLE]), list(State), 8, MONO),
        draw.stacked([Slice(1, State.SAVED)], 8, 2, MONO),
    ]
    for bar in bars:
        row = Segment.apply_style(bar, MONO.style(bg=Ink.SELECTED))
        assert not any(segment.style.reverse for segment in row)
