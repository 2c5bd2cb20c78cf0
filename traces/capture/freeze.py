"""Holding a process still while it is read, and letting go of it whatever happens.

Two ways: the control group freezer, which nobody in the group can notice but which
holds the whole group, and SIGSTOP, which a parent may notice. Every freeze is first
announced to a watchdog process (watchdog.py), which thaws after a hard limit and when
this process dies.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

from traces.capture import procfs
from traces.capture.procfs import Gone, Process
from traces.errors import UsageError

DEFAULT_LIMIT: Final = 2.0
"""Seconds after which a process is thawed, read or not."""

_PATIENCE: Final = 0.5
"""Seconds to wait until all of a process's threads have come to rest."""


class Group(NamedTuple):
    """A control group and the files that freeze it."""

    folder: Path
    control: Path
    frozen: str
    thawed: str
    state: Path
    """Holds `settled` once every process of the group is at rest."""
    settled: str


class Freezer:
    """Freezes processes one at a time; a context manager.

    *how* is `cgroup`, `stop` or `none`. Raises UsageError where one of *processes*
    must not be frozen that way.
    """

    def __init__(self, how: str, limit: float, processes: Sequence[Process]) -> None:
        self.how = how
        self._limit = limit
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._groups = _groups(processes) if how == "cgroup" else {}
        self._spared = {1, os.getpid(), *_ancestors()}
        self.late = 0
        """Processes that the watchdog had to thaw: read in part while running."""
        self.missed = 0
        """Processes read running, as they could not be brought to rest."""

    def __enter__(self) -> "Freezer":
        if self.how != "none":
            script = Path(__file__).with_name("watchdog.py")
            self._watchdog = subprocess.Popen(
                [sys.executable, "-I", "-S", os.fspath(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                # Its own session: the terminal's Ctrl-C is not for it.
                start_new_session=True,
            )
            self._tell(f"limit {self._limit}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._watchdog:
            assert self._watchdog.stdin is not None
            assert self._watchdog.stdout is not None
            self._watchdog.stdin.close()
            self._watchdog.wait()
            self._watchdog.stdout.close()

    @contextlib.contextmanager
    def holding(self, process: Process) -> Iterator[bool]:
        """Keep *process* frozen within the block; gives whether it is.

        A process that was already stopped is not touched, before or after.
        """
        if self.how == "none":
            yield False
        elif self.how == "cgroup":
            with self._holding_group(self._groups[process.pid]) as held:
                yield held
        else:
            with self._stopping(process) as held:
                yield held

    @contextlib.contextmanager
    def _stopping(self, process: Process) -> Iterator[bool]:
        try:
            handle = os.pidfd_open(process.pid)
        except ProcessLookupError:
            yield False
            return
        try:
            if _at_rest(process.pid):
                yield True
                return
            spared = process.pid in self._spared
            if spared or self._tell(f"stop {process.pid}") != "armed":
                self.missed += 1
                yield False
                return
            try:
                signal.pidfd_send_signal(handle, signal.SIGSTOP)
                yield self._settles(lambda: _at_rest(process.pid))
            finally:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, signal.SIGCONT)
                self._released()
        except PermissionError:
            self.missed += 1
            yield False
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def _holding_group(self, group: Group) -> Iterator[bool]:
        if group.control.read_text().strip() == group.frozen:
            yield True
            return
        self._tell(f"file {group.control}\t{group.thawed}")
        try:
            group.control.write_text(group.frozen)
            yield self._settles(lambda: group.settled in group.state.read_text())
        finally:
            group.control.write_text(group.thawed)
            self._released()

    def _settles(self, at_rest: Callable[[], bool]) -> bool:
        end = time.monotonic() + min(_PATIENCE, self._limit)
        while not at_rest():
            if time.monotonic() > end:
                self.missed += 1
                return False
            time.sleep(0.0002)
        return True

    def _released(self) -> None:
        self.late += self._tell("release") == "late"

    def _tell(self, line: str) -> str:
        """Send the watchdog a line; its answer, or nothing where it is dead."""
        assert self._watchdog is not None
        assert self._watchdog.stdin is not None
        assert self._watchdog.stdout is not None
        try:
            self._watchdog.stdin.write(line.encode() + b"\n")
            return self._watchdog.stdout.readline().decode().strip()
        except BrokenPipeError:
            return ""


def _at_rest(pid: int) -> bool:
    try:
        return all(state in "TtZX" for state in procfs.thread_states(pid))
    except Gone:
        return True


def _ancestors() -> Iterator[int]:
    pid = os.getppid()
    while pid > 1:
        yield pid
        try:
            pid = procfs.process(pid).ppid
        except Gone:
            return


def _groups(processes: Sequence[Process]) -> dict[int, Group]:
    """The group to freeze for each pid; UsageError where one must not be frozen."""
    chosen = {process.pid for process in processes}
    groups = {}
    for process in processes:
        group = _group_of(process.pid)
        if group is None:
            raise UsageError(
                f"--freeze cgroup: process {process.pid} is in the root control "
                "group, which cannot be frozen",
                "--freeze stop works on single processes",
            )
        inside = set(_members(group.folder))
        if os.getpid() in inside:
            raise UsageError(
                f"--freeze cgroup: this capture runs in the group of process "
                f"{process.pid} itself, {group.folder}"
            )
        if others := inside - chosen:
            raise UsageError(
                f"--freeze cgroup: freezing {group.folder} would stop "
                f"{len(others)} processes that were not selected, such as "
                f"{min(others)}",
                "select the whole group with --cgroup, or use --freeze stop",
            )
        groups[process.pid] = group
    return groups


def _group_of(pid: int) -> Group | None:
    cgroups = procfs.cgroups(pid)
    mounts = _freezer_mounts()
    path = cgroups.get("", "/")
    if "cgroup2" in mounts and path != "/" and ".." not in path:
        folder = mounts["cgroup2"] / path.lstrip("/")
        control = folder / "cgroup.freeze"
        if control.exists():
            events = folder / "cgroup.events"
            return Group(folder, control, "1", "0", events, "frozen 1")
    path = cgroups.get("freezer", "/")
    if "cgroup" in mounts and path != "/" and ".." not in path:
        folder = mounts["cgroup"] / path.lstrip("/")
        control = folder / "freezer.state"
        if control.exists():
            return Group(folder, control, "FROZEN", "THAWED", control, "FROZEN")
    return None


def _freezer_mounts() -> dict[str, Path]:
    """Where the unified hierarchy and the freezer of version 1 are mounted."""
    found = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2" or (kind == "cgroup" and "freezer" in options.split(",")):
            place = before.split()[4]
            found[kind] = Path(re.sub(r"\\040", " ", place))
    return found


def _members(folder: Path) -> Iterator[int]:
    """Processes of a group and of the groups below it, which freeze with it."""
    for file in folder.rglob("cgroup.procs"):
        yield from map(int, file.read_text().split())
