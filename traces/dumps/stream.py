"""A stream of big-endian numbers, short texts and records, read through a buffer."""

import os
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

_ROOM: Final = 4 << 20
_MOST_RECORDS: Final = 256
"""Records looked at in one go: runs may be short, and all of them are compared."""
_FLAGS: Final = 0xFFF


class EndedError(Exception):
    """There is less than the format asks for; never leaves the reader."""


class Bytes(Protocol):
    """Where a stream comes from."""

    def read_into(self, view: memoryview) -> int:
        """Fill *view*; how many bytes of it, fewer at the end."""


class HeadBytes:
    """Bytes in hand."""

    def __init__(self, head: bytes) -> None:
        self._left = head

    def read_into(self, view: memoryview) -> int:
        """Fill *view*; how many bytes of it, fewer at the end."""
        some, self._left = self._left[: len(view)], self._left[len(view) :]
        view[: len(some)] = some
        return len(some)


class FileBytes:
    """The bytes of a file descriptor from byte *at* on."""

    def __init__(self, file: int, at: int) -> None:
        self._file, self.at = file, at

    def read_into(self, view: memoryview) -> int:
        """Fill *view*; how many bytes of it, fewer at the end."""
        filled = 0
        while filled < len(view):
            got = os.preadv(self._file, [view[filled:]], self.at)
            if not got:
                break
            self.at += got
            filled += got
        return filled


class Stream:
    """Reads *below* forwards; *at* is the number of its first byte.

    All but `enough` raise EndedError where the stream ends too early.
    """

    def __init__(self, below: Bytes, at: int = 0, room: int = _ROOM) -> None:
        self._below, self._room = below, room
        self._bytes = bytearray(room)
        self._view = memoryview(self._bytes)
        self._first = self._end = 0
        self._before = at

    @property
    def at(self) -> int:
        """The number of the next byte."""
        return self._before + self._first

    def enough(self, count: int) -> bool:
        """Whether *count* more bytes are there, at most as many as there is room."""
        if self._end - self._first >= count:
            return True
        left = self._end - self._first
        self._bytes[:left] = self._bytes[self._first : self._end]
        self._before += self._first
        self._first, self._end = 0, left
        self._end += self._below.read_into(self._view[left:])
        return self._end >= count

    def word(self) -> int:
        """The next 64 bits, which stay to be read."""
        self._demand(8)
        return int.from_bytes(self._view[self._first : self._first + 8], "big")

    def number(self, size: int) -> int:
        """An unsigned number of *size* bytes."""
        return int.from_bytes(self.take(size), "big")

    def text(self) -> str:
        """A text behind its length, which is one byte."""
        return bytes(self.take(self.number(1))).decode("utf-8", "replace")

    def take(self, count: int) -> memoryview:
        """The next *count* bytes, valid until more are read."""
        self._demand(count)
        self._first += count
        return self._view[self._first - count : self._first]

    def skip(self, count: int) -> None:
        """Pass over *count* bytes."""
        while count > 0:
            some = min(count, self._room)
            self.take(some)
            count -= some

    def run(self, size: int, flags: int) -> tuple[Any, npt.NDArray[np.uint8]]:
        """The records of *size* bytes from here on, up to one whose first 64 bits do
        not end in just these *flags*: at least one, as the caller has seen.

        (their first 64 bits, [record, byte] the rest), valid until more are read.
        """
        self._demand(size)
        count = min((self._end - self._first) // size, _MOST_RECORDS)
        words: Any = np.ndarray(count, ">u8", self._bytes, self._first, (size,))
        others = (words & _FLAGS) != flags
        if others.any():
            count = max(int(others.argmax()), 1)
        records: npt.NDArray[np.uint8] = np.ndarray(
            (count, size), np.uint8, self._bytes, self._first
        )
        self._first += count * size
        return words[:count], records[:, 8:]

    def jump(self, at: int) -> None:
        """Go on at byte *at* of a file."""
        assert isinstance(self._below, FileBytes)
        self._below.at = self._before = at
        self._first = self._end = 0

    def _demand(self, count: int) -> None:
        if not self.enough(count):
            raise EndedError
