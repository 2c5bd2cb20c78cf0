"""kdump-compressed dumps: makedumpfile's, of one file or split, and QEMU's
(dump-guest-memory -z -l -s, virsh dump --format kdump-…), flattened or not.

A machine's memory is one process with one mapping; page numbers are those of physical
memory.
"""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from traces.dumps.digesting import BATCH_PAGES, Digested, Digester
from traces.dumps.dump import UNTOUCHED, Account, Asked, Dumped, guest, page_rows, ram
from traces.dumps.kdump.diskdump import (
    ENTRY,
    SIGNATURE,
    Header,
    Pfns,
    bad,
    descriptors,
    pieces,
    read_header,
)
from traces.dumps.kdump.flattened import Image, image_of, is_flattened
from traces.dumps.kdump.packed import Unpacker
from traces.dumps.source import Source
from traces.errors import InputError
from traces.schema import PAGE_SIZE, Pages

_ZEROS, _CACHE, _PRIVATE_CACHE, _USER, _FREE = 1, 2, 4, 8, 16
_LEVELS: Final = {
    _ZEROS: "pages of zeros",
    _CACHE: "page cache",
    _PRIVATE_CACHE: "private page cache",
    _USER: "pages of processes",
    _FREE: "free pages",
}

# Where QEMU's machines have ROM and video memory, and no RAM but what reaches up to it.
_DEVICES: Final = (0xC0000, 0x100000)

_LOST: Final = "pages that were not written for want of room"
_BROKEN: Final = "pages that cannot be unpacked"
_DOUBTFUL: Final = "pages whose place in the file is doubtful"
_OF_DEVICES: Final = "pages of devices (ROM, video memory)"
_CONTRADICTION: Final = "its table of pages is damaged: a page in it may be another one"


def is_kdump(head: bytes) -> bool:
    """Whether *head* begins a kdump-compressed dump, or a flattened file."""
    return head.startswith((SIGNATURE, b"DISKDUMP")) or is_flattened(head)


class _Part(NamedTuple):
    """One file of a dump."""

    path: Path
    source: Source
    image: Image
    header: Header


class _Memory(NamedTuple):
    """What the bitmaps of a file say of the whole machine."""

    pages: int
    dumped: int
    end: int
    """The page frame behind the last one of RAM."""
    devices: tuple[int, int]
    """Page frames that are not RAM, first and behind the last."""
    digest: int


