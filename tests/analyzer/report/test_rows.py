import csv
import io
import json

import polars as pl
import pytest
from results import other_result, result

from analyzer.compare import compare
from analyzer.expression.expression import Expression
from analyzer.report import drawn
from analyzer.report.columns import TABLES
from analyzer.report.layout import Layout
from analyzer.report.rows import check, compared, fitting, rows
from traces.errors import UsageError

WHERE = {
    "workload": "saved > 300MiB",
    "process": "saved > 300 MiB",
    "mapping": "kind == heap and saved > 100M",
    "kind": "heap",
    "content": "what == other",
    "pass": "pass > 1 and general_profit > 0",
}


@pytest.mark.parametrize("by", sorted(TABLES))
def test_rows_that_fit_are_those_of_the_whole_table(by):
    where = Expression.parse(WHERE[by])
    whole, part = rows(result(), by), rows(result(), by, where)
    assert 0 < part.height < whole.height
    assert part.equals(whole.filter(where.select(whole)))
    assert fitting(result(), by, where) == (part.height, whole.height)
    check(by, where)


PAIR = compare(result(), other_result())


@pytest.mark.parametrize("where", ["saved > 300MiB", "web", "pid == 1000", "nobody"])
def test_a_workload_is_compared_if_either_side_would_show_it(where):
    asked = Expression.parse(where)
    names = {
        name
        for side in (PAIR.a, PAIR.b)
        for name in rows(side, "workload", asked)["workload"]
    }
    found = compared(PAIR, "workload", asked)
    assert set(found["workload"]) == names
    assert found.equals(PAIR.workloads.filter(pl.col("workload").is_in(list(names))))
    assert fitting(PAIR, "workload", asked) == (len(names), PAIR.workloads.height)


def test_a_process_is_compared_if_either_side_would_show_it_or_one_added_up():
    assert compared(PAIR, "process").equals(PAIR.processes)
    for side in (PAIR.a, PAIR.b):
        for pid, name in side.processes.select("pid", "comm").rows():
            asked = Expression.parse(f"pid == {pid} and comm == {name}")
            assert compared(PAIR, "process", asked)["comm"].to_list() == [name]
    same = compare(result(), result())
    one = compared(same, "process", Expression.parse("pid == 1000"))
    assert one["pid"].to_list() == [1000]
    assert not compared(PAIR, "process", Expression.parse("nobody")).height


def shown(by: str, form: str, where: str, **layout) -> str:
    return drawn(result(), form, Layout(by=by, where=Expression.parse(where), **layout))


def test_the_rest_sums_only_what_fits():
    where = "saved > 1MiB"
    table = rows(result(), "process", Expression.parse(where))
    rest = table.slice(2)
    assert 1 < rest.height < result().processes.height - 2
    for form in ("text", "md"):
        text = shown("process", form, where, rows=2, width=200)
        assert f"{rest.height} more" in text
        size = int(rest["pages"].sum()) * 4096 / 2**30
        more = f"{rest.height} more"
        (line,) = (line for line in text.splitlines() if more in line)
        assert f"{size:.2f} GiB" in line or f"{size * 1024:.0f} MiB" in line
        assert f"{table.height} of 10 rows" in text


def test_csv_has_only_rows_that_fit():
    found = csv.DictReader(io.StringIO(shown("process", "csv", "comm == web*")))
    assert {row["comm"] for row in found} == {"web-frontend"}


def test_json_filters_one_table_and_says_so():
    whole = json.loads(drawn(result(), "json", Layout()))
    part = json.loads(shown("process", "json", "comm == web*"))
    told = part.pop("filter")
    assert told == {
        "table": "processes",
        "expression": 'comm == "web*"',
        "rows": 2,
        "of": 10,
    }
    assert {row["pid"] for row in part.pop("processes")} == {1014, 1021}
    del whole["processes"]
    assert part == whole


def test_mappings_are_filtered_in_json():
    part = json.loads(shown("mapping", "json", "kind == heap"))
    assert len(part["mappings"]) == part["filter"]["rows"] == 10


@pytest.mark.parametrize("form", ["text", "md"])
def test_what_no_row_fits_is_told(form):
    text = shown("process", form, "comm == nobody").replace("\\", "")
    assert 'o process fits comm == "nobody"' in text
    assert 'comm == "nobody": 0 of 10 rows' in text


def names(by: str, where: str) -> set[str]:
    return set(rows(result(), by, Expression.parse(where))["workload"])


def test_a_workload_fits_if_one_of_its_processes_does():
    assert names("workload", "pid == 1007") == {"vm-win11-vdi"}
    assert names("workload", "comm == web* or pid == 1000") == {
        "web-frontend",
        "vm-win11-vdi",
    }
    # Both of one process, not each of another.
    assert names("workload", "pid == 1000 and pid == 1007") == set()
    # The figure is the workload's, which no process of it reaches.
    each = result().processes.filter(workload="web-frontend")["pages"].max()
    assert names("workload", f"size > {each} and pid == 1014") == {"web-frontend"}


def test_a_mapping_has_the_names_of_its_process():
    assert names("mapping", 'unit == "web*" and kind == heap') == {"web-frontend"}


@pytest.mark.parametrize(
    ("by", "where", "message"),
    [
        ("workload", "kind == heap", "no kind here"),
        ("mapping", "profit > 0", "no profit here"),
        ("pass", "web", "this table has no names to find a word in"),
        ("content", "pid == 1", "no pid here"),
    ],
)
def test_what_a_table_lacks_is_refused_before_and_after(by, where, message):
    expression = Expression.parse(where)
    with pytest.raises(UsageError, match=message):
        check(by, expression)
    with pytest.raises(UsageError, match=message):
        rows(result(), by, expression)
