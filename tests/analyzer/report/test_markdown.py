import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from results import HOSTILE, result

from analyzer.report import drawn
from analyzer.report.columns import TABLES
from analyzer.report.escape import printable
from analyzer.report.layout import Layout
from analyzer.report.markdown import escaped


@pytest.mark.parametrize("by", sorted(TABLES))
def test_every_row_has_the_cells_of_the_header(by):
    table = drawn(result(HOSTILE), "md", Layout(by=by, rows=3)).split("\n\n")[2]
    bars = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
    assert len(bars) == 1


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a|b", "a\\|b"),
        ("`x`", "\\`x\\`"),
        ("<img>", "\\<img\\>"),
        ("[a](b)", "\\[a\\](b)"),
        ("pages_to_scan", "pages_to_scan"),
        ("__main__", "\\_\\_main\\_\\_"),
        ("a\\|b", "a\\\\\\|b"),
    ],
)
def test_names_are_shown_as_they_are(name, shown):
    assert escaped(name) == shown


@given(st.text())
def test_no_name_opens_a_cell_or_code(text):
    shown = escaped(printable(text))
    assert not re.search(r"(?<!\\)(\\\\)*[|`<]", shown)


def test_rows_left_out_are_summed():
    table = drawn(result(), "md", Layout(rows=2)).split("\n\n")[2].splitlines()
    assert table[-1].startswith("| 3 more | 6 | 1.63 GiB |")
