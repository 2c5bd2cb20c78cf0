"""A Xen domain's memory, as `xl dump-core` writes it: an ELF core of sections.

Layout: Xen's docs/misc/dump-core-format.txt. Pages are in no order; a table says which
page each of them is.
"""

import os
import struct
from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from traces.dumps.cores.elf import is_core
from traces.dumps.digesting import BATCH_PAGES, Digester
from traces.dumps.dump import UNTOUCHED, Account, Dumped, guest, page_rows, ram
from traces.dumps.extents import runs
from traces.dumps.source import Source
from traces.errors import InputError
from traces.schema import PAGE_SIZE, Pages

_NOTES: Final = b".note.Xen"
_PAGES: Final = b".xen_pages"
_PFN: Final = b".xen_pfn"
_P2M: Final = b".xen_p2m"
_HEADER_NOTE: Final = 0x200_0001
_NOWHERE: Final = (1 << 64) - 1
_HIGHEST: Final = 1 << 40
_LEAST_ROOM: Final = 4 << 20


class _Section(NamedTuple):
    offset: int
    size: int


def is_xen(head: bytes) -> bool:
    """Whether *head* begins an ELF core of 64 bits that has sections alone."""
    if not is_core(head) or len(head) < 64 or head[4] != 2:
        return False
    order = "<" if head[5] == 1 else ">"
    segments, _, sections = struct.unpack_from(order + "HHH", head, 56)
    return bool(segments == 0 and sections > 0)


class XenCore:
    """A domain's memory; page numbers are those the domain itself uses.

    Raises InputError where its tables are missing, which stand behind the pages.
    """

    def __init__(self, source: Source, name: str) -> None:
        self.format = "xen-core"
        self.host = self.kernel = self.captured_at = ""
        self.account = Account(limits=[UNTOUCHED])
        self._source, self._name = source, name
        self._order: Literal["<", ">"] = "<" if source.peek(6)[5] == 1 else ">"
        self._file = source.file()
        self._size = os.fstat(self._file).st_size
        sections = self._sections()
        said = self._pages_said(sections)
        self._offset, size = self._section(sections, _PAGES)
        self._numbers = self._table(sections)
        if not said == len(self._numbers) == size // PAGE_SIZE:
            raise self._bad(
                f"its header tells of {said} pages, its table of "
                f"{len(self._numbers)}, and there is room for {size // PAGE_SIZE}"
            )

    def steps(self, digester: Digester) -> Iterator[Dumped | Pages]:
        """The domain, then its memory."""
        rows, numbers = self._ascending()
        yield guest(self._name, [ram("ram", 0, int(numbers.max(initial=-1)) + 1)])
        for at in range(0, len(rows), BATCH_PAGES):
            some, their = rows[at : at + BATCH_PAGES], numbers[at : at + BATCH_PAGES]
            starts, lengths = runs(some)
            places = self._offset + starts * PAGE_SIZE
            digested = digester.of_file(self._file, places, lengths)
            lost = int(np.count_nonzero(~digested.read))
            self.account.missing_bytes += lost * PAGE_SIZE
            self._source.at = min(at * PAGE_SIZE, self._size)
            yield page_rows(
                0, their[digested.read], digested.taken(digested.read),
                zero=digester.zero, presence_known=False,
            )  # fmt: skip

    def _ascending(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The pages that are there: their places in the file, and their numbers."""
        account, numbers = self.account, self._numbers
        account.pages = len(numbers)
        placed = numbers != _NOWHERE
        account.absent = int(np.count_nonzero(~placed))
        end = self._offset + len(numbers) * PAGE_SIZE
        account.missing_bytes += max(end - max(self._size, self._offset), 0)
        there = max(self._size - self._offset, 0) // PAGE_SIZE
        rows = np.flatnonzero(placed & (np.arange(len(numbers)) < there))
        once, first = np.unique(numbers[rows], return_index=True)
        if twice := len(rows) - len(once):
            account.skipped["pages that occur twice"] += twice
        return rows[first], once.astype(np.int64)

    def _sections(self) -> Mapping[bytes, _Section]:
        head = os.pread(self._file, 64, 0)
        (at,) = struct.unpack_from(self._order + "Q", head, 40)
        size, count, names = struct.unpack_from(self._order + "HHH", head, 58)
        if size != 64 or names >= count:
            raise self._bad(f"section headers of {size} bytes, expected 64")
        raw = self._read(_Section(at, size * count), "its section headers")
        kind = np.dtype(
            [("name", "u4"), ("type", "u4"), ("flags", "u8"), ("addr", "u8"),
             ("offset", "u8"), ("size", "u8"), ("rest", "V24")]
        ).newbyteorder(self._order)  # fmt: skip
        table = np.frombuffer(raw, kind)
        places = [_Section(int(row["offset"]), int(row["size"])) for row in table]
        texts = self._read(places[names], "the names of its sections")
        return {
            texts[int(row["name"]) :].partition(b"\0")[0]: place
            for row, place in zip(table, places, strict=True)
        }

    def _pages_said(self, sections: Mapping[bytes, _Section]) -> int:
        """How many pages its header tells of."""
        place = self._section(sections, _NOTES)
        data, at = self._read(place, "its notes"), 0
        while at + 12 <= len(data):
            name, desc, kind = struct.unpack_from(self._order + "III", data, at)
            body = at + 12 + (name + 3 & ~3)
            if kind == _HEADER_NOTE and body + 32 <= len(data):
                *_, pages, size = struct.unpack_from(self._order + "4Q", data, body)
                if size != PAGE_SIZE:
                    raise self._bad(f"pages of {size} bytes, expected {PAGE_SIZE}")
                return int(pages)
            at = body + (desc + 3 & ~3)
        raise self._bad("no note says how many pages there are")

    def _table(self, sections: Mapping[bytes, _Section]) -> npt.NDArray[np.uint64]:
        """The number of each page, in the order of the file."""
        width = 1 if _PFN in sections else 2
        place = self._section(sections, _PFN if width == 1 else _P2M)
        data = self._read(place, "its table of pages")
        words = np.frombuffer(data[: len(data) // (8 * width) * 8 * width], "u8")
        if self._order == ">":
            words = words.byteswap()
        numbers: npt.NDArray[np.uint64] = words.reshape(-1, width)[:, 0]
        absurd = numbers[(numbers >= _HIGHEST) & (numbers != _NOWHERE)]
        if len(absurd):
            raise self._bad(f"a page of number {absurd[0]}")
        return numbers

    def _section(self, sections: Mapping[bytes, _Section], name: bytes) -> _Section:
        if name not in sections:
            raise self._bad(f"there is no section {name.decode()}")
        return sections[name]

    def _read(self, place: _Section, what: str) -> bytes:
        """What of the file is not its pages; raises InputError where it is cut."""
        # The largest is the table, of which a page has 16 bytes at most.
        if place.size > max(self._size // PAGE_SIZE * 16, _LEAST_ROOM):
            raise self._bad(f"{what} are said to be of {place.size} bytes")
        if place.offset + place.size > self._size:
            raise self._bad(f"cut: {what} should end at byte {sum(place)}")
        return os.pread(self._file, place.size, place.offset)

    def _bad(self, what: str) -> InputError:
        packed = f" ({self._source.cut})" if self._source.cut else ""
        return InputError(
            f"{self._source.path}: an ELF core of sections, as Xen writes it, but "
            f"{what}{packed}"
        )