class KDump:
    """The memory of a machine."""

    def __init__(self, source: Source, asked: Asked) -> None:
        self.format = "kdump"
        self.account = Account(limits=[UNTOUCHED])
        self._source, self._name = source, asked.name
        image = image_of(source)
        header = read_header(image, source.path)
        self._first = _Part(source.path, source, image, header)
        self.kernel = ""
        self.host = header.uts[1].replace("(none)", "")
        self.captured_at = header.captured_at

    def steps(self, digester: Digester) -> Iterator[Dumped | Pages]:
        """The machine, then its memory."""
        with ExitStack() as stack:
            parts = self._parts(stack)
            memory = self._memory(parts)
            self._tell_limits(parts[0].header, memory)
            yield guest(self._name, [ram("ram", 0, memory.end)], self.host)
            for part in parts:
                yield from _Table(part, memory, self.account, digester).pages()
            self.account.damage = "; ".join(
                filter(None, [_absent(parts), self.account.damage])
            )

    def _parts(self, stack: ExitStack) -> list[_Part]:
        """All files of the dump, ascending by the page frames in them."""
        parts = [self._first]
        for path in self._source.parts:
            source = stack.enter_context(Source(path))
            image = image_of(source)
            parts.append(_Part(path, source, image, read_header(image, path)))
        for part in parts[1:]:
            _check_kin(parts[0], part)
        parts.sort(key=lambda part: (part.header.first, part.header.behind))
        for before, part in pairwise(parts):
            if part.header.first < before.header.behind:
                raise bad(part.path, f"holds page frames that {before.path} holds, too")
        return parts

    def _memory(self, parts: Sequence[_Part]) -> _Memory:
        found = [_surveyed(part) for part in parts]
        for part, memory in zip(parts, found, strict=True):
            if memory != found[0]:
                raise bad(
                    part.path, f"of other memory than {parts[0].path}: not one dump"
                )
        self.account.pages = found[0].dumped
        return found[0]

    def _tell_limits(self, header: Header, memory: _Memory) -> None:
        account, level = self.account, header.level
        # Pages of zeros are in the table also where they are not in the file.
        left = [what for bit, what in _LEVELS.items() if level & bit and bit != _ZEROS]
        if memory.pages > memory.dumped:
            kinds = ", ".join(left or [_LEVELS[_ZEROS]])
            account.skipped[f"pages left out by dump level {level} ({kinds})"] += (
                memory.pages - memory.dumped
            )
        if header.hypervisor:
            return
        if level & _USER:
            account.limits.insert(
                0,
                f"useless for KSM: the pages of processes were left out (dump level "
                f"{level}), and they are what ksmd merges: dump with makedumpfile -d 1",
            )
        among = [
            what
            for what, bits in {
                "page cache": _CACHE | _PRIVATE_CACHE, "free pages": _FREE,
            }.items()
            if level & bits != bits
        ]  # fmt: skip
        account.limits.append(
            "an upper bound where the machine was no guest: "
            + _listed([*among, "the kernel's own pages"])
            + " are among its pages, and ksmd looks at none of them"
        )
        if left:
            account.limits.append(
                "no more than a part where the machine was a guest: "
                + _listed(left)
                + f", left out by dump level {level}, are memory of its host too"
            )


