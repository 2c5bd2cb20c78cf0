"""Physical memory as ranges, each behind a header: LiME, and AVML, which packs them.

Layouts: LiME's doc/README.md (format=lime) and AVML's src/image.rs; AVML's uncompressed
output is LiME's. The packing is snappy's framing_format.txt.
"""

import struct
from collections.abc import Iterator
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
        with Source(self._source.path) as source:
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
            if not self._pending and not self._next():
                break
            part = self._pending[: len(view) - filled]
            view[filled : filled + len(part)] = part
            self._pending = self._pending[len(part) :]
            filled += len(part)
        self.at += filled
        return filled

    def skip(self, count: int) -> int:
        """Pass over *count* bytes; how many there were."""
        passed = 0
        room = memoryview(bytearray(min(max(count, 0), _MOST_UNPACKED)))
        while passed < count:
            got = self.read_into(room[: count - passed])
            if not got:
                break
            passed += got
        return passed

    def ended(self) -> str:
        """What is wrong with what follows the last byte; empty where nothing is."""
        size = self._source.at - self._begin
        said = self._source.read(8)
        if self._pending or len(said) < 8 or int.from_bytes(said, "little") != size:
            return "a range does not end where it says"
        return ""

    def _next(self) -> bool:
        """Unpack the next chunk; whether there was one."""
        while self._whole:
            head = self._source.read(4)
            size = int.from_bytes(head[1:], "little")
            data = self._source.read(size) if len(head) == 4 else b""
            if len(head) < 4 or len(data) < size:
                break
            if head[0] in (_PACKED, _STORED):
                unpacked = self._unpacked(data) if head[0] == _PACKED else data[4:]
                if unpacked is None or not 0 < len(unpacked) <= _MOST_UNPACKED:
                    break
                self._pending = memoryview(unpacked)
                return True
            if head[0] < _SKIPPABLE:
                break
        self._whole = False
        return False

    def _unpacked(self, data: bytes) -> bytes | None:
        """The bytes of a packed chunk, behind its checksum; None for a damaged one."""
        size = shift = 0
        for byte in data[4:9]:
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if size > _MOST_UNPACKED:
            return None
        try:
            found: bytes = self._codec.decompress(data[4:], size, asbytes=True)
        except (OSError, ValueError):
            return None
        return found
