"""Benchmarks: a quick proof that all contenders agree, or the full measurement.

Without --benchmark-enable each test runs once, on 64 Ki pages, and proves that the
references, the peers and the engine give the same answers. With it the size is 16 Mi
pages, and a table of ratios is printed and written to .benchmarks/ratios.json. A
missed target fails no test: the machine's other users must not be able to do that.
"""

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from bench.host import Host
from bench.measure import Ledger
from bench.native import NoCompilerError

from traces.synthetic import write_synthetic

T = TypeVar("T")
# malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4

_LEDGER = pytest.StashKey[Ledger]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LEDGER] = Ledger(full=bool(config.getoption("benchmark_enable")))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    ledger = config.stash[_LEDGER]
    if not ledger.full or not ledger.lines:
        return
    path = config.rootpath / ".benchmarks" / "ratios.json"
    ledger.save(path)
    terminalreporter.section("ratios")
    terminalreporter.write_line(ledger.text())
    terminalreporter.write_line(f"\nwritten to {path.relative_to(config.rootpath)}")


@pytest.fixture(scope="session")
def ledger(pytestconfig: pytest.Config) -> Ledger:
    """Where every test of this folder puts what it measured."""
    return pytestconfig.stash[_LEDGER]


@pytest.fixture(scope="session", autouse=True)
def _freed_memory_is_kept(ledger: Ledger) -> None:
    """Let glibc reuse freed arrays instead of asking the kernel for new ones.

    A virtual machine can take a second to be given a gigabyte it never had, and the
    next time none; the C references keep their scratch memory for the same reason.
    What a process of its own takes, such as the printed replay, includes it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if ledger.full and mallopt:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


@pytest.fixture(scope="session")
def pages(ledger: Ledger) -> int:
    """Size of the traces."""
    return 1 << 24 if ledger.full else 1 << 16


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """For traces and libraries; emptied at the end, as they are large."""
    folder = tmp_path_factory.mktemp("bench")
    yield folder
    for path in folder.iterdir():
        path.unlink()


@pytest.fixture(scope="session")
def mix(folder: Path, pages: int) -> Path:
    """The realistic mix without frames, as the C references know none."""
    path = folder / "mix.parquet"
    write_synthetic(path, "mix", pages, frames=False)
    return path


@pytest.fixture(scope="session")
def mix_with_frames(folder: Path, pages: int) -> Path:
    """The same pages as a privileged capture would have them."""
    path = folder / "mix-frames.parquet"
    write_synthetic(path, "mix", pages, frames=True)
    return path


@pytest.fixture(scope="session")
def host(mix: Path) -> Host:
    """The mix in memory."""
    return Host.read(mix)


@pytest.fixture(scope="session")
def built(folder: Path) -> Callable[..., Any]:
    """Makes a C reference, or skips the test with the reason."""

    def make(kind: Callable[..., T], *arguments: object, **options: object) -> T:
        try:
            return kind(folder, *arguments, **options)
        except NoCompilerError as error:
            pytest.skip(str(error))

    return make
