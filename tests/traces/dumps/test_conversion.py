"""Several dumps → one trace, and the command that does it."""

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from core_files import Notes, Segment, core
from dumping import PAGE, converted, digest, page

from analyzer.cli import main
from traces.dumps import conversion
from traces.dumps.conversion import Conversion, Named, Settings
from traces.dumps.join import join
from traces.errors import DefectError, InputError, UsageError
from traces.trace import Trace

HEAP = 0x10000


@pytest.fixture
def core_file(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, *contents: int, pid: int = 1) -> Path:
        notes = Notes().prstatus().prpsinfo(pid, name, f"/bin/{name}")
        segments = [
            Segment(HEAP, [page(n) for n in contents]),
            Segment(HEAP + 100 * PAGE, [page(1000 + pid)]),
        ]
        return core(segments, notes).write(tmp_path / f"{name}.core")

    return write


@pytest.fixture
def command(capsys, monkeypatch) -> Callable[..., tuple[int, str]]:
    """The command as it is typed: exit code and what it said."""

    def run(*arguments: object) -> tuple[int, str]:
        argv = ["ksm-analyze", "convert", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert out == ""
        assert isinstance(ended.value.code, int)
        return ended.value.code, err

    return run


def test_several_dumps_are_one_trace_in_their_order(tmp_path, core_file):
    dumps = [core_file("b", 1, 2, pid=7), core_file("a", 2, 3, pid=5)]
    seen = converted(tmp_path, dumps[0], f"named={dumps[1]}")
    trace = seen.trace
    assert trace.processes["pid"].to_list() == [7, 5]
    assert trace.processes["workload"].to_list() == ["b", "named"]
    assert trace.mappings["process"].to_list() == [0, 0, 1, 1]
    assert [row.digest for row in seen.rows] == [
        digest(page(n)) for n in (1, 2, 1007, 2, 3, 1005)
    ]
    assert [one.path for one in seen.converted] == dumps
    assert [one.rows for one in seen.converted] == [3, 3]
    assert list(tmp_path.glob(".*")) == []


def test_side_by_side_is_as_in_turn(tmp_path, core_file, monkeypatch):
    monkeypatch.setattr(conversion, "_ALONE", 0)
    dumps = [core_file(f"p{n}", n, n + 1, pid=n) for n in range(1, 5)]
    seen = converted(tmp_path, *dumps, jobs=2, seed=3)
    assert seen.trace.processes["pid"].to_list() == [1, 2, 3, 4]
    assert [row.digest for row in seen.rows] == [
        digest(page(n), 3) for pid in range(1, 5) for n in (pid, pid + 1, 1000 + pid)
    ]


def test_what_a_worker_refuses_is_refused(tmp_path, core_file, monkeypatch):
    monkeypatch.setattr(conversion, "_ALONE", 0)
    bad = tmp_path / "bad"
    bad.write_bytes(b"nothing known")
    with pytest.raises(InputError, match="bad: begins with") as told:
        converted(tmp_path, core_file("good", 1), bad, jobs=2)
    assert told.value.hint
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad", "good.core"]


def test_a_worker_that_is_killed(tmp_path, core_file, monkeypatch):
    monkeypatch.setattr(conversion, "_ALONE", 0)
    out = tmp_path / "out.parquet"
    dumps = [Named(core_file("a", 1)), Named(core_file("b", 2))]
    steps = Conversion(dumps, Settings(jobs=2)).write(out)
    with pytest.raises(DefectError, match=r"worker .* killed") as told:
        kill_when_started(steps)
    assert "--jobs 1" in str(told.value.hint)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.core", "b.core"]


def kill_when_started(steps) -> None:
    for _ in steps:
        for child in multiprocessing.active_children():
            if child.pid is not None and child.is_alive():
                os.kill(child.pid, signal.SIGKILL)


def test_stopping_leaves_nothing(tmp_path, core_file):
    dumps = [Named(core_file("a", 1)), Named(core_file("b", 2))]
    before = sorted(tmp_path.iterdir())
    steps = Conversion(dumps, Settings()).write(tmp_path / "out.parquet")
    with contextlib.closing(steps):
        next(steps)
        assert sorted(tmp_path.iterdir()) != before
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("dumps", [1, 2])
def test_a_strict_conversion_leaves_nothing(tmp_path, core_file, dumps):
    whole = core_file("whole", 1, 2)
    cut = tmp_path / "cut.core"
    cut.write_bytes(whole.read_bytes()[:-10])
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match="truncated, 10 bytes are missing") as told:
        converted(tmp_path, *[whole, cut][-dumps:], strict=True)
    assert "--strict" in str(told.value.hint)
    assert sorted(tmp_path.iterdir()) == before
    seen = converted(tmp_path, cut)
    assert seen.trace.facts.limits[0].startswith("cut.core: truncated, 10 bytes")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a", Named(Path("a"))),
        ("web=a", Named(Path("a"), "web")),
        ("k=v=a", Named(Path("a"), "k=v")),
        ("vm=a+b+c", Named(Path("a"), "vm", (Path("b"), Path("c")))),
        ("x+y", Named(Path("x+y"))),
        ("p=q", Named(Path("p=q"))),
        ("vm=x+y", Named(Path("x+y"), "vm")),
    ],
)
def test_names_and_parts(tmp_path, monkeypatch, text, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x+y").touch()
    (tmp_path / "p=q").touch()
    assert Named.parse(text) == named


@pytest.mark.parametrize("text", ["=a", "a+", "vm=", "vm=a++b", "", "vm=+a"])
def test_empty_names_and_parts_are_wrong_usage(text):
    with pytest.raises(UsageError, match="expected"):
        Named.parse(text)


def test_further_files_are_not_passed_over(tmp_path, core_file):
    first, second = core_file("a", 1), core_file("b", 2)
    with pytest.raises(InputError, match="one file, not 2 joined"):
        converted(tmp_path, f"{first}+{second}")


def test_joining_keeps_frames_apart_and_counts_together(tmp_path, core_file):
    parts = []
    for number in range(2):
        seen = converted(tmp_path, core_file(f"n{number}", 1, 1, 5, pid=number))
        parts.append(seen.trace.path.rename(tmp_path / f"part{number}"))
    join(parts, tmp_path / "joined", parts)
    joined, alone = Trace.open(tmp_path / "joined"), Trace.open(parts[0])
    assert joined.rows() == 2 * alone.rows()
    assert joined.facts.limits == alone.facts.limits
    assert joined.facts.source == "elf-core"
    assert joined.processes["process"].to_list() == [0, 1]


def test_the_command_says_what_it_did(tmp_path, core_file, command):
    out = tmp_path / "out.parquet"
    code, told = command(f"web={core_file('a', 1, 2, 0)}", "-o", out)
    assert code == 0
    assert "elf-core, 4 pages, 4 of them in the trace" in told
    assert "limit: " in told
    assert oct(out.stat().st_mode)[-3:] == "600"
    code, told = command(f"web={core_file('a', 1, 2, 0)}", "-o", out, "-q")
    assert (code, told) == (0, "")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("nowhere", None, "No such file or directory"),
        ("empty", b"", "is empty, expected a dump"),
        ("text", b"just text, nothing else", "which is no dump known here"),
        ("cut", b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x04\0", "ELF header is cut"),
        ("half.gz", b"\x1f\x8b\x08\0\0", "gzip stream is truncated"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, command, name, data, said):
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    code, told = command(path, "-o", tmp_path / "out.parquet")
    assert code == 3
    first, *rest = told.splitlines()
    assert said in first
    assert name in first
    assert all(line.lstrip().startswith("hint") for line in rest)
    assert not (tmp_path / "out.parquet").exists()


def test_folders_pipes_and_wrong_places_are_one_line(tmp_path, command, core_file):
    good = core_file("a", 1)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    out = tmp_path / "out.parquet"
    for arguments, code, said in (
        ((tmp_path / "folder", "-o", out), 3, "none that is a dump known here"),
        ((tmp_path / "pipe", "-o", out), 3, "pipe: is no regular file"),
        ((good, "-o", tmp_path / "no" / "out"), 3, "there is no folder"),
        ((good, "-o", tmp_path / "folder"), 3, "is a folder"),
        ((good, "-o", good), 2, "would be overwritten"),
        ((good, "-o", out, "--format", "lime"), 3, "is no lime dump"),
        ((good, "-o", out, "--private", "--seed", "1"), 2, "leave out --seed"),
    ):
        began = time.monotonic()
        found, told = command(*arguments)
        assert (found, said in told.splitlines()[0]) == (code, True), told
        assert time.monotonic() - began < 10
    assert not out.exists()


def test_a_name_that_would_turn_the_terminal_red(tmp_path, command):
    path = Path(os.fsdecode(bytes(tmp_path) + b"/\x1b[31m\xff"))
    path.write_bytes(b"nothing")
    code, told = command(path, "-o", tmp_path / "out.parquet")
    assert code == 3
    assert "\x1b" not in told
