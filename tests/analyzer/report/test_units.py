import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.report.units import (
    bytes_text,
    count_text,
    duration_text,
    left_out,
    pages_text,
    profit_text,
    share_text,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (940 << 20, "940 MiB"),
        (int(9.37 * 2**30), "9.37 GiB"),
        ((1 << 30) - 1, "1.00 GiB"),
        (1023 << 20, "1023 MiB"),
        (10 * 2**20 - 1, "10.0 MiB"),
        (100 * 2**20 - 1, "100 MiB"),
        (-(12 << 10), "-12.0 KiB"),
        (1 << 70, "1024 EiB"),
    ],
)
def test_bytes_have_three_digits_and_an_iec_unit(value, shown):
    assert bytes_text(value) == shown


def test_one_of_what_is_left_out_is_one():
    assert left_out(1, "pages of files") == "1 page of files"
    assert left_out(2, "pages of files") == "2 pages of files"
    assert left_out(1, "parts of pages, where") == "1 part of pages, where"


def test_pages_are_drawn_as_their_bytes():
    assert pages_text(256) == "1.00 MiB"


@pytest.mark.parametrize(
    ("value", "shown"), [(1 << 20, "+1.00 MiB"), (0, "0 B"), (-1, "-1 B")]
)
def test_a_profit_says_whether_it_is_one(value, shown):
    assert profit_text(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (9999, "9999"),
        (10_000, "10.0k"),
        (842_000, "842k"),
        (999_999, "1.00M"),
        (4_670_000, "4.67M"),
        (-12_345, "-12.3k"),
    ],
)
def test_counts_are_exact_while_they_are_short(value, shown):
    assert count_text(value) == shown


def test_nearly_all_is_not_all():
    assert share_text(9_999, 10_000) == "99.9%"
    assert share_text(10_000, 10_000) == "100.0%"


def test_a_share_of_nothing_is_not_a_number():
    assert share_text(0, 0) == "-"
    assert share_text(409, 1000) == "40.9%"
    assert share_text(-1, 2) == "-50.0%"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(20, "20 ms"), (5700, "5.7 s"), (342_000, "5.7 min"), (10**9, "11.6 d")],
)
def test_durations_are_in_the_unit_people_would_use(value, shown):
    assert duration_text(value) == shown


@given(st.integers(-(1 << 62), 1 << 62))
def test_numbers_are_short(value):
    assert len(bytes_text(value)) <= 9
    assert len(count_text(value)) <= 7
