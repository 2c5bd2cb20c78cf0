"""The command as people and scripts run it: a process of its own."""

import errno
import os
import pty
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from analyzer.cli.options import PATH
from analyzer.cli.output import check_writable
from traces.errors import OutputError

ROOT = Path(__file__).parents[3]
HEAVY = ("numba", "polars", "pyarrow", "textual", "rich", "numpy", "analyzer.result")
START = "from analyzer.cli import main; main()"


def ksm(*arguments, env=None, **options):
    """Run `ksm-analyze` with *arguments* in a fresh interpreter."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in ("NO_COLOR", "COLUMNS", "CLICOLOR_FORCE")
    }
    return subprocess.run(
        [sys.executable, "-c", START, *map(str, arguments)],
        env={**clean, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **(env or {})},
        capture_output=options.pop("capture_output", True),
        text=True,
        timeout=300,
        **options,
    )


def on_terminal(*arguments, columns=80, env=None):
    """What a person sees at a terminal: stdout and stderr together, and the code."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", START, *map(str, arguments)],
        env={
            **{k: v for k, v in os.environ.items() if k != "NO_COLOR"},
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm-256color",
            "COLUMNS": str(columns),
            **(env or {}),
        },
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    seen = b""
    try:
        while chunk := os.read(leader, 65536):
            seen += chunk
    except OSError:  # The terminal is gone once the process is.
        pass
    os.close(leader)
    return seen.decode().replace("\r\n", "\n"), process.wait(timeout=60)


@pytest.mark.parametrize("arguments", [["--help"], ["replay", "-h"], ["info", "-h"]])
def test_help_loads_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from analyzer.cli import program\n"
        f"program.main({arguments!r}, standalone_mode=False)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.startswith("Usage: ")
    assert ran.stderr == "[]\n"


def test_help_comes_at_once():
    def seconds():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ksm("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    # Processor time, the least of several: other work on the machine does not count.
    assert min(seconds() for _ in range(5)) < 0.15


def test_help_names_every_command_and_exit_code():
    shown = ksm("--help").stdout
    for word in ("replay", "info", "capture", "synth", "130 interrupted"):
        assert word in shown


def test_no_argument_shows_the_help_as_a_mistake():
    ran = ksm()
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert "Commands:" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["repaly"], "error: there is no command repaly, did you mean replay?"),
        (["replay", "--elephant"], "error: No such option"),
        (["replay", "--by", "moon"], "error: Invalid value for '--by'"),
        (["replay", "--passes", "0"], "error: Invalid value for '--passes'"),
        (["replay", "--pages-to-scan", "0"], "error: pages_to_scan is 0"),
        (["replay", "-o", "x.log"], "error: x.log: the suffix '.log' tells no format"),
        (["info", "--format", "csv"], "error: without --table there is no csv"),
        (
            ["info", "--table", "epochs", "--format", "json"],
            "error: --table epochs there is no json",
        ),
    ],
)
def test_mistakes_of_usage_are_two_lines_and_code_2(arguments, message):
    ran = ksm(*arguments)
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr.startswith(message)
    assert len(ran.stderr.splitlines()) <= 2


