"""Where a plain file has data and where it has holes, and what holes are worth."""

import errno
import os
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from traces.schema import PAGE_SIZE


class Extents(NamedTuple):
    """The data of a file, as its file system tells it."""

    data: npt.NDArray[np.int64]
    """[extent, 2] first byte and the one behind the last, ascending."""
    sparse: bool
    """Whether there are holes at all, which take no room on the disk."""
    fine: bool
    """Whether the ends of extents tell single pages apart: file systems of larger
    blocks count a page that is not there as data, where its neighbour is there."""

    def pages(self, offset: int, pages: int) -> npt.NDArray[np.int64]:
        """Which of *pages* pages from byte *offset* on hold data: their numbers."""
        first, behind = self.data[:, 0], self.data[:, 1]
        end = offset + pages * PAGE_SIZE
        near = self.data[
            np.searchsorted(behind, offset, "right") : np.searchsorted(first, end)
        ]
        starts = (np.maximum(near[:, 0], offset) - offset) // PAGE_SIZE
        ends = -((offset - np.minimum(near[:, 1], end)) // PAGE_SIZE)
        # Two extents may end and begin within one page.
        starts[1:] = np.maximum(starts[1:], ends[:-1])
        return ranges(starts, ends)


def extents_of(file: int, first: int, end: int) -> Extents:
    """The extents of *file* between two of its bytes.

    Holes tell nothing where the file system keeps none, and then everything is data.
    """
    status = os.fstat(file)
    found = []
    at = first
    while at < min(end, status.st_size):
        try:
            start = os.lseek(file, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break
            found = [(first, end)]
            break
        at = os.lseek(file, start, os.SEEK_HOLE)
        if start < end:
            found.append((start, min(at, end)))
    data = np.array(found, np.int64).reshape(-1, 2)
    covered = int((data[:, 1] - data[:, 0]).sum())
    sparse = covered < min(end, status.st_size) - first and (
        status.st_blocks * 512 < status.st_size
    )
    inner = data.ravel()[(data.ravel() > first) & (data.ravel() < end)]
    grain = int(np.gcd.reduce(inner)) if len(inner) else 0
    return Extents(data, sparse, fine=grain % (2 * PAGE_SIZE) != 0)


class StoredZeros:
    """Pages of zeros among the data of a sparse file.

    Whoever copies or unpacks a file may leave holes where it has zeros, and then a page
    in use looks like one that was not there. cp and coredumpctl leave out each block of
    zeros, xz each 8 KiB of nothing else (is_sparse() in file_io.c), zstd and lz4 the
    zeros that begin a piece of 32 KiB (AIO_fwriteSparse() in fileio_asyncio.c). Where
    zeros stand that each of them would have left out, none of them was at work.
    """

    _PIECE: Final = 8
    _PAIR: Final = 2

    def __init__(self) -> None:
        self._begins = self._fills = False

    def add(self, places: npt.NDArray[np.int64]) -> None:
        """Pages of zeros that are data: their first bytes in the file, ascending."""
        numbers = places[places % PAGE_SIZE == 0] // PAGE_SIZE
        self._begins |= bool((numbers % self._PIECE == 0).any())
        firsts = numbers[:-1] % self._PAIR == 0
        self._fills |= bool((np.diff(numbers)[firsts] == 1).any())

    @property
    def vouch(self) -> bool:
        """Whether holes are what whoever wrote the file had nothing to write for."""
        return self._begins and self._fills


def ranges(
    starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """start, start + 1 … end - 1 of each pair, one behind the other."""
    lengths = np.maximum(ends - starts, 0)
    first = np.repeat(starts - np.cumsum(lengths) + lengths, lengths)
    return first + np.arange(len(first))


def runs(
    numbers: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(first, length) of each run of ascending *numbers* without a gap."""
    if not len(numbers):
        return numbers, numbers
    starts = np.concatenate(([0], np.flatnonzero(np.diff(numbers) != 1) + 1))
    return numbers[starts], np.diff(np.append(starts, len(numbers)))
