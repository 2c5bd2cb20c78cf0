"""Looks at this host's own KSM, again and again: only reads, and drives nothing.

Most processes of a host have nothing to do with KSM, and to ask each of ten thousand
takes a fifth of a second. So a look asks those that ksmd knows, those that are new,
and of the others one in `PARTS`, by turns.
"""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from analyzer.counters import KsmCounters
from analyzer.knobs import SYSFS, KsmKnobs
from analyzer.live.cpu import clock_of_ksmd
from analyzer.live.ksmd import read, require_ksm
from analyzer.live.sample import ProcessSample, Sample
from traces.capture import procfs
from traces.capture.procfs import Gone
from traces.errors import InputError, KsmAnalyzeError
from traces.workload import label, names

PARTS: Final = 5
"""Looks after which every process has been asked: so late may a process be seen that
offers itself long after its start."""

_ITEMS_OF: Final = ("pages_shared", "pages_sharing", "pages_unshared", "pages_volatile")
"""Each rmap_item is counted in one of them (mm/ksm.c: pages_volatile_show)."""


class _Label(NamedTuple):
    """A workload's name, and of which process."""

    comm: str
    start_ticks: int
    workload: str


class Sampler:
    """This host, for one who looks at it from one thread.

    Raises InputError where the kernel has no KSM.
    """

    def __init__(self) -> None:
        require_ksm()
        self._clock: Callable[[], int | None] | None = None
        self._has_stat = (procfs.PROC / "self" / "ksm_stat").exists()
        self._has_merging = (procfs.PROC / "self" / "ksm_merging_pages").exists()
        self._seen: set[int] = set()
        self._known: dict[int, ProcessSample] = {}
        self._unreadable: set[int] = set()
        self._labels: dict[int, _Label] = {}
        self._turn = 0

    def look(self) -> Sample:
        """The figures as they stand.

        Raises InputError where the files of KSM cannot be read any more.
        """
        began = time.monotonic_ns()
        if self._clock is None:
            self._clock = _clock()
        try:
            counters = _counters()
            settings = _settings()
            run = int(read("run"))
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read {SYSFS}: {error}") from error
        cpu = self._cpu()
        knobs, odd = _knobs(settings)
        now = time.time_ns()
        if self._has_stat or self._has_merging:
            self._look_at_processes()
        ended = time.monotonic_ns()
        return Sample(
            time_ns=now,
            clock_ns=began,
            run=run,
            settings=settings,
            knobs=knobs,
            counters=counters,
            ksmd_cpu_ns=cpu,
            processes=tuple(self._known[pid] for pid in sorted(self._known)),
            unreadable=len(self._unreadable),
            limits=(*odd, *self._limits(counters, cpu)),
            took_ns=ended - began,
        )

    def _cpu(self) -> int | None:
        assert self._clock is not None
        try:
            return self._clock()
        except OSError:
            return None

    def _look_at_processes(self) -> None:
        present = procfs.pids()
        for gone in self._seen.difference(present):
            self._forget(gone)
        for pid in present:
            due = pid % PARTS == self._turn % PARTS
            if due or pid in self._known or pid not in self._seen:
                self._look_at(pid)
        self._seen = set(present)
        self._turn += 1

    def _look_at(self, pid: int) -> None:
        try:
            figures = self._figures(pid)
            if _concerns_ksmd(figures):
                self._known[pid] = self._process(pid, figures)
                self._unreadable.discard(pid)
            else:
                self._forget(pid)
        except PermissionError:
            self._forget(pid)
            if _has_memory(pid):
                self._unreadable.add(pid)
        except Gone:
            self._forget(pid)

    def _forget(self, pid: int) -> None:
        self._known.pop(pid, None)
        self._labels.pop(pid, None)
        self._unreadable.discard(pid)

    def _figures(self, pid: int) -> dict[str, str]:
        figures = procfs.ksm_figures(pid) if self._has_stat else {}
        if "ksm_merging_pages" not in figures:
            figures["ksm_merging_pages"] = str(procfs.ksm_merging_pages(pid))
        return figures

    def _process(self, pid: int, figures: dict[str, str]) -> ProcessSample:
        comm, start_ticks = procfs.identity(pid)
        held = self._labels.get(pid)
        if held is None or (held.comm, held.start_ticks) != (comm, start_ticks):
            held = _Label(comm, start_ticks, _workload(pid, comm))
            self._labels[pid] = held

        def number(name: str) -> int | None:
            return int(figures[name]) if name in figures else None

        def answer(name: str) -> bool | None:
            return figures[name] == "yes" if name in figures else None

        return ProcessSample(
            pid=pid,
            start_ticks=start_ticks,
            comm=comm,
            workload=held.workload,
            ksm_merging_pages=int(figures["ksm_merging_pages"]),
            ksm_rmap_items=number("ksm_rmap_items"),
            ksm_zero_pages=number("ksm_zero_pages"),
            ksm_process_profit=number("ksm_process_profit"),
            merge_any=answer("ksm_merge_any"),
            mergeable=answer("ksm_mergeable"),
        )

    def _limits(self, counters: dict[str, int | None], cpu: int | None) -> "list[str]":
        limits = []
        missing = [name for name, value in counters.items() if value is None]
        if missing:
            limits.append(f"this kernel does not tell {', '.join(missing)}")
        if cpu is None:
            limits.append("the kernel's thread ksmd cannot be seen from here")
        if not (self._has_stat or self._has_merging):
            limits.append("this kernel tells nothing of single processes (5.19 does)")
        elif not self._has_stat:
            limits.append("this kernel has no ksm_stat (6.1 has): merging pages only")
        if self._unreadable:
            limits.append(f"processes that only root may read: {len(self._unreadable)}")
        return limits


def _clock() -> Callable[[], int | None]:
    try:
        return clock_of_ksmd()
    except InputError:
        return lambda: None


def _counters() -> dict[str, int | None]:
    """Every field of `KsmCounters`; rmap_items, no file, from those it is part of."""
    found: dict[str, int | None] = {
        name: int(read(name)) if (SYSFS / name).exists() else None
        for name in KsmCounters._fields
        if name != "rmap_items"
    }
    parts = [found[name] for name in _ITEMS_OF]
    items = [part for part in parts if part is not None]
    found["rmap_items"] = sum(items) if len(items) == len(parts) else None
    return {name: found[name] for name in KsmCounters._fields}


def _settings() -> dict[str, str]:
    return {name: read(name) for name in KsmKnobs.__slots__ if (SYSFS / name).exists()}


def _knobs(settings: dict[str, str]) -> tuple[KsmKnobs | None, list[str]]:
    """What is set, or why no replay could have it: the kernel takes values that none
    would end with."""
    try:
        return KsmKnobs.from_files(settings), []
    except KsmAnalyzeError as error:
        return None, [str(error)]


def _concerns_ksmd(figures: dict[str, str]) -> bool:
    """Whether ksmd has anything of the process, or is to have."""
    return any(value not in ("0", "no") for value in figures.values())


def _has_memory(pid: int) -> bool:
    """Whether *pid* is a process, and no thread of the kernel."""
    try:
        return not procfs.process(pid).kernel_thread
    except Gone:
        return False
    except PermissionError:
        return True


def _workload(pid: int, comm: str) -> str:
    known = names(procfs.cgroups(pid), procfs.command_line(pid))
    return label("auto", known, comm, user="", exe="")
