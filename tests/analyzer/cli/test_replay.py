import csv
import io
import json

import polars as pl
import pytest
from click.testing import CliRunner

from analyzer.cli import main, program
from analyzer.report.columns import TABLES
from analyzer.result import ReplayResult
from traces.errors import UsageError
from traces.schema import SIDE_TABLES


def ran(*arguments):
    found = CliRunner().invoke(program, [*map(str, arguments)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.stdout


def replayed(*arguments):
    return json.loads(ran("replay", *arguments, "--format", "json"))


def test_the_figures_are_the_ones_that_can_be_counted_by_hand(trace):
    # A five times, Z four times; with the zero page merged as any other content.
    document = replayed(trace)
    assert document["savings"]["pages_saved_nonzero"] == 4
    assert document["savings"]["pages_saved_zero"] == 3
    assert document["ideal"]["distinct_contents"] == 6
    assert document["trace"]["pages"] == 13


def test_knobs_reach_the_engine(trace):
    document = replayed(trace, "--use-zero-pages", "--pages-to-scan", 4000)
    assert document["knobs"]["pages_to_scan"] == 4000
    assert document["counters"]["ksm_zero_pages"] == 4


def test_the_policy_decides_who_is_offered(trace):
    assert sum(replayed(trace)["composition"].values()) == 13
    captured = replayed(trace, "--policy", "captured")
    assert captured["policy"] == "captured"
    assert sum(captured["composition"].values()) == 9


def test_passes_stop_it_early(trace):
    document = replayed(trace, "--passes", 1)
    assert len(document["passes"]) == 1
    assert document["settled"] is False


def test_captures_are_joined_into_one_host(trace):
    document = replayed(trace, trace)
    assert document["trace"]["pages"] == 26
    assert len(document["processes"]) == 6


@pytest.mark.parametrize("by", sorted(TABLES))
@pytest.mark.parametrize("form", ["text", "csv", "md"])
def test_every_table_in_every_format(trace, by, form):
    shown = ran("replay", trace, "--by", by, "--format", form)
    assert "\x1b" not in shown
    if form == "csv":
        assert len({len(row) for row in csv.reader(io.StringIO(shown))}) == 1


def test_more_contents_are_kept_when_more_rows_are_asked_for(trace):
    rows = ran("replay", trace, "--by", "content", "-n", 1, "--format", "csv")
    assert len(rows.splitlines()) == 2


def test_a_saved_result_draws_the_same(trace, tmp_path):
    from analyzer.report import drawn
    from analyzer.report.layout import Layout

    shown = ran("replay", trace, "--save", tmp_path / "x.parquet", "--format", "json")
    assert drawn(ReplayResult.load(tmp_path / "x.parquet"), "json", Layout()) == shown


def test_info_has_the_trace_object_of_a_replay(trace):
    told = json.loads(ran("info", trace, "--format", "json"))
    assert told["schema"] == "ksm-analyze/info/1"
    assert told["kind"] == "trace"
    assert told["trace"] | {"limits": 0} == replayed(trace)["trace"] | {"limits": 0}
    assert (told["zero_pages"], told["distinct_contents"]) == (4, 6)


def test_info_of_a_result_tells_what_was_replayed(trace, tmp_path):
    ran("replay", trace, "--use-zero-pages", "--save", tmp_path / "x.parquet")
    told = json.loads(ran("info", tmp_path / "x.parquet", "--format", "json"))
    assert told["kind"] == "result"
    assert told["knobs"]["use_zero_pages"] == 1
    assert (told["zero_pages"], told["distinct_contents"]) == (4, 6)


@pytest.mark.parametrize("table", sorted(SIDE_TABLES))
def test_info_takes_the_tables_out(trace, tmp_path, table):
    text = ran("info", trace, "--table", table)
    assert text.splitlines()[0].split(",") == SIDE_TABLES[table].names
    assert "\x1b" not in text
    ran("info", trace, "--table", table, "-o", tmp_path / "x.parquet")
    frame = pl.read_parquet(tmp_path / "x.parquet")
    assert frame.columns == SIDE_TABLES[table].names
    assert frame.height == len(text.splitlines()) - 1


def test_info_writes_parquet_to_a_pipe(trace):
    found = CliRunner().invoke(
        program, ["info", str(trace), "--table", "epochs", "--format", "parquet"]
    )
    assert found.stdout_bytes.startswith(b"PAR1")


def refused(*arguments):
    """What `main` says on stderr, by way of the error that reaches it."""
    with pytest.raises(UsageError) as error:
        CliRunner().invoke(program, [*map(str, arguments)], catch_exceptions=False)
    return error.value


def test_openmetrics_by_suffix_has_workloads_only(trace, tmp_path):
    ran("replay", trace, "-o", tmp_path / "ksm.prom")
    text = (tmp_path / "ksm.prom").read_text()
    labels = f'source="{trace}",kind="nonzero"'
    assert f"ksm_analyze_saved_bytes{{{labels}}} {4 * 4096}\n" in text
    error = refused("replay", trace, "--by", "process", "--format", "openmetrics")
    assert "--by process" in str(error)


@pytest.mark.parametrize("form", ["text", "csv", "md", "json"])
def test_only_rows_that_fit_are_shown(trace, form):
    shown = ran(
        "replay", trace, "--by", "process", "--filter", "pid == 12", "--format", form
    )
    assert "two" not in shown
    assert "\\u65e5" in shown if form == "json" else "日本" in shown


def test_a_filter_is_refused_before_the_replay(trace, monkeypatch):
    monkeypatch.setattr("analyzer.replay.run", None)
    error = refused("replay", trace, "--filter", "savd > 1GiB")
    assert str(error) == "no field savd (column 1), did you mean saved?"
    error = refused("replay", trace, "--by", "pass", "--filter", "user == root")
    assert "no user here" in str(error)


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_filter_that_nothing_fits_is_told_beside_the_data(trace, form):
    run = CliRunner().invoke(
        program, ["replay", str(trace), "--filter", "nobody", "--format", form]
    )
    assert run.stderr.splitlines()[-1] == "no workload fits nobody"


def frames(*arguments):
    return sum(replayed(*arguments)["composition"].values())


def test_who_is_opted_in_comes_to_the_host_as_it_was(trace):
    document = replayed(trace, "--opt-in", "workload == db")
    assert sum(document["composition"].values()) == 13
    assert document["policy"] == "captured"
    assert document["opt_in"] == 'workload == "db"'
    assert frames(trace, "--opt-in", "pid == 10") == 9
    assert frames(trace, "--policy", "none", "--opt-in", "pid == 10") == 5
    assert frames(trace, "--policy", "all", "--opt-in", "pid == 10") == 13


def test_who_is_opted_out_is_not_offered(trace):
    document = replayed(trace, "--opt-out", "workload == web")
    assert sum(document["composition"].values()) == 4
    assert (document["policy"], document["opt_out"]) == ("all", 'workload == "web"')
    assert document["opt_in"] is None


def test_a_tree_is_opted_in(trace):
    document = replayed(trace, "--opt-in-tree", 12, "--opt-in-tree", 10)
    assert document["opt_in_trees"] == [10, 12]
    assert sum(document["composition"].values()) == 13
    error = refused("replay", trace, "--opt-in-tree", 13)
    assert str(error) == "no process 13 in the trace"
    assert error.hint == "the nearest is 12, 日本"


def test_what_only_a_replay_knows_opts_nobody_in(trace):
    error = refused("replay", trace, "--opt-in", "pid==1 or saved>1GiB")
    message = "no saved here: who is offered is decided before a replay (column 11)"
    assert str(error) == message


def test_an_expression_that_no_mapping_fits_is_told(trace):
    shown = ran("replay", trace, "--opt-in", "comm == noone")
    assert '! no mapping of the trace fits comm == "noone"' in shown
    said = 'mergeable when captured, and what fits comm == "noone"'
    assert said in " ".join(shown.split())


def test_nothing_offered_names_what_was_asked(trace):
    shown = ran("replay", trace, "--policy", "none")
    assert "nothing was offered to ksmd: the policy was none\n" in shown
    assert "offered  nothing\n" in shown


@pytest.mark.parametrize("option", ["--opt-in", "--opt-out", "--filter"])
def test_an_empty_expression_is_not_taken_for_none(trace, option):
    assert str(refused("replay", trace, option, "")) == "an empty expression"


def test_a_wrong_expression_is_shown_with_its_place(trace, capsys, monkeypatch):
    arguments = ["ksm-analyze", "replay", str(trace), "--opt-in"]
    monkeypatch.setattr("sys.argv", [*arguments, "pid == 1 and savd > 1"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "error: no field savd (column 14), did you mean saved?\n"
        "hint: pid == 1 and savd > 1\n"
        "                   ^^^^\n"
    )
