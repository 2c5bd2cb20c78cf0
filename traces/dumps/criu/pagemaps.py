"""CRIU's pagemap images: which pages of a process lie where, its parents' too.

Facts: images/pagemap.proto and criu/pagemap.c (init_pagemaps, skip_pagemap_pages). Of a
dump with parents, pages that had not changed since are entries without data: they are
to be found, by their address, in the dump before.
"""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from traces.dumps.criu.images import MAGICS, ImageFolder, PagesFile
from traces.dumps.criu.protobuf import Malformed
from traces.dumps.extents import ranges
from traces.errors import InputError
from traces.schema import PAGE_SIZE

MAGIC: Final = 0x56084025

_PAGES_ID: Final = 1
_VADDR, _NR_PAGES_32, _IN_PARENT, _FLAGS, _NR_PAGES = 1, 2, 3, 4, 5
_PARENT, _LAZY, _PRESENT = 1, 2, 4
_MOST_PAGES: Final = 1 << 51
"""Pages of an address space of 63 bits."""
_AT_ONCE: Final = 1 << 16
"""Messages decoded at a time."""


class Places(NamedTuple):
    """Where pages of a process lie: runs of them, ascending and apart; equally long
    int64 arrays."""

    vpn: npt.NDArray[np.int64]
    pages: npt.NDArray[np.int64]
    file: npt.NDArray[np.int64]
    """Which of several files of pages."""
    first: npt.NDArray[np.int64]
    """Page within it."""

    def taken(self, rows: Any) -> "Places":
        """Those of *rows*, in that order."""
        return Places(*(column[rows] for column in self))


_NOWHERE: Final = Places(*[np.empty(0, np.int64)] * 4)


class _Entries(NamedTuple):
    """A pagemap image, ascending by address."""

    pages_id: int
    vpn: npt.NDArray[np.int64]
    pages: npt.NDArray[np.int64]
    flags: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    """Page within the file of pages, of those that are present."""
    cut: bool


class Pagemap(NamedTuple):
    """All pages of a process, or of a piece of shared memory."""

    pages: int
    """How many there should be."""
    places: Places
    """Of those that are there."""
    damage: list[str]
    """What is not as it should be, besides."""


def located(
    folders: Sequence[ImageFolder], name: str, files: list[PagesFile]
) -> Pagemap:
    """Where the pages lie that image *name* of the first of *folders* lists; the others
    are its parents, nearest first. The files of pages are added to *files*.

    Raises InputError for an image that makes no sense, or that left its pages to a page
    server.
    """
    below, pages, damage = _NOWHERE, 0, list[str]()
    for folder in reversed(folders):
        data = folder.data(name)
        if data is None:
            below, pages, damage = _NOWHERE, 0, [f"{name} is missing"]
            continue
        entries = _entries(data, folder.path / name)
        below, damage = _layer(entries, folder, below, files)
        pages = int(entries.pages.sum())
        if entries.cut:
            damage.insert(0, f"{name} is cut")
    return Pagemap(pages, below, damage)


