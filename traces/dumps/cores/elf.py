"""ELF core files as containers: program headers, notes, and where memory lies.

Layout: the ELF specification (gABI chapter 5) and fs/binfmt_elf.c. Both word sizes and
both byte orders.
"""

import os
import struct
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from traces.dumps.source import Source
from traces.errors import InputError

MAGIC: Final = b"\x7fELF"

_CORE: Final = 4
_PT_LOAD: Final = 1
_PT_NOTE: Final = 4
_PN_XNUM: Final = 0xFFFF
_MOST_HEADERS: Final = 1 << 22
_MOST_NOTES: Final = 64 << 20
_MOST_BYTES: Final = 1 << 57
"""No machine addresses more."""

_NARROW: Final = np.dtype(
    [(name, "u4") for name in
     ("type", "offset", "vaddr", "paddr", "filesz", "memsz", "flags", "align")]
)  # fmt: skip
_WIDE: Final = np.dtype(
    [("type", "u4"), ("flags", "u4")]
    + [(n, "u8") for n in ("offset", "vaddr", "paddr", "filesz", "memsz", "align")]
)

READ, WRITE, EXECUTE = 4, 2, 1


class Note(NamedTuple):
    """One entry of a note segment."""

    name: bytes
    type: int
    desc: bytes


@dataclass(slots=True)
class Loads:
    """The PT_LOAD segments, equally long int64 arrays."""

    offset: npt.NDArray[np.int64]
    vaddr: npt.NDArray[np.int64]
    """As signed; the vsyscall page of x86 is negative."""
    paddr: npt.NDArray[np.int64]
    filesz: npt.NDArray[np.int64]
    memsz: npt.NDArray[np.int64]
    flags: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offset)

    def taken(self, rows: Any) -> "Loads":
        """Those at *rows*, in that order."""
        return Loads(
            self.offset[rows], self.vaddr[rows], self.paddr[rows], self.filesz[rows],
            self.memsz[rows], self.flags[rows],
        )  # fmt: skip


@dataclass(slots=True)
class Elf:
    """A core file whose headers were read; *source* stands behind its notes, or
    anywhere where it is plain."""

    source: Source
    order: str
    """`<` or `>`, as struct has it."""
    wide: bool
    loads: Loads
    """In the order of the file."""
    notes: list[Note] = field(default_factory=list)
    late: list[tuple[int, int]] = field(default_factory=list)
    """(offset, size) of notes that stand behind memory, in a file that can only be
    read forwards."""
    cut: bool = False
    """Whether some of its notes are missing."""

    def unpack(self, form: str, data: bytes, at: int = 0) -> tuple[Any, ...]:
        """`struct.unpack_from` in the file's byte order; W is a word of its size."""
        word = "Q" if self.wide else "I"
        return struct.unpack_from(self.order + form.replace("W", word), data, at)

    def add_notes(self, data: bytes, size: int) -> None:
        """Take up the notes in *data*, which should be of *size* bytes."""
        at = 0
        while at + 12 <= len(data):
            name_size, desc_size, kind = self.unpack("III", data, at)
            desc_at = at + 12 + (name_size + 3 & ~3)
            if desc_at + desc_size > len(data):
                break
            name = data[at + 12 : at + 12 + name_size].rstrip(b"\0")
            desc = data[desc_at : desc_at + desc_size]
            self.notes.append(Note(name, kind, desc))
            at = desc_at + (desc_size + 3 & ~3)
        # Less than the head of another note may be left, to align what follows.
        self.cut |= len(data) < size or at + 12 <= size

    def notes_of(self, kind: int) -> list[bytes]:
        """What the notes of the kernel of that type say."""
        return [n.desc for n in self.notes if n.type == kind and n.name in _KERNEL]


_KERNEL: Final = (b"CORE", b"LINUX")


def is_core(head: bytes) -> bool:
    """Whether *head* begins an ELF core file."""
    if not head.startswith(MAGIC) or len(head) < 18 or head[5] not in (1, 2):
        return False
    order = "<" if head[5] == 1 else ">"
    return bool(struct.unpack_from(order + "H", head, 16)[0] == _CORE)


