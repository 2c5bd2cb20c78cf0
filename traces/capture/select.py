"""Which processes are meant: selectors of a kind add up, of several kinds narrow."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase

from traces.capture import procfs
from traces.capture.procfs import Gone, Process
from traces.errors import InputError, UsageError
from traces.workload import cgroup_path, names


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What the user asked for; patterns as in a shell (`*`, `?`, `[...]`)."""

    pids: frozenset[int] = frozenset()
    comms: tuple[str, ...] = ()
    cgroups: tuple[str, ...] = ()
    """Control groups, with what lies below them."""
    units: tuple[str, ...] = ()
    """systemd units; `.service` may be left out."""
    users: tuple[str, ...] = ()
    """Names or numbers."""
    everything: bool = False
    """All processes, which other selectors narrow."""
    children: bool = False
    """Descendants of what was found, too."""

    def __bool__(self) -> bool:
        return any(getattr(self, f.name) for f in fields(self) if f.name != "children")


def select(selection: Selection) -> list[Process]:
    """The processes meant, oldest first, without ourselves and kernel threads.

    From outside nothing shows the order in which ksmd visits processes; by age is
    how they would have been registered had the setting been there from the start.

    Raises UsageError where nothing was asked for or only ourselves, and InputError
    where a pid does not exist or nothing was found.
    """
    if not selection:
        raise UsageError(
            "which processes? give --pid, --comm, --cgroup, --unit, --user or --all"
        )
    for pid in sorted(selection.pids):
        _check(pid)
    chosen = _chosen(selection)
    if not chosen:
        raise InputError(
            "no process matches", "a process must match one selector of every kind"
        )
    return chosen


class Reselection:
    """A selection evaluated again and again, as processes come and go.

    *first* is what `select` found at the beginning: a process named by its pid is
    meant, not whoever gets that pid after it.
    """

    def __init__(self, selection: Selection, first: Iterable[Process]) -> None:
        self._selection = selection
        self._named = {p.pid: p for p in first if p.pid in selection.pids}

    @property
    def exhausted(self) -> bool:
        """Whether processes were named by their pids, and all of them have exited."""
        return bool(self._selection.pids) and not self._named

    def now(self) -> tuple[list[Process], list[int]]:
        """The processes meant now, none perhaps, and the pids among those named that
        have exited since it was asked last."""
        exited = [pid for pid, process in self._named.items() if _is_over(process)]
        for pid in exited:
            del self._named[pid]
        if self.exhausted:
            return [], exited
        named = frozenset(self._named)
        return _chosen(replace(self._selection, pids=named)), exited


def _is_over(process: Process) -> bool:
    try:
        now = procfs.process(process.pid)
    except Gone:
        return True
    return now.start_ticks != process.start_ticks or now.state in "ZX"


def _chosen(selection: Selection) -> list[Process]:
    known = list(_user_processes())
    found = {p.pid for p in known if _matches(p, selection)}
    if selection.children:
        found |= _descendants(known, found)
    chosen = [p for p in known if p.pid in found]
    return sorted(chosen, key=lambda p: (p.start_ticks, p.pid))


def _check(pid: int) -> None:
    if pid == os.getpid():
        raise UsageError(f"--pid {pid}: is this capture itself")
    try:
        process = procfs.process(pid)
        group = procfs.thread_group(pid)
    except Gone as error:
        raise InputError(f"--pid {pid}: there is no such process") from error
    if group != pid:
        raise InputError(f"--pid {pid}: is a thread of process {group}")
    if process.kernel_thread:
        raise InputError(f"--pid {pid}: is a kernel thread, without memory of its own")
    if process.state in "ZX":
        raise InputError(f"--pid {pid}: has exited and waits for its parent")


def _user_processes() -> Iterable[Process]:
    for pid in procfs.pids():
        try:
            process = procfs.process(pid)
        except Gone:
            continue
        if process.kernel_thread or process.state in "ZX" or pid == os.getpid():
            continue
        yield process


def _matches(process: Process, selection: Selection) -> bool:
    tests: list[tuple[Iterable[object], Callable[[], bool]]] = [
        (selection.pids, lambda: process.pid in selection.pids),
        (selection.comms, lambda: _any(process.comm, selection.comms)),
        (selection.users, lambda: _is_user(process.uid, selection.users)),
        (selection.cgroups, lambda: _in_cgroup(process.pid, selection.cgroups)),
        (selection.units, lambda: _in_unit(process.pid, selection.units)),
    ]
    return all(test() for wanted, test in tests if wanted)


def _any(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _is_user(uid: int, wanted: Iterable[str]) -> bool:
    return str(uid) in wanted or procfs.user_name(uid) in wanted


def _in_cgroup(pid: int, patterns: Iterable[str]) -> bool:
    paths = set(procfs.cgroups(pid).values())
    for pattern in patterns:
        whole = "/" + pattern.strip("/")
        below = whole.rstrip("/") + "/*"
        if any(fnmatchcase(p, whole) or fnmatchcase(p, below) for p in paths):
            return True
    return False


def _in_unit(pid: int, patterns: Iterable[str]) -> bool:
    cgroups = procfs.cgroups(pid)
    unit = names(cgroups).unit
    inside = cgroup_path(cgroups).split("/")
    return any(
        fnmatchcase(part, pattern) or fnmatchcase(part, f"{pattern}.service")
        for pattern in patterns
        for part in (unit, *inside)
        if part
    )


def _descendants(known: Iterable[Process], roots: set[int]) -> set[int]:
    children = defaultdict(list)
    for process in known:
        children[process.ppid].append(process.pid)
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        for child in children[waiting.pop()]:
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found