def _listed(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _check_kin(one: _Part, other: _Part) -> None:
    """Raises InputError unless both are parts of one split dump."""
    for part in (one, other):
        if not part.header.split:
            raise InputError(
                f"{part.path}: a whole dump, expected a part of one that was split"
            )
    for name in ("order", "uts", "level", "pages", "bitmaps"):
        if getattr(one.header, name) != getattr(other.header, name):
            raise bad(other.path, f"of another machine or moment than {one.path}")


def _surveyed(part: _Part) -> _Memory:
    devices = _devices(part) if part.header.hypervisor else (0, 0)
    pages = dumped = end = digest = 0
    for piece in pieces(part.image, part.header, part.path):
        pages += int(np.count_nonzero(piece.memory))
        dumped += int(np.count_nonzero(piece.dumped))
        digest = zlib.crc32(piece.dumped.data, zlib.crc32(piece.memory.data, digest))
        numbers = piece.first + np.flatnonzero(piece.memory)
        numbers = numbers[(numbers < devices[0]) | (numbers >= devices[1])]
        end = max(end, int(numbers.max(initial=-1)) + 1)
    return _Memory(pages, dumped, end, devices, digest)


def _devices(part: _Part) -> tuple[int, int]:
    first, behind = _DEVICES
    image, header = part.image, part.header
    count = min(header.half, behind // 8) - first // 8
    if count <= 0:
        return first, behind
    data = image.read(header.bitmaps + first // 8 - 1, count + 1)
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[7:]
    # RAM below 4 GiB is in one piece; how far it reaches is the machine's choice.
    gaps = np.flatnonzero(bits == 0)
    reach = int(gaps[0]) if len(gaps) else len(bits)
    return first + max(reach - 1, 0), behind


def _absent(parts: Sequence[_Part]) -> str:
    """Which parts of a split dump there are not, in words."""
    at, told = 0, []
    for first, behind in [(part.header.first, part.header.behind) for part in parts]:
        if first > at:
            told.append(f"{at} to {first - 1}")
        at = behind
    if at < parts[0].header.pages:
        told.append(f"{at} to {parts[0].header.pages - 1}")
    if not told:
        return ""
    return f"of a split dump, the part with page frames {' and '.join(told)} is missing"


class _Table:
    """The pages of one file, read by its table."""

    def __init__(
        self, part: _Part, memory: _Memory, account: Account, digester: Digester
    ) -> None:
        self._part, self._memory, self._account = part, memory, account
        self._digester = digester
        self._file = part.source.file()
        self._unpacker = Unpacker(part.path, part.image, digester)
        self._start = part.header.table + memory.dumped * ENTRY
        """Where data begin; a split dump has room for all descriptors in each file."""
        self._most = self._start + (memory.dumped + 1) * PAGE_SIZE
        self._reach = 0
        """Where the data end of what was read."""
        # With pages of zeros left out, one of them comes first, needed or not.
        zeros = PAGE_SIZE if part.header.level & _ZEROS else 0
        self._next = self._start + zeros
        """Where those of the next page should begin; -1: not known."""
        self._shared: set[int] = set()
        """Where the data lie that several pages share."""
        self._anchored = False
        """Whether the first page's data were found where data begin."""
        self._fits = True
        self._lost = self._broken = self._doubtful = self._unknown = self._missing = 0

    def pages(self) -> Iterator[Pages]:
        """The rows, ascending."""
        done = 0
        for numbers in self._numbers():
            table = descriptors(self._part.image, self._part.header, done, len(numbers))
            done += len(numbers)
            if len(table):
                yield self._rows(numbers[: len(table)], table)
            if len(table) < len(numbers):
                self._unknown += len(numbers) - len(table)
                self._next, self._anchored = -1, True
        self._tell(done)

    def _numbers(self) -> Iterator[Pfns]:
        """The page frames in this file, some at a time."""
        header = self._part.header
        for piece in pieces(self._part.image, header, self._part.path):
            numbers = piece.first + np.flatnonzero(piece.dumped)
            inside = (numbers >= header.first) & (numbers < header.behind)
            numbers = numbers[inside]
            for at in range(0, len(numbers), BATCH_PAGES):
                yield numbers[at : at + BATCH_PAGES]

    def _rows(self, numbers: Pfns, table: Any) -> Pages:
        offset, size = table["offset"], table["size"].astype(np.int64)
        lost = offset == 0
        sane = (offset >= self._start) & (offset <= self._most)
        sane &= (size > 0) & (size <= PAGE_SIZE)
        self._lost += int(np.count_nonzero(lost))
        self._broken += int(np.count_nonzero(~lost & ~sane))
        placed = np.zeros(len(table), bool)
        placed[sane] = self._placed(offset[sane], size[sane])
        self._doubtful += int(np.count_nonzero(sane & ~placed))
        first, behind = self._memory.devices
        device = (numbers >= first) & (numbers < behind)
        self._account.skipped[_OF_DEVICES] += int(np.count_nonzero(device & placed))
        wanted = placed & ~device
        numbers = numbers[wanted]
        digested = self._digested(table[wanted])
        self._part.source.at = self._reach
        return page_rows(
            0, numbers[digested.read], digested.taken(digested.read),
            zero=self._digester.zero, presence_known=False,
        )  # fmt: skip

    def _placed(
        self, offset: npt.NDArray[np.int64], size: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Which pages' data lie right behind those before them, or right before those
        behind them, as makedumpfile and QEMU write them all but the page of zeros that
        others share, which comes first.

        A descriptor or a bit that was damaged shows here, and nowhere else. Raises
        InputError where the first page is not the first in the file: then no page is
        the one that the bitmap says.
        """
        ends = offset + size
        self._reach = max(self._reach, int(ends.max(initial=0)))
        first = offset == self._start
        if not self._anchored and first.any():
            self._next = int(ends[first][0])
        own = np.flatnonzero(~first & ~self._again(offset))
        placed = np.ones(len(offset), bool)
        if not len(own):
            return placed
        starts, ends = offset[own], ends[own]
        following = starts[0] if self._next < 0 else self._next
        behind = starts == np.append(following, ends[:-1])
        before = np.append(ends[:-1] == starts[1:], False)
        placed[own] = behind | before
        if not self._anchored and placed[own].any():
            if not behind[np.argmax(placed[own])]:
                raise bad(self._part.path, "its bitmaps contradict its table of pages")
            self._anchored = True
        self._fits &= bool(behind.all())
        self._next = int(ends[-1])
        return placed

    def _again(self, offset: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which pages' data are another page's before them, too."""
        known = np.isin(offset, list(self._shared))
        again = np.ones(len(offset), bool)
        again[np.unique(offset, return_index=True)[1]] = False
        if self._fits:
            self._shared.update(np.unique(offset[again]).tolist())
        # Only the page of zeros is shared.
        self._fits &= len(self._shared) <= 1
        return again | known

    def _digested(self, table: Any) -> Digested:
        """What is in the pages, each place in the file read once."""
        offset, at, back = np.unique(
            table["offset"], return_index=True, return_inverse=True
        )
        size, flags = (table[name][at].astype(np.int64) for name in ("size", "flags"))
        place = self._part.image.places(offset, size)
        plain = (flags == 0) & (size == PAGE_SIZE) & (place >= 0)
        digest, fill = np.zeros(len(at), np.int64), np.zeros(len(at), bool)
        read = np.zeros(len(at), bool)
        for which, found in (
            (plain, self._digester.of_file(self._file, *_runs(place[plain]))),
            (~plain, self._unpacker.digested(
                offset[~plain], size[~plain], flags[~plain]
            )),
        ):  # fmt: skip
            digest[which], fill[which], read[which] = found
        alike = (size[back] == table["size"]) & (flags[back] == table["flags"])
        page = Digested(digest, fill, read).taken(back)
        page = page._replace(read=page.read & alike)
        cut = (offset + size > self._part.image.size)[back]
        self._missing += int(np.count_nonzero(~page.read & cut))
        self._broken += int(np.count_nonzero(~page.read & ~cut))
        return page

    def _tell(self, pages: int) -> None:
        """Account for what is not among the rows."""
        account, image = self._account, self._part.image
        told = [account.damage, image.cut]
        if self._unknown:
            told.append(
                f"cut within its table of pages, of which {pages - self._unknown} of "
                f"{pages} are known"
            )
        elif not image.flattened:
            account.missing_bytes += max(self._reach - image.size, 0)
        if self._missing:
            told.append(f"the data of {self._missing} pages are missing")
        if self._lost:
            account.skipped[_LOST] += self._lost
            told.append(f"{self._lost} {_LOST}")
        elif self._part.header.incomplete:
            told.append("incomplete, as its header says")
        if self._broken:
            account.skipped[_BROKEN] += self._broken
            told.append(f"{self._broken} {_BROKEN}")
        if self._doubtful:
            account.skipped[_DOUBTFUL] += self._doubtful
            told.append(f"{self._doubtful} {_DOUBTFUL}")
        if not self._fits:
            told.append(_CONTRADICTION)
        account.damage = "; ".join(dict.fromkeys(filter(None, told)))


def _runs(
    place: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(first byte, pages) of whole pages that follow each other in a file."""
    if not len(place):
        return place, place
    starts = np.append(0, np.flatnonzero(np.diff(place) != PAGE_SIZE) + 1)
    return place[starts], np.diff(np.append(starts, len(place)))


def opened(source: Source, asked: Asked) -> KDump:
    """The dump in *source*.

    Raises InputError where it is a flattened ELF file, or none that can be read.
    """
    if source.peek(len(SIGNATURE)).startswith(b"DISKDUMP"):
        raise InputError(
            f"{source.path}: a dump of diskdump, which came before kdump; expected one "
            "of makedumpfile or QEMU"
        )
    return KDump(source, asked)
