"""This machine's kernel with the methods of `analyzer.machine.Machine`, so that one
list of events drives both."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import pytest

from analyzer.counters import KsmCounters
from analyzer.knobs import SYSFS, KsmKnobs
from analyzer.live.ksmd import Ksmd
from analyzer.recording import GLOBAL_FIGURES
from traces.capture import procfs

_AGENT: Final = Path(__file__).parent / "sources" / "agent.py"
_AREA: Final = range(1 << 44, (1 << 44) + (1 << 40))
"""Where agents have their pages."""
_ORDER: Final = 1 << 17
_PATIENCE: Final = 20.0
_RUNNING_TOTALS: Final = ("pages_scanned", "pages_skipped")
_SLEEPS: Final = (600_000, 600_001)
"""Milliseconds; to change from one to the other wakes ksmd."""


@dataclass(frozen=True, slots=True)
class Agent:
    """One process that takes orders."""

    pid: int
    end: int
    """A pidfd, readable once the process and its address space are gone."""
    orders: socket.socket

    def do(self, verb: str, fd: int | None = None, **what: Any) -> dict[str, Any]:
        """Give an order and wait until it is carried out."""
        self.tell(verb, fd, **what)
        return _answer(self.orders)

    def tell(self, verb: str, fd: int | None = None, **what: Any) -> None:
        packet = json.dumps({"verb": verb, **what}).encode()
        assert len(packet) <= _ORDER, f"too much for one {verb}"
        socket.send_fds(self.orders, [packet], [] if fd is None else [fd])

    def fork(self) -> "Agent":
        """Another that begins with the memory of this one."""
        ours, theirs = _sockets()
        with theirs:
            self.tell("fork", theirs.fileno())
            return _agent(ours)

    def gone(self) -> None:
        """Wait for its end."""
        assert select.select([self.end], [], [], _PATIENCE)[0], "an agent does not end"
        os.close(self.end)
        self.orders.close()


@contextmanager
def first_agent() -> Iterator[Agent]:
    """An agent without memory, from which all others come; they end with the block,
    and all of ksmd's settings are then as they were."""
    if _ksmd() is None:
        pytest.skip("the kernel's thread ksmd cannot be seen from here")
    with Ksmd(), _started() as agent:
        yield agent


@contextmanager
def _started() -> Iterator[Agent]:
    ours, theirs = _sockets()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-S", "-s", _AGENT, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={"PYTHONMALLOC": "malloc"},
        )
    try:
        agent = _agent(ours)
        yield agent
        agent.tell("exit")
        agent.gone()
    finally:
        process.kill()
        process.wait()


