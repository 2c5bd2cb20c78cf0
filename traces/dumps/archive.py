"""Tar archives, read forwards as they stream by.

Layout: pax(1), and GNU tar's manual on sparse members. What a member holds is handed
out as extents of data between holes, so that nothing depends on how large it claims to
be.
"""

import io
import os
import tarfile
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from traces.dumps.source import MOST_UNPACKED, Source
from traces.errors import InputError

_BLOCK: Final = 512
_PIECE: Final = 1 << 20
_MOST_SIZE: Final = 1 << 62
_MOST_HEADER: Final = 64 << 20
"""Bytes of a member's headers: its long name, the map of its holes."""
# What tarfile raises for headers that make no sense.
_DAMAGE: Final = (
    tarfile.TarError, ValueError, OverflowError, LookupError, RecursionError,
)  # fmt: skip
_CUT: Final = "the archive is cut, or one of its headers is damaged"


class Member(NamedTuple):
    """One regular file or link of an archive, whose data is next in its source."""

    name: str
    link: str
    """Where a symbolic link points; empty for a file."""
    size: int
    """Bytes of the file, holes included, as its header claims."""
    extents: list[tuple[int, int]]
    """(offset, bytes) of its data, ascending; stored one behind the other."""
    modified: float
    """Seconds since the epoch."""

    @property
    def dense(self) -> bool:
        """Whether it is stored without holes."""
        return self.extents == [(0, self.size)]


class Archive:
    """The regular files and symbolic links of the tar in *source*, an iterator.

    Of each, as much may be read from *source* as the caller likes before the next.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.cut = ""
        """Why it ended before its end; empty where it did not."""
        self._members = self._walked()

    def __iter__(self) -> Iterator[Member]:
        return self._members

    def _walked(self) -> Iterator[Member]:
        forward = _Forward(self.source)
        try:
            # Not TarFile.open(): it would look for compressions.
            tar = tarfile.TarFile(fileobj=forward)  # type: ignore[arg-type]
            while (info := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]
                forward.headers = 0
                if info.isreg() or info.issym():
                    yield _member(info)
        except _DAMAGE:
            self.cut = _CUT
            return
        # tarfile takes anything that is no header for the end.
        if len(forward.last) < _BLOCK or any(forward.last):
            self.cut = _CUT


def is_tar(head: bytes) -> bool:
    """Whether *head* begins a tar archive."""
    return head[257:262] == b"ustar"


def contents(member: Member, source: Source, most: int) -> bytes:
    """All of a small member; fewer bytes where the archive is cut.

    Raises InputError where it is larger than *most* bytes.
    """
    if member.size > most:
        raise InputError(
            f"{source.path}: {member.name} has {member.size} bytes, expected at most "
            f"{most}",
            hint="unpack the archive first",
        )
    data = bytearray()
    for offset, size in member.extents:
        got = source.read(size)
        data += bytes(offset - len(data))
        data += got
        if len(got) < size:
            return bytes(data)
    return bytes(data.ljust(member.size, b"\0"))


def unpacked(member: Member, source: Source) -> Source:
    """A member as a dump of its own, its holes kept, in memory.

    Raises InputError where it has more than `MOST_UNPACKED` bytes of data.
    """
    if sum(size for _, size in member.extents) > MOST_UNPACKED:
        raise InputError(
            f"{source.path}: {member.name} is in an archive, and larger than "
            f"{MOST_UNPACKED >> 20} MiB",
            hint="unpack it first, with GNU tar, which keeps holes",
        )
    memory = os.memfd_create("dump", os.MFD_CLOEXEC)
    end = 0
    for offset, size in member.extents:
        end = offset
        while end < offset + size:
            data = source.read(min(offset + size - end, _PIECE))
            if not data:
                break
            os.pwrite(memory, data, end)
            end += len(data)
        if end < offset + size:
            break
    else:
        end = member.size
    os.ftruncate(memory, end)
    return source.within(member.name, io.FileIO(memory, "rb"))


def _member(info: tarfile.TarInfo) -> Member:
    """Raises ValueError for a sparse map that makes no sense."""
    extents = [(0, info.size)]
    if info.issparse():
        # GNU tar ends a map with an empty extent, to tell how large the file is.
        sparse: Any = info.sparse
        extents = [(offset, size) for offset, size in sparse if size]
    end = 0
    for offset, size in extents:
        if offset < end or size < 0:
            raise ValueError("extents that overlap")
        end = offset + size
    if not end <= info.size < _MOST_SIZE:
        raise ValueError("data behind the end, or no size that a file has")
    link = info.linkname if info.issym() else ""
    return Member(info.name, link, info.size, extents, float(info.mtime))


class _Forward:
    """What tarfile needs of a file, of a source that only goes forwards."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.headers = 0
        """Bytes read of the headers of the present member."""
        self.last = b""
        """What was read last: at the end, the block that tells it is one."""

    def tell(self) -> int:
        return self._source.at

    def seek(self, offset: int) -> None:
        if offset < self._source.at:
            raise tarfile.ReadError("backwards")
        self._source.skip(offset - self._source.at)

    def read(self, count: int) -> bytes:
        self.headers += count
        if not 0 <= count <= self.headers <= _MOST_HEADER:
            raise tarfile.ReadError("a header larger than any")
        self.last = self._source.read(count)
        return self.last
