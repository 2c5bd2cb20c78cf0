import json
import re

import pytest
from click.testing import CliRunner

from analyzer.cli import COMMANDS, program
from analyzer.cli.compare import _KEYS
from analyzer.knobs import KsmKnobs
from traces.errors import InputError, KsmAnalyzeError, UsageError


def ran(*arguments):
    found = CliRunner().invoke(program, [*map(str, arguments)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.stdout


def compared(*arguments):
    return json.loads(ran("compare", *arguments, "--format", "json"))


def replayed(*arguments):
    return json.loads(ran("replay", *arguments, "--format", "json"))


def refused(*arguments):
    found = CliRunner().invoke(program, ["compare", *map(str, arguments)])
    assert isinstance(found.exception, KsmAnalyzeError), found.output
    return found.exception


@pytest.fixture(scope="module")
def saved(trace, tmp_path_factory):
    path = tmp_path_factory.mktemp("compare") / "result.parquet"
    ran("replay", trace, "--use-zero-pages", "--save", path)
    return path


def test_two_settings_over_one_trace_are_two_plain_runs(trace):
    document = compared(
        trace, "--a", "policy=captured", "--b", "use-zero-pages=on", "--b", "passes=1"
    )
    a = replayed(trace, "--policy", "captured")
    b = replayed(trace, "--use-zero-pages", "--passes", 1)
    for side, plain in (("a", a), ("b", b)):
        assert document[side]["knobs"] == plain["knobs"]
        assert document[side]["policy"] == plain["policy"]
        assert document[side]["settled"] == plain["settled"]
        for name, value in plain["counters"].items():
            if name in document["totals"]:
                assert document["totals"][name][side] == value
    rows = {row["workload"]: row for row in document["workloads"]}
    for plain_a in a["workloads"]:
        (plain_b,) = [
            row for row in b["workloads"] if row["workload"] == plain_a["workload"]
        ]
        for name in plain_a.keys() - {"workload"}:
            change = rows[plain_a["workload"]][f"{name}_delta"]
            assert change == plain_b[name] - plain_a[name], name


def test_who_is_offered_is_a_setting_as_in_replay(trace):
    document = compared(
        trace, "--a", "opt_in=pid == 10", "--a", "opt-out=kind == stack",
        "--b", "policy=none", "--b", "opt-in-tree=12", "--b", "opt_in_tree=10",
    )  # fmt: skip
    a = replayed(trace, "--opt-in", "pid == 10", "--opt-out", "kind == stack")
    b = replayed(
        trace, "--policy", "none", "--opt-in-tree", 12, "--opt-in-tree", 10
    )  # fmt: skip
    for side, plain in (("a", a), ("b", b)):
        for name in ("policy", "opt_in", "opt_out", "opt_in_trees", "trace"):
            assert document[side][name] == plain[name]
        offered = sum(plain["composition"].values())
        assert document["totals"]["pages_offered"][side] == offered
    assert document["differs"] == {
        "policy": {
            "a": 'captured; opt-in pid == 10; opt-out kind == "stack"',
            "b": "none; opt-in-tree 10; opt-in-tree 12",
        }
    }


def test_a_filter_is_that_of_replay(trace, monkeypatch):
    document = compared(trace, "--b", "passes=1", "--filter", "comm == db")
    plain = replayed(trace, "--filter", "comm == db")
    names = [row["workload"] for row in plain["workloads"]]
    assert [row["workload"] for row in document["workloads"]] == names
    arguments = [str(trace), "--b", "passes=1", "-f", "csv", "--filter", "nobody"]
    found = CliRunner().invoke(program, ["compare", *arguments])
    assert found.stderr.splitlines()[-1] == "no workload fits nobody"
    monkeypatch.setattr("analyzer.replay.run", pytest.fail)
    error = refused(trace, "--b", "passes=1", "--filter", "what == zero")
    assert str(error).startswith("no what here")


def test_a_wrong_expression_is_shown_with_its_place(trace):
    assert refused(trace, "--b", "opt_in= savd > 1").hint == "savd > 1\n^^^^"


def test_knobs_of_their_own_options_hold_for_both(trace):
    document = compared(trace, "--pages-to-scan", 7, "--b", "smart_scan=off")
    assert document["a"]["knobs"]["pages_to_scan"] == 7
    assert document["b"]["knobs"]["pages_to_scan"] == 7
    assert document["differs"] == {"smart_scan": {"a": 1, "b": 0}}


def test_a_setting_of_one_side_wins_over_the_common_one(trace):
    document = compared(trace, "--pages-to-scan", 7, "--b", "pages_to_scan=9")
    assert document["differs"] == {"pages_to_scan": {"a": 7, "b": 9}}


def test_a_kernel_is_a_setting(trace):
    document = compared(trace, "--b", "kernel=5.10")
    assert document["differs"] == {"kernel": {"a": "6.18", "b": "5.10"}}


def test_a_saved_result_beside_its_trace_is_the_same_run(trace, saved):
    document = compared(saved, trace, "--b", "use_zero_pages=1")
    assert document["differs"] == {}
    assert all(row["delta"] == 0 for row in document["totals"].values())
    other = compared(trace, saved)
    assert other["differs"] == {"use_zero_pages": {"a": 0, "b": 1}}


def test_two_results_are_compared_without_a_replay(saved, monkeypatch):
    monkeypatch.setattr("analyzer.replay.run", pytest.fail)
    assert compared(saved, saved)["differs"] == {}


def test_digests_of_other_seeds_do_not_matter_as_only_figures_are_compared(
    trace, other_seed
):
    document = compared(trace, other_seed)
    assert {row["only"] for row in document["workloads"]} == {"a", "b"}


@pytest.mark.parametrize("by", ["workload", "process"])
@pytest.mark.parametrize("form", ["text", "csv", "md", "json"])
def test_every_table_in_every_format(trace, saved, by, form):
    shown = ran("compare", trace, saved, "--by", by, "-f", form)
    assert "\x1b" not in shown
    assert shown.endswith("\n")


def test_the_suffix_tells_the_format(trace, saved, tmp_path):
    ran("compare", trace, saved, "-o", tmp_path / "x.md")
    assert (tmp_path / "x.md").read_text().startswith("**B saves 4.00 KiB more")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--b", "use_zeropages=on"], "did you mean use_zero_pages?"),
        (["--a", "pages_to_scan"], "expected KEY=VALUE"),
        (["--b", "pages_to_scan=many"], "'many' is no number"),
        (["--b", "pages-to-scan=0"], "pages_to_scan is 0, expected 1"),
        (["--b", "smart_scan=maybe"], "'maybe' is not on or off"),
        (["--b", "policy=some"], "'some' is not all, captured or none"),
        (["--b", "opt_in="], "an empty expression"),
        (["--b", "opt_out=savd > 1"], "no field savd (column 1), did you mean saved?"),
        (["--a", "opt-in=saved > 1"], "who is offered is decided before a replay"),
        (["--a", "opt_in_tree=0"], "PID 0, expected 1 to"),
        (["--b", "passes=0"], "a replay has at least one pass"),
        (["--b", "advisor_mode=fast"], "advisor_mode is 'fast'"),
        ([], "nothing to compare A with"),
        (["--a", "passes=1", "--b", "passes=1"], "nothing to compare A with"),
    ],
)
def test_a_wrong_setting_is_refused_before_any_replay(
    trace, monkeypatch, arguments, told
):
    monkeypatch.setattr("analyzer.replay.run", pytest.fail)
    error = refused(trace, *arguments)
    assert isinstance(error, UsageError)
    assert told in str(error)


