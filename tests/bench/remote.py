"""What bare process_vm_readv reaches: the yardstick of a capture."""

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import numpy.typing as npt

BUFFER_PAGES: Final = 256
"""1 MiB: the buffer stays in the second-level cache."""

_PAGE: Final = 4096


class BareReader:
    """Reads given pages of a process again and again, and does nothing with them.

    Raises PermissionError where this process must not read that one.
    """

    def __init__(
        self, pid: int, addresses: npt.NDArray[np.int64], threads: int
    ) -> None:
        self._pid = pid
        self._read = ctypes.CDLL(None, use_errno=True).process_vm_readv
        self._read.restype = ctypes.c_ssize_t
        self._threads = threads
        chunks = [
            _extents(addresses[at : at + BUFFER_PAGES])
            for at in range(0, len(addresses), BUFFER_PAGES)
        ]
        self._shares = [chunks[number::threads] for number in range(threads)]
        self._pool = ThreadPoolExecutor(threads)
        self._buffers = [
            np.ones(BUFFER_PAGES * _PAGE, np.uint8) for _ in range(threads)
        ]

    def __call__(self) -> int:
        """Read all; returns the bytes."""
        return sum(self._pool.map(self._share, range(self._threads)))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def _share(self, number: int) -> int:
        buffer = self._buffers[number]
        total = 0
        for extents in self._shares[number]:
            size = int(extents[:, 1].sum())
            local = np.array([buffer.ctypes.data, size], np.uint64)
            got = self._read(
                self._pid, ctypes.c_void_p(local.ctypes.data), ctypes.c_ulong(1),
                ctypes.c_void_p(extents.ctypes.data), ctypes.c_ulong(len(extents)),
                ctypes.c_ulong(0),
            )  # fmt: skip
            if got < 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code))
            total += got
        return total


def _extents(addresses: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Addresses of pages as (address, bytes) of the runs they form."""
    breaks = np.flatnonzero(np.diff(addresses) != _PAGE) + 1
    starts = np.concatenate(([0], breaks))
    lengths = np.diff(np.append(starts, len(addresses)))
    columns = (addresses[starts], lengths * _PAGE)
    return np.ascontiguousarray(np.column_stack(columns).astype(np.uint64))
