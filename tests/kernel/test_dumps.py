"""One stopped process, seen thrice: a live capture, CRIU's dump and the kernel's core
tell the same pages."""

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from kernel.capturing import capture
from kernel.programs import SOURCES

from traces.dumps.conversion import Conversion, Named, Settings
from traces.schema import PageFlag
from traces.trace import Trace

_ANON = ("anon", "heap", "stack")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Stopped, with memory of every kind; its core goes into its folder."""
    command = [sys.executable, "-I", "-S", str(SOURCES / "known.py"), "mapped"]
    quiet = subprocess.DEVNULL
    # The kernel writes the number of the CPU into memory that glibc gives it for
    # restartable sequences, and CRIU makes the process run.
    steady = {**os.environ, "GLIBC_TUNABLES": "glibc.pthread.rseq=0"}
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=quiet, stdout=quiet, stderr=quiet, env=steady,
        start_new_session=True,
    ) as started:  # fmt: skip
        _, status = os.waitpid(started.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        yield started
        started.kill()


def test_a_core_tells_what_a_capture_tells(
    process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    live = pages(captured(process, tmp_path))
    core = pages(converted(dumped_core(process, tmp_path)))
    flagged = core["flags"] & PageFlag.PRESENCE_UNKNOWN != 0
    if flagged.any():
        pytest.skip("the file system has no holes as small as a page")
    of_anon = [pages["kind"].is_in(_ANON) for pages in (live, core)]
    assert_same(live.filter(of_anon[0]), core.filter(of_anon[1]))
    # A core has all pages of a mapping that was written to, with the file's.
    both = live.join(core, on="vpn", how="left", suffix="_core")
    assert (both["digest"] == both["digest_core"]).all()
    extra = core.join(live, on="vpn", how="anti")
    assert (extra["flags"] & PageFlag.ANON_UNKNOWN != 0).all()


def test_criu_tells_what_a_capture_tells(
    process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    trace = captured(process, tmp_path)
    found = converted(dumped_by_criu(process, tmp_path))
    live, dumped = pages(trace), pages(found)
    extra = dumped.join(live, on="vpn", how="anti")
    # CRIU's own system call, in a page of code.
    assert extra.height <= 1
    assert set(extra["kind"]) <= {"file"}
    assert extra["perms"].str.contains("x").all()
    same = dumped.join(extra, on="vpn", how="anti")
    assert_same(live, same)
    columns = ["kind", "mergeable", "perms", "name"]
    assert live.select(columns).equals(same.select(columns))
    one, other = trace.processes.row(0, named=True), found.processes.row(0, named=True)
    # CRIU stores no control group that is its own, too.
    for column in ("pid", "comm", "uid", "exe"):
        assert one[column] == other[column], column


def assert_same(one: pl.DataFrame, other: pl.DataFrame) -> None:
    """All pages of known content, and no others, are in both."""
    columns = ["vpn", "digest"]
    assert one.height > 80
    assert one.select(columns).rows() == other.select(columns).rows()


def pages(trace: Trace) -> pl.DataFrame:
    """The pages of *trace*, with what their mappings are."""
    columns = ["mapping", "vpn", "digest", "flags"]
    chunks = trace.chunks(columns)
    found = pl.concat([pl.DataFrame({c: one[c] for c in columns}) for one in chunks])
    told = trace.mappings.select("mapping", "kind", "name", "perms", "mergeable")
    return found.join(told, on="mapping").sort("vpn")


def captured(process: subprocess.Popen[bytes], where: Path) -> Trace:
    return Trace.open(capture([process.pid], where / "live.parquet"))


def converted(dump: Path) -> Trace:
    trace = dump.parent / f"{dump.name}.parquet"
    for _ in Conversion([Named(dump)], Settings()).write(trace):
        pass
    return Trace.open(trace)


def dumped_core(process: subprocess.Popen[bytes], where: Path) -> Path:
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if pattern.startswith(("|", "/", "@")) or "/" in pattern:
        pytest.skip(f"this machine's cores go elsewhere: {pattern!r}")
    if not resource.getrlimit(resource.RLIMIT_CORE)[1]:
        pytest.skip("no process may leave a core here")
    # A stopped process takes the signal as it goes on, before anything else.
    process.send_signal(signal.SIGABRT)
    process.send_signal(signal.SIGCONT)
    process.wait(20)
    (core,) = where.glob(f"{pattern.partition('%')[0]}*")
    return core


def dumped_by_criu(process: subprocess.Popen[bytes], where: Path) -> Path:
    criu = shutil.which("criu")
    if criu is None:
        pytest.skip("there is no criu")
    if os.geteuid():
        pytest.skip("criu needs root")
    images = where / "images"
    images.mkdir()
    command = [criu, "dump", "--tree", str(process.pid), "--images-dir", str(images)]
    done = subprocess.run(
        [*command, "--leave-stopped", "--shell-job", "-o", "dump.log"],
        check=False, capture_output=True,
    )  # fmt: skip
    if done.returncode:
        last = (images / "dump.log").read_text().splitlines()[-1:]
        pytest.skip(f"criu cannot dump here: {last}")
    return images