def test_an_unknown_kernel_is_refused_as_by_replay(trace):
    assert "nothing is known" in str(refused(trace, "--b", "kernel=99.1"))


def test_a_result_has_its_settings(trace, saved):
    assert "has its settings" in str(refused(saved, trace, "--a", "passes=1"))
    assert "has its settings" in str(refused(saved, "--b", "passes=1"))
    assert "for both sides" in str(refused(trace, saved, "--use-zero-pages"))
    assert "for both sides" in str(refused(trace, saved, "--from-sysfs"))
    compared(saved, trace, "--b", "passes=1")


def test_what_is_neither_trace_nor_result_is_refused(trace, tmp_path):
    other = tmp_path / "notes.txt"
    other.write_text("no Parquet")
    assert isinstance(refused(trace, other), InputError)
    assert isinstance(refused(tmp_path / "none", trace), InputError)


def test_no_input_is_overwritten(trace, saved):
    assert "would be overwritten" in str(refused(trace, saved, "-f", "md", "-o", saved))


def test_every_knob_is_a_setting_and_every_setting_is_documented():
    from pathlib import Path

    assert set(KsmKnobs.__slots__) < set(_KEYS)
    page = Path(__file__).parents[3] / "docs" / "commands" / "compare.md"
    for key in _KEYS.keys() - set(KsmKnobs.__slots__):
        assert re.search(rf"`{key}`", page.read_text()), key
    assert "compare" in COMMANDS
