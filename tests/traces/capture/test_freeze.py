import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from traces.capture import freeze, procfs
from traces.capture.freeze import Freezer
from traces.errors import UsageError

CAPTURER = """
import os, sys, time
from traces.capture import procfs
from traces.capture.freeze import Freezer
process = procfs.process(int(sys.argv[1]))
with Freezer("stop", float(sys.argv[2]), [process]) as freezer:
    with freezer.holding(process) as held:
        print("held" if held else "missed", flush=True)
        time.sleep(600)
"""


def states(pid: int) -> set[str]:
    return set(procfs.thread_states(pid))


def soon(test, seconds: float = 3.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if test():
            return True
        time.sleep(0.005)
    return test()


@pytest.fixture
def capturer():
    started = []

    def make(pid: int, limit: float) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", CAPTURER, str(pid), str(limit)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(freeze.__file__).parents[2])},
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield make
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_process_is_stopped_within_the_block_only(start):
    child = start("""
import threading
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
ready()
""")
    process = procfs.process(child.pid)
    with Freezer("stop", 2, [process]) as freezer:
        with freezer.holding(process) as held:
            assert held
            assert states(child.pid) == {"T"}
        assert soon(lambda: "T" not in states(child.pid))
    assert (freezer.late, freezer.missed) == (0, 0)


def test_a_process_that_was_stopped_stays_stopped(start):
    child = start("ready()")
    os.kill(child.pid, signal.SIGSTOP)
    assert soon(lambda: states(child.pid) == {"T"})
    process = procfs.process(child.pid)
    with Freezer("stop", 2, [process]) as freezer:
        with freezer.holding(process) as held:
            assert held
        time.sleep(0.05)
        assert states(child.pid) == {"T"}
    assert states(child.pid) == {"T"}


def test_an_error_within_the_block_thaws(start):
    child = start("ready()")
    process = procfs.process(child.pid)
    with (
        pytest.raises(ZeroDivisionError),
        Freezer("stop", 2, [process]) as freezer,
        freezer.holding(process),
    ):
        raise ZeroDivisionError
    assert soon(lambda: "T" not in states(child.pid))


def test_a_killed_capture_leaves_nothing_frozen(start, capturer):
    child = start("ready()")
    process = capturer(child.pid, 60)
    assert states(child.pid) == {"T"}
    process.kill()
    assert soon(lambda: "T" not in states(child.pid))


def test_no_process_is_held_longer_than_the_limit(start, capturer):
    child = start("ready()")
    began = time.monotonic()
    process = capturer(child.pid, 0.3)
    assert states(child.pid) == {"T"}
    assert soon(lambda: "T" not in states(child.pid))
    assert 0.2 < time.monotonic() - began < 2
    assert process.poll() is None


def test_being_late_is_counted(start):
    child = start("ready()")
    process = procfs.process(child.pid)
    with Freezer("stop", 0.05, [process]) as freezer:
        with freezer.holding(process):
            assert soon(lambda: "T" not in states(child.pid))
        assert freezer.late == 1
        with freezer.holding(process) as held:
            assert held
    assert freezer.late == 1


def test_those_we_descend_from_are_read_running():
    parent = procfs.process(os.getppid())
    with Freezer("stop", 2, [parent]) as freezer, freezer.holding(parent) as held:
        assert not held
    assert freezer.missed == 1


def test_the_watchdog_ends_with_the_freezer(start):
    process = procfs.process(start("ready()").pid)
    with Freezer("stop", 2, [process]) as freezer:
        watchdog = freezer._watchdog
    assert watchdog.returncode == 0


def test_a_captured_process_is_frozen_and_then_runs(start, capture, monkeypatch):
    from traces.capture import live

    child = start("""
m = area("some", 64)
for i in range(64): put(m, i, page(i + 1))
ready()
""")
    seen = []
    found = live.pieces

    def watched(subject, reader, physical):
        seen.append(states(child.pid))
        return found(subject, reader, physical)

    monkeypatch.setattr(live, "pieces", watched)
    trace = capture(child.pid, freeze="stop")

    assert seen == [{"T"}]
    assert soon(lambda: "T" not in states(child.pid))
    assert trace.processes[0]["reread_pages"] == 0
    assert not [limit for limit in trace.facts.limits if "read twice" in limit]


def test_the_root_group_is_never_frozen(start, monkeypatch):
    process = procfs.process(start("ready()").pid)
    monkeypatch.setattr(procfs, "cgroups", lambda _: {"": "/", "freezer": "/"})
    with pytest.raises(UsageError, match="root control group"):
        Freezer("cgroup", 2, [process])


@pytest.fixture
def group():
    """A group of our own that can be frozen, as a function that moves pids there."""
    mounts = freeze._freezer_mounts()
    for kind, test in (("cgroup2", "cgroup.freeze"), ("cgroup", "freezer.state")):
        folder = mounts.get(kind, Path("/nowhere")) / f"ksm-analyze-test-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        if (folder / test).exists():
            break
        folder.rmdir()
    else:
        pytest.skip("no control group that can be frozen may be made here")

    yield lambda *pids: [(folder / "cgroup.procs").write_text(str(pid)) for pid in pids]
    for pid in (folder / "cgroup.procs").read_text().split():
        (folder.parent / "cgroup.procs").write_text(pid)
    assert soon(lambda: _removed(folder))


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def test_a_whole_group_is_frozen_and_thawed(start, group):
    child = start("""
print("go", flush=True) if False else None
import threading
def count():
    while True:
        areas["n"] = areas.get("n", 0) + 1
        time.sleep(0.001)
threading.Thread(target=count, daemon=True).start()
ready()
""")
    group(child.pid)
    process = procfs.process(child.pid)

    def ticks() -> int:
        switches = 0
        for task in Path(f"/proc/{child.pid}/task").iterdir():
            status = (task / "status").read_text()
            switches += int(
                status.partition("\nvoluntary_ctxt_switches:")[2].split()[0]
            )
        return switches

    with Freezer("cgroup", 2, [process]) as freezer:
        with freezer.holding(process) as held:
            assert held
            before = ticks()
            time.sleep(0.1)
            assert ticks() == before
        assert soon(lambda: ticks() > before)
    assert (freezer.late, freezer.missed) == (0, 0)


def test_a_group_with_others_in_it_is_refused(start, group):
    meant, other = start("ready()"), start("ready()")
    group(meant.pid, other.pid)
    with pytest.raises(UsageError, match=f"not selected, such as {other.pid}"):
        Freezer("cgroup", 2, [procfs.process(meant.pid)])
    both = [procfs.process(meant.pid), procfs.process(other.pid)]
    with Freezer("cgroup", 2, both) as freezer, freezer.holding(both[0]) as held:
        assert held
