"""What cannot be shown is refused in one line, before or after the screen is taken."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bench.crowd import write_crowd
from terminal import PROGRAM, Terminal

Start = Callable[..., Terminal]


def missing(folder: Path, capture: Path) -> Path:  # noqa: ARG001
    return folder / "none.parquet"


def directory(folder: Path, capture: Path) -> Path:  # noqa: ARG001
    return folder


def empty(folder: Path, capture: Path) -> Path:  # noqa: ARG001
    path = folder / "empty.parquet"
    path.touch()
    return path


def csv(folder: Path, capture: Path) -> Path:  # noqa: ARG001
    path = folder / "pages.csv"
    path.write_text("pid,vpn,digest\n1,2,3\n")
    return path


def truncated(folder: Path, capture: Path) -> Path:
    path = folder / "cut.parquet"
    data = capture.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def not_permitted(folder: Path, capture: Path) -> Path:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = folder / "secret.parquet"
    path.write_bytes(capture.read_bytes())
    path.chmod(0)
    return path


def other_version(folder: Path, capture: Path) -> Path:  # noqa: ARG001
    path = folder / "newer.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("traces.writer.FORMAT_VERSION", 99)
        write_crowd(path, 1 << 10, 2)
    return path


def damaged(folder: Path, capture: Path) -> Path:
    path = folder / "damaged.parquet"
    data = bytearray(capture.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 64] = bytes(64)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (missing, "No such file"),
        (directory, "Is a directory"),
        (empty, "not a Parquet file"),
        (csv, "not a Parquet file"),
        (truncated, "cut short"),
        (not_permitted, "Permission denied"),
    ],
)
def test_what_is_no_trace_never_takes_the_screen(
    start: Start,
    capture: Path,
    tmp_path: Path,
    make: Callable[[Path, Path], Path],
    words: str,
) -> None:
    path = make(tmp_path, capture)
    with start(path) as terminal:
        assert terminal.wait_for_end() == 3
        assert b"\x1b[?1049h" not in terminal.output
        first, *others = terminal.screen.text().replace(f"{path}", "FILE").split("\n")
        assert first.startswith("error: ")
        assert words in terminal.screen.text().replace("\n", "")
        assert all(other.startswith("hint: ") for other in others if ":" in other)
        assert "Traceback" not in terminal.screen.text()


@pytest.mark.parametrize(("make", "word"), [(other_version, "99"), (damaged, "error")])
def test_what_only_reading_shows_is_told_twice(
    start: Start,
    capture: Path,
    tmp_path: Path,
    make: Callable[[Path, Path], Path],
    word: str,
) -> None:
    path = make(tmp_path, capture)
    with start(path) as terminal:
        terminal.wait_for("This cannot be shown", word)
        terminal.press("q")
        assert terminal.wait_for_end() == 3
        terminal.assert_restored()
        told = terminal.screen.text()
        assert told.startswith("error: ")
        assert path.name in told.replace("\n", "")
        assert "Traceback" not in told


@pytest.mark.parametrize("closed", ["stdin", "stdout", "stderr"])
def test_it_needs_a_terminal(capture: Path, closed: str) -> None:
    terminal, side = os.openpty()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), side)
    streams[closed] = subprocess.DEVNULL if closed == "stdin" else subprocess.PIPE
    done = subprocess.run(
        [sys.executable, *PROGRAM, "view", capture], **streams, check=False
    )
    os.close(side)
    told = done.stderr or os.read(terminal, 4096)
    os.close(terminal)
    assert done.returncode == 2
    assert b"error: view draws on a terminal" in told
    assert b"\x1b[?1049h" not in told
