import csv
import io
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
from html.parser import HTMLParser
from multiprocessing import active_children
from multiprocessing.connection import wait
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from core_files import Segment, core
from dumping import page

from analyzer.batch.one import done
from analyzer.batch.workers import side_by_side
from analyzer.cli import program
from analyzer.cli.exit_codes import ExitCode
from traces.errors import InputError, OutputError, UsageError

ROOT = Path(__file__).parents[3]
FIGURES = (
    "pages_saved_zero",
    "pages_saved_nonzero",
    "ideal_saved_zero",
    "ideal_saved_nonzero",
)


def ran(*arguments, code=0):
    """stdout and stderr of a run that ends with *code*."""
    found = CliRunner().invoke(
        program, [*map(str, arguments)], catch_exceptions=False, standalone_mode=False
    )
    assert (found.return_value or 0) == code, found.output
    return found.stdout, found.stderr


def reported(*arguments, code=0):
    return ran("report", *arguments, code=code)[0]


def refused(kind, *arguments):
    with pytest.raises(kind) as error:
        ran("report", *arguments)
    return str(error.value)


def replayed(*arguments):
    return json.loads(ran("replay", *arguments, "--format", "json")[0])


def figures_of(document):
    """What a summary tells, taken from the JSON of a replay."""
    savings, ideal = document["savings"], document["ideal"]
    return {
        "pages": document["trace"]["pages"],
        "pages_offered": sum(document["composition"].values()),
        "pages_saved_zero": savings["pages_saved_zero"],
        "pages_saved_nonzero": savings["pages_saved_nonzero"],
        "ideal_saved_zero": ideal["pages_saved_zero"],
        "ideal_saved_nonzero": ideal["pages_saved_nonzero"],
        "general_profit": document["counters"]["general_profit"],
        "estimated_cpu_ns": document["cost"]["cpu_ns"],
        "full_scans": len(document["passes"]),
    }


def summary(*arguments, code=0):
    return json.loads(reported(*arguments, "--format", "json", code=code))