def read_elf(source: Source) -> Elf:
    """The headers and notes of the core file in *source*.

    Raises InputError for a file that is cut within its headers, or whose headers
    contradict themselves.
    """
    head = source.peek(64)
    if len(head) < 52 or not is_core(head) or head[4] not in (1, 2):
        raise _bad(source, "its ELF header is cut, or of no known class")
    wide = head[4] == 2
    order: Literal["<", ">"] = "<" if head[5] == 1 else ">"
    if wide:
        head = source.read(64).ljust(64, b"\0")
        phoff, shoff = struct.unpack_from(order + "QQ", head, 32)
        size, count = struct.unpack_from(order + "HH", head, 54)
    else:
        head = source.read(52)
        phoff, shoff = struct.unpack_from(order + "II", head, 28)
        size, count = struct.unpack_from(order + "HH", head, 42)
    kind = (_WIDE if wide else _NARROW).newbyteorder(order)
    if size != kind.itemsize:
        raise _bad(source, f"program headers of {size} bytes, expected {kind.itemsize}")
    if phoff < source.at or source.skip(phoff - source.at) < phoff - len(head):
        raise _bad(source, f"no program headers at {phoff}, where they should be")
    if count == _PN_XNUM:
        count = _many(source, kind, order, wide, phoff, shoff)
    if count > _MOST_HEADERS:
        raise _bad(source, f"{count} program headers are said to follow")
    raw = source.read(count * size)
    if len(raw) < count * size:
        raise _bad(source, f"cut within its {count} program headers")
    headers = np.frombuffer(raw, kind)
    loads = _loads(source, headers[headers["type"] == _PT_LOAD])
    elf = Elf(source, order, wide, loads)
    first = int(elf.loads.offset[elf.loads.filesz > 0].min(initial=1 << 62))
    for segment in np.sort(headers[headers["type"] == _PT_NOTE], order="offset"):
        offset, size = int(segment["offset"]), int(segment["filesz"])
        size = min(size, _MOST_NOTES)
        if source.plain:
            place = min(offset, source.size)
            elf.add_notes(os.pread(source.file(), size, place), size)
        elif source.at <= offset and offset + size <= first:
            source.skip(offset - source.at)
            elf.add_notes(source.read(size), size)
        else:
            elf.late.append((offset, size))
        if elf.cut and offset < first:
            # They say whose memory it is: a process's, or a guest's.
            raise _bad(source, "cut within its notes, or these are damaged")
    return elf


def _many(
    source: Source, kind: np.dtype[Any], order: str, wide: bool, phoff: int, shoff: int
) -> int:
    """How many program headers there are, where a header's 16 bits cannot say it
    (fs/binfmt_elf.c: fill_extnum_info)."""
    if source.plain and shoff < source.size:
        section = os.pread(source.file(), 64, shoff)
        at = 44 if wide else 28
        if len(section) >= at + 4:
            return int(struct.unpack_from(order + "I", section, at)[0])
    # The section header stands behind the memory; but the notes stand right behind
    # the program headers, and the first of these says where.
    first = np.frombuffer(source.peek(kind.itemsize).ljust(kind.itemsize, b"\0"), kind)
    notes = int(first["offset"][0])
    if first["type"][0] != _PT_NOTE or (notes - phoff) % kind.itemsize:
        raise _bad(source, "it does not say how many program headers it has")
    return (notes - phoff) // kind.itemsize


def _loads(source: Source, headers: npt.NDArray[Any]) -> Loads:
    def column(name: str) -> npt.NDArray[np.int64]:
        return headers[name].astype(np.uint64).view(np.int64)

    loads = Loads(
        column("offset"), column("vaddr"), column("paddr"), column("filesz"),
        column("memsz"), column("flags"),
    )  # fmt: skip
    if not len(loads):
        raise _bad(source, "no memory is in it")
    for values in (loads.offset, loads.filesz, loads.memsz):
        if absurd := values[(values < 0) | (values > _MOST_BYTES)].tolist():
            size = absurd[0] % (1 << 64)
            raise _bad(source, f"a segment of {size} bytes, or at such a place")
    return loads.taken(np.argsort(loads.offset, kind="stable"))


def _bad(source: Source, what: str) -> InputError:
    return InputError(f"{source.path}: an ELF core, but {what}")
