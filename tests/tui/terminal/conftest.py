"""Files to look at, and a home whose log and folders can be looked into."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bench.crowd import write_crowd
from terminal import PROGRAM, ROOT, Terminal

Start = Callable[..., Terminal]


@pytest.fixture(scope="session")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace of 20 processes."""
    path = tmp_path_factory.mktemp("screen") / "crowd.parquet"
    write_crowd(path, 1 << 13, 20)
    return path


@pytest.fixture(scope="session")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace of ten years: no test lives to see the end of its replay."""
    path = tmp_path_factory.mktemp("screen") / "endless.parquet"
    write_crowd(path, 1 << 17, 2, stays_ns=10 * 365 * 86400 * 10**9)
    return path


@pytest.fixture(scope="session")
def result(capture: Path) -> Path:
    """Its replay, saved: shown at once."""
    path = capture.with_name("saved.parquet")
    subprocess.run(
        [sys.executable, *PROGRAM, "replay", capture, "--save", path],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The user's folders, and the one for temporary files in `tmp`."""
    (tmp_path / "tmp").mkdir()
    return tmp_path


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """What makes the program use `home` alone."""
    folders = ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
    return {**{name: str(home) for name in folders}, "TMPDIR": str(home / "tmp")}


@pytest.fixture
def start(environment: dict[str, str]) -> Start:
    """Starts `ksm-analyze view ...`."""

    def begin(*arguments: object, size: tuple[int, int] = (120, 40)) -> Terminal:
        words = [*PROGRAM, "view", *map(str, arguments)]
        return Terminal(words, size, environment)

    return begin
