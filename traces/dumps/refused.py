"""Files that are known, and hold no memory that can be read here: what each of them is,
and what makes a dump of it.

A format is here where its first bytes are its own and mistaking it for damage would
send somebody looking in the wrong place.
"""

from typing import Final, NamedTuple


class Refusal(NamedTuple):
    """Why a file is refused, and what to do about it."""

    what: str
    hint: str


class _Known(NamedTuple):
    magic: bytes
    at: int
    refusal: Refusal


_RAW: Final = "write its memory as one raw file, and say --format raw"
_LINUX: Final = "KSM merges memory of Linux: dump the machine it runs on"
_UNPACK: Final = "unpack it first"

_WINDOWS: Final = Refusal("a crash dump of Windows", _RAW)
_MINIDUMP: Final = Refusal("a minidump, which holds little of a process", _LINUX)
_HIBERNATION: Final = Refusal("a hibernation file of Windows", _RAW)
_SWAP: Final = Refusal(
    "a hibernation image of Linux, packed and without addresses",
    "dump the machine while it runs: LiME, AVML, or its hypervisor",
)
_MACH: Final = Refusal("a Mach-O file of macOS", _LINUX)
_ELF: Final = Refusal("an ELF file, but no core: a program, a library, a kernel", "")
_HYPERV: Final = Refusal("a saved state of Hyper-V (.vmrs)", _RAW)
_FIRECRACKER: Final = Refusal(
    "the state of a Firecracker microVM, without its memory",
    "name the memory file beside it, with --format raw; or the folder of both",
)
_VMWARE: Final = Refusal(
    "a suspended machine or snapshot of VMware (.vmss, .vmsn)",
    "name the .vmem beside it, with --format raw; where memory is inside, vmss2core "
    "writes it as a core",
)
_VIRTUALBOX: Final = Refusal(
    "a saved state of VirtualBox",
    "VBoxManage debugvm NAME dumpvmcore --filename=FILE writes a core of a running one",
)
_XEN: Final = Refusal("a saved domain of Xen", "xl dump-core DOMAIN FILE writes a core")
_DISK: Final = Refusal("a disk image, which holds no memory", "name the memory's file")
_ARCHIVE: Final = Refusal("an archive", _UNPACK)
_PACKED: Final = Refusal("compressed in a way not known here", "decompress it first")
_DATABASE: Final = Refusal("an SQLite database", "")

_FIRECRACKER_X86: Final = (0x0710_1984_8664_0000).to_bytes(8, "little")
_FIRECRACKER_ARM: Final = (0x0710_1984_AAAA_0000).to_bytes(8, "little")

VMSTATE: Final = (_FIRECRACKER_X86, _FIRECRACKER_ARM)
"""What the state of a Firecracker microVM begins with."""


def _known(refusal: Refusal, *magics: bytes, at: int = 0) -> list[_Known]:
    return [_Known(magic, at, refusal) for magic in magics]


_KNOWN: Final = (
    *_known(_WINDOWS, b"PAGEDU64", b"PAGEDUMP"),
    *_known(_MINIDUMP, b"MDMP"),
    *_known(_HIBERNATION, b"hibr", b"HIBR", b"wake", b"WAKE", b"RSTR", b"rstr"),
    *_known(_SWAP, b"S1SUSPEND", b"LINHIB0001", at=4086),
    *_known(
        _MACH,
        b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf",
        b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe",
    ),
    *_known(_ELF, b"\x7fELF"),
    *_known(_HYPERV, (0x0128_2014).to_bytes(4, "little")),
    *_known(_FIRECRACKER, *VMSTATE),
    *_known(
        _VMWARE,
        b"\xd0\xbe\xd2\xbe", b"\xd1\xba\xd1\xba", b"\xd2\xba\xd2\xba",
        b"\xd2\xbe\xd2\xbe", b"\xd3\xbe\xd3\xbe", b"\xd0\xbe\xd0\xbe",
    ),
    *_known(_VIRTUALBOX, b"\x7fVirtualBox SavedState"),
    *_known(_XEN, b"Xen saved domain", b"LibxlFmt", b"LinuxGuestRecord"),
    *_known(_DISK, b"KDMV", b"vhdxfile", b"conectix", b"<<< Oracle VM VirtualBox Disk"),
    *_known(_DISK, b"\x7f\x10\xda\xbe", at=64),
    *_known(_ARCHIVE, b"PK\x03\x04", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07"),
    *_known(_PACKED, b"\x89LZO\x00", b"LZIP\x01", b"\x1f\x9d", b"\x02\x21\x4c\x18"),
    *_known(_DATABASE, b"SQLite format 3\x00"),
)  # fmt: skip


def refusal_of(head: bytes) -> Refusal | None:
    """Why a file that begins with *head* is refused, where that is known."""
    for known in _KNOWN:
        if head.startswith(known.magic, known.at):
            return known.refusal
    return None
