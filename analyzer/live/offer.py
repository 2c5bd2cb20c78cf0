"""Offering a whole process to KSM, and with it whatever it forks or executes.

Imports the standard library only: run as a script, in an interpreter without site
packages, it is what stands in front of a program that is to be offered.

    python -I -S offer.py COMMAND...
"""

import ctypes
import os
import sys
from collections.abc import Sequence
from typing import Final

PR_SET_MEMORY_MERGE: Final = 67
"""include/uapi/linux/prctl.h, since Linux 6.4; kept over exec since 6.7."""
PR_GET_MEMORY_MERGE: Final = 68


def offer(on: bool = True) -> None:
    """Offer every compatible mapping of this process to KSM, present and future.

    With *on* false, take the offer back; pages already merged come apart at once.
    Raises OSError: EINVAL where the kernel does not know the call or has no KSM.
    """
    _prctl(PR_SET_MEMORY_MERGE, int(on))


def offered() -> bool:
    """Whether this process is offered as a whole. Raises OSError as `offer`."""
    return bool(_prctl(PR_GET_MEMORY_MERGE, 0))


def command(words: Sequence[str]) -> list[str]:
    """The command line that offers *words* and then becomes them."""
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), *words]  # noqa: PTH100


def _prctl(option: int, value: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_ulong(word) for word in (value, 0, 0, 0)]
    answer: int = libc.prctl(option, *words)
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer


if __name__ == "__main__":
    try:
        offer()
        os.execvp(sys.argv[1], sys.argv[1:])
    except OSError as error:
        sys.exit(f"{sys.argv[1]}: {error.strerror}")