def dumped(path, contents, missing=0):
    """A core of one process with pages of *contents*, its last bytes *missing*."""
    data = core([Segment(0x10000, [page(content) for content in contents])]).bytes()
    path.write_bytes(data[: len(data) - missing])
    return path


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Starting workers takes a second each: only some tests do."""

    def in_turn(tasks, jobs):
        assert 1 <= jobs <= len(tasks)
        yield from ((number, done(task)) for number, task in enumerate(tasks))

    monkeypatch.setattr("analyzer.batch.workers.side_by_side", in_turn)


@pytest.fixture
def workers(monkeypatch):
    monkeypatch.setattr("analyzer.batch.workers.side_by_side", side_by_side)


@pytest.fixture
def bad(trace, tmp_path):
    path = tmp_path / "bad.parquet"
    path.write_bytes(trace.read_bytes()[:-8])
    return path


@pytest.fixture
def saved(trace, tmp_path):
    ran("replay", trace, "--use-zero-pages", "--save", tmp_path / "saved.parquet")
    return tmp_path / "saved.parquet"


@pytest.mark.parametrize("form", ["text", "json", "csv", "md"])
def test_one_report_is_what_replay_prints(trace, form):
    arguments = (trace, "--use-zero-pages", "--by", "process", "--format", form)
    assert reported(*arguments) == ran("replay", *arguments)[0]


def test_openmetrics_are_those_of_replay_under_the_name_given(trace):
    told = reported(f"web={trace}", "--format", "openmetrics")
    replay = ran("replay", trace, "--format", "openmetrics")[0]
    assert told == replay.replace(f'source="{trace}"', 'source="web"')


def test_parquet_has_the_rows_of_csv(trace, tmp_path):
    reported(trace, "--by", "process", "-o", tmp_path / "x.parquet")
    rows = csv.DictReader(io.StringIO(reported(trace, "--by", "process", "-f", "csv")))
    frame = pl.read_parquet(tmp_path / "x.parquet")
    assert [str(pid) for pid in frame["pid"]] == [row["pid"] for row in rows]
    assert "two|\x1b[31m" in frame["comm"].to_list()


def test_a_file_is_private_and_its_suffix_tells_the_format(trace, tmp_path):
    reported(trace, "-o", tmp_path / "x.md")
    assert stat.S_IMODE((tmp_path / "x.md").stat().st_mode) == 0o600
    assert (tmp_path / "x.md").read_text().startswith("**KSM would save")
    assert [path.name for path in tmp_path.iterdir()] == ["x.md"]


def test_a_saved_result_is_not_replayed_again(saved, trace, monkeypatch):
    expected = replayed(trace, "--use-zero-pages")
    monkeypatch.setattr("analyzer.replay.run", None)
    assert figures_of(summary(saved)) == figures_of(expected)
    for option in (["--passes", "3"], ["--uncertain", "count-in"], ["--no-smart-scan"]):
        told = refused(UsageError, saved, *option)
        assert "settings already" in told
        assert option[0] in told


def test_a_dump_is_converted_on_the_way(tmp_path):
    dump = dumped(tmp_path / "my.core", [0, 0, 1, 1, 1, 2])
    document = summary(f"db={dump}", "--uncertain", "count-in")
    assert document["savings"]["pages_saved_nonzero"] == 2
    assert document["trace"]["path"] == str(dump)
    assert [row["workload"] for row in document["workloads"]] == ["db"]
    assert [path.name for path in tmp_path.iterdir()] == ["my.core"]
    ran("convert", f"db={dump}", "-o", tmp_path / "x.parquet", "-q")
    expected = replayed(tmp_path / "x.parquet", "--uncertain", "count-in")
    assert figures_of(document) == figures_of(expected)


def test_what_a_dump_cannot_tell_bounds_its_figures(tmp_path):
    dump = dumped(tmp_path / "my.core", [0, 0, 1, 1, 1, 2])
    (row,) = summary(tmp_path)["sources"]
    expected = summary(dump)["uncertainty"]
    assert row["at_least"]
    assert row["figures"]["pages_saved_nonzero"] == 0
    for name in ("pages_saved_zero_at_most", "pages_saved_nonzero_at_most"):
        assert row["figures"][name] == expected[name]


def test_a_truncated_dump_is_marked_or_refused(tmp_path):
    dump = dumped(tmp_path / "cut.core", [1, 1, 1, 1], missing=5000)
    (row,) = summary(tmp_path)["sources"]
    assert (row["kind"], row["truncated"], row["error"]) == ("elf-core", True, None)
    assert "truncated" in reported(tmp_path, "--format", "md")
    assert "truncated" in refused(InputError, dump, "--strict")
    (row,) = summary(tmp_path, "--strict", code=ExitCode.INPUT)["sources"]
    assert row["figures"] is None


def test_several_are_summed_up_in_the_order_named(trace, saved, tmp_path):
    dump = dumped(tmp_path / "a.core", [0, 1, 1])
    document = summary(dump, f"web={trace}", saved)
    assert document["schema"] == "ksm-analyze/report/1"
    rows = document["sources"]
    assert [row["source"] for row in rows] == [str(dump), "web", str(saved)]
    assert [row["kind"] for row in rows] == ["elf-core", "trace", "result"]
    expected = figures_of(replayed(trace))
    assert {name: rows[1]["figures"][name] for name in expected} == expected
    for name, sum_of_all in document["totals"].items():
        if name not in ("sources", "failed"):
            assert sum_of_all == sum(row["figures"][name] for row in rows)


def test_knobs_and_policy_hold_for_all(trace):
    document = summary(trace, trace, "--policy", "captured", "--passes", 1)
    expected = figures_of(replayed(trace, "--policy", "captured", "--passes", 1))
    for row in document["sources"]:
        assert row["figures"].items() >= expected.items()
    assert [row["source"] for row in document["sources"]] == [
        str(trace),
        f"{trace} (2)",
    ]


@pytest.mark.parametrize("form", ["text", "json", "csv", "md", "openmetrics", "html"])
def test_a_bad_file_in_the_middle_does_not_end_the_others(trace, bad, form):
    found, errors = ran("report", trace, bad, trace, "--format", form, code=1)
    assert errors.count("error: ") == 1
    assert "footer" in errors
    assert "Traceback" not in errors
    if form == "openmetrics":
        failed = re.findall(r"^ksm_analyze_source_failed\{.*\} (\d)$", found, re.M)
        assert failed == ["0", "1", "0"]
    else:
        assert "truncated, the Parquet footer" in found


def test_summaries_tell_the_same(trace, bad, tmp_path):
    rows = summary(trace, bad, code=1)["sources"]
    table = list(csv.DictReader(io.StringIO(reported(trace, bad, "-f", "csv", code=1))))
    reported(trace, bad, "-o", tmp_path / "x.parquet", code=1)
    frame = pl.read_parquet(tmp_path / "x.parquet").to_dicts()
    assert [row["error"] for row in frame] == [row["error"] for row in rows]
    for name in FIGURES:
        expected = rows[0]["figures"][name]
        assert (int(table[0][name]), frame[0][name]) == (expected, expected)
        assert (table[1][name], frame[1][name]) == ("", None)
    metrics = reported(trace, bad, "-f", "openmetrics", code=1)
    for kind in ("zero", "nonzero"):
        pages = rows[0]["figures"][f"pages_saved_{kind}"]
        labels = f'source="{trace}",kind="{kind}"'
        assert f"ksm_analyze_source_saved_bytes{{{labels}}} {pages * 4096}\n" in metrics
    client = pytest.importorskip("prometheus_client.openmetrics.parser")
    assert list(client.text_string_to_metric_families(metrics))


def test_all_bad_is_an_input_error(bad, tmp_path):
    missing = tmp_path / "missing.parquet"
    document = summary(bad, missing, code=ExitCode.INPUT)
    assert "No such file" in document["sources"][1]["error"]
    assert document["totals"]["sources"] == 0
    assert "all 2 failed" in reported(bad, missing, code=ExitCode.INPUT)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_text("nothing known"),
        lambda path: path.write_bytes(b""),
        os.mkfifo,
        lambda path: pl.DataFrame({"a": [1]}).write_parquet(path),
        str,
    ],
    ids=["text", "empty", "pipe", "parquet", "missing"],
)
def test_what_is_no_source_is_refused_in_one_line(tmp_path, make):
    make(tmp_path / "x")
    told = refused(InputError, tmp_path / "x")
    assert str(tmp_path / "x") in told
    assert "\n" not in told


def test_of_a_live_process_a_capture_is_made_first():
    with pytest.raises(InputError) as told:
        ran("report", str(os.getpid()))
    assert f"capture --pid {os.getpid()}" in str(told.value.hint)


def test_a_folder_is_everything_in_it_that_is_known(trace, bad, tmp_path):
    folder = tmp_path / "in"
    (folder / "deeper").mkdir(parents=True)
    shutil.copy(trace, folder / "b")
    shutil.copy(bad, folder / "c.parquet")
    dumped(folder / "a", [1, 1])
    (folder / "notes.txt").write_text("none of these")
    for name, member in (("core.tar.gz", "a"), ("notes.tar", "notes.txt")):
        with tarfile.open(folder / name, f"w:{name[9:]}") as tar:
            tar.add(folder / member, member)
    os.mkfifo(folder / "pipe")
    (folder / "dangling").symlink_to("nowhere")
    found, errors = ran("report", folder, "--format", "json", code=1)
    document = json.loads(found)
    known = {Path(row["path"]).name: row["kind"] for row in document["sources"]}
    # What cannot be read may have been meant: it fails, and is not passed over.
    assert known == {
        "a": "elf-core",
        "b": "trace",
        "c.parquet": None,
        "core.tar.gz": "elf-core",
        "dangling": None,
    }
    skipped = {Path(row["path"]).name: row["why"] for row in document["skipped"]}
    assert skipped.keys() == {"notes.txt", "notes.tar", "pipe", "deeper"}
    assert errors.count("skipped: ") == 4
    assert ran("report", folder, "-q", code=1)[1].count("skipped: ") == 0


def test_an_empty_folder_is_refused(tmp_path):
    assert "nothing in it" in refused(InputError, tmp_path)


def test_a_folder_cannot_have_a_name(trace):
    assert "one name" in refused(UsageError, f"x={trace.parent}")


def test_a_report_for_each_and_a_summary(trace, bad, tmp_path):
    out = tmp_path / "out"
    reported(trace, bad, f"web={trace}", "--out-dir", out, "-f", "json", code=1)
    names = {path.name for path in out.iterdir()}
    assert names == {"trace.json", "web.json", "summary.json"}
    assert json.loads((out / "web.json").read_text()) == replayed(trace)
    rows = json.loads((out / "summary.json").read_text())["sources"]
    assert [row["report"] for row in rows] == ["trace.json", None, "web.json"]
    for path in out.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_that_is_there_is_used(trace, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "trace.md").write_text("old")
    reported(trace, "--out-dir", tmp_path, "-f", "md")
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert (tmp_path / "trace.md").read_text() != "old"
    links = re.findall(r"\]\(([^)]*)\)", (tmp_path / "summary.md").read_text())
    assert links == ["trace.md"]


def test_names_are_safe_and_all_different(trace, tmp_path):
    names = ("../../up", "a/b", "A_B", "summary", ".hidden", "-rf", "x" * 300, "日本")
    out = tmp_path / "out"
    sources = [f"{name}={trace}" for name in (*names, "\x1b[31m\n\u202e<b>")]
    reported("--out-dir", out, "-f", "md", "--", *sources)
    files = sorted(path.name for path in out.iterdir())
    assert len({name.casefold() for name in files}) == len(sources) + 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert "日本.md" in files
    for name in files:
        assert re.fullmatch(r"[\w.=@+,-]{1,130}", name), name
        assert name[0] not in ".-"
    text = (out / "summary.md").read_text()
    assert not {"\x1b", "\u202e"} & set(text)
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert len(links) == len(sources)


class _Page(HTMLParser):
    """Elements and text of a page; fails at what is not closed."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.elements, self.text = [], [], set(), ""

    def handle_starttag(self, tag, attributes):
        self.elements.add(tag)
        told = dict(attributes)
        if told.get("http-equiv") == "Content-Security-Policy":
            self.policy = told["content"]
        self.links += [
            value
            for name, value in attributes
            if name in ("href", "src") and value != "data:,"
        ]
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.text += text


