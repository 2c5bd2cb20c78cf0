"""The command as a person or a script uses it, in a process of its own."""

import os
import pwd
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from traces.trace import Trace

ROOT = Path(__file__).parents[3]
MAIN = "from analyzer.cli import main; main()"
SOME = """
m = area("some", 4000)
for i in range(4000): put(m, i, page(i // 2))
ready()
"""


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(arguments),
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **options,
    )


def command(arguments: Sequence[object]) -> list[str]:
    return [sys.executable, "-c", MAIN, "capture", *map(str, arguments)]


def test_captures_to_a_file_and_tells_on_stderr(start, tmp_path):
    child = start(SOME)
    file = tmp_path / "t.parquet"
    ran = run("--pid", child.pid, "-o", file)

    assert (ran.returncode, ran.stdout) == (0, "")
    trace = Trace.open(file)
    assert trace.processes["pid"].to_list() == [child.pid]
    assert trace.metadata.num_rows >= 4000
    assert f"{file}: " in ran.stderr
    assert "of 1 process," in ran.stderr
    assert oct(file.stat().st_mode)[-3:] == "600"


def test_quiet_says_nothing(start, tmp_path):
    child = start(SOME)
    ran = run("--pid", child.pid, "-o", tmp_path / "t.parquet", "-q")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_a_dry_run_lists_and_writes_nothing(start, tmp_path):
    child = start(r'libc.prctl(15, b"evil\x1b[2J")' + SOME)
    ran = run("--pid", child.pid, "--dry-run", "-o", tmp_path / "t.parquet")

    assert ran.returncode == 0
    header, row, total = ran.stdout.splitlines()
    assert header.split()[:3] == ["pid", "user", "comm"]
    assert row.split()[0] == str(child.pid)
    assert "\x1b" not in ran.stdout
    assert r"evil\x1b[2J" in row
    assert int(row.split()[3]) >= 4000
    assert total.startswith("1 process, ")
    assert " s, at most about " in total
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-o", "t"], 2, "which processes"),
        (["--all"], 2, "where to"),
        (["--pid", "1", "-o", "t", "--private", "--seed", "3"], 2, "--private"),
        (["--pid", "x", "-o", "t"], 2, "not a valid integer"),
        (["--comm", "no such program", "-o", "t"], 3, "no process matches"),
        (["--pid", str(2**22 + 1), "-o", "t"], 3, "no such process"),
        (["--all", "-o", "/nonexistent/t"], 3, "/nonexistent"),
    ],
)
def test_refusals_are_one_line_and_a_code(arguments, code, message, tmp_path):
    ran = run(*arguments, cwd=tmp_path)
    assert ran.returncode == code
    assert ran.stdout == ""
    assert ran.stderr.startswith("error: ")
    assert message in ran.stderr.splitlines()[0]
    assert "Traceback" not in ran.stderr
    assert list(tmp_path.iterdir()) == []


# Becomes nobody once everything is imported and compiled: the interpreter may lie in a
# folder that only root can enter.
AS_NOBODY = """
import os, sys
from pathlib import Path
import analyzer.cli.capture, analyzer.cli.narration, analyzer.cli.output
import analyzer.report.units
import traces.capture.plan, traces.capture.priority
from traces.capture.live import Capture, Settings
from traces.capture.select import Selection, select
chosen = select(Selection(pids=frozenset({int(sys.argv.pop(1))})))
warm = Path(sys.argv.pop(1))
list(Capture(chosen, Settings()).write(warm))
warm.unlink()
os.setgroups([]); os.setgid(65534); os.setuid(65534)
"""

NOBODYS = """
os.setgroups([]); os.setgid(65534); os.setuid(65534)
libc.prctl(4, 1, 0, 0, 0)
"""