def overlaps(
    start: npt.NDArray[np.int64],
    end: npt.NDArray[np.int64],
    other_start: npt.NDArray[np.int64],
    other_end: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Which intervals of the one and the other, each ascending and apart, overlap:
    pairs of their numbers, ascending."""
    low = np.searchsorted(other_end, start, "right")
    high = np.maximum(np.searchsorted(other_start, end, "left"), low)
    one = np.repeat(np.arange(len(start)), high - low)
    return one, ranges(low, high)


def pages_listed(data: bytes, path: Path) -> int:
    """How many pages a pagemap image lists. Raises InputError as `located`."""
    return int(_entries(data, path).pages.sum())


def _layer(
    entries: _Entries, folder: ImageFolder, below: Places, files: list[PagesFile]
) -> tuple[Places, list[str]]:
    """The places that *entries* tell, given those of the parent; what is wrong."""
    name = f"pages-{entries.pages_id}.img"
    stored = (entries.flags & _PRESENT) != 0
    file = folder.pages(name)
    there = file.size // PAGE_SIZE if file is not None else 0
    wanted = int(entries.pages[stored].sum())
    damage = []
    if wanted and file is None:
        damage.append(f"{name} is missing")
    if there > wanted:
        damage.append(f"{name} holds {there - wanted} pages more than are listed")
    if file is not None:
        files.append(file)
    own = Places(
        entries.vpn[stored],
        np.clip(there - entries.first[stored], 0, entries.pages[stored]),
        np.full(np.count_nonzero(stored), len(files) - 1),
        entries.first[stored],
    )
    inherited = (entries.flags & _PARENT) != 0
    start, pages = entries.vpn[inherited & ~stored], entries.pages[inherited & ~stored]
    one, other = overlaps(start, start + pages, below.vpn, below.vpn + below.pages)
    first = np.maximum(start[one], below.vpn[other])
    end = np.minimum((start + pages)[one], (below.vpn + below.pages)[other])
    found = below.taken(other)
    old = Places(first, end - first, found.file, found.first + first - found.vpn)
    if lost := int(pages.sum() - old.pages.sum()):
        damage.append(f"{lost} pages are in no parent of the dump")
    both = Places(*map(np.concatenate, zip(own, old, strict=True)))
    both = both.taken(both.pages > 0)
    return both.taken(np.argsort(both.vpn, kind="stable")), damage


def _entries(data: bytes, path: Path) -> _Entries:
    """Raises InputError where *data* is no pagemap image."""
    try:
        messages, cut = framed(data, MAGIC)
        table = _table(messages)
    except Malformed as error:
        raise InputError(f"{path}: a damaged pagemap image: {error}") from error
    if not len(table):
        none = np.empty(0, np.int64)
        return _Entries(0, none, none, none, none, cut=True)
    head, table = table[0], table[1:]
    wide = table[:, _NR_PAGES]
    pages = np.where(wide > 0, wide, table[:, _NR_PAGES_32])
    address = table[:, _VADDR]
    if (pages > _MOST_PAGES).any() or (address >> np.uint64(63)).any():
        raise InputError(f"{path}: lists more pages than an address space has")
    if (address % PAGE_SIZE).any():
        raise InputError(f"{path}: lists pages that do not begin where pages do")
    flags = table[:, _FLAGS].astype(np.int64)
    flags[table[:, _IN_PARENT] > 0] |= _PARENT
    flags[flags == 0] = _PRESENT
    vpn, pages = (address // PAGE_SIZE).astype(np.int64), pages.astype(np.int64)
    _check(path, pages, flags)
    stored = np.where(flags & _PRESENT, pages, 0)
    order = np.argsort(vpn, kind="stable")
    first = np.cumsum(stored) - stored
    vpn, pages = vpn[order], pages[order]
    if (vpn[1:] < (vpn + pages)[:-1]).any():
        raise InputError(f"{path}: lists a page twice")
    return _Entries(int(head[_PAGES_ID]), vpn, pages, flags[order], first[order], cut)


def _check(
    path: Path, pages: npt.NDArray[np.int64], flags: npt.NDArray[np.int64]
) -> None:
    if (flags & ~(_PARENT | _LAZY | _PRESENT)).any():
        raise InputError(
            f"{path}: has pages of a kind unknown here: of a newer CRIU, or damaged"
        )
    if len(pages) and float(pages.sum(dtype=np.float64)) > _MOST_PAGES:
        raise InputError(f"{path}: lists more pages than an address space has")
    lazy = pages[(flags & (_PARENT | _PRESENT)) == 0]
    if len(lazy):
        raise InputError(
            f"{path}: {int(lazy.sum())} pages were left to be sent later (a lazy dump)",
            hint="dump without --lazy-pages",
        )


def framed(data: bytes, magic: int) -> tuple[list[bytes], bool]:
    """The messages in an image of that *magic*, and whether it is cut behind them.

    Raises Malformed where it is of another kind.
    """
    at = 4 if data[:4] in MAGICS else 0
    expected, head = struct.pack("<I", magic), data[at : at + 4]
    if head != expected:
        if any(one.startswith(head) for one in (expected, *MAGICS)):
            return [], True
        raise Malformed("of another kind")
    at += 4
    found = []
    while at + 4 <= len(data):
        (size,) = struct.unpack_from("<I", data, at)
        if size > len(data) - at - 4:
            break
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found, at < len(data)


def _table(messages: Sequence[bytes]) -> npt.NDArray[np.uint64]:
    """[message, field] numbers of messages that hold nothing else, fields 0 to 5; 0
    where there is none. Raises Malformed."""
    parts = [
        _columns(messages[at : at + _AT_ONCE])
        for at in range(0, len(messages), _AT_ONCE)
    ]
    return np.concatenate([np.empty((0, _NR_PAGES + 1), np.uint64), *parts])


def _columns(messages: Sequence[bytes]) -> npt.NDArray[np.uint64]:
    """As `_table`, of a few."""
    data = np.frombuffer(b"".join(messages), np.uint8)
    lengths = np.array([len(message) for message in messages], np.int64)
    table = np.zeros((len(messages), _NR_PAGES + 1), np.uint64)
    if not len(data):
        return table
    ends = np.flatnonzero(data < 0x80) + 1
    starts = np.concatenate(([0], ends[:-1]))
    bounds = np.cumsum(lengths)
    if not np.isin(bounds, ends).all() or (ends - starts).max() > 10:
        raise Malformed("cut within a number, or one of more than 64 bits")
    shift = 7 * (np.arange(len(data)) - np.repeat(starts, ends - starts))
    bits = (data & 0x7F).astype(np.uint64) << shift.astype(np.uint64)
    numbers = np.bitwise_or.reduceat(bits, starts)
    message = np.searchsorted(bounds, starts, "right")
    if (np.bincount(message, minlength=len(messages)) % 2).any():
        raise Malformed("a field without a value")
    keys, values = numbers[::2], numbers[1::2]
    fields = (keys >> np.uint64(3)).astype(np.int64)
    if (keys & np.uint64(7)).any() or (fields > _NR_PAGES).any():
        raise Malformed("fields of a newer CRIU, which compresses pages or the like")
    table[message[::2], fields] = values
    return table
