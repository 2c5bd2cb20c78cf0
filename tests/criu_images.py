"""Dumps of CRIU that a test writes, after images/*.proto: pages a letter each."""

import io
import struct
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import xxhash

COMMON, SERVICE = 0x54564319, 0x55105940
INVENTORY, PSTREE, CORE, MM = 0x58313116, 0x50273030, 0x55053847, 0x57492820
PAGEMAP, FILES, CGROUP = 0x56084025, 0x56303138, 0x59383330
STATS: Final = 0x57093306

PARENT, LAZY, PRESENT = 1, 2, 4
ANON, FILE, SHARED, VDSO, HEAP, GUARD = 0x201, 0x41, 0x101, 0x209, 0x221, 0x10001
PRIVATE, MERGEABLE, HUGETLB = 0x22, 1 << 12, 0x40000


def varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def message(*fields: tuple[int, int | str | bytes]) -> bytes:
    """Fields by number, in that order."""
    found = b""
    for number, value in fields:
        if isinstance(value, int):
            found += varint(number << 3) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            found += varint(number << 3 | 2) + varint(len(data)) + data
    return found


def image(magic: int, *messages: bytes, first: int | None = COMMON) -> bytes:
    """An image file; before 2.0, without what is common to all."""
    head = b"" if first is None else struct.pack("<I", first)
    body = b"".join(struct.pack("<I", len(one)) + one for one in messages)
    return head + struct.pack("<I", magic) + body


def page(content: str) -> bytes:
    """4096 bytes of which the letter is the seed; `Z` is zeros, `f` all of one byte."""
    if content == "Z":
        return bytes(4096)
    if content == "f":
        return b"f" * 4096
    return np.random.default_rng(ord(content)).bytes(4096)


def digest(content: str) -> int:
    """As a trace stores it, by another library."""
    return int(np.uint64(xxhash.xxh3_64_intdigest(page(content))).view(np.int64))


@dataclass(frozen=True)
class Vma:
    """A mapping; its pages from vpn *start* on: `.` is not there, `^` in the parent."""

    start: int
    contents: str
    status: int = ANON
    flags: int = PRIVATE
    prot: int = 3
    advice: int = 0
    file: int = 0

    def encoded(self) -> bytes:
        end = self.start + len(self.contents)
        return message(
            (1, self.start << 12), (2, end << 12), (3, 0), (4, self.file),
            (5, self.prot), (6, self.flags), (7, self.status), (8, (1 << 64) - 1),
            (9, self.advice),
        )  # fmt: skip


@dataclass(frozen=True)
class Task:
    """A process."""

    pid: int
    vmas: Sequence[Vma]
    ppid: int = 0
    comm: str = "task"
    uid: int = 1000
    cg_set: int = 0
    state: int = 1
    exe: int = 0


