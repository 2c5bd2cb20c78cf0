"""The CPU time of the kernel thread ksmd."""

import os
from collections.abc import Callable

from traces.capture import procfs
from traces.capture.procfs import Gone
from traces.errors import InputError


def clock_of_ksmd() -> Callable[[], int]:
    """What tells ksmd's CPU time so far, in ns.

    Schedstat counts in ns; a kernel built without it has ticks of 10 ms at best.
    Raises InputError where the thread is not to be seen.
    """
    folder = procfs.PROC / str(_ksmd())
    if (folder / "schedstat").exists():
        return lambda: int((folder / "schedstat").read_text().split()[0])
    tick = 10**9 // os.sysconf("SC_CLK_TCK")

    def ticks() -> int:
        words = (folder / "stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) * tick

    return ticks


def _ksmd() -> int:
    for pid in procfs.pids():
        try:
            process = procfs.process(pid)
        except (Gone, PermissionError):
            continue
        if process.comm == "ksmd" and process.kernel_thread:
            return pid
    raise InputError("ksmd is not to be seen: run this outside of containers")
