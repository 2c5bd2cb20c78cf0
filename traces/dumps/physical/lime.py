"""Physical memory as ranges, each behind a header: LiME, and AVML, which packs them.

Layouts: LiME's doc/README.md (format=lime) and AVML's src/image.rs; AVML's uncompressed
output is LiME's. The packing is snappy's framing_format.txt.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from traces.dumps.digesting import BATCH_PAGES, Digested, Digester, joined
from traces.dumps.dump import UNTOUCHED, Account, Dumped, guest, page_rows, ram
from traces.dumps.source import Readable, Source
from traces.errors import InputError
from traces.schema import PAGE_SIZE, Pages

_LIME: Final = b"EMiL"
_AVML: Final = b"AVML"
_VERSIONS: Final = {_LIME: 1, _AVML: 2}
_HEADER: Final = struct.Struct("<4sIQQQ")
_HIGHEST: Final = 1 << 52
"""No processor has physical addresses of more bits."""

_MACHINE: Final = (
    "it holds a machine's whole physical memory, page cache and free pages included: "
    "what would be saved is told of the machine as a guest, not of its processes"
)
_GAPS: Final = (
    "the format leaves out memory of nothing but zeros (AVML), fills what could not be "
    "read with zeros (LiME), and does not say how many ranges there should be"
)
_PARTS: Final = "parts of pages, where ranges begin or end within one"

_STREAM: Final = b"\xff\x06\x00\x00sNaPpY"
_MOST_UNPACKED: Final = 1 << 16
"""Bytes of a chunk of snappy's framing, unpacked."""
_PREAMBLE: Final = 4 + 5
_PACKED, _STORED, _SKIPPABLE = 0x00, 0x01, 0x80


class _Range(NamedTuple):
    """Bytes of physical memory."""

    start: int
    size: int
    packed: bool

    @property
    def lead(self) -> int:
        """Bytes of it before its first page."""
        return min(-self.start % PAGE_SIZE, self.size)

    @property
    def pages(self) -> int:
        """Whole pages in it."""
        return (self.size - self.lead) // PAGE_SIZE

    @property
    def first(self) -> int:
        """The number of its first page."""
        return (self.start + self.lead) // PAGE_SIZE

    @property
    def parts(self) -> int:
        """Pages of which it holds only a part."""
        tail = (self.size - self.lead) % PAGE_SIZE
        return bool(self.lead) + bool(tail)


Batch = tuple[int, Digested]
"""The number of a page, and what is in it and those behind it."""


def is_lime(head: bytes) -> bool:
    """Whether *head* begins a LiME capture, or one of AVML."""
    return head.startswith((_LIME, _AVML))


