"""The bytes of a dump, read forwards and decompressed on the way."""

import bz2
import io
import lzma
import os
import stat
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, Self

import pyarrow as pa

from traces.errors import InputError

_Unpack = Callable[[Any], Any]

_PIECE: Final = 1 << 16
"""Bytes unpacked at a time: as much of a damaged stream's end can be lost."""
_HEAD: Final = 1 << 16
_LAYERS: Final = 3
MOST_UNPACKED: Final = 256 << 20
"""Bytes of a compressed file that are held in memory where a format jumps about."""

# What decompressors raise when their input ends early, or makes no sense.
_DAMAGE: Final = (OSError, EOFError, lzma.LZMAError, zlib.error, ValueError)


class Readable(Protocol):
    """Bytes that come one behind the other."""

    at: int
    """Bytes read so far."""

    def read_into(self, view: memoryview) -> int:
        """Fill *view*; how many bytes of it, fewer at the end."""

    def skip(self, count: int) -> int:
        """Pass over *count* bytes; how many there were."""


class Source:
    """One file of a dump; a context manager.

    `read`, `read_into` and `skip` go forwards only, and give less than was asked for
    at the end alone. Raises InputError where the file cannot be opened; one that can
    be opened only ends early, and is then `cut`.
    """

    def __init__(
        self, path: Path, parts: Sequence[Path] = (), raw: io.FileIO | None = None
    ) -> None:
        self.path = path
        self.parts = parts
        """Further files of the same dump, in the order they were named."""
        self.at = 0
        """Bytes read so far, unpacked."""
        self.cut = ""
        """Why the compressed stream ended before its end; empty where it did not."""
        self.packing: list[str] = []
        """The compressions around the dump, outermost first."""
        self._inner: Source | None = None
        try:
            # To open a pipe would wait until somebody writes into it.
            if raw is None and not stat.S_ISREG(path.stat().st_mode):
                raise InputError(f"{path}: is no regular file, expected a dump")
            self._raw = raw or path.open("rb", buffering=0)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error
        self._memory: int | None = None
        self._stream: Any = self._raw
        self._ahead = b""
        try:
            self.size = os.fstat(self._raw.fileno()).st_size
            """Bytes of the file itself."""
            self.unpack()
        except OSError as error:
            self.close()
            raise InputError(f"{path}: {error.strerror or error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back the file, and what was unpacked of it."""
        if self._inner is not None:
            self._inner.close()
        self._raw.close()
        if self._memory is not None:
            os.close(self._memory)
            self._memory = None

    @property
    def plain(self) -> bool:
        """Whether the file holds the dump as it is, holes included."""
        return not self.packing

    @property
    def done(self) -> int:
        """Bytes of the file itself that were dealt with, of `size`."""
        return self._raw.tell() if self.packing else min(self.at, self.size)

    def peek(self, count: int = _HEAD) -> bytes:
        """The next bytes, which stay to be read."""
        self._ahead += self._take(count - len(self._ahead))
        return self._ahead[:count]

    def read(self, count: int) -> bytes:
        """The next *count* bytes, fewer at the end."""
        taken = self._ahead[:count]
        self._ahead = self._ahead[count:]
        data = taken + self._take(count - len(taken))
        self.at += len(data)
        return data

    def read_into(self, view: memoryview) -> int:
        """Fill *view*; how many bytes of it, fewer at the end."""
        filled = min(len(self._ahead), len(view))
        view[:filled] = self._ahead[:filled]
        self._ahead = self._ahead[filled:]
        while filled < len(view) and not self.cut:
            piece = view[filled : filled + (_PIECE if self.packing else len(view))]
            try:
                got = self._stream.readinto(piece)
            except _DAMAGE as error:
                self._damaged(error)
                break
            if not got:
                break
            filled += got
        self.at += filled
        return filled

    def skip(self, count: int) -> int:
        """Pass over *count* bytes; how many there were."""
        if self.plain:
            there = max(min(count, self.size - self.at), 0)
            self.at += there
            self._ahead = b""
            self._raw.seek(self.at)
            return there
        passed = 0
        while passed < count:
            data = self.read(min(count - passed, _PIECE))
            if not data:
                break
            passed += len(data)
        return passed

    def file(self) -> int:
        """A file descriptor of the dump, for formats that jump about in it.

        A compressed one is unpacked into memory. Raises InputError where that would
        be more than `MOST_UNPACKED` bytes.
        """
        if self.plain:
            return self._raw.fileno()
        if self._memory is None:
            self._memory = self._unpacked()
        return self._memory

    def within(self, name: str, file: io.FileIO) -> "Source":
        """*file*, which was unpacked of this one, as the dump; closed with it."""
        self._inner = Source(self.path / name, raw=file)
        return self._inner

    def _unpacked(self) -> int:
        memory = os.memfd_create("dump", os.MFD_CLOEXEC)
        while data := self.read(_PIECE):
            if self.at > MOST_UNPACKED:
                os.close(memory)
                raise InputError(
                    f"{self.path}: {self.packing[0]}, but this format must be read "
                    f"here and there, and is larger than {MOST_UNPACKED >> 20} MiB",
                    hint="decompress it first",
                )
            os.write(memory, data)
        return memory

    def _take(self, count: int) -> bytes:
        """Bytes behind those that were peeked at."""
        parts = []
        while count > 0 and not self.cut:
            try:
                data = self._stream.read(min(count, _PIECE))
            except _DAMAGE as error:
                self._damaged(error)
                break
            if not data:
                break
            parts.append(data)
            count -= len(data)
        return b"".join(parts)

    def _damaged(self, error: BaseException) -> None:
        if not self.packing:
            # The disk itself: no end of the file, but nothing to be read behind it.
            strerror = getattr(error, "strerror", None)
            raise InputError(f"{self.path}: {strerror or error}") from error
        # Most checksums stand behind all that they are of, and that was read by then.
        ended = isinstance(error, EOFError) or "Truncated" in str(error)
        how = "truncated" if ended else "damaged, so any page of it may be wrong"
        self.cut = f"its {self.packing[-1]} stream is {how}"

    def unpack(self) -> None:
        """From here on, undo the compressions that the next bytes begin, if any."""
        for _ in range(_LAYERS):
            found = packing_of(self.peek(_HEAD))
            if found is None:
                return
            name, unpack = found
            below = self._raw if self.plain else _Below(self._stream, self._ahead)
            if self.plain:
                self._raw.seek(self.at)
            self.packing.append(name)
            self._stream, self._ahead = unpack(below), b""


class Folder:
    """A dump that is a folder of files; a context manager, as `Source`.

    Raises InputError where it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.at = 0
        """Bytes read so far, of all files."""
        try:
            self.size = folder_size(path)
            """Bytes of all its files, and of those in its folders."""
            self.names = sorted(file.name for file in path.iterdir() if file.is_file())
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def done(self) -> int:
        """Bytes that were dealt with, of `size`."""
        return min(self.at, self.size)


def folder_size(path: Path) -> int:
    """Bytes of the files in a folder, and in the folders right below it."""
    files = [*path.glob("*"), *path.glob("*/*")]
    return sum(file.stat().st_size for file in files if file.is_file())


class _Below(io.RawIOBase):
    """A stream with what was peeked at put back in front."""

    def __init__(self, stream: Any, ahead: bytes) -> None:
        self._stream, self._ahead = stream, ahead

    def readable(self) -> bool:
        return True

    def readinto(self, view: Any) -> int:
        if not self._ahead:
            return int(self._stream.readinto(view))
        count = min(len(view), len(self._ahead))
        view[:count] = self._ahead[:count]
        self._ahead = self._ahead[count:]
        return count


class _Zlib(io.RawIOBase):
    """A bare zlib stream, as LiME writes it with compress=1."""

    def __init__(self, below: Any) -> None:
        self._below, self._unpacker = below, zlib.decompressobj()
        self._pending = b""

    def readable(self) -> bool:
        return True

    def readinto(self, view: Any) -> int:
        while not self._unpacker.eof:
            packed = self._unpacker.unconsumed_tail or self._below.read(_PIECE)
            if not packed:
                raise EOFError("truncated")
            data = self._unpacker.decompress(packed, len(view))
            if data:
                view[: len(data)] = data
                return len(data)
        return 0


def _arrow(name: str) -> _Unpack:
    def unpack(below: Any) -> Any:
        return pa.CompressedInputStream(pa.PythonFile(below, "r"), name)

    return unpack


_MAGIC: Final[tuple[tuple[bytes, str, _Unpack], ...]] = (
    (b"\x28\xb5\x2f\xfd", "zstd", _arrow("zstd")),
    (b"\x04\x22\x4d\x18", "lz4", _arrow("lz4")),
    (b"\x1f\x8b\x08", "gzip", _arrow("gzip")),
    (b"\xfd7zXZ\x00", "xz", lzma.LZMAFile),
    (b"BZh", "bzip2", bz2.BZ2File),
)


def packing_of(head: bytes) -> tuple[str, _Unpack] | None:
    """The compression that *head* begins, and what undoes it; None for none."""
    for magic, name, unpack in _MAGIC:
        if head.startswith(magic):
            return name, unpack
    # A zlib header (RFC 1950) is two bytes that any file may begin with: it must
    # unpack, too. LiME's is that of a small window.
    deflated = len(head) > 2 and head[0] & 0x0F == 8 and head[0] >> 4 < 8
    if deflated and (head[0] << 8 | head[1]) % 31 == 0:
        try:
            zlib.decompressobj().decompress(head, 1 << 12)
        except zlib.error:
            return None
        return "zlib", _Zlib
    return None
