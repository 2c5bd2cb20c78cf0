"""Giving way: a capture should be felt by nobody who waits for the machine."""

import contextlib
import ctypes
import os
import platform
from typing import Final

_LOWEST_NICE: Final = 19
_IOPRIO_SET: Final = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "ppc64le": 273}
_WHO_PROCESS: Final = 1
_CLASS_IDLE: Final = 3 << 13


def lowest() -> None:
    """Give this process, and the threads it will start, the last turn at CPU and disk.

    Where the architecture's ioprio_set is not known here, only the CPU's.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _LOWEST_NICE)
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        ctypes.CDLL(None).syscall(number, _WHO_PROCESS, 0, _CLASS_IDLE)
