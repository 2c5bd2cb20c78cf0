"""`ksm-analyze run` as a stranger meets it: in front of a real command."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from analyzer.cli import program
from analyzer.cli import run as run_module
from analyzer.knobs import SYSFS
from analyzer.live import offer
from traces.errors import InputError, UsageError

PROGRAM = [sys.executable, "-c", "from analyzer.cli import main; main()", "run"]
ASK = "import ctypes; print(ctypes.CDLL(None).prctl(68, 0, 0, 0, 0))"
WORKERS = """
import os, signal, time
blocks = [bytes([n % 5 + 1]) * 4096 for n in range(50)]
if os.fork() == 0:
    signal.pause()
signal.signal(signal.SIGTERM, lambda *_: os._exit(9))
print("ready", flush=True)
while True: time.sleep(1)
"""


def offers_processes() -> bool:
    probe = [*offer.command(["true"])]
    return SYSFS.is_dir() and subprocess.run(probe, check=False).returncode == 0


needs_kernel = pytest.mark.skipif(
    not offers_processes(), reason="this kernel has no PR_SET_MEMORY_MERGE"
)


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*PROGRAM, *words], capture_output=True, text=True, check=False, timeout=60
    )


@needs_kernel
@pytest.mark.parametrize("how", [[], ["--watch"]])
def test_the_command_and_its_children_are_offered(how: list[str]) -> None:
    child = ["sh", "-c", f"{sys.executable} -c '{ASK}'; true"]
    assert run(*how, "--", *child).stdout == "1\n"


@needs_kernel
@pytest.mark.parametrize("how", [[], ["--watch"]])
def test_the_exit_code_is_the_commands(how: list[str]) -> None:
    assert run(*how, "sh", "-c", "exit 7").returncode == 7


@needs_kernel
@pytest.mark.parametrize("how", [[], ["--watch"]])
def test_a_command_that_is_not_there(how: list[str], tmp_path: Path) -> None:
    missing = run(*how, "--", "no-such-command")
    assert missing.returncode == 127
    assert (
        missing.stderr.splitlines()[-1] == "error: no-such-command: command not found"
    )
    plain = tmp_path / "plain"
    plain.write_text("no program")
    assert run(*how, "--", str(plain)).returncode == 126


@needs_kernel
def test_a_signal_ends_the_command_and_tells_how() -> None:
    kill = ["sh", "-c", "kill -TERM $$"]
    assert run("--", *kill).returncode == -signal.SIGTERM
    assert run("--watch", "--", *kill).returncode == 128 + signal.SIGTERM


@needs_kernel
def test_the_watched_command_gets_signals_and_its_tree_is_summed(
    tmp_path: Path,
) -> None:
    words = ["--watch", "--interval", "0.1", "--", sys.executable, "-c", WORKERS]
    said = tmp_path / "stderr"
    with (
        said.open("w") as stderr,
        subprocess.Popen(
            [*PROGRAM, *words],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        ) as watched,
    ):
        assert watched.stdout is not None
        assert watched.stdout.readline() == "ready\n"
        time.sleep(0.4)
        watched.send_signal(signal.SIGTERM)
        assert watched.wait(30) == 9
        # The command's child stays behind, as it would without us.
        os.killpg(watched.pid, signal.SIGKILL)
    lines = said.read_text().splitlines()
    assert any("ksm_merging_pages" in line for line in lines)
    assert any(line.split()[1:2] == ["2"] for line in lines)


@needs_kernel
@pytest.mark.parametrize("how", [[], ["--watch"]])
def test_signals_are_neither_ignored_nor_blocked_in_the_command(how: list[str]) -> None:
    status = run(*how, "--", "cat", "/proc/self/status").stdout
    masks = dict(line.split(":\t") for line in status.splitlines() if "Sig" in line)
    assert int(masks["SigBlk"], 16) == 0
    assert int(masks["SigIgn"], 16) & 1 << signal.SIGPIPE - 1 == 0


def refusal(monkeypatch: pytest.MonkeyPatch, number: int) -> InputError:
    def refuse(on: bool = True) -> None:  # noqa: ARG001
        raise OSError(number, "refused")

    monkeypatch.setattr(offer, "offer", refuse)
    with pytest.raises(InputError) as caught:
        invoke("--", "true")
    return caught.value


def invoke(*words: str) -> None:
    CliRunner().invoke(program, ["run", *words], catch_exceptions=False)


def test_a_kernel_without_ksm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run_module, "SYSFS", tmp_path / "ksm")
    with pytest.raises(InputError, match="has no KSM"):
        invoke("--", "true")


@pytest.mark.parametrize(
    ("number", "message"), [(errno.EINVAL, "Linux 6.4"), (errno.EPERM, "refused")]
)
def test_a_kernel_without_the_prctl(
    number: int, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run_module, "SYSFS", tmp_path)
    assert message in str(refusal(monkeypatch, number))


def test_a_kernel_that_forgets_at_exec(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nothing: Callable[..., None] = lambda on=True: None  # noqa: ARG005, E731
    monkeypatch.setattr(run_module, "SYSFS", tmp_path)
    monkeypatch.setattr(offer, "offer", nothing)
    monkeypatch.setattr(run_module, "_survives_exec", lambda: False)
    with pytest.raises(InputError, match=r"Linux 6\.7"):
        invoke("--", "true")


def test_no_command() -> None:
    with pytest.raises(UsageError, match="which command"):
        invoke()


@needs_kernel
def test_ksmd_at_rest_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said: list[str] = []
    monkeypatch.setattr(run_module, "SYSFS", tmp_path)
    monkeypatch.setattr(run_module, "note", said.append)
    (tmp_path / "run").write_text("0\n")
    run_module._tell_whether_ksmd_runs()
    (tmp_path / "run").write_text("1\n")
    run_module._tell_whether_ksmd_runs()
    assert len(said) == 1
    assert "not running" in said[0]
