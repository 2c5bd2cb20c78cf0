"""Copying pages out of another process and digesting them, on several threads.

A page is copied into a buffer that stays in the processor's cache, digested there and
forgotten: no content outlives its digest.

There are two ways to copy. `process_vm_readv` is the faster one, but it pins what it
reads, and before a page that others map as well can be pinned the kernel gives the
process a copy of its own (mm/gup.c: gup_must_unshare, since 5.19): it would undo what
fork or ksmd shares. So it is used for pages a process has to itself, and /proc/PID/mem,
which does not pin, for all others. What the one refuses, such as a mapping without read
permission, is tried through the other.
"""

import concurrent.futures
import mmap
import resource
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from traces.digest import (
    CHUNK_PAGES,
    file_digests,
    page_secret,
    remote_digests,
    zero_digest,
)
from traces.schema import PAGE_SIZE

_TASK_PAGES: Final = 8192
"""Pages a thread takes at a time: 32 MiB, milliseconds of work."""

Vpns = npt.NDArray[np.int64]
Digests = npt.NDArray[np.int64]
Fills = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


class Content(NamedTuple):
    """What reading a list of pages gave, an element per page."""

    digest: npt.NDArray[np.int64]
    fill: npt.NDArray[np.bool_]
    read: npt.NDArray[np.bool_]
    """False where the page could not be read; the other columns are then 0."""
    faulted: bool
    """Whether a page may have been brought back by reading it; see `PageReader`."""


class Target(NamedTuple):
    """A process as it is read: its pid, and its open /proc/PID/mem."""

    pid: int
    memory: int


class Reading:
    """Pages being read; `wait` for their content."""

    def __init__(self, vpns: Vpns) -> None:
        self._vpns = vpns
        # Touched here, so that the threads that fill them see no page fault of ours.
        self._digest = np.empty(len(vpns), np.int64)
        self._digest.fill(0)
        self._fill = np.empty(len(vpns), np.uint8)
        self._fill.fill(0)
        self._tasks: list[Future[tuple[npt.NDArray[np.bool_], bool]]] = []

    def settle(self) -> None:
        """Blocks until no thread is at it any more, whatever came of it."""
        concurrent.futures.wait(self._tasks)

    def wait(self) -> Content:
        """Blocks until every page was tried."""
        parts = [task.result() for task in self._tasks]
        return Content(
            self._digest,
            self._fill.astype(bool),
            np.concatenate([part[0] for part in parts] or [np.empty(0, bool)]),
            any(part[1] for part in parts),
        )


class PageReader:
    """Threads that read pages; a context manager.

    Reading a page that has just vanished makes the kernel fault in a zero page, and
    count that as a fault of the reading thread (mm/memory.c: mm_account_fault). No
    fault during a read therefore proves that every page read was there.
    """

    def __init__(self, threads: int, seed: int) -> None:
        self._secret = page_secret(seed)
        self._zero = np.int64(zero_digest(seed))
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="read")
        self._local = threading.local()

    def __enter__(self) -> "PageReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def start(self, target: Target, vpns: Vpns, alone: Mask) -> Reading:
        """Begin to read the pages *vpns*, ascending, all just seen present.

        *alone* says of each whether this process has it to itself.
        """
        reading = Reading(vpns)
        for at in range(0, len(vpns), _TASK_PAGES):
            part = slice(at, at + _TASK_PAGES)
            outputs = reading._digest[part], reading._fill[part]
            reading._tasks.append(
                self._pool.submit(self._read, target, vpns[part], alone[part], *outputs)
            )
        return reading

    def read(self, target: Target, vpns: Vpns, alone: Mask) -> Content:
        """Read a few pages in the calling thread."""
        reading = Reading(vpns)
        outputs = reading._digest, reading._fill
        read, faulted = self._read(target, vpns, alone, *outputs)
        return Content(outputs[0], outputs[1].astype(bool), read, faulted)

    def _read(
        self, target: Target, vpns: Vpns, alone: Mask, digests: Digests, fills: Fills
    ) -> tuple[Mask, bool]:
        """Fill *digests* and *fills*; which pages were read, and whether with faults"""
        self._buffer()
        faults = _faults()
        read = np.zeros(len(vpns), bool)
        for pinning, rows in ((True, alone), (False, ~alone)):
            if rows.all():
                read = self._copied(target, vpns, pinning, digests, fills)
            elif rows.any():
                some = digests[rows], fills[rows]
                read[rows] = self._copied(target, vpns[rows], pinning, *some)
                digests[rows], fills[rows] = some
        for row in np.flatnonzero(~read).tolist():
            one = slice(row, row + 1)
            outputs = digests[one], fills[one]
            read[one] = self._copied(target, vpns[one], False, *outputs)
        return read, _faults() > faults

    def _copied(
        self, target: Target, vpns: Vpns, pinning: bool, digests: Digests, fills: Fills
    ) -> Mask:
        """Read *vpns* in one of the two ways; which pages that gave."""
        extents, chunks = extents_of(vpns)
        done = np.zeros(len(chunks) - 1, np.int64)
        digest = remote_digests if pinning else file_digests
        digest(
            target.pid if pinning else target.memory,
            extents,
            chunks,
            self._buffer(),
            self._secret,
            self._zero,
            digests,
            fills,
            done,
        )
        rows = np.arange(len(vpns))
        read: Mask = rows % CHUNK_PAGES < done[rows // CHUNK_PAGES]
        digests[~read] = 0
        fills[~read] = 0
        return read

    def _buffer(self) -> npt.NDArray[np.uint64]:
        buffer: npt.NDArray[np.uint64] | None
        buffer = getattr(self._local, "buffer", None)
        if buffer is None:
            buffer = self._local.buffer = _huge_buffer(CHUNK_PAGES * PAGE_SIZE)
        return buffer


def extents_of(vpns: Vpns) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """`struct iovec` words for pages, and where each chunk of them begins.

    A chunk is `CHUNK_PAGES` pages, the last one fewer; adjacent pages of a chunk
    share an extent.
    """
    count = len(vpns)
    starts = np.ones(count, bool)
    starts[1:] = np.diff(vpns) != 1
    starts[::CHUNK_PAGES] = True
    rows = np.flatnonzero(starts)
    lengths = np.diff(np.append(rows, count))
    extents = np.stack([vpns[rows], lengths], axis=1).astype(np.uint64) * PAGE_SIZE
    bounds = np.append(np.arange(0, count, CHUNK_PAGES), count)
    return extents.ravel(), np.searchsorted(rows, bounds)


def _huge_buffer(size: int) -> npt.NDArray[np.uint64]:
    """*size* bytes inside one huge page where the kernel has one to give."""
    huge = 2 << 20
    area = mmap.mmap(-1, 2 * huge, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        area.madvise(mmap.MADV_HUGEPAGE)
    words = np.frombuffer(area, np.uint64)
    skip = -words.ctypes.data % huge // 8
    buffer = words[skip : skip + size // 8]
    buffer.fill(0)
    return buffer


def _faults() -> int:
    usage = resource.getrusage(resource.RUSAGE_THREAD)
    return usage.ru_minflt + usage.ru_majflt
