"""Processes to try KSM with, each a function that sets itself up.

Run as a script, in an interpreter without site packages; every process of a workload
stops itself once it is ready.

    python -I -S workload.py NAME [ARGUMENT]
"""

import array
import contextlib
import json
import mmap
import os
import random
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Final

PAGE: Final = 4096
_KEPT: Final[list[object]] = []
"""What has to stay in memory until the process is killed."""


def prefork() -> None:
    """A server that loads everything, then forks workers, which each write to some
    of it."""
    import email.parser
    import http.server
    import sqlite3
    import xml.dom.minidom

    _KEPT.extend([email.parser, http.server, sqlite3, xml.dom.minidom])
    cache = {n: f"template {n}" * 20 for n in range(3000)}
    _KEPT.append(cache)
    for worker in range(3):
        if os.fork() == 0:
            for n in range(0, 3000, 7 + worker):
                cache[n] = f"answer of {worker} to {n}" * 20
            _KEPT.append([bytes([n % 5]) * PAGE for n in range(200)])
            return


def data(seed: str) -> None:
    """A program with data of its own, some of it repeated: rows, text, buffers."""
    random.seed(int(seed))
    rows = [{"id": n, "name": f"row {n % 50}", "value": n * n} for n in range(4000)]
    same_for_everyone = b"".join(n.to_bytes(2, "little") * 2048 for n in range(300))
    numbers = array.array("Q", (random.getrandbits(64) for _ in range(100_000)))
    cleared = bytearray(400 * PAGE)
    cleared[:] = bytes(len(cleared))
    _KEPT.extend([rows, json.dumps(rows), same_for_everyone, numbers, cleared])


def equal() -> None:
    """Zero pages, more than 256 equal pages of several contents, unique pages."""
    pages = 2600
    area = _area(pages)
    for n in range(pages):
        if n % 13 == 0:
            continue  # never touched
        if n % 7 == 0:
            page = bytes(PAGE)
        elif n % 5 == 0:
            page = n.to_bytes(4, "little")
        else:
            page = (b"b" if n % 3 == 0 else b"a") * PAGE
        area[n * PAGE : n * PAGE + len(page)] = page


def family() -> None:
    """A parent, a child and a grandchild; each writes to part of what it inherits."""
    pages = 600
    area = _area(pages)

    def scribble(first: int, step: int, kinds: int) -> None:
        for n in range(first, pages, step):
            area[n * PAGE : (n + 1) * PAGE] = bytes([1 + n % kinds]) * PAGE

    scribble(0, 1, 40)
    for n in range(0, pages, 4):
        area[n * PAGE : n * PAGE + 4] = n.to_bytes(4, "little")
    if os.fork() == 0:
        scribble(1, 5, 30)
        if os.fork() == 0:
            scribble(2, 7, 20)


def salted(salt: str) -> None:
    """Repeated and unique pages of contents that no other program has.

    Nothing but these is offered: whatever happens to them is ksmd's doing with this
    process alone, also where it works for others.
    """
    pages = 2000
    area = _area(pages, offer=True)
    for n in range(pages):
        word = f"{salt} {n if n % 5 == 0 else n % 3}".encode()
        area[n * PAGE : n * PAGE + len(word)] = word


def unique(pages: str) -> None:
    """*pages* of random bytes, offered."""
    area = _area(int(pages), offer=True)
    for n in range(int(pages)):
        area[n * PAGE : (n + 1) * PAGE] = os.urandom(PAGE)


def copies(pages: str) -> None:
    """*pages*, offered: a quarter zero, the others of random contents, 16 of each."""
    area = _area(int(pages), offer=True)
    contents = [os.urandom(PAGE) for _ in range(int(pages) * 3 // 4 // 16)]
    repeated = 0
    for n in range(int(pages)):
        page = bytes(PAGE)
        if n % 4:
            page, repeated = contents[repeated % len(contents)], repeated + 1
        area[n * PAGE : (n + 1) * PAGE] = page


def _area(pages: int, *, offer: bool = False) -> mmap.mmap:
    area = mmap.mmap(-1, pages * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    # Where every area gets huge pages, they would have to be split apart first. A
    # kernel without huge pages does not know the advice.
    with contextlib.suppress(OSError):
        area.madvise(mmap.MADV_NOHUGEPAGE)
    if offer:
        area.madvise(mmap.MADV_MERGEABLE)
    _KEPT.append(area)
    return area


WORKLOADS: Final[Mapping[str, Callable[..., None]]] = {
    each.__name__: each
    for each in (prefork, data, equal, family, salted, unique, copies)
}

if __name__ == "__main__":
    WORKLOADS[sys.argv[1]](*sys.argv[2:])
    os.kill(os.getpid(), signal.SIGSTOP)