@dataclass(frozen=True)
class Dump:
    """A dump of *tasks*; `images` are its files by name."""

    tasks: Sequence[Task]
    spelling: str = "flags"
    """How entries of pages are written: `flags`, `in_parent`, `wide`, `plain`."""
    first: int | None = COMMON
    files: Mapping[int, str] = field(default_factory=dict)
    cgroups: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    inventory: bool = True
    stats: bool = True
    shared: str = ""
    """Shared memory."""

    def images(self) -> dict[str, bytes]:
        """Name → bytes."""
        found = {
            "pstree.img": self._image(
                PSTREE, *(message((1, t.pid), (2, t.ppid)) for t in self.tasks)
            )
        }
        written = inherited = 0
        for number, task in enumerate(self.tasks, 1):
            found[f"core-{task.pid}.img"] = self._image(CORE, _core(task))
            if task.state != 1:
                continue
            found[f"mm-{task.pid}.img"] = self._image(MM, _mm(task))
            entries, pages, below = self._entries(task.vmas)
            head = message((1, number))
            found[f"pagemap-{task.pid}.img"] = self._image(PAGEMAP, head, *entries)
            found[f"pages-{number}.img"] = pages
            written, inherited = written + len(pages) // 4096, inherited + below
        if self.shared:
            number = len(self.tasks) + 1
            entry = message((1, 0), (2, len(self.shared)), (4, PRESENT))
            head = message((1, number))
            found["pagemap-shmem-7.img"] = self._image(PAGEMAP, head, entry)
            found[f"pages-{number}.img"] = b"".join(map(page, self.shared))
        if self.files:
            found["files.img"] = self._image(FILES, *_files(self.files))
        if self.cgroups:
            found["cgroup.img"] = self._image(CGROUP, _cgroup(self.cgroups))
        if self.stats:
            counts = message((1, message((6, inherited), (7, written))))
            found["stats-dump"] = image(STATS, counts, first=SERVICE)
        if self.inventory:
            found["inventory.img"] = self._image(INVENTORY, message((1, 2)))
        return found

    def written(self, folder: Path, parent: str = "") -> Path:
        """The dump as a folder, after another one."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in self.images().items():
            (folder / name).write_bytes(data)
        if parent:
            (folder / "parent").symlink_to(parent)
        return folder

    def _image(self, magic: int, *messages: bytes) -> bytes:
        return image(magic, *messages, first=self.first)

    def _entries(self, vmas: Sequence[Vma]) -> tuple[list[bytes], bytes, int]:
        """Entries of a pagemap image, what they stand for, and how many are below."""
        entries, data, below = [], b"", 0
        for vma in vmas:
            at = 0
            while at < len(vma.contents):
                end, kind = at, _kind(vma.contents[at])
                while end < len(vma.contents) and _kind(vma.contents[end]) == kind:
                    end += 1
                if kind != ".":
                    vpn = vma.start + at
                    entries.append(self._entry(vpn, end - at, kind == "^"))
                if kind == "^":
                    below += end - at
                if kind == "p":
                    data += b"".join(map(page, vma.contents[at:end]))
                at = end
        return entries, data, below

    def _entry(self, vpn: int, pages: int, inherited: bool) -> bytes:
        flags = PARENT if inherited else PRESENT
        match self.spelling:
            case "in_parent":
                return message((1, vpn << 12), (2, pages), (3, int(inherited)))
            case "plain":
                return message((1, vpn << 12), (2, pages))
            case "wide":
                return message((1, vpn << 12), (2, 0), (4, flags), (5, pages))
        return message((1, vpn << 12), (2, pages), (4, flags))


def tarred(
    images: Mapping[str, bytes | str],
    *,
    end: bool = True,
    form: int = tarfile.PAX_FORMAT,
) -> bytes:
    """A tar of files, in that order; a string is where a link points."""
    found = io.BytesIO()
    tar = tarfile.TarFile(fileobj=found, mode="w", format=form)
    for name, data in images.items():
        info = tarfile.TarInfo(name)
        info.mtime = 1_700_000_000
        if isinstance(data, str):
            info.type, info.linkname = tarfile.SYMTYPE, data
            tar.addfile(info)
        else:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    size = tar.offset
    tar.close()
    return found.getvalue() if end else found.getvalue()[:size]


def sparse(name: str, pieces: Sequence[tuple[int, bytes]], size: int) -> bytes:
    """A member with holes, as GNU tar writes it with --format=gnu, without an end."""
    info = tarfile.TarInfo(name)
    data = b"".join(piece for _, piece in pieces)
    info.size, info.type = len(data), tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    places = [(at, len(piece)) for at, piece in pieces]
    assert len(places) <= 4
    for nth, numbers in enumerate(places):
        text = b"".join(b"%011o\0" % number for number in numbers)
        header[386 + 24 * nth : 410 + 24 * nth] = text
    header[483:495] = b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data + bytes(-len(data) % 512)


def _kind(content: str) -> str:
    return content if content in ".^" else "p"


def _core(task: Task) -> bytes:
    creds = message((1, task.uid), (2, 0), (3, task.uid), (4, 0))
    fields = [(1, task.state), (2, 0), (3, 0), (4, 0), (5, 0), (6, task.comm)]
    group = [(9, task.cg_set)] if task.cg_set else []
    thread = message((1, 0), (2, 24), (10, creds))
    return message((1, 1), (3, message(*fields, *group)), (5, thread))


def _mm(task: Task) -> bytes:
    heads = [(number, 0) for number in range(1, 12)]
    vmas = [(14, vma.encoded()) for vma in task.vmas]
    return message(*heads, (12, task.exe), *vmas)


def _files(names: Mapping[int, str]) -> list[bytes]:
    return [
        message((1, 1), (2, number), (3, message((1, number), (2, 0), (6, name))))
        for number, name in names.items()
    ]


def _cgroup(groups: Mapping[int, Mapping[str, str]]) -> bytes:
    sets = []
    for number, members in groups.items():
        told = [(2, message((1, name), (2, path))) for name, path in members.items()]
        sets.append((1, message((1, number), *told)))
    return message(*sets)
