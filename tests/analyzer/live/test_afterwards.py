"""Things are put back: in order, only if need be, and whoever dies."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analyzer.live.afterwards import Afterwards, unwinding
from traces.capture import procfs
from traces.errors import OutputError

DYING = """
import sys
from pathlib import Path
from analyzer.live.afterwards import Afterwards
with Afterwards() as afterwards:
    afterwards.write(Path(sys.argv[1]), "before")
    afterwards.kill(int(sys.argv[2]))
    Path(sys.argv[1]).write_text("meanwhile")
    print("ready", flush=True)
    sys.stdin.read()
"""


def wait_for(path: Path, text: str) -> None:
    for _ in range(500):
        if path.read_text() == text:
            return
        time.sleep(0.01)
    raise AssertionError(f"{path} holds {path.read_text()!r}")


def test_what_was_changed_is_put_back_in_the_order_of_orders(tmp_path: Path) -> None:
    knob = tmp_path / "knob"
    knob.write_text("1")
    with Afterwards() as afterwards:
        afterwards.write(knob, "2")
        afterwards.write(knob, "1")
        knob.write_text("3")
    assert knob.read_text() == "1"


def test_also_after_an_exception(tmp_path: Path) -> None:
    knob = tmp_path / "knob"
    knob.write_text("1")

    def fail() -> None:
        with Afterwards() as afterwards:
            afterwards.write(knob, "1")
            knob.write_text("3")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert knob.read_text() == "1"


@pytest.mark.parametrize("text", ["old\n", "[old] new\n"])
def test_what_is_as_it_should_be_is_not_written(text: str, tmp_path: Path) -> None:
    knob = tmp_path / "knob"
    knob.write_text(text)
    with Afterwards() as afterwards:
        afterwards.write(knob, "old")
    assert knob.read_text() == text


def test_what_cannot_be_put_back_is_named_and_the_rest_is_done(tmp_path: Path) -> None:
    knob = tmp_path / "knob"
    knob.write_text("3")
    afterwards = Afterwards()
    afterwards.__enter__()
    afterwards.write(tmp_path / "missing", "1")
    afterwards.write(knob, "1")
    with pytest.raises(OutputError, match=r"No such file.*missing 1"):
        afterwards.__exit__(None, None, None)
    assert knob.read_text() == "1"


def test_a_stopped_process_runs_on() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        with Afterwards() as afterwards:
            afterwards.resume(process.pid)
            process.send_signal(signal.SIGSTOP)
        for _ in range(500):
            if procfs.process(process.pid).state == "S":
                break
            time.sleep(0.01)
        assert procfs.process(process.pid).state == "S"
        process.kill()


def test_who_has_gone_already_is_no_failure() -> None:
    process = subprocess.Popen(["true"], start_new_session=True)
    process.wait()
    with Afterwards() as afterwards:
        afterwards.kill(process.pid)
        afterwards.resume(process.pid)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_death_of_the_program_is_an_end_like_any_other(
    how: signal.Signals, tmp_path: Path
) -> None:
    knob = tmp_path / "knob"
    knob.write_text("before")
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as workload:
        command = [sys.executable, "-c", DYING, str(knob), str(workload.pid)]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as program:
            assert program.stdout is not None
            assert program.stdout.readline() == b"ready\n"
            assert knob.read_text() == "meanwhile"
            program.send_signal(how)
        wait_for(knob, "before")
        assert workload.wait(10) == -signal.SIGKILL


def test_signals_to_end_unwind() -> None:
    with pytest.raises(SystemExit) as caught, unwinding():
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
