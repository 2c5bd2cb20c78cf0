"""QEMU's dumps, written from their specification; and dumps read, whole."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from traces.dumps import opened
from traces.dumps.digesting import Digester
from traces.dumps.dump import Account, Asked, Dumped
from traces.dumps.source import Source
from traces.schema import Pages

NAME = "given by the file"


class Read(NamedTuple):
    """All that a reader gave."""

    format: str
    account: Account
    name: str
    captured_at: str
    mappings: list[dict[str, Any]]
    mapping: npt.NDArray[np.int32]
    vpn: npt.NDArray[np.int64]
    digest: npt.NDArray[np.int64]
    flags: npt.NDArray[np.uint16]


def read(path: Path, form: str | None = None, name: str = "") -> Read:
    digester = Digester()
    asked = Asked(name=name or NAME, given=bool(name))
    with Source(path) as source:
        dump = opened(source, asked, form)
        steps = list(dump.steps(digester))
    machines = [step for step in steps if isinstance(step, Dumped)]
    assert len(machines) == 1
    rows = [step for step in steps if isinstance(step, Pages)]

    def column(name: str) -> Any:
        return np.concatenate([getattr(step, name) for step in rows])

    found = Read(
        dump.format, dump.account, machines[0].process["vm"], dump.captured_at,
        [dict(row) for row in machines[0].mappings],
        column("mapping"), column("vpn"), column("digest"), column("flags"),
    )  # fmt: skip
    order = np.lexsort((found.vpn, found.mapping))
    assert (order == np.arange(len(order))).all()
    return found


def expected(memory: bytes) -> npt.NDArray[np.int64]:
    """The digests of pages, by the xxhash library."""
    digests = [
        xxhash.xxh3_64_intdigest(memory[at : at + 4096])
        for at in range(0, len(memory), 4096)
    ]
    return np.array(digests, np.uint64).view(np.int64)


ZERO, SIZES, PAGE, EOS, CONTINUE = 0x2, 0x4, 0x8, 0x10, 0x20
MAPPED = "mapped-ram"


def big(number: int, size: int) -> bytes:
    return number.to_bytes(size, "big")


def short(text: str) -> bytes:
    return big(len(text), 1) + text.encode()


def head(*capabilities: str, bits: int | None = None, uuid: bool = False) -> bytes:
    """The beginning of a stream, and its configuration."""
    said = b"QEVM" + big(3, 4) + b"\7" + big(len("pc-q35-9.0"), 4) + b"pc-q35-9.0"
    if capabilities:
        said += b"\5" + short("configuration/capabilities") + big(1, 4)
        said += big(len(capabilities), 4) + b"".join(map(short, capabilities))
    if bits is not None:
        said += b"\5" + short("configuration/target-page-bits") + big(1, 4)
        said += big(bits, 4)
    if uuid:
        said += b"\5" + short("configuration/uuid") + big(1, 4) + bytes(range(16))
    return said


def start(name: str = "ram", version: int = 4) -> bytes:
    return b"\1" + big(2, 4) + short(name) + big(0, 4) + big(version, 4)


def part(kind: int = 2) -> bytes:
    return bytes([kind]) + big(2, 4)


def plugged(blocks: int) -> bytes:
    """What virtio-mem says before RAM, of so many blocks of 2 MiB."""
    name = "0000:00:02.0/virtio-mem-device-early"
    said = b"\4" + big(9, 4) + short(name) + big(0, 4) + big(1, 4) + big(1 << 32, 8)
    said += big(blocks << 21, 8) + big(2 << 20, 8) + big(0, 4) + big(0, 8)
    return said + b"\x7e" * (-(-blocks // 64) * 8) + b"\x7e" + big(9, 4)


FOOTER = b"\x7e" + big(2, 4)
END_OF_SECTION = big(EOS, 8) + FOOTER
DEVICES = b"\4" + big(3, 4) + short("timer") + big(0, 4) + big(2, 4) + b"state"


def sizes(blocks: dict[str, int], behind: bytes = b"") -> bytes:
    """The record of all *blocks*, name → pages."""
    total = sum(blocks.values()) * 4096
    rows = [short(n) + big(pages * 4096, 8) + behind for n, pages in blocks.items()]
    return big(total | SIZES, 8) + b"".join(rows)


def record(number: int, body: bytes, block: str | None = None) -> bytes:
    """A page of *block*, or of the same as before; a body of one byte is one that the
    page is full of."""
    flags = (PAGE if len(body) == 4096 else ZERO) | (CONTINUE if block is None else 0)
    name = b"" if block is None else short(block)
    return big(number << 12 | flags, 8) + name + body


def stream(
    blocks: dict[str, int], *passes: list[bytes], begin: bytes | None = None
) -> bytes:
    """A whole stream: each of *passes* a section, the last of them its end."""
    said = head() if begin is None else begin
    said += start() + sizes(blocks) + END_OF_SECTION
    for at, records in enumerate(passes, 1):
        said += part(3 if at == len(passes) else 2) + b"".join(records)
        said += END_OF_SECTION
    return said + DEVICES


def mapped(
    memory: dict[str, bytes], at: int = 0, ignored: dict[str, int] | None = None
) -> bytes:
    """A mapped-ram stream of blocks, that begins at byte *at* of its file."""
    ignored = ignored or {}
    names = [MAPPED] + ["x-ignore-shared"] * bool(ignored)
    said = bytes(at) + head(*names) + start()
    pages = sum(len(held) // 4096 for held in memory.values()) + sum(ignored.values())
    said += big(pages << 12 | SIZES, 8)
    address = bytes(8) if ignored else b""
    for name, count in ignored.items():
        said += short(name) + big(count << 12, 8) + address
        said += big(1, 4) + big(4096, 8) + bytes(16)
    for name, held in memory.items():
        said += short(name) + big(len(held), 8) + address
        there = [any(held[i : i + 4096]) for i in range(0, len(held), 4096)]
        bits = np.packbits(there, bitorder="little").tobytes()
        bits = bits.ljust(-(-len(there) // 64) * 8, b"\0")
        bitmap = len(said) + 28
        place = -(-(bitmap + len(bits)) // (1 << 20)) << 20
        said += big(1, 4) + big(4096, 8) + big(bitmap, 8) + big(place, 8) + bits
        said = said.ljust(place, b"\0") + held
    return (said + END_OF_SECTION + part(3) + END_OF_SECTION + DEVICES)[at:]


def save(
    behind: bytes,
    form: int = 0,
    xml: str = "<domain type='kvm'>\n  <name>a &amp; b</name>\n</domain>",
    *,
    magic: bytes = b"LibvirtQemudSave",
    version: int = 2,
    order: str = "little",
) -> bytes:
    """A libvirt save; *behind* it the stream, packed or not."""
    text = xml.encode() + b"\0"
    fields = (version, len(text), 1, form, 0, *[0] * 14)
    said = b"".join(field.to_bytes(4, order) for field in fields)  # type: ignore[arg-type]
    return magic + said + text + behind


class Snap(NamedTuple):
    """A snapshot to be written."""

    name: str
    seconds: int
    state: bytes


def qcow2(
    *snapshots: Snap,
    version: int = 3,
    bits: int = 9,
    disk: int = 1 << 20,
    crypt: int = 0,
    features: int = 0,
    wide: bool = True,
    compressed: bool = False,
) -> bytes:
    """An image of an empty *disk*; clusters of zeros have none of their own. Without
    *wide* the snapshots are as QEMU wrote them of old."""
    cluster = 1 << bits
    entries = cluster // 8
    image = bytearray(cluster)
    table = b""

    def put(data: bytes) -> int:
        place = len(image)
        image.extend(data.ljust(-(-len(data) // cluster) * cluster, b"\0"))
        return place

    before = -(-disk // (cluster * entries))
    for snap in snapshots:
        references = []
        for at in range(0, len(snap.state), cluster):
            data = snap.state[at : at + cluster]
            there = any(data) or len(data) < cluster
            zeros = 1 if at // cluster % 2 else 0
            references.append(put(data) | 1 << 63 if there else zeros)
        if compressed:
            references[0] |= 1 << 62
        l1 = [0] * before
        for at in range(0, len(references), entries):
            some = references[at : at + entries]
            l1.append(put(b"".join(big(ref, 8) for ref in some)) | 1 << 63)
        place = put(b"".join(big(ref, 8) for ref in l1))
        extra = big(len(snap.state), 8) + big(disk, 8) if wide else b""
        row = big(place, 8) + big(len(l1), 4) + big(1, 2) + big(len(snap.name), 2)
        row += big(snap.seconds, 4) + big(0, 4) + big(0, 8)
        row += big(0 if wide else len(snap.state), 4) + big(len(extra), 4)
        row += extra + b"1" + snap.name.encode()
        table += row.ljust(-(-len(row) // 8) * 8, b"\0")
    place = put(table) if snapshots else 0
    first = b"QFI\xfb" + big(version, 4) + bytes(12) + big(bits, 4) + big(disk, 8)
    first += big(crypt, 4) + bytes(4 + 8 + 8 + 4) + big(len(snapshots), 4)
    first += big(place, 8)
    if version > 2:
        first += big(features, 8) + bytes(16) + big(4, 4) + big(104, 4)
    image[: len(first)] = first
    return bytes(image)
