import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.report.escape import printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("java", "java"),
        ("", ""),
        ("[red]", "[red]"),
        ("日本語 שלום 🦀", "日本語 שלום 🦀"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("two\nlines\r", "two\\x0alines\\x0d"),
        ("\u202eevil", "\\u202eevil"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u200bb\u2028c", "a\\u200bb\\u2028c"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("\u0378", "\\u0378"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_by_number(name, shown):
    assert printable(name) == shown


@given(st.text())
def test_nothing_that_acts_on_a_terminal_is_left(text):
    shown = printable(text)
    assert all(unicodedata.category(char)[0] != "C" for char in shown)
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown
    shown.encode("utf-8")
