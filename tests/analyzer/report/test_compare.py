import csv
import io
import json
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from results import HOSTILE, empty, other_result, result, uncertain_result

from analyzer.compare import UNITS, compare
from analyzer.expression.expression import Expression
from analyzer.report.cells import cells
from analyzer.report.compare import TABLES, drawn
from analyzer.report.layout import Layout
from analyzer.result import Savings

PAIR = compare(result(), other_result())
WILD = compare(result(HOSTILE[:8]), result(HOSTILE[4:], passes=2))
EMPTY = compare(result(), empty())


def text(found, **layout):
    return drawn(found, "text", Layout(**layout))


def test_the_headline_says_by_how_much_b_is_more_or_less():
    assert text(PAIR).splitlines()[0] == (
        "B saves 391 MiB less than A (-7.7%): 4.58 GiB instead of 4.97 GiB"
    )
    assert text(PAIR.swapped()).splitlines()[0] == (
        "B saves 391 MiB more than A (+8.3%): 4.97 GiB instead of 4.58 GiB"
    )
    same = compare(result(), result())
    assert text(same).startswith("A and B save the same, 4.97 GiB\n")
    from_nothing = text(EMPTY.swapped()).splitlines()[0]
    assert from_nothing == "B saves 4.97 GiB more than A: 4.97 GiB instead of 0 B"


def test_the_headline_says_where_savings_are_but_the_least():
    told = text(compare(result(), uncertain_other()), width=200).splitlines()[0]
    assert told.endswith(
        " as far as that can be told: at least 4.58 GiB instead of 4.97 GiB"
    )


def uncertain_other():
    return replace(other_result(), uncertainty=uncertain_result().uncertainty)


def test_it_says_which_settings_differ():
    assert "settings pages_to_scan 4000 in A, 1000 in B\n" in text(PAIR)
    assert "settings the same\n" in text(compare(result(), result()))


def test_a_filter_leaves_out_rows_and_says_so_in_every_format():
    where = Expression.parse("web")
    kept = PAIR.workloads.filter(pl.col("workload") == "web-frontend")
    assert "filter   web: 1 of 6 rows\n" in text(PAIR, where=where)
    for form in ("text", "md"):
        shown = drawn(PAIR, form, Layout(where=where))
        assert "web-frontend" in shown
        assert "pg-orders" not in shown
        assert shown.splitlines()[0] == drawn(PAIR, form, Layout()).splitlines()[0]
    table = csv.DictReader(io.StringIO(drawn(PAIR, "csv", Layout(where=where))))
    assert [row["workload"] for row in table] == ["web-frontend"]
    document = json.loads(drawn(PAIR, "json", Layout(where=where)))
    assert document["workloads"] == kept.rows(named=True)
    assert document["filter"] == {
        "table": "workloads", "expression": "web", "rows": 1, "of": 6
    }  # fmt: skip
    assert len(document["processes"]) == PAIR.processes.height


def test_a_side_that_was_stopped_early_says_so():
    early = [line for line in text(PAIR, width=200).splitlines() if "may merge" in line]
    assert [line[0] for line in early] == ["B"]


def test_limits_say_whose_they_are():
    shown = text(PAIR).splitlines()
    assert shown[-1] == "! B: another limit"
    assert shown[-2].startswith("! A: 3 pages changed")
    assert "! A and B: 3 pages changed" in text(compare(result(), result()))


def test_every_total_is_drawn_and_every_estimate_called_one():
    table = text(PAIR).split("\n\n")[1].splitlines()[1:]
    names = [name for name in UNITS.items() if name[0] != "pages_saved_at_most"]
    assert len(table) == len(names)
    for line, (name, unit) in zip(table, names, strict=True):
        assert ("(estimate)" in line) == (unit in ("ns", "ppm")), name