class PhysicalRanges:
    """A machine's physical memory; page numbers are those of physical addresses.

    Raises InputError where the first header is of another version, or makes no sense.
    """

    def __init__(self, source: Source, name: str) -> None:
        self.format = "avml" if source.peek(4) == _AVML else "lime"
        self.host = self.kernel = self.captured_at = ""
        self.account = Account(limits=[UNTOUCHED, _MACHINE, _GAPS])
        self._source, self._name = source, name
        found = _range(source.peek(_HEADER.size))
        if isinstance(found, str):
            hint = "a capture in format=raw or padded is read with --format raw"
            raise InputError(f"{source.path}: {self.format}, but {found}", hint=hint)

    def steps(self, digester: Digester) -> Iterator[Dumped | Pages]:
        """The machine, then its memory."""
        if self._source.plain and (end := self._ascending()):
            yield self._machine(end)
            for first, digested in self._batches(digester):
                yield self._rows(first, digested, digester)
            return
        # What is packed can be read but once: its digests are kept until its end is
        # known, as are those of ranges in no order.
        kept = list(self._batches(digester))
        yield self._machine(
            max((first + len(d.digest) for first, d in kept), default=0)
        )
        yield from self._sorted(kept, digester)

    def _ascending(self) -> int:
        """The page behind the last one, by the headers alone; 0 where ranges are not
        in the order of their addresses."""
        end = 0
        # The same file opened anew, also where it has no name of its own.
        again = Path(f"/proc/self/fd/{self._source.file()}")
        with Source(again) as source:
            while not isinstance(found := _range(source.read(_HEADER.size)), str):
                if found.start < end:
                    return 0
                end = found.start + found.size
                stream = _stream(source, found)
                if stream.skip(found.size) < found.size or _broken(stream):
                    break
        return -(-end // PAGE_SIZE)

    def _batches(self, digester: Digester) -> Iterator[Batch]:
        """All pages in the order of the file; counts them, and what is missing."""
        source, account = self._source, self.account
        while head := source.read(_HEADER.size):
            found = _range(head)
            if isinstance(found, str):
                account.damage = f"{found} at byte {source.at - len(head)}"
                break
            account.pages += found.pages
            account.skipped[_PARTS] += found.parts
            stream = _stream(source, found)
            begin = stream.at
            stream.skip(found.lead)
            number, left = found.first, found.pages
            while left:
                wanted = min(left, BATCH_PAGES)
                digested = digester.of_source(stream, wanted)
                got = len(digested.digest)
                yield number, digested
                number, left = number + got, left - got
                if got < wanted:
                    break
            stream.skip(begin + found.size - stream.at)
            if missing := begin + found.size - stream.at:
                account.missing_bytes += missing
                account.damage = "it ends within a range, others may have followed"
                break
            if broken := _broken(stream):
                account.damage = broken
                break
        account.damage = source.cut or account.damage

    def _machine(self, pages: int) -> Dumped:
        return guest(self._name, [ram("ram", 0, pages)])

    def _rows(self, first: int, digested: Digested, digester: Digester) -> Pages:
        numbers = np.arange(first, first + len(digested.digest))
        return page_rows(0, numbers, digested, zero=digester.zero, presence_known=False)

    def _sorted(self, kept: list[Batch], digester: Digester) -> Iterator[Pages]:
        """The pages of *kept* by their number, each the first time it occurs."""
        numbers = np.concatenate(
            [np.empty(0, np.int64)]
            + [np.arange(first, first + len(d.digest)) for first, d in kept]
        )
        digested = joined([d for _, d in kept])
        once, rows = np.unique(numbers, return_index=True)
        if twice := len(numbers) - len(once):
            self.account.skipped["pages of overlapping ranges"] += twice
        for at in range(0, len(once), BATCH_PAGES):
            yield page_rows(
                0, once[at : at + BATCH_PAGES],
                digested.taken(rows[at : at + BATCH_PAGES]),
                zero=digester.zero, presence_known=False,
            )  # fmt: skip


def _range(head: bytes) -> _Range | str:
    """What a header says, or what is wrong with it."""
    if len(head) < _HEADER.size:
        return "a header is cut"
    magic, version, start, last, padding = _HEADER.unpack(head)
    if magic not in _VERSIONS:
        return f"{magic!r} is no header of a range"
    if version != _VERSIONS[magic]:
        return f"a header is of version {version}, expected {_VERSIONS[magic]}"
    if last < start or last >= _HIGHEST or padding:
        return f"a header makes no sense: a range from {start:#x} to {last:#x}"
    return _Range(start, last + 1 - start, magic == _AVML)


def _stream(source: Source, found: _Range) -> Readable:
    return _Framed(source) if found.packed else source


def _broken(stream: Readable) -> str:
    """What is wrong with the end of a packed range; empty where nothing is."""
    return stream.ended() if isinstance(stream, _Framed) else ""


class _Chunk(NamedTuple):
    """A part of a packed range, of which the first bytes were read."""

    packed: bool
    head: bytes
    rest: int
    """Bytes of it that follow in the file."""
    size: int
    """Bytes of memory in it."""


class _Framed:
    """The bytes of a range as AVML packs them, unpacked chunk by chunk."""

    def __init__(self, source: Source) -> None:
        self.at = 0
        self._source = source
        self._begin = source.at
        self._pending = memoryview(b"")
        self._codec: Any = pa.Codec("snappy")
        self._whole = source.read(len(_STREAM)) == _STREAM

    def read_into(self, view: memoryview) -> int:
        """Fill *view*; how many bytes of it, fewer at the end, or at damage."""
        filled = 0
        while filled < len(view):
            if not self._pending and not self._unpack(self._chunk()):
                break
            part = self._pending[: len(view) - filled]
            view[filled : filled + len(part)] = part
            self._pending = self._pending[len(part) :]
            filled += len(part)
        self.at += filled
        return filled

    def skip(self, count: int) -> int:
        """Pass over *count* bytes; how many there were. Unpacks none but the last."""
        passed = 0
        while passed < count:
            part = min(len(self._pending), count - passed)
            self._pending = self._pending[part:]
            passed += part
            if passed == count or (chunk := self._chunk()) is None:
                break
            if chunk.size > count - passed:
                if not self._unpack(chunk):
                    break
                continue
            if self._source.skip(chunk.rest) < chunk.rest:
                self._whole = False
                break
            passed += chunk.size
        self.at += passed
        return passed

    def ended(self) -> str:
        """What is wrong with what follows the last byte; empty where nothing is."""
        size = self._source.at - self._begin
        said = self._source.read(8)
        if self._pending or len(said) < 8 or int.from_bytes(said, "little") != size:
            return "a range does not end where it says"
        return ""

    def _chunk(self) -> _Chunk | None:
        """The next chunk that holds memory; None at the end, or at damage."""
        while self._whole:
            head = self._source.read(4)
            size = int.from_bytes(head[1:], "little")
            if len(head) < 4 or _STORED < head[0] < _SKIPPABLE:
                break
            if head[0] >= _SKIPPABLE:
                self._source.skip(size)
                continue
            # A checksum, and where it is packed how much there is in it.
            first = self._source.read(min(size, _PREAMBLE))
            packed = head[0] == _PACKED
            unpacked = _varint(first[4:]) if packed else size - 4
            if not 0 < unpacked <= _MOST_UNPACKED:
                break
            return _Chunk(packed, first, size - len(first), unpacked)
        self._whole = False
        return None

    def _unpack(self, chunk: _Chunk | None) -> bool:
        """Make the bytes of *chunk* the next ones; whether it is one, and whole."""
        if chunk is None:
            return False
        data = (chunk.head + self._source.read(chunk.rest))[4:]
        try:
            if chunk.packed:
                data = self._codec.decompress(data, chunk.size, asbytes=True)
        except (OSError, ValueError):
            data = b""
        self._whole = len(data) == chunk.size
        self._pending = memoryview(data if self._whole else b"")
        return self._whole


def _varint(data: bytes) -> int:
    """The number that *data* begins with, seven bits a byte."""
    number = 0
    for place, byte in enumerate(data):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            break
    return number
