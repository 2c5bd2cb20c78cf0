"""The memory in a qcow2 image's internal snapshots: QEMU's savevm, virsh
snapshot-create.

Layout: QEMU's docs/interop/qcow2.rst. The state of the machine is a migration stream
in the clusters behind the disk's own.
"""

import os
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from traces.dumps.digesting import Digester
from traces.dumps.dump import Asked, Dumped
from traces.dumps.qemu.migration import Migration
from traces.dumps.source import Source
from traces.errors import InputError
from traces.schema import Pages

MAGIC: Final = b"QFI\xfb"

_ANOTHER_WAY: Final = (
    "load the snapshot, and dump the guest with dump-guest-memory or migrate"
)
_HEADER: Final = struct.Struct(">4sIQIIQIIQQIIQ")
_SNAPSHOT: Final = struct.Struct(">QIHHIIQII")
_FEATURES: Final = {2: "an external data file", 4: "extended L2 entries"}
"""Incompatible features that change where clusters lie: bit → what it is."""
_KNOWN_FEATURES: Final = 0x1F
_PLACE: Final = 0x00FF_FFFF_FFFF_FE00
_ZEROS, _COMPRESSED = 1 << 0, 1 << 62
_MOST_SNAPSHOTS: Final = 65536
_MOST_EXTRA: Final = 1024


class Header(NamedTuple):
    """The fields of an image's header that say where its snapshots are."""

    version: int
    cluster_bits: int
    size: int
    snapshots: int
    snapshots_offset: int


class Snapshot(NamedTuple):
    """An entry of the snapshot table."""

    name: str
    seconds: int
    nanoseconds: int
    state: int
    """Bytes of the machine's state; 0 for a snapshot of the disk alone."""
    disk: int
    """Bytes of the disk, behind which the state lies."""
    l1_offset: int
    l1_entries: int

    @property
    def when(self) -> str:
        """ISO 8601, UTC."""
        return datetime.fromtimestamp(self.seconds, UTC).isoformat()


def is_qcow2(head: bytes) -> bool:
    """Whether *head* begins a qcow2 image."""
    return head.startswith(MAGIC)


class Savevm:
    """The machine as it was in the newest snapshot that has its memory.

    Raises InputError for an image without one, or that cannot be read.
    """

    def __init__(self, source: Source, asked: Asked) -> None:
        self.format = "qcow2-savevm"
        file = source.file()
        header = _header(source, file)
        snapshots = [s for s in _snapshots(source, file, header) if s.state]
        if not snapshots:
            raise InputError(
                f"{source.path}: a qcow2 image, but without a snapshot of memory",
                hint="savevm, or virsh snapshot-create of a running machine, makes one",
            )
        newest = max(snapshots, key=lambda s: (s.seconds, s.nanoseconds))
        state = VmState(source, file, header, newest)
        self._migration = Migration(source, asked.name, self.format, state)
        self.host = self.kernel = ""
        self.captured_at = newest.when
        self.account = self._migration.account
        if len(snapshots) > 1:
            self.account.limits.append(
                f"of {len(snapshots)} snapshots with memory the newest was read, "
                f"{newest.name!r} of {newest.when}"
            )

    def steps(self, digester: Digester) -> Iterator[Dumped | Pages]:
        """The machine, then its RAM."""
        return self._migration.steps(digester)


