"""A stream of big-endian numbers, short texts and records, read through a buffer."""

import os
import struct
from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

_ROOM: Final = 4 << 20
_MOST_RECORDS: Final = 1 << 12
_WORD: Final = struct.Struct(">Q")
_FLAGS: Final = 0xFFF


class EndedError(Exception):
    """There is less than the format asks for; never leaves the reader."""


class Records(NamedTuple):
    """Records of 64 bits and what follows them; equally long arrays."""

    number: npt.NDArray[np.int64]
    """The bits above the flags."""
    flags: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]
    """Where what follows lies, for `Stream.bodies`, until more is read."""


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
        self.demand(8)
        return int.from_bytes(self._view[self._first : self._first + 8], "big")

    def number(self, size: int) -> int:
        """An unsigned number of *size* bytes."""
        return int.from_bytes(self.take(size), "big")

    def text(self) -> str:
        """A text behind its length, which is one byte."""
        return bytes(self.take(self.number(1))).decode("utf-8", "replace")

    def take(self, count: int) -> memoryview:
        """The next *count* bytes, valid until more are read."""
        self.demand(count)
        self._first += count
        return self._view[self._first - count : self._first]

    def skip(self, count: int) -> None:
        """Pass over *count* bytes."""
        while count > 0:
            some = min(count, self._room)
            self.take(some)
            count -= some

    def records(self, sizes: Mapping[int, int]) -> Records:
        """The records from here on, as long as the first 64 bits of each end in flags
        of which *sizes* tells how many bytes follow: many at a time, though not always
        all; none where the next one is another, or not whole."""
        words: list[int] = []
        at = self._first
        # Runs of a kind are short in most memory: a loop is faster here than numpy.
        while len(words) < _MOST_RECORDS and at + 8 <= self._end:
            (word,) = _WORD.unpack_from(self._bytes, at)
            size = sizes.get(word & _FLAGS)
            if size is None or at + 8 + size > self._end:
                break
            words.append(word)
            at += 8 + size
        found = np.array(words, np.uint64)
        flags = (found & np.uint64(_FLAGS)).astype(np.int64)
        follow = np.zeros(len(words), np.int64)
        for kind, size in sizes.items():
            follow[flags == kind] = size
        places = self._first + 8 + np.cumsum(8 + follow) - (8 + follow)
        self._first = at
        return Records((found >> np.uint64(12)).astype(np.int64), flags, places)

    def place(self) -> npt.NDArray[np.int64]:
        """Where the next byte lies, for `bodies`."""
        return np.array([self._first])

    def bodies(self, places: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.uint8]:
        """[place, byte] the *size* bytes from each of *places* on, as a copy."""
        every: npt.NDArray[np.uint8] = np.ndarray(
            (self._room - size + 1, size), np.uint8, self._bytes, 0, (1, 1)
        )
        return every[places]

    def jump(self, at: int) -> None:
        """Go on at byte *at* of a file."""
        assert isinstance(self._below, FileBytes)
        self._below.at = self._before = at
        self._first = self._end = 0

    def demand(self, count: int) -> None:
        """Have *count* bytes at hand, at most as many as there is room."""
        if not self.enough(count):
            raise EndedError
