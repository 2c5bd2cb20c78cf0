"""What a dump cannot tell, as the commands say it."""

import csv
import io
import json
from pathlib import Path

import pytest
from builders import Proc, trace_file
from click.testing import CliRunner

from analyzer.cli import program
from traces.errors import UsageError
from traces.schema import PageFlag

UNTOUCHED, CACHED = int(PageFlag.PRESENCE_UNKNOWN), int(PageFlag.ANON_UNKNOWN)
LEAST = "saved at least 4.00 KiB (50.0% of 8.00 KiB offered)"
MOST = (
    "at most 16.0 KiB: 2 zero pages that may never have been touched, 2 pages that may "
    "be of the file cache"
)


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of six pages two are sure, and those are equal."""
    flags = [0, UNTOUCHED, CACHED]
    return trace_file(
        tmp_path_factory.mktemp("bounds") / "dump.parquet",
        Proc("AZA", pid=1, workload="web", flags=flags),
        Proc("AZC", pid=2, workload="db", flags=flags),
    )


def ran(*arguments: object) -> str:
    found = CliRunner().invoke(program, [*map(str, arguments)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.stdout


def joined(text: str) -> str:
    return " ".join(text.split())


def test_the_headline_says_at_least_and_at_most(dump: Path) -> None:
    shown = joined(ran("replay", dump))
    assert shown.startswith(LEAST)
    assert MOST in shown
    assert "uncertain zero uncertain" in shown
    shown = ran("replay", dump, "-f", "md")
    assert shown.startswith("**KSM would save at least 4.00 KiB** (50.0% of 8.00 KiB")
    assert f" A{MOST[1:]}." in shown.splitlines()[0]


def test_what_is_counted_in_is_no_lower_bound(dump: Path) -> None:
    shown = joined(ran("replay", dump, "--uncertain", "count-in"))
    assert shown.startswith("saved 12.0 KiB (50.0% of 24.0 KiB offered)")
    assert f"counted in{MOST.partition(':')[2]}" in shown
    assert "at most" not in shown
    assert "at least" not in shown
    assert "uncertain pages counted in" in shown


def test_json_holds_both_bounds(dump: Path) -> None:
    document = json.loads(ran("replay", dump, "-f", "json"))
    assert document["uncertain"] == "keep-out"
    assert document["uncertainty"] == {
        "zero_pages": 2,
        "other_pages": 2,
        "shared_pages": 0,
        "pages_saved_zero_at_most": 2,
        "pages_saved_nonzero_at_most": 2,
    }
    assert [row["uncertain_pages"] for row in document["workloads"]] == [1, 1]
    counted = json.loads(ran("replay", dump, "-f", "json", "--uncertain", "count-in"))
    assert counted["uncertain"] == "count-in"
    assert counted["savings"]["pages_saved_nonzero"] == 2


@pytest.mark.parametrize("by", ["workload", "process", "mapping", "kind"])
def test_csv_has_the_pages_kept_out(dump: Path, by: str) -> None:
    rows = list(
        csv.DictReader(io.StringIO(ran("replay", dump, "-f", "csv", "--by", by)))
    )
    for name in ("uncertain_zero_pages", "uncertain_pages"):
        assert sum(int(row[name]) for row in rows) == 2


def test_nothing_sure_is_said_to_be_so(tmp_path: Path) -> None:
    path = trace_file(tmp_path / "t", Proc("ZZ", flags=[UNTOUCHED] * 2))
    shown = joined(ran("replay", path))
    assert shown.startswith(
        "nothing offered is sure to be there: 2 pages kept out; try --uncertain "
        "count-in at most 8.00 KiB: 2 zero pages that may never have been touched"
    )
    assert "--uncertain count-in**. At most 8.00 KiB" in ran("replay", path, "-f", "md")


def test_info_tells_of_a_trace_and_of_a_result(dump: Path, tmp_path: Path) -> None:
    shown = joined(ran("info", dump))
    assert f"uncertain{MOST.partition(':')[2]}" in shown
    assert "zero 2, 33.3% of them" in shown
    assert json.loads(ran("info", dump, "-f", "json"))["uncertain_zero_pages"] == 2
    ran("replay", dump, "--save", tmp_path / "r")
    shown = joined(ran("info", tmp_path / "r"))
    assert "saved at least 4.00 KiB" in shown
    assert MOST in shown
    document = json.loads(ran("info", tmp_path / "r", "-f", "json"))
    assert document["uncertainty"]["other_pages"] == 2


def test_compare_says_that_its_figures_are_the_least(dump: Path) -> None:
    shown = joined(ran("compare", dump, "--b", "use_zero_pages=on"))
    assert "of both sides, savings are the least; deltas are of these" in shown
    assert shown.count(MOST) == 2
    assert "saved at most 16.0 KiB 16.0 KiB" in shown
    shown = joined(ran("compare", dump, "--b", "uncertain=count-in"))
    assert "of A, savings are the least; deltas are of these" in shown
    assert "B counted in 2 zero pages" in shown
    assert "policy all in A, all; uncertain count-in in B" in shown
    arguments = ("compare", dump, "--a", "uncertain=keep-out", "-f", "json")
    document = json.loads(ran(*arguments, "--uncertain", "count-in"))
    assert [document[side]["uncertain"] for side in "ab"] == ["keep-out", "count-in"]
    assert document["totals"]["pages_saved_at_most"]["a"] == 4


def test_what_is_no_treatment_is_refused(dump: Path, tmp_path: Path) -> None:
    wrong = CliRunner().invoke(
        program, ["compare", str(dump), "--b", "uncertain=maybe"]
    )
    assert isinstance(wrong.exception, UsageError)
    assert "'maybe' is not keep-out or count-in" in str(wrong.exception)
    ran("replay", dump, "--save", tmp_path / "r")
    arguments = ["compare", tmp_path / "r", dump, "--uncertain", "count-in"]
    wrong = CliRunner().invoke(program, [*map(str, arguments)])
    assert isinstance(wrong.exception, UsageError)
    assert "a saved result has its settings" in str(wrong.exception)


def test_where_all_is_certain_nothing_is_said(trace: Path) -> None:
    for command in (("replay", trace), ("compare", trace, "--b", "passes=1")):
        shown = ran(*command)
        for word in ("at least", "at most", "uncertain", "bounds"):
            assert word not in shown
    assert "uncertain" not in ran("info", trace)
