"""kdump-compressed files as containers: headers, bitmaps, and the table of pages.

Layout: makedumpfile's diskdump_mod.h and IMPLEMENTATION, QEMU's include/sysemu/dump.h;
both word sizes and both byte orders. A block is a page; behind the header lie the sub
header, a bitmap of the pages of memory, one of those that were dumped, a descriptor of
each of the latter, and their data.
"""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from traces.dumps.kdump.flattened import Image
from traces.errors import InputError
from traces.schema import PAGE_SIZE

SIGNATURE: Final = b"KDUMP   "

_NAMES: Final = ("sysname", "nodename", "release", "version", "machine", "domainname")
_NAME: Final = 65
_HEADER: Final = 464
_SUB_HEADER: Final = 104
_INCOMPLETE: Final = 8
_MOST_BLOCK: Final = 1 << 16
_MOST_PAGES: Final = 1 << 36
"""256 TiB of memory, holes included: bitmaps of 8 GiB."""
_PIECE: Final = 1 << 17
"""Bytes of a bitmap looked at a time."""
_SPACED: Final = ("arm", "mips", "ppc")
"""Machines of 32 bits that align integers of 64, as x86 does not."""

_DESCRIPTOR: Final = np.dtype(
    [("offset", "i8"), ("size", "u4"), ("flags", "u4"), ("page_flags", "u8")]
)
ENTRY: Final = _DESCRIPTOR.itemsize

Pfns = npt.NDArray[np.int64]


class Header(NamedTuple):
    """What a file says of itself."""

    order: Literal["<", ">"]
    """`<` or `>`, as struct has it."""
    uts: tuple[str, ...]
    """The machine's utsname; QEMU leaves all empty but the machine's type."""
    captured_at: str
    """ISO 8601, UTC; empty where it is not told."""
    incomplete: bool
    """Whether the disk was full before all was written."""
    level: int
    """What was left out: makedumpfile's dump level."""
    pages: int
    """max_mapnr: a bit of either bitmap for each."""
    split: bool
    first: int
    behind: int
    """The page frames that this file of a split dump holds; all, where it is whole."""
    bitmaps: int
    """Where they begin."""
    half: int
    """Bytes of each of the two."""

    @property
    def table(self) -> int:
        """Where the descriptors begin."""
        return self.bitmaps + 2 * self.half

    @property
    def hypervisor(self) -> bool:
        """Whether QEMU wrote it, which knows no name of the kernel inside."""
        return not self.uts[0]


class Piece(NamedTuple):
    """The bits of up to a million page frames from *first* on, as bools."""

    first: int
    memory: npt.NDArray[np.bool_]
    dumped: npt.NDArray[np.bool_]


