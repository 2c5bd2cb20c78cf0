"""kdump-compressed files made from their description (makedumpfile's IMPLEMENTATION and
diskdump_mod.h), and flattened ones: pages in, bytes out."""

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

PAGE = 4096
ZERO = bytes(PAGE)
RAW, ZLIB, LZO, SNAPPY, ZSTD = 0, 1, 2, 4, 0x20


def packed(page: bytes, how: int) -> bytes:
    """*page* compressed."""
    if how == ZLIB:
        return zlib.compress(page, 1)
    if how == LZO:
        from lzallright import LZOCompressor

        return bytes(LZOCompressor().compress(page))
    if how in (SNAPPY, ZSTD):
        name = "snappy" if how == SNAPPY else "zstd"
        return bytes(pa.Codec(name).compress(page, asbytes=True))
    return page


@dataclass(kw_only=True)
class Kdump:
    """One file, as makedumpfile writes it for the page frames in *pages*."""

    pages: Mapping[int, bytes]
    how: int = RAW
    order: str = "<"
    wide: bool = True
    version: int = 6
    level: int = 0
    split: tuple[int, int] | None = None
    left_out: Sequence[int] = ()
    """Page frames of memory that are not in the file."""
    lost: Sequence[int] = ()
    """Those in it whose data are not."""
    share: bool = False
    """Keep pages of zeros once, where the first of them lies."""
    status: int = 0
    uts: Sequence[str] = ("Linux", "vm1", "6.1.0", "#1 SMP", "x86_64", "(none)")
    seconds: int = 0
    block: int = PAGE
    max_mapnr: int = 0
    bounds: dict[str, int] = field(default_factory=dict)
    """Where each structure begins, once built."""
    places: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Page frame → first byte of its data, and how many; once built."""

    @property
    def top(self) -> int:
        frames = [*self.pages, *self.left_out]
        return self.max_mapnr or max(frames, default=0) + 1

    def header(self, bitmap_blocks: int) -> bytes:
        uts = b"".join(name.encode().ljust(65, b"\0") for name in self.uts)
        head = b"KDUMP   " + struct.pack(self.order + "i", self.version) + uts
        if self.wide:
            head = head.ljust(408, b"\0") + self.packed("qq", self.seconds, 0)
        else:
            head = head.ljust(404, b"\0") + self.packed("ii", self.seconds, 0)
        numbers = (self.status, self.block, 1, bitmap_blocks, min(self.top, 2**32 - 1))
        return head + self.packed("10I", *numbers, 0, 0, 0, 0, 1)

    def sub_header(self) -> bytes:
        first, behind = self.split or (0, 0)
        word = "Q" if self.wide else "I"
        spaced = not self.wide and self.uts[4].startswith("arm")
        pad = "4x" if spaced else ""
        form = f"{word}ii{word}{word}"
        form += f"{pad}q{word}{pad}q{word}{pad}q{word}{pad}" + "QQQ"
        numbers = (0, self.level, int(self.split is not None), first, behind)
        return self.packed(form, *numbers, *[0] * 6, first, behind, self.top)

    def bitmap(self, frames: Iterable[int], size: int) -> bytes:
        bits = bytearray(size)
        for frame in frames:
            bits[frame // 8] |= 1 << frame % 8
        return bytes(bits)

    def packed(self, form: str, *numbers: int) -> bytes:
        return struct.pack(self.order + form, *numbers)

    def build(self) -> bytes:
        blocks = -(-self.top // (8 * PAGE))
        data = self.header(2 * blocks).ljust(PAGE, b"\0")
        self.bounds["sub header"] = PAGE
        data += self.sub_header().ljust(PAGE, b"\0")
        self.bounds["bitmap 1"] = len(data)
        data += self.bitmap([*self.pages, *self.left_out], blocks * PAGE)
        self.bounds["bitmap 2"] = len(data)
        data += self.bitmap(self.pages, blocks * PAGE)
        self.bounds["table"] = len(data)
        first, behind = self.split or (0, self.top)
        # A split dump has room for the descriptors of all its files in each.
        room = 24 * len(self.pages)
        self.bounds["data"] = start = len(data) + room
        table, content, shared = b"", bytearray(), 0
        if self.level & 1:
            content += ZERO
        for frame, page in sorted(self.pages.items()):
            if not first <= frame < behind:
                continue
            if frame in self.lost:
                table += self.packed("qIIQ", 0, 0, 0, 0)
                continue
            small = packed(page, self.how)
            how = self.how if len(small) < PAGE else RAW
            small = page if how == RAW else small
            place = start + len(content)
            if self.level & 1 and page == ZERO:
                place, small, how = start, ZERO, RAW
            elif self.share and page == ZERO and shared:
                place = shared
            else:
                shared = place if page == ZERO else shared
                content += small
            self.places[frame] = place, len(small)
            table += self.packed("qIIQ", place, len(small), how, 0)
        return data + table.ljust(room, b"\0") + bytes(content)


def flattened(blocks: Iterable[tuple[int, bytes]], end: bool = True) -> bytes:
    """A flattened file of *blocks*, pairs of an offset and bytes."""
    data = b"makedumpfile".ljust(16, b"\0") + struct.pack(">qq", 1, 1)
    data = data.ljust(PAGE, b"\0")
    for offset, content in blocks:
        data += struct.pack(">qq", offset, len(content)) + content
    return data + (struct.pack(">qq", -1, -1) if end else b"")


def in_blocks(data: bytes, size: int) -> list[tuple[int, bytes]]:
    """*data* cut into blocks, the first of which is written twice, as QEMU does: empty
    at first, and as it is in the end."""
    cut = [(at, data[at : at + size]) for at in range(0, len(data), size)]
    at, head = cut[0]
    return [(at, bytes(len(head))), *cut[1:], (at, head)]