@pytest.fixture
def nobody(start):
    """Run the command as nobody, in a folder that nobody can write to."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    any_process = start("ready()")
    with tempfile.TemporaryDirectory(prefix="ksm-analyze-test-") as name:
        folder = Path(name)
        folder.chmod(0o777)

        def run(*arguments: object) -> subprocess.CompletedProcess[str]:
            warm = [str(any_process.pid), name + "/warm"]
            words = [*warm, "capture", *map(str, arguments), "-o", name + "/t"]
            return subprocess.run(
                [sys.executable, "-c", AS_NOBODY + MAIN, *words],
                capture_output=True,
                text=True,
                timeout=60,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )

        yield SimpleNamespace(run=run, folder=folder)


def test_without_permission_it_says_so(start, nobody):
    child = start(SOME)
    ran = nobody.run("--pid", child.pid)
    assert ran.returncode == 3, ran.stderr
    error, hint = ran.stderr.splitlines()
    assert error == f"error: no permission to read the memory of process {child.pid}"
    assert hint.startswith("hint: root ")
    assert list(nobody.folder.iterdir()) == []


def test_anyone_captures_their_own_and_hears_what_is_missing(start, nobody):
    mine, roots = start(NOBODYS + SOME), start(SOME)
    ran = nobody.run("--pid", mine.pid, "--pid", roots.pid)

    if "ptrace_scope" in ran.stderr:
        pytest.skip("Yama lets nobody read a process that is not a descendant")
    assert ran.returncode == 1, ran.stderr
    assert "skipped: 1 process without permission" in ran.stderr
    assert "lower and an upper bound" in ran.stderr
    trace = Trace.open(nobody.folder / "t")
    assert trace.processes["pid"].to_list() == [mine.pid]
    assert trace.processes["user"].to_list() == [pwd.getpwuid(65534).pw_name]
    assert trace.metadata.num_rows >= 4000


def test_private_captures_cannot_be_joined_and_hold_no_command_line(start, tmp_path):
    child = start(SOME)
    ids = set()
    for file in (tmp_path / "a", tmp_path / "b"):
        assert run("--pid", child.pid, "-o", file, "--private").returncode == 0
        trace = Trace.open(file)
        ids.add(trace.facts.seed_id)
        assert trace.processes["cmdline"].to_list() == [""]
        assert b"kept.append" not in file.read_bytes()
    assert len(ids | {"0"}) == 3


def test_a_full_disk_leaves_nothing(start, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can make a small file system")
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "none", small], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        child = start(SOME)
        ran = run("--pid", child.pid, "-o", small / "t.parquet")
        left = list(small.iterdir())
    finally:
        subprocess.run(["umount", small], check=True)
    assert ran.returncode == 3
    assert ran.stderr.splitlines()[0].startswith(f"error: {small}/t.parquet: cannot be")
    assert "No space left" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert left == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
@pytest.mark.parametrize("freeze", ["none", "stop"])
def test_interrupted_it_leaves_nothing_behind(start, tmp_path, number, code, freeze):
    # A process group that is always busy being captured, as there are many.
    children = [start(SOME) for _ in range(3)]
    pids = [word for child in children for word in ("--pid", child.pid)]
    slow = (
        "import time\n"
        "from traces.capture import live\n"
        "def slowly(*a, f=live.pieces):\n"
        "    for piece in f(*a):\n"
        "        print('reading', flush=True); time.sleep(0.3); yield piece\n"
        "live.pieces = slowly\n" + MAIN
    )
    arguments = ["capture", *map(str, pids), "-o", tmp_path / "t", "--freeze", freeze]
    process = subprocess.Popen(
        [sys.executable, "-c", slow, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout.readline() == "reading\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=20)

    assert process.returncode == code
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
    for child in children:
        end = time.monotonic() + 3
        while ") T " in Path(f"/proc/{child.pid}/stat").read_text():
            assert time.monotonic() < end
            time.sleep(0.01)


def test_help_needs_nothing_heavy():
    code = (
        "import sys, analyzer.cli.capture\n"
        "heavy = {'numpy', 'numba', 'pyarrow', 'polars'} & set(sys.modules)\n"
        "sys.exit(bool(heavy))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert ran.returncode == 0
