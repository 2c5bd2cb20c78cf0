"""`capture --interval` as a person or a script uses it, and what may happen to it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from epochs import states

from analyzer.cli import main
from traces.capture import live
from traces.capture import partial as leftovers
from traces.trace import Trace

ROOT = Path(__file__).parents[3]
SOME = """
m = area("some", 500)
for i in range(500): put(m, i, page(i))
ready()
"""
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process; its exit code, and what it has said."""

    def running(*arguments: object) -> tuple[int, str]:
        # The tests themselves are not to go on at the lowest priority.
        words = ["ksm-analyze", "capture", "--priority", "normal", *arguments]
        monkeypatch.setattr(sys, "argv", [str(word) for word in words])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        assert said.out == ""
        assert "Traceback" not in said.err
        return left.value.code, said.err

    return running


@contextmanager
def once(true: Callable[[], object], do: Callable[[], object]) -> Iterator[None]:
    """While the block runs, wait until something is *true* and then *do* something."""

    def watch() -> None:
        until(true)
        do()

    thread = threading.Thread(target=watch)
    thread.start()
    yield
    thread.join()


def interrupt(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 15
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def epochs_in(folder: Path) -> Sequence[Path]:
    return sorted(folder.glob("epoch-*")) if folder.exists() else []


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "t.parquet"


@pytest.fixture
def partial(file: Path) -> Path:
    return file.with_name("t.parquet.partial")


def test_counts_epochs_and_tells_of_each(start, run, file):
    child = start(SOME)
    code, said = run("--pid", child.pid, "-o", file, "--interval", "1s", "--count", 2)

    assert code == 0
    trace = Trace.open(file)
    assert trace.epochs["rows"].to_list()[1:] == [0]
    assert trace.epochs["t_ns"][1] > 0.9e9
    lines = said.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["epoch 0", "epoch 1"]
    assert f"{file}: 2 epochs, " in said
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_what_was_captured(start, run, file, partial, number):
    child = start(SOME)
    with once(lambda: len(epochs_in(partial)) >= 2, lambda: interrupt(number)):
        code, said = run("--pid", child.pid, "-o", file, "--interval", "100ms")
    assert code == 0, said
    assert Trace.open(file).epochs.height >= 2
    assert list(file.parent.iterdir()) == [file]


def test_ended_before_its_count_it_says_so(start, run, file, partial):
    child = start(SOME)
    with once(lambda: epochs_in(partial), interrupt):
        arguments = "--pid", child.pid, "-o", file, "--interval", "1h", "--count", 9
        code, said = run(*arguments)
    assert code == 130
    assert "stopped after 1 of 9 epochs" in said
    assert Trace.open(file).epochs.height == 1


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Make every process take its time; grows with each that is begun."""
    begun: list[int] = []
    quickly = live.pieces

    def pieces(subject: object, *others: object) -> Iterator[object]:
        for piece in quickly(subject, *others):
            begun.append(1)
            time.sleep(0.1)
            yield piece

    monkeypatch.setattr(live, "pieces", pieces)
    return begun


@pytest.mark.parametrize("whole", [0, 1])
def test_an_epoch_in_hand_is_dropped(start, run, file, slowly, whole):
    child = start(SOME)
    with once(lambda: len(slowly) > whole, interrupt):
        code, _ = run("--pid", child.pid, "-o", file, "--interval", "10ms")
    if whole:
        assert code == 0
        assert Trace.open(file).epochs.height == whole
    else:
        assert code == 130
        assert list(file.parent.iterdir()) == []


@pytest.mark.usefixtures("slowly")
def test_an_epoch_longer_than_the_interval_is_told(start, run, file):
    child = start(SOME)
    arguments = "--pid", child.pid, "-o", file, "--interval", "20ms", "--count", 2
    code, said = run(*arguments)
    assert code == 0
    assert "intervals passed over: " in said
    assert Trace.open(file).epochs["t_ns"][1] >= 100_000_000


def test_interrupted_while_the_trace_is_written_it_leaves_the_epochs(
    start, run, file, partial, monkeypatch
):
    child = start(SOME)

    def interrupted(*_: object) -> None:
        interrupt()
        time.sleep(5)

    with monkeypatch.context() as patch:
        patch.setattr(leftovers, "_join", interrupted)
        arguments = "--pid", child.pid, "-o", file, "--interval", "10ms", "--count", 2
        code, said = run(*arguments)

    assert code == 130
    assert f"ksm-analyze capture --recover {file}" in said
    assert len(epochs_in(partial)) == 2
    assert run("--recover", file)[0] == 0
    assert Trace.open(file).epochs.height == 2
    assert not partial.exists()


def test_killed_it_can_be_recovered(start, run, file, partial):
    child = start(SOME)
    arguments = "--pid", child.pid, "-o", file, "--interval", "30ms"
    program = "from analyzer.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "capture", *map(str, arguments), "-q"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as going:
        until(lambda: len(epochs_in(partial)) >= 3)
        going.kill()
    assert not file.exists()
    finished = len(epochs_in(partial))

    code, said = run(*arguments)
    assert code == 3
    assert said.startswith(f"error: {partial}: holds what an interrupted capture")
    assert f"--recover {file}" in said

    code, said = run("--recover", file)
    assert code == 0
    assert f"made of {finished} epochs" in said
    assert Trace.open(file).epochs.height == finished
    assert len(states(file)[-1]) >= 500
    assert list(file.parent.iterdir()) == [file]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for 300 KiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a small file system")
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "none", folder]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(folder: Path, filler: Path, left: int) -> None:
    """Leave at most *left* blocks of the file system of *folder* free."""
    room = os.statvfs(folder)
    filler.write_bytes(bytes(max(0, room.f_bfree - left) * room.f_bsize))


def test_a_full_disk_keeps_what_was_finished(start, run, small):
    child = start(
        """
m = area("some", 4000)
def write(n):
    for i in range(4000): put(m, i, page(n * 4000 + i))
write(0)
print(json.dumps({"areas": areas}), flush=True)
time.sleep(0.05)
for n in range(1, 10**6): time.sleep(0.05); write(n)
"""
    )
    file, folder = small / "t.parquet", small / "t.parquet.partial"
    code, said = run("--pid", child.pid, "-o", file, "--interval", "50ms", "-q")
    child.process.kill()
    error, hint = [line for line in said.splitlines() if "passed over" not in line]
    kept = sorted(entry.name for entry in folder.iterdir())

    assert code == 3
    assert error.startswith(f"error: {folder}/epoch-")
    assert "No space left" in error
    assert hint.startswith(f"hint: {len(kept)} epochs are kept in {folder}; ")
    assert kept == [f"epoch-{number:04}.parquet" for number in range(len(kept))]

    # There is no room for the trace either, however much is left.
    filler = small / "filler"
    for left in (0, 1, 2, None):
        filler.unlink(missing_ok=True)
        if left is not None:
            fill(small, filler, left)
        code, said = run("--recover", file)
        assert code == 3
        assert said.startswith(f"error: {file}: cannot be written: ")
        assert "No space left" in said
        assert f"hint: what was captured is in {folder}" in said
        assert sorted(entry.name for entry in folder.iterdir()) == kept
        assert {*small.iterdir()} <= {folder, filler}

    subprocess.run(["mount", "-o", "remount,size=4m", small], check=True)
    assert run("--recover", file)[0] == 0
    assert Trace.open(file).epochs.height == len(kept) >= 2


def test_a_process_that_exits_ends_it(start, run, file, partial):
    child = start(SOME)
    with once(lambda: len(epochs_in(partial)) >= 2, child.process.kill):
        code, said = run("--pid", child.pid, "-o", file, "--interval", "50ms")
    assert code == 0
    assert said.count(f"--pid {child.pid}: has exited") == 1
    (last,) = Trace.open(file).processes["last_epoch"].to_list()
    assert last < Trace.open(file).epochs.height - 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pid", "1", "-o", "t", "--count", "3"], "--count: how often?"),
        (["--pid", "1", "-o", "t", "--interval", "30"], "no duration such as"),
        (["--pid", "1", "-o", "t", "--interval", "0s"], "no duration such as"),
        (["--pid", "1", "-o", "t", "--interval", "1h", "--count", "0"], "--count"),
        (["--recover", "t", "--pid", "1"], "--recover FILE captures nothing"),
        (["--recover", "t", "-o", "u"], "--recover FILE captures nothing"),
    ],
)
def test_what_makes_no_sense_is_refused(run, arguments, message):
    code, said = run(*arguments)
    assert code == 2
    assert message in said.splitlines()[0]


def test_nothing_to_recover_is_an_error(run, file):
    code, said = run("--recover", file)
    assert code == 3
    assert said.startswith(f"error: {file}.partial: ")