class ThisMachine:
    """Agents under ksmd, as a context: they end with it, and what ksmd knew of them.

    ksmd has to be ours, paused, with nobody on its list.
    """

    def __init__(self, first: Agent, knobs: KsmKnobs) -> None:
        self._first = first
        self._knobs = knobs
        self._agents: dict[str, Agent] = {}
        ksmd = _ksmd()
        assert ksmd is not None
        self._ksmd = ksmd
        self._totals: dict[str, int] = {}

    def __enter__(self) -> "ThisMachine":
        self._forget_all()
        for name, value in self._knobs.as_files().items():
            if name != "sleep_millisecs" and (SYSFS / name).exists():
                self.set_knob(name, value)
        self._totals = {name: _read(name) for name in _RUNNING_TOTALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for agent in self._agents.values():
            signal.pidfd_send_signal(agent.end, signal.SIGKILL)
            agent.gone()
        self._agents.clear()
        self._forget_all()

    @property
    def pids(self) -> list[int]:
        """Of all agents that live."""
        return [agent.pid for agent in self._agents.values()]

    # What processes do.

    def spawn(self, proc: str) -> None:
        self._agents[proc] = self._first.fork()

    def mmap(self, proc: str, start: int, n: int, mergeable: bool, huge: bool) -> None:
        flags = ("h" if huge else "n") + ("m" if mergeable else "")
        self._agents[proc].do("mmap", start=start, n=n, flags=flags)

    def write(self, proc: str, start: int, contents: Sequence[int | None]) -> None:
        self._agents[proc].do("write", start=start, ids=list(contents))

    def read(self, proc: str, start: int, n: int) -> None:
        self._agents[proc].do("read", start=start, n=n)

    def discard(self, proc: str, start: int, n: int) -> None:
        self._agents[proc].do("discard", start=start, n=n)

    def munmap(self, proc: str, start: int, n: int) -> None:
        self._agents[proc].do("munmap", start=start, n=n)

    def merge(self, proc: str, start: int, n: int) -> None:
        self._agents[proc].do("merge", start=start, n=n)

    def unmerge(self, proc: str, start: int, n: int) -> None:
        self._agents[proc].do("unmerge", start=start, n=n)

    def prctl(self, proc: str, on: bool) -> None:
        self._agents[proc].do("prctl", on=on)
        offered = [
            mapping
            for mapping in procfs.mappings(self._agents[proc].pid)
            if "mg" in mapping.vm_flags and mapping.start not in _AREA
        ]
        assert not offered, f"the interpreter's own memory is offered: {offered}"

    def fork(self, proc: str, child: str) -> None:
        self._agents[child] = self._agents[proc].fork()

    def exit(self, proc: str) -> None:
        agent = self._agents.pop(proc)
        agent.tell("exit")
        agent.gone()

    # What the administrator does.

    def set_knob(self, name: str, value: int | str) -> None:
        (SYSFS / name).write_text(str(value))

    def sleep(self, ms: int) -> None:
        time.sleep(ms / 1000)

    def pause(self) -> None:
        self.set_knob("run", 0)
        self._wake()

    def unmerge_all(self) -> None:
        # ksmd waits for a run=1 from here on, and no longer for its sleep to end.
        self.pause()
        self.set_knob("run", 2)
        self.set_knob("run", 0)

    def load(
        self,
        proc: str,
        vpns: Sequence[int],
        frames: Sequence[int],
        contents: Sequence[int],
        folios: Sequence[int],
    ) -> None:
        raise NotImplementedError("no kernel can be told which frames it has")

    # What ksmd does.

    def wake_up(self) -> bool:
        """One wake-up; True when it ended a full scan."""
        before = _read("full_scans")
        if _read("run") == 1:
            self._wake()
        else:
            self.set_knob("run", 1)
            self._await_sleep()
        ended = _read("full_scans") - before
        assert ended <= 1, "somebody else drives ksmd"
        return ended == 1

    def full_scan(self) -> None:
        """Wake up until a full scan has ended."""
        patience = time.monotonic() + _PATIENCE
        while not self.wake_up():
            assert time.monotonic() < patience, "a full scan does not end"

    def counters(self) -> KsmCounters:
        """The read-only files; rmap_items, which is none, is 0."""
        values = {name: _read(name) for name in GLOBAL_FIGURES}
        for name, before in self._totals.items():
            values[name] -= before
        return KsmCounters(rmap_items=0, **values)

    def figures(self) -> dict[str, Any]:
        """All that can be read now, as a recording holds it."""
        machine = self.counters()._asdict()
        del machine["rmap_items"]
        return {"global": machine, "procs": {p: self.process(p) for p in self._agents}}

    def process(self, proc: str) -> dict[str, int]:
        """/proc/PID/ksm_stat, yes being 1, and the file ksm_merging_pages."""
        pid = self._agents[proc].pid
        stat = procfs.ksm_stat(pid)
        figures = {
            name: int(value == "yes") if value in ("yes", "no") else int(value)
            for name, value in stat.items()
        }
        file = Path(f"/proc/{pid}/ksm_merging_pages").read_text()
        return figures | {"ksm_merging_pages_file": int(file)}

    def _forget_all(self) -> None:
        self.unmerge_all()
        patience = time.monotonic() + _PATIENCE
        while _read("pages_shared"):
            assert time.monotonic() < patience, "somebody else's pages stay merged"
            self.unmerge_all()

    def _wake(self) -> None:
        """Wake ksmd, and wait until it is done."""
        # Not yet asleep it would not see that its sleep has changed.
        self._await_sleep()
        one, other = _SLEEPS
        self.set_knob("sleep_millisecs", one + other - _read("sleep_millisecs"))
        self._await_sleep()

    def _await_sleep(self) -> None:
        patience = time.monotonic() + _PATIENCE
        while self._ksmd.read_text().rpartition(")")[2].split()[0] != "S":
            assert time.monotonic() < patience, "ksmd does not go to sleep"
            time.sleep(0.0001)


def strangers(ours: Sequence[int]) -> list[int]:
    """Processes that ksmd knows and that are not *ours*."""
    found = []
    for pid in set(procfs.pids()) - set(ours):
        stat = procfs.ksm_stat(pid)
        offered = "yes" in (stat.get("ksm_merge_any"), stat.get("ksm_mergeable"))
        if offered or stat.get("ksm_rmap_items", "0") != "0":
            found.append(pid)
    return found


def _sockets() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _agent(orders: socket.socket) -> Agent:
    pid = _answer(orders)["pid"]
    return Agent(pid, os.pidfd_open(pid), orders)


def _answer(orders: socket.socket) -> dict[str, Any]:
    orders.settimeout(_PATIENCE)
    data = orders.recv(_ORDER)
    assert data, "an agent has ended"
    answer: dict[str, Any] = json.loads(data)
    assert "error" not in answer, answer["error"]
    return answer


def _read(name: str) -> int:
    return int((SYSFS / name).read_text())


def _ksmd() -> Path | None:
    """The stat file of the kernel's thread."""
    for pid in procfs.pids():
        with suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text() == "ksmd\n":
                return Path(f"/proc/{pid}/stat")
    return None
