import os
import pwd
import subprocess
import sys
import time

import pytest

from traces.capture import procfs
from traces.capture.select import Selection, select
from traces.errors import InputError, UsageError

NAME = "libc.prctl(15, {name!r}.encode())\nready()\n"


def chosen(**selectors):
    return [process.pid for process in select(Selection(**selectors))]


def test_nothing_asked_for_names_the_selectors():
    with pytest.raises(UsageError, match=r"--pid.*--all"):
        select(Selection(children=True))


def test_one_kind_adds_up_and_kinds_narrow(start):
    first = start(NAME.format(name="ksmtest-a"))
    time.sleep(0.02)
    second = start(NAME.format(name="ksmtest-b"))

    assert chosen(comms=("ksmtest-a", "ksmtest-b")) == [first.pid, second.pid]
    assert chosen(comms=("ksmtest-*",)) == [first.pid, second.pid]
    assert chosen(comms=("ksmtest-*",), pids=frozenset({second.pid})) == [second.pid]
    me = pwd.getpwuid(os.getuid()).pw_name
    assert chosen(comms=("ksmtest-a",), users=(me,)) == [first.pid]
    assert chosen(comms=("ksmtest-a",), users=(str(os.getuid()),)) == [first.pid]
    assert set(chosen(everything=True)) >= {first.pid, second.pid}
    with pytest.raises(InputError, match="no process matches"):
        chosen(comms=("ksmtest-a",), users=("no such user",))


def test_children_come_with_their_descendants(start):
    child = start("""
reader, writer = os.pipe()
if not os.fork():
    grandchild = os.fork()
    if grandchild:
        os.write(writer, str(grandchild).encode())
    time.sleep(600)
ready(grandchild=int(os.read(reader, 20)))
""")
    grandchild = child.told["grandchild"]
    try:
        family = chosen(pids=frozenset({child.pid}), children=True)
    finally:
        parent = procfs.process(grandchild).ppid
        os.kill(grandchild, 9)
        os.kill(parent, 9)
    assert family == [child.pid, parent, grandchild]


def test_groups_and_units_are_found_by_path_and_pattern(start, monkeypatch):
    child, other = start("ready()"), start("ready()")
    paths = {
        child.pid: {"": "/system.slice/web@1.service"},
        other.pid: {"": "/kube/pod/x"},
    }
    monkeypatch.setattr(procfs, "cgroups", lambda pid: paths.get(pid, {"": "/"}))

    assert chosen(units=("web@1",)) == [child.pid]
    assert chosen(units=("web@*",)) == [child.pid]
    assert chosen(units=("web@1.service",)) == [child.pid]
    assert chosen(cgroups=("/system.slice",)) == [child.pid]
    assert chosen(cgroups=("kube/pod",)) == [other.pid]
    assert chosen(cgroups=("/kube*", "/system.slice")) == sorted([child.pid, other.pid])
    with pytest.raises(InputError):
        chosen(cgroups=("/system",))


def test_pids_that_cannot_be_meant_say_why(start):
    with pytest.raises(UsageError, match="itself"):
        chosen(pids=frozenset({os.getpid()}))
    gone = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])
    gone.wait()
    with pytest.raises(InputError, match=f"{gone.pid}.*no such process"):
        chosen(pids=frozenset({gone.pid}))

    zombie = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])
    while procfs.process(zombie.pid).state != "Z":
        time.sleep(0.005)
    with pytest.raises(InputError, match="waits for its parent"):
        chosen(pids=frozenset({zombie.pid}))
    zombie.wait()

    threaded = start("""
import threading
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
ready(thread=max(map(int, os.listdir("/proc/self/task"))))
""")
    with pytest.raises(InputError, match=f"is a thread of process {threaded.pid}"):
        chosen(pids=frozenset({threaded.told["thread"]}))


def test_kernel_threads_are_not_processes_with_memory():
    kernel = [
        pid for pid in procfs.pids() if pid == 2 and procfs.process(2).kernel_thread
    ]
    if not kernel:
        pytest.skip("no kernel thread is visible in this pid namespace")
    with pytest.raises(InputError, match="kernel thread"):
        chosen(pids=frozenset({2}))
    assert 2 not in chosen(everything=True)


def test_we_are_never_part_of_all():
    assert os.getpid() not in chosen(everything=True, children=True)


def test_a_name_may_hold_anything(start):
    child = start(NAME.format(name="a) R 1\n\x1b[31m"))
    process = procfs.process(child.pid)
    assert process.comm == "a) R 1\n\x1b[31m"
    assert process.ppid == os.getpid()
