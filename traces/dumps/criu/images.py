"""The images of a CRIU dump: files of one folder, on disk or within an archive.

Small images are read whole. Those of pages are read where a disk, or an archive that
is not compressed, has them; of one that is compressed, or whose holes were packed,
the digests are kept as it streams by.
"""

import os
import posixpath
import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from traces.dumps.archive import Archive, Member, contents
from traces.dumps.digesting import Digested, Digester, joined
from traces.dumps.extents import ranges
from traces.dumps.source import Folder, Source
from traces.errors import InputError
from traces.schema import PAGE_SIZE

MAGICS: Final = (b"\x19\x43\x56\x54", b"\x40\x59\x10\x55")
"""What images of CRIU 2 and later begin with: IMG_COMMON_MAGIC, IMG_SERVICE_MAGIC."""

CHECKPOINT: Final = "checkpoint"
"""What podman and CRI-O call the folder of images."""
CONFIG, SPEC = "config.dump", "spec.dump"
"""What they put beside it, telling of the container."""

STATS: Final = "stats-dump"
"""CRIU's counts of what it did, an image too."""

_IMAGE: Final = re.compile(
    r"(inventory|pstree|files|reg-files|cgroup"
    r"|(core|mm|pagemap|pages|ids|fs|pagemap-shmem)-\d+)\.img"
)
_PAGES: Final = re.compile(r"pages-\d+\.img")
_READ: Final = re.compile(
    r"(pstree|files|reg-files|cgroup|(core|mm|pagemap|pagemap-shmem)-\d+)\.img"
    r"|inventory\.img|config\.dump|spec\.dump|stats-dump"
)
_MOST: Final = 256 << 20
"""Bytes of small images that are held in memory."""


def is_image(name: str) -> bool:
    """Whether CRIU calls a file *name*, in whatever folder."""
    return bool(_IMAGE.fullmatch(posixpath.basename(name)))


class PagesFile(Protocol):
    """A pages-N.img: pages one behind the other."""

    size: int
    """Bytes that are there."""

    def digested(
        self,
        digester: Digester,
        first: npt.NDArray[np.int64],
        pages: npt.NDArray[np.int64],
    ) -> Digested:
        """*pages* pages each from page *first* of the file on, in that order; all of
        them within its size."""

    def close(self) -> None:
        """Give the file back."""


class ImageFolder(Protocol):
    """One folder of images."""

    path: Path
    """What messages call it."""
    names: Collection[str]
    """Its files, in the order of their names."""

    def data(self, name: str) -> bytes | None:
        """All of a small image; None where there is none.

        Raises InputError where it cannot be read, or is larger than any.
        """

    def pages(self, name: str) -> PagesFile | None:
        """A file of pages; None where there is none."""

    def parent(self) -> "ImageFolder | None":
        """The folder of the dump before this one, which holds what did not change."""

    def beside(self, name: str) -> bytes:
        """A file of the checkpoint that this folder is in; empty where it is none."""

    def modified(self, name: str) -> float | None:
        """When a file was written, in seconds since the epoch."""


class _Placed:
    """Pages in a file from some byte on."""

    def __init__(self, file: int, offset: int, size: int, *, ours: bool) -> None:
        self._file, self._offset, self._ours = file, offset, ours
        self.size = size

    def digested(
        self,
        digester: Digester,
        first: npt.NDArray[np.int64],
        pages: npt.NDArray[np.int64],
    ) -> Digested:
        return digester.of_file(self._file, self._offset + first * PAGE_SIZE, pages)

    def close(self) -> None:
        if self._ours:
            os.close(self._file)


class _Kept:
    """What was kept of pages that have streamed by; those in holes are zero."""

    def __init__(
        self, firsts: npt.NDArray[np.int64], parts: list[Digested], size: int
    ) -> None:
        """*parts* are runs of pages without a hole, from pages *firsts* on, ascending;
        *size* is in bytes."""
        self.size = size
        lengths = np.array([len(part.digest) for part in parts], np.int64)
        self._first, self._behind = firsts, firsts + lengths
        self._row = np.cumsum(lengths) - lengths
        self._kept = joined(parts)

    def digested(
        self,
        digester: Digester,
        first: npt.NDArray[np.int64],
        pages: npt.NDArray[np.int64],
    ) -> Digested:
        wanted = ranges(first, first + pages)
        run = np.searchsorted(self._first, wanted, "right") - 1
        there = run >= 0
        there[there] = wanted[there] < self._behind[run[there]]
        run, number = run[there], wanted[there]
        rows = self._row[run] + number - self._first[run]
        digest = np.full(len(wanted), digester.zero, np.int64)
        digest[there] = self._kept.digest[rows]
        fill = np.zeros(len(wanted), bool)
        fill[there] = self._kept.fill[rows]
        return Digested(digest, fill, np.ones(len(wanted), bool))

    def close(self) -> None:
        pass