def read_header(image: Image, path: Path) -> Header:
    """The headers of the file *path*.

    Raises InputError where they are cut, contradict themselves or each other, or are
    of a machine of other pages.
    """
    head = image.read(0, _HEADER)
    if not head.startswith(SIGNATURE):
        raise InputError(
            f"{path}: begins with {head[:8]!r}, expected a kdump-compressed dump",
            hint="an ELF dump that was flattened: makedumpfile -R DUMP < FILE",
        )
    if len(head) < _HEADER:
        raise bad(path, "cut within its header")
    uts = tuple(
        head[at : at + _NAME].split(b"\0")[0].decode("utf-8", "replace")
        for at in range(12, 12 + _NAME * len(_NAMES), _NAME)
    )
    order, wide, status, block, sub_blocks, blocks, low_pages = _numbers(head, path)
    if block != PAGE_SIZE:
        raise InputError(
            f"{path}: of pages of {block} bytes, expected {PAGE_SIZE}",
            hint="of a guest: QEMU's ELF dump, without compression, has no pages",
        )
    (version,) = struct.unpack_from(order + "i", head, 8)
    sub = image.read(block, _SUB_HEADER)
    if not sub:
        raise bad(path, "cut within its sub header")
    level, split, first, behind, pages = _sub_header(
        sub.ljust(_SUB_HEADER, b"\0"), order, wide, version, uts[4]
    )
    pages = pages or low_pages
    half = -(-pages // (8 * block)) * block
    if min(pages, 0xFFFF_FFFF) != low_pages or blocks * block != 2 * half:
        raise bad(
            path,
            f"its headers contradict each other: {low_pages} and {pages} page frames, "
            f"bitmaps of {blocks} blocks",
        )
    if pages > _MOST_PAGES:
        raise bad(path, f"of {pages} page frames, expected {_MOST_PAGES} at most")
    if not 0 <= level < 32 or split not in (0, 1):
        raise bad(path, f"its dump level is {level}, and split {split}")
    if split and not first <= behind <= pages:
        raise bad(path, f"its part of a split dump is {first} to {behind} of {pages}")
    return Header(
        order, uts, _moment(head, order, wide), bool(status & _INCOMPLETE), level,
        pages, bool(split), first if split else 0, behind if split else pages,
        block * (1 + sub_blocks), half,
    )  # fmt: skip


def _numbers(head: bytes, path: Path) -> tuple[Any, ...]:
    """(byte order, whether words are of 64 bits, status, block_size, sub_hdr_size,
    bitmap_blocks, max_mapnr) as they first make sense."""
    order: Literal["<", ">"]
    for order in ("<", ">"):
        (version,) = struct.unpack_from(order + "i", head, 8)
        for wide in (True, False):
            at = 424 if wide else 412
            numbers = struct.unpack_from(order + "5I", head, at)
            _, block, sub_blocks, blocks, pages = numbers
            if (
                0 < version < 100
                and PAGE_SIZE <= block <= _MOST_BLOCK
                and block & (block - 1) == 0
                and 0 < sub_blocks < 1 << 16
                and blocks
                and pages
            ):
                return order, wide, *numbers
    raise bad(path, "its header makes no sense in any byte order")


def _sub_header(
    sub: bytes, order: str, wide: bool, version: int, machine: str
) -> tuple[int, int, int, int, int]:
    """(dump_level, split, start_pfn, end_pfn, max_mapnr_64 or 0)."""
    level, split = struct.unpack_from(order + "ii", sub, 8 if wide else 4)
    if version < 2:
        return level, 0, 0, 0, 0
    if version < 6:
        form = order + ("QQ" if wide else "II")
        return level, split, *struct.unpack_from(form, sub, 16 if wide else 12), 0
    at = 80 if wide else 72 if machine.startswith(_SPACED) else 56
    return level, split, *struct.unpack_from(order + "3Q", sub, at)


def _moment(head: bytes, order: str, wide: bool) -> str:
    form, at = ("q", 408) if wide else ("i", 404)
    (seconds,) = struct.unpack_from(order + form, head, at)
    if not 0 < seconds < 1 << 36:
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def pieces(image: Image, header: Header, path: Path) -> Iterator[Piece]:
    """Both bitmaps, but for stretches without memory.

    Raises InputError where they are cut, or contradict each other or the header.
    """
    for at in range(0, header.half, _PIECE):
        size = min(_PIECE, header.half - at)
        both = [
            image.read(header.bitmaps + at + half, size) for half in (0, header.half)
        ]
        if min(map(len, both)) < size:
            raise bad(path, "cut within its bitmaps, before any page")
        if not any(data.strip(b"\0") for data in both):
            continue
        memory, dumped = (
            np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").view(bool)
            for data in both
        )
        if (dumped & ~memory).any() or memory[max(header.pages - at * 8, 0) :].any():
            raise bad(path, "its bitmaps contradict each other, or its header")
        yield Piece(at * 8, memory, dumped)


def descriptors(image: Image, header: Header, first: int, count: int) -> Any:
    """*count* descriptors from the *first* on, fewer where they are cut: a structured
    array of offset, size, flags."""
    data = image.read(header.table + first * ENTRY, count * ENTRY)
    kind = _DESCRIPTOR.newbyteorder(header.order)
    return np.frombuffer(data[: len(data) // ENTRY * ENTRY], kind).astype(_DESCRIPTOR)


def bad(path: Path, what: str) -> InputError:
    """A kdump file that cannot be read."""
    return InputError(f"{path}: a kdump-compressed dump, but {what}")