def test_the_summary_as_a_page_loads_nothing_and_escapes_names(trace, tmp_path):
    hostile = f"<script>alert(1)</script>&\u202e={trace}"
    found = reported(hostile, trace, tmp_path / "<b>.parquet", "-f", "html", code=1)
    shown = _Page()
    shown.feed(found)
    assert shown.open == []
    assert "script" not in shown.elements
    assert "<script>alert(1)</script>&\\u202e" in shown.text
    assert shown.links == []
    assert "report --format html" in shown.text
    assert shown.policy.startswith("default-src 'none'; style-src 'sha256-")


def test_pages_link_to_the_reports_beside_them(trace, tmp_path):
    out = tmp_path / "out"
    reported(f"a b={trace}", trace, "--out-dir", out)
    shown = _Page()
    shown.feed((out / "summary.html").read_text())
    assert shown.links == ["a_b.html", "trace.html"]
    assert {path.name for path in out.iterdir()} == {"summary.html", *shown.links}


def test_a_page_tells_the_command_that_makes_it_again(trace, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(
        "analyzer.report.html.page",
        lambda result, command: told.append((result, command)) or "",
    )
    named = f"a b={trace}"
    reported(named, "--use-zero-pages", "-n", 3, "-o", tmp_path / "x.html", "-q")
    ((result, command),) = told
    assert not result.compositions.is_empty()
    assert command == (
        f"ksm-analyze report --rows 3 --use-zero-pages --format html 'a b={trace}'"
    )


def test_an_input_is_never_overwritten(trace, tmp_path):
    mine = Path(shutil.copy(trace, tmp_path / "mine.parquet"))
    before = mine.read_bytes()
    refused(UsageError, mine, "--out-dir", tmp_path, "-f", "parquet")
    refused(UsageError, mine, "-o", mine, "-f", "json")
    assert mine.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["mine.parquet"]


def test_wrong_places_are_refused_before_the_work(trace, tmp_path, monkeypatch):
    monkeypatch.setattr("analyzer.batch.workers.side_by_side", None)
    (tmp_path / "file").write_text("")
    (tmp_path / "out" / "summary.md").mkdir(parents=True)
    for out in ("file", "no/where", "file/below", "out"):
        told = refused(OutputError, trace, "--out-dir", tmp_path / out, "-f", "md")
        assert str(tmp_path / out) in told
    refused(OutputError, trace, "-o", tmp_path / "no" / "x.md")
    told = refused(UsageError, trace, "-o", "x.md", "--out-dir", "x")
    assert "exclude" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"]


def test_metrics_have_workloads_only(trace):
    told = refused(UsageError, trace, "--by", "process", "--format", "openmetrics")
    assert "--by process" in told


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_without_permission(trace, tmp_path):
    locked = Path(shutil.copy(trace, tmp_path / "locked.parquet"))
    locked.chmod(0)
    (row, _) = summary(locked, trace, code=1)["sources"]
    assert row["error"] == f"{locked}: Permission denied"
    (tmp_path / "ro").mkdir(mode=0o500)
    refused(OutputError, trace, "--out-dir", tmp_path / "ro", "-f", "md")


def test_what_may_not_be_read_fails_by_name(trace, tmp_path, monkeypatch):
    """The same as root: the system says no."""
    locked = tmp_path / "locked.parquet"
    shutil.copy(trace, locked)
    really = Path.open

    def opened(path, *arguments, **options):
        if path == locked:
            raise PermissionError(13, "Permission denied")
        return really(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", opened)
    assert refused(InputError, locked) == f"{locked}: Permission denied"


def test_workers_give_what_one_process_gives(trace, bad, tmp_path, request):
    arguments = (trace, bad, f"web={trace}", "--use-zero-pages", "-f", "json")
    for out in ("here", "there"):
        reported(*arguments, "--out-dir", tmp_path / out, "--jobs", 2, code=1)
        request.getfixturevalue("workers")
    here, there = (
        {path.name: path.read_bytes() for path in (tmp_path / out).iterdir()}
        for out in ("here", "there")
    )
    assert here == there


@pytest.mark.usefixtures("workers")
def test_a_killed_worker_is_one_failed_source(trace, tmp_path, monkeypatch):
    """The first worker is killed while it is at its first source."""
    killed = []

    def waiting(pipes):
        if not killed:
            (child,) = active_children()
            killed.append(child.pid)
            os.kill(child.pid, signal.SIGKILL)
        return wait(pipes)

    monkeypatch.setattr("analyzer.batch.workers.wait", waiting)
    out = tmp_path / "out"
    arguments = (trace, trace, trace, "--out-dir", out, "-f", "json", "--jobs", 1)
    _, errors = ran("report", *arguments, code=1)
    assert f"error: {trace}: the worker that read it was killed (signal 9)" in errors
    rows = json.loads((out / "summary.json").read_text())["sources"]
    assert [bool(row["error"]) for row in rows] == [True, False, False]
    assert len(list(out.iterdir())) == 3
    assert not active_children()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing(trace, tmp_path, number):
    mine = Path(shutil.copy(trace, tmp_path / "mine.parquet"))
    out = tmp_path / "out"
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from analyzer.cli import main; main()"),
            *("report", *[str(mine)] * 400, "--out-dir", str(out), "-f", "md"),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # Until the first report waits for the others.
    deadline = time.monotonic() + 60
    while not list(out.glob(".*/*.md")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None
    # As a terminal does: to all of them.
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == (130 if number == signal.SIGINT else 143)
    assert "Traceback" not in errors
    assert [path.name for path in tmp_path.iterdir()] == ["mine.parquet"]


def test_progress_is_quiet_unless_somebody_looks(trace, bad, tmp_path):
    _, errors = ran("report", trace, bad, "-o", tmp_path / "x.csv", "-q", code=1)
    (line,) = errors.splitlines()
    assert line.startswith("error: ")
