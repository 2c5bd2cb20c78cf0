"""What holds for every width and every value: bars, columns, lines."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from results import HOSTILE, NAMES, empty, result
from rich.cells import cell_len

from analyzer.report import drawn
from analyzer.report.bar import apportioned
from analyzer.report.cells import cells, clipped, padded
from analyzer.report.columns import COLUMNS, TABLES
from analyzer.report.escape import printable
from analyzer.report.grid import GAP, Need, planned
from analyzer.report.ink import Span, flowed
from analyzer.report.layout import Layout

WIDTHS = st.integers(20, 250)
PLAIN, WILD, NOTHING = result(), result(HOSTILE), empty()


@given(st.lists(st.integers(-5, 1 << 40), min_size=1, max_size=6), WIDTHS)
def test_the_cells_of_a_bar_add_up_to_its_width(values, width):
    shares = apportioned(values, width)
    assert sum(shares) == (width if max(values) > 0 else 0)
    for value, share in zip(values, shares, strict=True):
        assert share >= 0
        assert value > 0 or share == 0


def test_equal_remainders_go_to_the_earlier_part():
    assert apportioned([1, 1, 1], 20) == [7, 7, 6]


NEEDS = st.lists(
    st.tuples(st.integers(1, 40), st.integers(0, 60), st.integers(1, 12)), max_size=12
).map(lambda needs: [Need(least, least + more, rank) for least, more, rank in needs])


@given(NEEDS, st.integers(1, 60), WIDTHS)
def test_planned_columns_never_overflow(needs, name, width):
    needs = [Need(min(name, 10), name, 0), *needs]
    given_widths = planned(needs, width)
    kept = [cells for cells in given_widths if cells]
    assert sum(kept) + GAP * (len(kept) - 1) <= width
    assert given_widths[0] > 0
    for need, cells_given in zip(needs, given_widths, strict=True):
        assert cells_given == 0 or min(need.least, width) <= cells_given <= need.most


def test_the_highest_rank_goes_first():
    needs = [Need(5, 5, 0), Need(5, 5, 2), Need(5, 5, 1)]
    assert planned(needs, 19) == [5, 5, 5]
    assert planned(needs, 18) == [5, 0, 5]


@given(st.text().map(printable), st.integers(1, 30))
def test_clipped_text_fits(text, width):
    assert cells(clipped(text, width)) <= width
    assert cells(padded(clipped(text, width), width)) == width
    if cells(text) <= width:
        assert clipped(text, width) == text


@given(st.lists(st.lists(st.text().map(printable), max_size=3), max_size=6), WIDTHS)
def test_flowed_lines_fit_and_lose_no_word(pieces, width):
    lines = flowed([[Span(text) for text in piece] for piece in pieces], width)
    drawn_lines = ["".join(span.text for span in line) for line in lines]
    assert all(cells(line) <= width for line in drawn_lines)
    before = "".join(text for piece in pieces for text in piece)
    assert "".join(drawn_lines).replace(" ", "") == before.replace(" ", "")


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from([PLAIN, WILD, NOTHING]),
    st.sampled_from(sorted(TABLES)),
    WIDTHS,
    st.booleans(),
    st.integers(0, 9),
)
def test_no_line_is_wider_than_the_terminal(found, by, width, ascii_only, rows):
    layout = Layout(
        by=by, width=width, ascii=ascii_only, rows=rows, hint="ksm-analyze replay x"
    )
    for line in drawn(found, "text", layout).splitlines():
        assert cells(line) <= width
        assert line == line.rstrip(" ")


@pytest.mark.parametrize("width", [60, 80, 110, 200])
@pytest.mark.parametrize("by", sorted(TABLES))
def test_widths_agree_with_those_of_another_program(by, width):
    for line in drawn(WILD, "text", Layout(by=by, width=width)).splitlines():
        assert cell_len(line) <= width


@pytest.mark.parametrize("width", [20, 60, 80, 110, 200])
def test_numbers_are_whole_or_absent(width):
    text = drawn(PLAIN, "text", Layout(width=width))
    table = text.split("\n\n")[1].splitlines()[1:]
    for line in table:
        name, *rest = re.split(r" {2,}", line)
        assert name.rstrip("…") in {known[: len(name.rstrip("…"))] for known in NAMES}
        assert "…" not in "".join(rest)


def test_columns_return_as_the_room_grows():
    def titles(width):
        return drawn(PLAIN, "text", Layout(width=width)).split("\n\n")[1].split("\n")[0]

    assert "saved" in titles(20)
    assert "net" in titles(80)
    assert "unmerged" in titles(110)
    assert "procs" in titles(110)


@pytest.mark.parametrize("by", sorted(TABLES))
def test_every_column_of_a_table_is_declared(by):
    table = TABLES[by]
    assert table.key in table.columns
    assert table.columns[table.key] == 0
    assert set(table.columns) <= set(COLUMNS)
