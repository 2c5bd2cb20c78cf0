"""The bytes of a dump that is read here and there, wherever they lie in its file.

Flattened: what makedumpfile -F and QEMU write where they cannot seek, blocks of
(offset, size, bytes), of which a later one lies over earlier ones (makedumpfile.h:
struct makedumpfile_header, makedumpfile_data_header). All integers are big-endian.
"""

import os
import struct
from array import array
from typing import Final

import numpy as np
import numpy.typing as npt

from traces.dumps.source import Source
from traces.errors import InputError

_MAGIC: Final = b"makedumpfile\0\0\0\0"
_HEADER: Final = 4096
_KIND: Final = (1, 1)
"""Type and version."""
_END: Final = -1
_MOST_BLOCKS: Final = 1 << 22
"""Those of 64 GiB as QEMU writes them, 16 KiB each; one takes some 150 bytes here."""

_Places = npt.NDArray[np.int64]
_Pieces = tuple[_Places, _Places, _Places]
"""First byte of each and the one behind its last, ascending; where it lies in the
file."""


class Image:
    """A dump as it was before it was flattened; it was not, where it is plain.

    Of bytes that a flattened file has not, there are none: they are not zeros.
    """

    def __init__(
        self, file: int, pieces: _Pieces, *, flattened: bool, cut: str
    ) -> None:
        self._file = file
        self._start, self._end, self._place = pieces
        self.flattened = flattened
        self.cut = cut
        """Why some of it may be missing; empty where nothing is."""
        self.size = int(self._end.max(initial=0))
        """Bytes to the end of the last one."""

    def read(self, offset: int, count: int) -> bytes:
        """*count* bytes from *offset* on, fewer where one of them is not there."""
        parts = []
        at = int(np.searchsorted(self._start, offset, "right")) - 1
        while count > 0 and 0 <= at < len(self._start):
            start, end = int(self._start[at]), int(self._end[at])
            if not start <= offset < end:
                break
            wanted = min(count, end - offset)
            place = int(self._place[at]) + offset - start
            data = os.pread(self._file, wanted, place)
            parts.append(data)
            if len(data) < wanted:
                break
            offset, count, at = offset + wanted, count - wanted, at + 1
        return b"".join(parts)

    def places(self, offset: _Places, size: _Places) -> _Places:
        """Where in the file each piece of *size* bytes from *offset* on lies; -1 for
        one that is not there, or lies in several places."""
        if not len(self._start):
            return np.full(len(offset), -1)
        at = np.searchsorted(self._start, offset, "right") - 1
        inside = (at >= 0) & (offset <= self._end[at] - size)
        return np.where(inside, self._place[at] + offset - self._start[at], -1)


def is_flattened(head: bytes) -> bool:
    """Whether *head* begins a flattened file."""
    return head.startswith(_MAGIC)


def image_of(source: Source) -> Image:
    """The dump in *source*.

    Raises InputError for a flattened file whose blocks make no sense, and for a
    compressed one that is too large to be read here and there.
    """
    flattened = is_flattened(source.peek(len(_MAGIC)))
    file = source.file()
    size = os.fstat(file).st_size
    if not flattened:
        nothing = np.zeros(1, np.int64)
        whole = nothing, nothing + size, nothing
        return Image(file, whole, flattened=False, cut=source.cut)
    blocks, complete = _blocks(source, file, size)
    cut = "" if complete else "its flattened file has no end"
    return Image(file, _uppermost(blocks), flattened=True, cut=source.cut or cut)


def _blocks(source: Source, file: int, size: int) -> tuple[_Places, bool]:
    """[block, 3] offset, bytes and place in the file, and whether the last one ends
    the file; of a block that is cut, what is there of it."""
    if struct.unpack(">qq", os.pread(file, 16, 16).ljust(16, b"\0")) != _KIND:
        raise _bad(source, "its header is cut, or of no known version")
    found = array("q")
    at = _HEADER
    while len(head := os.pread(file, 16, at)) == 16:
        offset, length = struct.unpack(">qq", head)
        at += 16
        if offset == length == _END:
            return np.array(found, np.int64).reshape(-1, 3), True
        if min(offset, length) < 0 or offset + length >= 1 << 63:
            raise _bad(source, f"its block at byte {at - 16} makes no sense")
        there = min(length, size - at)
        if there:
            found.extend((offset, there, at))
        if len(found) > 3 * _MOST_BLOCKS:
            raise _bad(source, f"of more than {_MOST_BLOCKS} blocks")
        at += length
    return np.array(found, np.int64).reshape(-1, 3), False


def _uppermost(blocks: _Places) -> _Pieces:
    """What lies on top."""
    offset, length, place = blocks.T
    bounds = np.unique(np.concatenate([offset, offset + length]))
    first = np.searchsorted(bounds, offset)
    behind = np.searchsorted(bounds, offset + length)
    top = np.full(max(len(bounds) - 1, 0), -1)
    one = np.flatnonzero(behind - first == 1)
    np.maximum.at(top, first[one], one)
    # A block covers no more intervals than it has bytes: this ends.
    for block in np.flatnonzero(behind - first > 1).tolist():
        over = top[first[block] : behind[block]]
        np.maximum(over, block, out=over)
    there = top >= 0
    owner, start = top[there], bounds[:-1][there]
    return start, bounds[1:][there], place[owner] + start - offset[owner]


def _bad(source: Source, what: str) -> InputError:
    return InputError(
        f"{source.path}: flattened by makedumpfile, but {what}",
        hint="makedumpfile -R DUMP < FILE makes a plain dump of one that is whole",
    )
