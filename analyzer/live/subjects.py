"""The processes that a proof is about: somebody's, held still meanwhile."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from analyzer.live.afterwards import Afterwards
from traces.capture import procfs
from traces.capture.procfs import Gone
from traces.errors import InputError, UsageError

_PATIENCE: Final = 5.0
"""Seconds for all threads of a process to stop."""


@contextmanager
def held_still(pids: Sequence[int]) -> Iterator[list[int]]:
    """*pids* stopped within the block; those that ran before run on afterwards.

    Raises InputError where one is not there, cannot be stopped, or has not offered
    any memory to KSM; UsageError where it is this process or one that started it.
    """
    pids = list(dict.fromkeys(pids))
    for pid in pids:
        _check(pid)
    with Afterwards() as afterwards:
        for pid in pids:
            if procfs.process(pid).state != "T":
                afterwards.resume(pid)
                _stop(pid)
        yield pids


def _check(pid: int) -> None:
    if pid in _own_line():
        raise UsageError(f"process {pid} runs this proof: it cannot be stopped for it")
    try:
        offered = _is_offered(pid)
    except Gone as error:
        raise InputError(f"there is no process {pid}") from error
    except PermissionError as error:
        raise InputError(f"no permission to look into process {pid}") from error
    if not offered:
        raise InputError(
            f"process {pid} has offered no memory to KSM",
            "start it with ksm-analyze run -- COMMAND",
        )


def _is_offered(pid: int) -> bool:
    return any("mg" in mapping.vm_flags for mapping in procfs.mappings(pid))


def _own_line() -> set[int]:
    """This process and those that started it."""
    line, pid = set(), os.getpid()
    while pid > 0:
        line.add(pid)
        try:
            pid = procfs.process(pid).ppid
        except Gone:
            break
    return line


def _stop(pid: int) -> None:
    patience = time.monotonic() + _PATIENCE
    try:
        os.kill(pid, signal.SIGSTOP)
        while set(procfs.thread_states(pid)) - {"T", "t"}:
            if time.monotonic() > patience:
                raise InputError(f"process {pid} does not stop")
            time.sleep(0.005)
    except (Gone, ProcessLookupError) as error:
        raise InputError(f"process {pid} has exited") from error