class VmState:
    """The bytes of a snapshot's machine state, cluster by cluster."""

    def __init__(
        self, source: Source, file: int, header: Header, snapshot: Snapshot
    ) -> None:
        self._source, self._file = source, file
        self._bits = header.cluster_bits
        self._at, self._end = 0, snapshot.state
        cluster = 1 << self._bits
        self._entries = cluster // 8
        self._first = -(-snapshot.disk // (cluster * self._entries))
        # A cluster of references at a time: the state may be as large as it likes.
        self._l1, self._l1_entries = snapshot.l1_offset, snapshot.l1_entries
        self._table = -1
        self._clusters: npt.NDArray[Any] = np.empty(0, ">u8")

    def read_into(self, view: memoryview) -> int:
        """Fill *view*; how many bytes of it, fewer at the end, or where the image is
        cut."""
        filled, size = 0, 1 << self._bits
        while filled < len(view) and self._at < self._end:
            inside = self._at % size
            wanted = min(size - inside, len(view) - filled, self._end - self._at)
            piece = view[filled : filled + wanted]
            place = self._place(self._at >> self._bits)
            if place is None:
                break
            if place:
                got = os.preadv(self._file, [piece], place + inside)
            else:
                piece[:] = bytes(wanted)
                got = wanted
            filled += got
            self._at += got
            if got < wanted:
                break
        self._source.at = min(self._source.at + filled, self._source.size)
        return filled

    def _place(self, cluster: int) -> int | None:
        """Where a cluster lies; 0 for one of zeros, None where the image is cut."""
        table, entry = divmod(cluster, self._entries)
        if table != self._table:
            found = self._references(self._first + table)
            if found is None:
                return None
            self._table, self._clusters = table, found
        if entry >= len(self._clusters):
            return None
        reference = int(self._clusters[entry])
        if reference & _COMPRESSED:
            raise InputError(
                f"{self._source.path}: a qcow2 image with compressed memory",
                hint=_ANOTHER_WAY,
            )
        return 0 if reference & _ZEROS else reference & _PLACE

    def _references(self, table: int) -> npt.NDArray[Any] | None:
        """The L2 table that entry *table* of the L1 table leads to."""
        if table >= self._l1_entries:
            raise InputError(
                f"{self._source.path}: a snapshot of {self._end} bytes, which its L1 "
                f"table of {self._l1_entries} entries has no room for"
            )
        data = os.pread(self._file, 8, self._l1 + table * 8)
        if len(data) < 8:
            return None
        place = int.from_bytes(data, "big") & _PLACE
        if not place:
            return np.zeros(self._entries, ">u8")
        data = os.pread(self._file, self._entries * 8, place)
        return np.frombuffer(data, ">u8", len(data) // 8)


def _header(source: Source, file: int) -> Header:
    data = os.pread(file, 104, 0)
    path = source.path
    if len(data) < _HEADER.size:
        raise InputError(f"{path}: a qcow2 image cut within its header")
    (
        _, version, _, _, bits, size, crypt, _, _, _, _, count, offset,
    ) = _HEADER.unpack_from(data)  # fmt: skip
    if version not in (2, 3):
        raise InputError(f"{path}: qcow of version {version}, expected 2 or 3")
    if not 9 <= bits <= 21:
        raise InputError(f"{path}: a qcow2 image with clusters of 2^{bits} bytes")
    if crypt:
        raise InputError(f"{path}: an encrypted qcow2 image", hint=_ANOTHER_WAY)
    if size > 1 << 62 or offset > 1 << 62:
        raise InputError(f"{path}: a qcow2 image of {size} bytes, which cannot be")
    features = int.from_bytes(data[72:80], "big") if version > 2 else 0
    for bit, what in _FEATURES.items():
        if features >> bit & 1:
            raise InputError(f"{path}: a qcow2 image with {what}", hint=_ANOTHER_WAY)
    if features & ~_KNOWN_FEATURES:
        raise InputError(f"{path}: a qcow2 image with unknown features {features:#x}")
    return Header(version, bits, size, count, offset)


def _snapshots(source: Source, file: int, header: Header) -> Iterator[Snapshot]:
    at = header.snapshots_offset
    if header.snapshots > _MOST_SNAPSHOTS:
        raise InputError(
            f"{source.path}: a qcow2 image of {header.snapshots} snapshots"
        )
    for _ in range(header.snapshots):
        fixed = os.pread(file, _SNAPSHOT.size, at)
        if len(fixed) < _SNAPSHOT.size:
            raise _cut(source)
        l1, entries, id_size, name_size, seconds, nanos, _, state, extra_size = (
            _SNAPSHOT.unpack(fixed)
        )
        if extra_size > _MOST_EXTRA:
            raise InputError(f"{source.path}: a qcow2 image with a damaged snapshot")
        rest = extra_size + id_size + name_size
        data = os.pread(file, rest, at + _SNAPSHOT.size)
        if len(data) < rest:
            raise _cut(source)
        disk = header.size
        if extra_size >= 8:
            state = int.from_bytes(data[:8], "big") or state
        if extra_size >= 16:
            disk = int.from_bytes(data[8:16], "big")
        if max(l1, state, disk) > 1 << 62:
            raise InputError(f"{source.path}: a qcow2 image with a damaged snapshot")
        name = data[extra_size + id_size :].decode("utf-8", "replace")
        yield Snapshot(name, seconds, nanos, state, disk, l1, entries)
        at += -(-(_SNAPSHOT.size + rest) // 8) * 8


def _cut(source: Source) -> InputError:
    return InputError(f"{source.path}: a qcow2 image cut within its snapshots")