def test_rows_of_one_side_have_their_own_heading():
    both, only_a, only_b = text(PAIR).split("\n\n")[2:5]
    assert "vm-win11-vdi" not in both
    assert only_a.splitlines()[0] == "only in A"
    assert only_a.splitlines()[2].startswith("vm-win11-vdi")
    assert only_b.splitlines()[0] == "only in B"
    assert only_b.splitlines()[2].startswith("ci-runner")


def test_rows_left_out_are_summed():
    table = text(PAIR, rows=2, width=200).split("\n\n")[2].splitlines()
    assert len(table) == 4
    assert table[-1].startswith("2 more")
    hidden = PAIR.workloads.filter(only="").slice(2)
    assert hidden["processes_a"].sum() == int(table[-1].split()[2])


def test_zero_stands_apart():
    title = text(PAIR, width=110).split("\n\n")[2].splitlines()[0]
    assert "zero delta" in title


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([PAIR, WILD, EMPTY]),
    st.sampled_from(sorted(TABLES)),
    st.integers(20, 250),
    st.booleans(),
    st.integers(0, 5),
)
def test_no_line_is_wider_than_the_terminal(found, by, width, ascii_only, rows):
    shown = text(found, by=by, width=width, ascii=ascii_only, rows=rows)
    for line in shown.splitlines():
        assert cells(line) <= width
        assert line == line.rstrip(" ")


@pytest.mark.parametrize("form", ["text", "md", "csv"])
@pytest.mark.parametrize("by", sorted(TABLES))
def test_names_are_escaped(form, by):
    trace = replace(result().trace, path="\x1b[2J.parquet")
    found = compare(replace(result(HOSTILE), trace=trace), result())
    shown = drawn(found, form, Layout(by=by))
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_colour_only_adds_sequences():
    import re

    coloured = text(PAIR, colour=True, ascii=False)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == text(PAIR, ascii=False)
    assert "\x1b" in coloured


def test_json_holds_every_figure():
    document = json.loads(drawn(PAIR, "json", Layout()))
    assert document["schema"] == "ksm-analyze/compare/1"
    assert document["a"]["knobs"]["pages_to_scan"] == 4000
    assert document["b"]["settled"] is False
    assert document["differs"] == {"pages_to_scan": {"a": 4000, "b": 1000}}
    assert list(document["totals"]) == list(UNITS)
    saved = document["totals"]["pages_saved"]
    assert saved["delta"] == -100_000
    assert (saved["unit"], saved["estimate"]) == ("pages", False)
    assert document["workloads"] == PAIR.workloads.rows(named=True)
    assert document["processes"] == PAIR.processes.rows(named=True)
    assert [row["pages_merged_b"] for row in document["passes"]][-1] is None


def test_json_has_integers_only():
    document = json.loads(drawn(PAIR, "json", Layout()), parse_float=pytest.fail)
    assert document["totals"]["cpu_ppm"]["a"] == 16_667


@pytest.mark.parametrize("by", sorted(TABLES))
def test_csv_is_the_whole_table(by):
    frame = getattr(WILD, TABLES[by][0])
    header, *rows = csv.reader(io.StringIO(drawn(WILD, "csv", Layout(by=by))))
    assert header == frame.columns
    assert len(rows) == frame.height
    assert len(drawn(WILD, "csv", Layout(by=by, rows=2)).splitlines()) == 3


def test_a_loss_is_drawn_as_one():
    a = replace(result(), savings=Savings(0, 0, 0))
    b = replace(result(), savings=Savings(0, -25_600, 0))
    assert text(compare(a, b)).startswith("B saves 100 MiB less than A: -100 MiB")
    assert "\u2212100 MiB" in text(compare(a, b), ascii=False)


def test_markdown_rows_have_the_cells_of_the_header():
    import re

    shown = drawn(WILD, "md", Layout(by="process", rows=3))
    for block in shown.split("\n\n"):
        if block.startswith("|"):
            bars = {len(re.findall(r"(?<!\\)\|", row)) for row in block.splitlines()}
            assert len(bars) == 1