@pytest.mark.parametrize("command", ["replay", "info", "view"])
def test_nobody_waits_for_a_pipe(command, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    ran = ksm(command, tmp_path / "pipe", stdin=subprocess.DEVNULL)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert f"{tmp_path / 'pipe'}: is a pipe" in ran.stderr


@pytest.mark.parametrize("command", ["replay", "info", "view"])
@pytest.mark.parametrize("begins", [b"\x7fELF", b"\x1f\x8b\x08\x08", b"BZh9"])
def test_a_dump_that_is_no_trace_is_told_how_to_become_one(command, begins, tmp_path):
    (tmp_path / "core").write_bytes(begins + bytes(100))
    ran = ksm(command, tmp_path / "core", stdin=subprocess.DEVNULL)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert "hint: ksm-analyze convert" in ran.stderr


def test_what_may_not_be_read_is_no_wrong_usage(trace, tmp_path, monkeypatch):
    locked = tmp_path / "locked.parquet"
    locked.write_bytes(trace.read_bytes())
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    # Root may read it all the same, others are told by the one who tries to.
    assert PATH.convert(str(locked), None, None) == locked


def test_a_folder_that_may_not_be_searched_is_no_defect(tmp_path, monkeypatch):
    def denied(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_dir", denied)
    with pytest.raises(OutputError, match="cannot be written: Permission denied"):
        check_writable(tmp_path / "locked" / "x.parquet")


def test_a_device_is_refused_before_the_work():
    with pytest.raises(OutputError, match="no regular file"):
        check_writable(Path("/dev/null"))


@pytest.mark.parametrize("command", ["replay", "info"])
def test_a_missing_file_is_one_line_and_code_3(command, tmp_path):
    ran = ksm(command, tmp_path / "none.parquet")
    assert (ran.returncode, ran.stdout) == (3, "")
    assert "none.parquet: No such file" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["replay", "info"])
def test_a_file_of_another_kind_is_one_line_and_code_3(command, tmp_path):
    path = tmp_path / "esc\x1b[31m.parquet"
    path.write_text("not parquet at all")
    ran = ksm(command, path)
    assert ran.returncode == 3
    assert "expected a Parquet file" in ran.stderr
    assert "\x1b" not in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.parametrize("option", ["-o", "--save"])
def test_a_missing_folder_is_found_before_the_work(option, trace, tmp_path):
    ran = ksm("replay", trace, option, tmp_path / "none" / "x.json")
    assert ran.returncode == 3
    assert ran.stderr.startswith("error: ")
    assert "there is no folder" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_captures_of_other_seeds_are_not_comparable(trace, other_seed):
    ran = ksm("replay", trace, other_seed)
    assert ran.returncode == 4
    assert "seed_id" in ran.stderr


def test_a_defect_shows_a_traceback_and_code_5(trace, tmp_path):
    code = (
        "import analyzer.report, analyzer.cli\n"
        "analyzer.report.drawn = None\n"
        "analyzer.cli.main()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "replay", str(trace)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert ran.returncode == 5
    assert "Traceback" in ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("error: a defect of ksm-analyze")


@pytest.mark.parametrize(
    ("raised", "code"),
    [("KeyboardInterrupt", 130), ("MemoryError", 6), ("SystemExit(7)", 7)],
)
def test_other_endings_have_their_codes(raised, code):
    program = (
        "import analyzer.cli.info, analyzer.cli\n"
        f"def stop(*_): raise {raised}\n"
        "analyzer.cli.info._inventory = stop\n"
        "analyzer.cli.main()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, "info", "x"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == code
    assert "Traceback" not in ran.stderr


def test_the_report_is_on_stdout_and_nothing_else_is(trace):
    ran = ksm("replay", trace)
    assert ran.returncode == 0
    assert ran.stdout.startswith("saved ")
    assert "\x1b" not in ran.stdout
    assert "next" not in ran.stdout
    assert all(len(line) <= 80 for line in ran.stdout.splitlines())


@pytest.mark.parametrize("columns", [60, 80, 110, 200])
def test_columns_tells_the_width(trace, columns):
    lines = ksm("replay", trace, env={"COLUMNS": str(columns)}).stdout.splitlines()
    assert max(map(len, lines)) <= columns
    bar = next(line for line in lines if not line.strip("#0=."))
    assert len(bar) == columns


def test_a_reader_that_leaves_is_no_error(trace):
    command = f"{sys.executable} -c '{START}' replay {trace} --format csv --by process"
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} | head -1"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ran.stdout.startswith("process,host,pid")
    assert ran.stderr in ("", "compiling the engine, first run only…\n")
    assert ran.returncode == 0


def test_a_closed_pipe_is_no_error(trace):
    reader, writer = os.pipe()
    os.close(reader)
    ran = ksm(
        "replay", trace, stdout=writer, stderr=subprocess.PIPE, capture_output=False
    )
    os.close(writer)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_full_disk_behind_stdout_is_one_line_and_code_3(trace):
    with Path("/dev/full").open("w") as full:
        ran = ksm(
            "replay", trace, stdout=full, stderr=subprocess.PIPE, capture_output=False
        )
    assert ran.returncode == 3
    assert ran.stderr == "error: stdout: cannot be written: No space left on device\n"


def test_output_goes_to_a_private_file_of_the_inferred_format(trace, tmp_path):
    for name, start in (
        ("x.json", '{\n"schema":"ksm-analyze/replay/1"'),
        ("x.csv", "workload,processes"),
        ("x.md", "**KSM would save"),
        ("x.txt", "saved "),
    ):
        ran = ksm("replay", trace, "-o", tmp_path / name)
        assert (ran.returncode, ran.stdout) == (0, "")
        assert ran.stderr.splitlines()[-1] == f"wrote {tmp_path / name}"
        assert (tmp_path / name).read_text().startswith(start)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert len(list(tmp_path.iterdir())) == 4


def test_the_format_asked_for_wins_over_the_suffix(trace, tmp_path):
    ksm("replay", trace, "-o", tmp_path / "x.txt", "--format", "csv")
    assert (tmp_path / "x.txt").read_text().startswith("workload,")


def test_an_input_is_never_overwritten(trace):
    before = trace.read_bytes()
    ran = ksm("replay", trace, "--save", trace)
    assert ran.returncode == 2
    assert "would be overwritten" in ran.stderr
    assert trace.read_bytes() == before


def test_a_saved_result_is_told_from_a_trace(trace, tmp_path):
    saved = tmp_path / "result.parquet"
    assert ksm("replay", trace, "--save", saved).returncode == 0
    assert ksm("info", saved).stdout.startswith("result     a saved replay of")
    assert ksm("info", trace).stdout.startswith("trace      ")
    assert ksm("replay", saved).returncode == 3


def test_a_terminal_gets_colour_bars_and_a_hint(trace):
    shown, code = on_terminal("replay", trace)
    assert code == 0
    assert "\x1b[38;5;36m█" in shown
    assert "--by process" in shown.splitlines()[-1]


@pytest.mark.parametrize(
    "env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"]
)
def test_colour_can_be_refused_from_outside(trace, env):
    shown, _ = on_terminal("replay", trace, env=env)
    assert "\x1b[38" not in shown
    assert ("█" in shown) == ("NO_COLOR" in env)


def test_colour_can_be_chosen(trace):
    assert "\x1b[" in ksm("replay", trace, "--color", "always").stdout
    assert "\x1b[" in ksm("replay", trace, env={"CLICOLOR_FORCE": "1"}).stdout
    shown, _ = on_terminal("replay", trace, "--color", "never")
    assert "\x1b[38" not in shown


def test_a_locale_without_unicode_shows_names_by_number(trace):
    ran = ksm("replay", trace, env={"PYTHONIOENCODING": "ascii"})
    assert ran.returncode == 0
    assert ran.stdout.isascii()


def test_parquet_is_not_for_terminals(trace):
    shown, code = on_terminal("info", trace, "--table", "epochs", "-f", "parquet")
    assert code == 2
    assert "parquet is not for terminals" in shown