class DiskImages:
    """A folder on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: Collection[str] = dict.fromkeys(Folder(path).names)

    def data(self, name: str) -> bytes | None:
        if name not in self.names:
            return None
        return _read(self.path / name)

    def pages(self, name: str) -> PagesFile | None:
        try:
            file = os.open(self.path / name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"{self.path / name}: {error.strerror}") from error
        return _Placed(file, 0, os.fstat(file).st_size, ours=True)

    def parent(self) -> "DiskImages | None":
        path = self.path / "parent"
        if not path.is_dir():
            return None
        return DiskImages(path.resolve())

    def beside(self, name: str) -> bytes:
        path = self.path.resolve()
        folders = [path, path.parent] if path.name == CHECKPOINT else [path]
        for folder in folders:
            if (folder / name).is_file():
                return _read(folder / name)
        return b""

    def modified(self, name: str) -> float | None:
        with suppress(OSError):
            return (self.path / name).stat().st_mtime
        return None


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > _MOST:
            raise InputError(f"{path}: has {size} bytes, expected at most {_MOST}")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


class _Small(NamedTuple):
    data: bytes
    modified: float


class Unpacked:
    """What is needed of the images in an archive, once it was read."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.source = archive.source
        self.small: dict[str, _Small] = {}
        self.pages: dict[str, PagesFile] = {}
        self.links: dict[str, str] = {}
        self.names: set[str] = set()
        """Of all images, also of those that are not kept."""
        self._held = 0

    def keep(self, member: Member) -> None:
        """Read a small image, or a link."""
        name = posixpath.normpath(member.name)
        if name.endswith(".img"):
            self.names.add(name)
        if member.link:
            self.links[name] = member.link
        elif _READ.fullmatch(posixpath.basename(name)):
            data = contents(member, self.source, _MOST - self._held)
            self._held += len(data)
            self.small[name] = _Small(data, member.modified)

    def add(self, member: Member, digester: Digester) -> None:
        """Read any member."""
        name = posixpath.normpath(member.name)
        if member.link or not _PAGES.fullmatch(posixpath.basename(name)):
            self.keep(member)
            return
        self.names.add(name)
        if self.source.plain and member.dense:
            there = min(member.size, self.source.size - self.source.at)
            self.pages[name] = _Placed(
                self.source.file(), self.source.at, there, ours=False
            )
        else:
            self.pages[name] = _streamed(member, self.source, digester)

    def folders(self) -> list["PackedImages"]:
        """The folders that hold images."""
        found = sorted({posixpath.dirname(n) for n in self.names if is_image(n)})
        return [PackedImages(self, path) for path in found]


class PackedImages:
    """A folder within an archive."""

    def __init__(self, unpacked: Unpacked, folder: str) -> None:
        self._unpacked, self.folder = unpacked, folder
        self.path = unpacked.source.path / folder
        self.cut = unpacked.source.cut or unpacked.archive.cut
        """Why the archive ended before its end."""
        self.names: Collection[str] = {
            posixpath.basename(name): None
            for name in sorted(unpacked.names)
            if posixpath.dirname(name) == folder
        }

    def data(self, name: str) -> bytes | None:
        found = self._unpacked.small.get(posixpath.join(self.folder, name))
        return found.data if found else None

    def pages(self, name: str) -> PagesFile | None:
        return self._unpacked.pages.get(posixpath.join(self.folder, name))

    def parent(self) -> "PackedImages | None":
        path = posixpath.join(self.folder, "parent")
        if path in self._unpacked.links:
            link = posixpath.join(self.folder, self._unpacked.links[path])
            path = posixpath.normpath(link)
        found = PackedImages(self._unpacked, "" if path == "." else path)
        return found if found.names else None

    def beside(self, name: str) -> bytes:
        for folder in (self.folder, posixpath.dirname(self.folder)):
            found = self._unpacked.small.get(posixpath.join(folder, name))
            if found:
                return found.data
        return b""

    def modified(self, name: str) -> float | None:
        found = self._unpacked.small.get(posixpath.join(self.folder, name))
        return found.modified if found else None


def _streamed(member: Member, source: Source, digester: Digester) -> _Kept:
    """What to keep of a file of pages that streams by."""
    gathered = _Gathered(digester)
    for offset, size in member.extents:
        at, end = offset, offset + size
        while at < end:
            page, within = divmod(at, PAGE_SIZE)
            whole = (end - at) // PAGE_SIZE
            if whole and not within:
                digested = digester.of_source(source, whole)
                gathered.add(page, digested)
                wanted, got = whole * PAGE_SIZE, len(digested.digest) * PAGE_SIZE
            else:
                wanted = min(end - at, PAGE_SIZE - within)
                data = source.read(wanted)
                gathered.add_piece(page, within, data)
                got = len(data)
            at += got
            if got < wanted:
                return gathered.kept(at)
    return gathered.kept(member.size)


class _Gathered:
    """Pages of a file with holes, ascending; some of them in pieces."""

    def __init__(self, digester: Digester) -> None:
        self._digester = digester
        self._firsts: list[int] = []
        self._parts: list[Digested] = []
        self._page, self._pieces = -1, bytearray(PAGE_SIZE)

    def add(self, first: int, digested: Digested) -> None:
        """Whole pages from *first* on."""
        self._complete()
        self._firsts.append(first)
        self._parts.append(digested)

    def add_piece(self, page: int, within: int, data: bytes) -> None:
        """Bytes of a page, the rest of which is a hole or another piece."""
        if page != self._page:
            self._complete()
        self._page = page
        self._pieces[within : within + len(data)] = data

    def kept(self, size: int) -> _Kept:
        """All of them, of a file of *size* bytes."""
        self._complete()
        return _Kept(np.array(self._firsts, np.int64), self._parts, size)

    def _complete(self) -> None:
        page, self._page = self._page, -1
        if page >= 0:
            self.add(page, self._digester.of_bytes(self._pieces))
            self._pieces = bytearray(PAGE_SIZE)
