"""Which pages a process has, and in which frames: /proc/PID/pagemap.

The PAGEMAP_SCAN ioctl (Linux 6.7) names runs of present anonymous pages and passes
over empty reservations of terabytes; where there is none, the plain file is read,
eight bytes per page whether there is one or not.
"""

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from traces.schema import PAGE_SIZE

Runs = npt.NDArray[np.int64]
"""Shape (n, 2): first virtual page number and the one after the last."""


class Pages(NamedTuple):
    """Pages found, ascending, and their pagemap entries."""

    vpns: npt.NDArray[np.int64]
    entries: npt.NDArray[np.uint64]


PRESENT: Final = 1 << 63
SWAPPED: Final = 1 << 62
FILE_OR_SHARED: Final = 1 << 61
EXCLUSIVE: Final = 1 << 56
FRAME_MASK: Final = (1 << 55) - 1

# _IOWR('f', 16, struct pm_scan_arg) and the categories of include/uapi/linux/fs.h.
_PAGEMAP_SCAN: Final = 0xC0606610
_IS_FILE, _IS_PRESENT, _IS_PFNZERO = 4, 8, 32
_REGION: Final = np.dtype([("start", "<u8"), ("end", "<u8"), ("categories", "<u8")])
# What the kernel's own buffer holds.
_REGIONS: Final = 512

PART_PAGES: Final = 1 << 16
"""Most pages that `PageMap.present` gives at a time."""

# A scan takes a few times as long per page found as reading an entry does.
_CROWDED: Final = 8

_GAP_ENTRIES: Final = 256


class PageMap:
    """An open /proc/PID/pagemap; a context manager.

    Raises OSError where it cannot be opened. It stays with the address space it was
    opened on: after an exec or exit it shows no page.
    """

    def __init__(self, pid: int | str, *, frames: bool = False) -> None:
        self._file = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        self._regions = np.zeros(_REGIONS, _REGION)
        self._frames = frames
        self.scans = _can_scan(self._file)
        """Whether PAGEMAP_SCAN works; if not, shared zero pages are not left out."""

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> "PageMap":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def present(self, start: int, end: int, anonymous: int) -> Iterator[Pages]:
        """The pages between two page numbers that are present and not of a file.

        *anonymous* is about how many there are. Where many are, and frames are shown,
        by which the shared zero page is known, the plain file tells everything at
        once. At most `PART_PAGES` are given at a time. Raises ProcessLookupError where
        the process has exited.
        """
        crowded = anonymous * _CROWDED > end - start
        if not self.scans or (self._frames and crowded):
            yield from self._plain(start, end)
            return
        for runs in self._scan(start, end):
            vpns = pages_of(runs)
            yield Pages(vpns, self.entries(vpns))

    def entries(self, vpns: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        """The pagemap entry of each page, of ascending *vpns*; 0 where it is gone."""
        entries = np.zeros(len(vpns), np.uint64)
        for first, after in _neighbourhoods(vpns):
            start, end = int(vpns[first]), int(vpns[after - 1]) + 1
            span = self._read(start, end)
            entries[first:after] = span[vpns[first:after] - start]
        return entries

    def still(self, vpns: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of the ascending *vpns* are present now and would be found."""
        if not self.scans:
            mask = np.uint64(PRESENT | FILE_OR_SHARED)
            seen = self.entries(vpns) & mask
            present: npt.NDArray[np.bool_] = seen == np.uint64(PRESENT)
            return present
        parts = [np.empty((0, 2), np.int64)]
        for first, after in _neighbourhoods(vpns):
            parts += self._scan(int(vpns[first]), int(vpns[after - 1]) + 1)
        runs = np.concatenate(parts)
        if not len(runs):
            return np.zeros(len(vpns), bool)
        place = np.searchsorted(runs[:, 0], vpns, side="right") - 1
        inside: npt.NDArray[np.bool_] = (place >= 0) & (vpns < runs[place, 1])
        return inside

    def _scan(self, start: int, end: int) -> Iterator[Runs]:
        while start < end:
            count = self._ioctl(start * PAGE_SIZE, end * PAGE_SIZE)
            part = self._regions[:count]
            runs = np.stack([part["start"], part["end"]], axis=1)
            runs = runs.astype(np.int64) // PAGE_SIZE
            if count:
                yield runs
            pages = (runs[:, 1] - runs[:, 0]).sum()
            if count < _REGIONS and pages < PART_PAGES:
                return
            # Everything up to the end of the last run has been looked at; walk_end,
            # which should say how far that is, is stale on some kernels.
            start = int(runs[-1, 1])

    def _ioctl(self, start: int, end: int) -> int:
        argument = bytearray(
            struct.pack(
                "<12Q",
                96,
                0,
                start,
                end,
                0,
                self._regions.ctypes.data,
                _REGIONS,
                PART_PAGES,
                _IS_FILE | _IS_PFNZERO,
                _IS_FILE | _IS_PFNZERO | _IS_PRESENT,
                0,
                _IS_PRESENT,
            )
        )
        count: int = fcntl.ioctl(self._file, _PAGEMAP_SCAN, argument)
        return count

    def _plain(self, start: int, end: int) -> Iterator[Pages]:
        mask = np.uint64(PRESENT | FILE_OR_SHARED)
        for at in range(start, end, PART_PAGES):
            entries = self._read(at, min(at + PART_PAGES, end))
            places = np.flatnonzero((entries & mask) == np.uint64(PRESENT))
            if len(places):
                yield Pages(places + at, entries[places])

    def _read(self, start: int, end: int) -> npt.NDArray[np.uint64]:
        """Entries of the pages from *start* to *end*; zeros for what is gone."""
        entries = np.zeros(end - start, np.uint64)
        view = entries.data.cast("B")
        done = 0
        while done < len(view):
            got = os.preadv(self._file, [view[done:]], start * 8 + done)
            if got == 0:
                break
            done += got
        return entries


def pages_of(runs: Runs) -> npt.NDArray[np.int64]:
    """Every page number of *runs*."""
    lengths = runs[:, 1] - runs[:, 0]
    before = np.cumsum(lengths) - lengths
    shifts = np.repeat(runs[:, 0] - before, lengths)
    pages: npt.NDArray[np.int64] = np.arange(len(shifts)) + shifts
    return pages


def _neighbourhoods(vpns: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Where in the ascending *vpns* pages lie close enough to be asked for at once."""
    cuts = np.flatnonzero(np.diff(vpns) > _GAP_ENTRIES) + 1
    for first, after in pairwise([0, *cuts.tolist(), len(vpns)]):
        if first < after:
            yield first, after


def _can_scan(file: int) -> bool:
    """Ask the kernel; one that has no PAGEMAP_SCAN answers ENOTTY."""
    region = ctypes.create_string_buffer(24)
    argument = bytearray(
        struct.pack(
            "<12Q", 96, 0, 0, PAGE_SIZE, 0, ctypes.addressof(region), 1, 0,
            _IS_PFNZERO, _IS_PFNZERO | _IS_PRESENT, 0, _IS_PRESENT,
        )
    )  # fmt: skip
    try:
        fcntl.ioctl(file, _PAGEMAP_SCAN, argument)
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL):
            return False
        raise
    return True
