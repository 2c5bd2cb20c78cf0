"""ELF cores, written from the specification: both word sizes, both byte orders."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from dumping import PAGE, Image

READ, WRITE, EXECUTE = 4, 2, 1
Content = Sequence[bytes | None]
"""Pages; None is a hole."""


@dataclass
class Segment:
    """A PT_LOAD segment."""

    vaddr: int
    pages: Content
    flags: int = READ | WRITE
    paddr: int = 0
    memsz: int | None = None
    offset: int | None = None
    """Where its bytes are; None: behind those of the segment before."""


@dataclass
class Form:
    """How the file is laid out."""

    wide: bool = True
    order: str = "<"
    many: bool = False
    """The number of program headers stands in a section header (PN_XNUM)."""
    sections_first: bool = False
    notes_last: bool = False
    machine: int = 62

    def pack(self, form: str, *values: int) -> bytes:
        """W is a word."""
        word = "Q" if self.wide else "I"
        return struct.pack(self.order + form.replace("W", word), *values)


LITTLE64 = Form()


@dataclass
class Notes:
    """The notes of a core, in order."""

    form: Form = field(default_factory=Form)
    data: bytes = b""

    def add(self, name: bytes, kind: int, desc: bytes) -> "Notes":
        """One more."""
        named = name + b"\0"
        head = self.form.pack("III", len(named), len(desc), kind)
        return Notes(self.form, self.data + head + _padded(named) + _padded(desc))

    def prstatus(self) -> "Notes":
        """A thread, of which nothing is read."""
        return self.add(b"CORE", 1, bytes(336))

    def prpsinfo(self, pid: int, comm: str, title: str, uid: int = 7) -> "Notes":
        """Who the process was: struct elf_prpsinfo."""
        head = self.form.pack("bbbb", 0, 82, 0, 0)
        flags = b"\0" * 4 + bytes(8) if self.form.wide else bytes(4)
        users = "II" if self.form.wide else "HH"
        ids = self.form.pack(f"{users}iiii", uid, uid, pid, 1, pid, pid)
        texts = comm.encode().ljust(16, b"\0") + title.encode().ljust(80, b"\0")
        return self.add(b"CORE", 3, head + flags + ids + texts)

    def auxv(self, **values: int) -> "Notes":
        """PAGESZ, ENTRY, RANDOM, SYSINFO_EHDR."""
        keys = {"PAGESZ": 6, "ENTRY": 9, "RANDOM": 25, "SYSINFO_EHDR": 33}
        pairs = [self.form.pack("WW", keys[k], v) for k, v in values.items()]
        return self.add(b"CORE", 6, b"".join(pairs) + self.form.pack("WW", 0, 0))

    def files(
        self, *files: tuple[int, int, bytes], count: int | None = None
    ) -> "Notes":
        """NT_FILE: start, end and path of mapped files."""
        said = len(files) if count is None else count
        table = [self.form.pack("WWW", start, end, 0) for start, end, _ in files]
        names = [path + b"\0" for *_, path in files]
        head = self.form.pack("WW", said, PAGE)
        return self.add(b"CORE", 0x46494C45, head + b"".join(table + names))


def core(
    segments: Sequence[Segment],
    notes: Notes | None = None,
    form: Form = LITTLE64,
    kind: int = 4,
) -> Image:
    """The file."""
    image = Image()
    data = notes.data if notes else b""
    header, entry = (64, 56) if form.wide else (52, 32)
    count = len(segments) + bool(notes)
    section = 64 if form.wide else 40
    headers_at = header + (section if form.sections_first else 0)
    notes_at = headers_at + count * entry
    first = notes_at + (0 if form.notes_last else len(data))
    behind = -(-first // PAGE) * PAGE
    places = []
    for segment in segments:
        place = behind if segment.offset is None else segment.offset
        places.append(place)
        behind = max(behind, place + len(segment.pages) * PAGE)
    if form.notes_last:
        notes_at = behind
    sections_at = header if form.sections_first else behind
    ident = b"\x7fELF" + bytes([1 + form.wide, 1 + (form.order == ">"), 1, 0])
    image.put(
        ident.ljust(16, b"\0")
        + form.pack(
            "HHIWWWIHHHHHH", kind, form.machine, 1, 0, headers_at,
            sections_at if form.many else 0, 0, header, entry,
            0xFFFF if form.many else count, section, 1 if form.many else 0, 0,
        )
    )  # fmt: skip
    if form.many and form.sections_first:
        image.put(_section(form, count), sections_at)
    at = headers_at
    if notes:
        image.put(_header(form, 4, 0, notes_at, 0, 0, len(data), 0), at)
        at += entry
    for segment, place in zip(segments, places, strict=True):
        size = len(segment.pages) * PAGE
        memsz = size if segment.memsz is None else segment.memsz
        flags, vaddr, paddr = segment.flags, segment.vaddr, segment.paddr
        image.put(_header(form, 1, flags, place, vaddr, paddr, size, memsz), at)
        at += entry
    if notes:
        image.put(data, notes_at)
    for segment, place in zip(segments, places, strict=True):
        for number, content in enumerate(segment.pages):
            if content is not None:
                image.put(content, place + number * PAGE)
    image.size = max(image.size, behind)
    if form.many and not form.sections_first:
        image.put(_section(form, count), sections_at)
    return image


def _header(
    form: Form, kind: int, flags: int, offset: int, vaddr: int, paddr: int,
    filesz: int, memsz: int,
) -> bytes:  # fmt: skip
    if form.wide:
        return form.pack(
            "IIQQQQQQ", kind, flags, offset, vaddr, paddr, filesz, memsz, PAGE
        )
    return form.pack("IIIIIIII", kind, offset, vaddr, paddr, filesz, memsz, flags, PAGE)


def _section(form: Form, count: int) -> bytes:
    """The first section header, whose sh_info is the number of program headers."""
    return form.pack("IIWWWWIIWW", 0, 0, 0, 0, 0, 0, 0, count, 0, 0)


def _padded(data: bytes) -> bytes:
    return data.ljust(-(-len(data) // 4) * 4, b"\0")
