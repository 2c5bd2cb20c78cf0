"""A process that does to its memory what it is told, and nothing else with it.

Run as a script, in an interpreter without site packages, with the number of a
SOCK_SEQPACKET socket: each packet is one order in JSON, each answer one packet. The
first agent owns no memory and is only there to fork others, which is far quicker than
starting them; a fork is answered by the child, on a socket that came with the order.

Pages lie in areas from BASE on, apart from the interpreter's own memory. Only those are
ever offered to KSM: where PR_SET_MEMORY_MERGE has marked everything, all else is
unmarked again before ksmd can come by.
"""

import ctypes
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, Final

PAGE: Final = 4096
BASE: Final = 1 << 44
END: Final = BASE + (1 << 40)
ORDER: Final = 1 << 17
"""The longest packet that is taken."""

_PROTECTION: Final = 3
_ANONYMOUS: Final = 0x02 | 0x20 | 0x4000 | 0x100000
"""MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE, MAP_FIXED_NOREPLACE"""
_ADVICE: Final = {"m": 12, "h": 14, "n": 15}
_DISCARD: Final = 4
_MERGEABLE: Final = 12
_UNMERGEABLE: Final = 13
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_PLENTY: Final = 1 << 25
"""The greatest threshold that glibc takes."""
_SET_MEMORY_MERGE: Final = 67
_GET_MEMORY_MERGE: Final = 68

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int),
    *(ctypes.c_int, ctypes.c_int, ctypes.c_long),
]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]


def content(number: int) -> bytes:
    """A page for each number; they sort as their numbers do, and 0 is all zero."""
    return number.to_bytes(8, "big") * (PAGE // 8)


def mmap(start: int, n: int, flags: str) -> None:
    address = _address(start)
    got = _libc.mmap(address, n * PAGE, _PROTECTION, _ANONYMOUS, -1, 0)
    if got != address:
        raise OSError(ctypes.get_errno(), "mmap")
    for flag in flags:
        _check(_libc.madvise(address, n * PAGE, _ADVICE[flag]))


def write(start: int, ids: list[int | None]) -> None:
    for at, number in enumerate(ids, start):
        if number is not None:
            ctypes.memmove(_address(at), content(number), PAGE)


def read(start: int, n: int) -> None:
    for at in range(start, start + n):
        ctypes.string_at(_address(at), 1)


def discard(start: int, n: int) -> None:
    _check(_libc.madvise(_address(start), n * PAGE, _DISCARD))


def munmap(start: int, n: int) -> None:
    _check(_libc.munmap(_address(start), n * PAGE))


def merge(start: int, n: int) -> None:
    _check(_libc.madvise(_address(start), n * PAGE, _MERGEABLE))


def unmerge(start: int, n: int) -> None:
    _check(_libc.madvise(_address(start), n * PAGE, _UNMERGEABLE))


def prctl(on: bool) -> None:
    _check(_libc.prctl(_SET_MEMORY_MERGE, int(on), 0, 0, 0))


ORDERS: Final[dict[str, Callable[..., None]]] = {
    each.__name__: each
    for each in (mmap, write, read, discard, munmap, merge, unmerge, prctl)
}


def serve(orders: socket.socket) -> None:
    """Carry out one order after the other until nobody is there to give any."""
    orders.send(_answer(pid=os.getpid()))
    while True:
        data, passed, flags, _ = socket.recv_fds(orders, ORDER, 1)
        if not data:
            return
        if flags & socket.MSG_TRUNC:
            orders.send(_answer(error=f"an order of more than {ORDER} bytes"))
            continue
        order = json.loads(data)
        verb = order.pop("verb")
        if verb == "exit":
            return
        if verb == "fork":
            orders = _fork(orders, socket.socket(fileno=passed[0]))
            continue
        try:
            ORDERS[verb](**order)
            _offer_nothing_else()
        except OSError as error:
            orders.send(_answer(error=f"{verb}: {error}"))
        else:
            orders.send(_answer())


def _fork(mine: socket.socket, other: socket.socket) -> socket.socket:
    """The socket that this process goes on with, parent or child."""
    child = os.fork() == 0
    (mine if child else other).close()
    _offer_nothing_else()
    if child:
        other.send(_answer(pid=os.getpid()))
        return other
    return mine


def _offer_nothing_else() -> None:
    if _libc.prctl(_GET_MEMORY_MERGE, 0, 0, 0, 0) == 1:
        for start, end in _spans_beside():
            _libc.madvise(start, end - start, _UNMERGEABLE)


def _keep_memory() -> None:
    """Memory for all that is to come, never given back: what would be mapped after the
    others were unmarked would be marked (PYTHONMALLOC=malloc leaves none to Python)."""
    for option in _TRIM_THRESHOLD, _MMAP_THRESHOLD:
        _libc.mallopt(option, _PLENTY)
    _libc.malloc.restype = ctypes.c_void_p
    _libc.free.argtypes = [ctypes.c_void_p]
    # Below the thresholds: more would come from elsewhere, and be given back.
    _libc.free(_libc.malloc(_PLENTY // 2))


def _spans_beside() -> list[tuple[int, int]]:
    """Where memory is mapped outside of our areas."""
    spans = []
    with open("/proc/self/maps") as maps:  # noqa: PTH123
        for line in maps:
            low, high = line.split(maxsplit=1)[0].split("-")
            if not BASE <= int(low, 16) < END:
                spans.append((int(low, 16), int(high, 16)))
    return spans


def _address(page: int) -> int:
    return BASE + page * PAGE


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _answer(**what: Any) -> bytes:
    return json.dumps(what).encode()


if __name__ == "__main__":
    # Whoever ends is gone at once: nobody waits for the children of agents.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _keep_memory()
    serve(socket.socket(fileno=int(sys.argv[1])))
    os._exit(0)
