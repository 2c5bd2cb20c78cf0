"""QEMU's mapped-ram files: a migration stream in which every page has its place.

Layout: docs/devel/migration/mapped-ram.rst. Behind the name of each block stand a
bitmap of its pages that are not zero, and room for all of them, so that the file is
sparse; the bitmaps are written last.
"""

import os
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from traces.dumps.digesting import BATCH_PAGES, Digested, Digester
from traces.dumps.dump import UNTOUCHED, Account, Dumped, guest
from traces.dumps.extents import runs
from traces.dumps.qemu import sections
from traces.dumps.qemu.ram_blocks import (
    IGNORE_SHARED,
    Block,
    count_blocks,
    mappings,
    read_blocks,
    rows,
)
from traces.dumps.qemu.stream import EndedError, FileBytes, Stream
from traces.dumps.source import Source
from traces.errors import InputError
from traces.schema import PAGE_SIZE, Pages

CAPABILITY: Final = "mapped-ram"

_VERSION: Final = 1
_EOS, _FLUSH = 0x10, 0x200
_ROOM: Final = 1 << 16
_MOST_OFFSET: Final = 1 << 62


class _Place(NamedTuple):
    """Where a block lies in the file."""

    block: Block
    bitmap: int
    pages: int


class MappedRam:
    """The RAM in such a file; blocks are mappings, placed one behind the other."""

    def __init__(self, source: Source, name: str, form: str, at: int = 0) -> None:
        """The stream begins at byte *at* of *source*, of which nothing is read yet;
        its offsets are the file's."""
        self.format = form
        self.host = self.kernel = self.captured_at = ""
        self.account = Account(limits=[UNTOUCHED])
        self._source, self._name, self._at = source, name, at
        self._blocks: list[Block] = []
        self._places: list[_Place] = []
        self._untold = 0

    def steps(self, digester: Digester) -> Iterator[Dumped | Pages]:
        """The machine, then its RAM."""
        file = self._source.file()
        size = os.fstat(file).st_size
        complete = self._find(file, size)
        count_blocks(self._blocks, self.account)
        self.account.pages += self._untold
        yield guest(self._name, mappings(self._blocks))
        for place in self._places:
            if place.block.first < 0:
                continue
            if complete or self._marked(file, place):
                yield from self._block(file, size, place, digester)
            else:
                self._untold += place.block.pages
        if not complete:
            self._tell()

    def _find(self, file: int, size: int) -> bool:
        """Finds the blocks; whether the file goes on up to the end of RAM."""
        path = self._source.path
        stream = Stream(FileBytes(file, self._at), self._at, _ROOM)
        try:
            found = sections.read_configuration(stream, path)
            shared = IGNORE_SHARED in found.capabilities
            for _ in sections.ram_sections(stream, path):
                if not self._blocks:
                    self._read_places(stream, shared)
                self._pass(stream)
        except EndedError:
            if not self._places:
                raise InputError(
                    f"{path}: ends at byte {size}, before it says what RAM there is"
                ) from None
            return False
        return True

    def _read_places(self, stream: Stream, shared: bool) -> None:
        path = self._source.path
        self._untold = stream.word() // PAGE_SIZE
        for block in read_blocks(stream, path, shared):
            version, page_size = stream.number(4), stream.number(8)
            bitmap, pages = stream.number(8), stream.number(8)
            if version != _VERSION or page_size != PAGE_SIZE:
                raise InputError(
                    f"{path}: mapped-ram of version {version} and pages of {page_size} "
                    f"bytes, expected {_VERSION} and {PAGE_SIZE}"
                )
            self._blocks.append(block)
            self._untold -= block.pages
            if shared and not bitmap and not pages:
                self.account.skipped[f"pages left out by {IGNORE_SHARED}"] += (
                    block.pages if block.first >= 0 else 0
                )
                continue
            end = pages + block.pages * PAGE_SIZE
            if (
                bitmap < stream.at
                or pages < bitmap + _bitmap_bytes(block.pages)
                or end > _MOST_OFFSET
            ):
                raise InputError(
                    f"{path}: RAM block {block.name!r} has its bitmap at {bitmap} and "
                    f"its pages at {pages}, which cannot be"
                )
            self._places.append(_Place(block, bitmap, pages))
            stream.jump(end)

    def _pass(self, stream: Stream) -> None:
        """Passes over the rest of a section, which holds no pages."""
        while (flags := stream.number(8)) != _EOS:
            if flags != _FLUSH:
                raise InputError(
                    f"{self._source.path}: a mapped-ram stream with a record of type "
                    f"{flags:#x}, before byte {stream.at}"
                )

    def _marked(self, file: int, place: _Place) -> bool:
        """Whether the bitmap says of any page that it is there: the last thing to be
        written, it says so of none where writing was cut."""
        end = place.bitmap + _bitmap_bytes(place.block.pages)
        for at in range(place.bitmap, end, _ROOM):
            data = os.pread(file, min(_ROOM, end - at), at)
            if any(data) or not data:
                return any(data)
        return False

    def _block(
        self, file: int, size: int, place: _Place, digester: Digester
    ) -> Iterator[Pages]:
        total, source = place.block.pages, self._source
        for first in range(0, total, BATCH_PAGES):
            count = min(BATCH_PAGES, total - first)
            data = os.pread(file, _bitmap_bytes(count), place.bitmap + first // 8)
            known = min(len(data) * 8, count)
            there = np.unpackbits(
                np.frombuffer(data, np.uint8), count=known, bitorder="little"
            ).astype(bool)
            numbers = np.flatnonzero(there)
            starts, lengths = runs(numbers)
            begin = place.pages + first * PAGE_SIZE
            found = digester.of_file(file, begin + starts * PAGE_SIZE, lengths)
            self._count_missing(size, begin + numbers[~found.read] * PAGE_SIZE)
            digested = _among_zeros(there, found, digester.zero)
            vpn = np.flatnonzero(digested.read) + (place.block.first + first)
            source.at = min(begin + count * PAGE_SIZE, size)
            yield rows(self._blocks, vpn, digested.taken(digested.read), digester.zero)
            if known < count:
                self._untold += total - first - known
                return

    def _count_missing(self, size: int, offsets: npt.NDArray[np.int64]) -> None:
        there = np.clip(size - offsets, 0, PAGE_SIZE)
        self.account.missing_bytes += int((PAGE_SIZE - there).sum())

    def _tell(self) -> None:
        """Tells what is missing of a file that is cut."""
        if self._untold == self.account.pages - self.account.skipped.total():
            raise InputError(
                f"{self._source.path}: ends before its bitmaps were written, which "
                "say what pages there are",
                hint="the migration that wrote it was not completed",
            )
        untold = f", of {self._untold} pages it tells nothing" * bool(self._untold)
        self.account.damage = f"it ends before the end of RAM{untold}"


def _among_zeros(there: npt.NDArray[np.bool_], found: Digested, zero: int) -> Digested:
    """An element for each of *there*: what was *found*, and zero pages between."""
    digest = np.full(len(there), zero)
    fill, read = np.zeros(len(there), bool), np.ones(len(there), bool)
    digest[there], fill[there], read[there] = found
    return Digested(digest, fill, read)


def _bitmap_bytes(pages: int) -> int:
    """Bitmaps are of words of 64 bits."""
    return -(-pages // 64) * 8
