"""The blocks of memory a QEMU machine is made of: which are RAM, and where they lie.

Layout: migration/ram.c, ram_save_setup. A block is what the QEMU process maps in one
piece; a stream knows pages by their place in a block, and does not say where the
guest sees them.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from traces.dumps.digesting import Digested
from traces.dumps.dump import Account, page_rows, ram
from traces.dumps.qemu.stream import Stream
from traces.errors import InputError
from traces.schema import PAGE_SIZE, Pages

IGNORE_SHARED: Final = "x-ignore-shared"

SIZES: Final = 0x4
"""The flag of the record that names all blocks."""

_MOST_BLOCKS: Final = 1 << 12
_MOST_BYTES: Final = 1 << 52
"""Of physical memory that a processor can address."""

# By the last part of their names: /rom@etc/acpi/tables, pc.bios, virtio-net-pci.rom,
# 0000:00:02.0/vga.vram. The place on a bus in front says nothing: the memory that
# virtio-mem plugs in has one too.
_DEVICE: Final = re.compile(
    r"^/rom@|(^|[./])([\w-]*rom|bios|flash\d*|v(gav)?ram|tpm-ppi)$"
)


class Block(NamedTuple):
    """One block of memory."""

    name: str
    pages: int
    first: int
    """The vpn of its first page: RAM blocks are placed one behind the other, in the
    order of the stream. -1 for memory of a device."""


def read_blocks(stream: Stream, path: Path, ignore_shared: bool) -> Iterator[Block]:
    """The blocks of the record of sizes that comes next.

    What a stream has behind each block must be read before the next one is asked for.
    Raises InputError where they do not add up to their sum, or make no sense.
    """
    word = stream.number(8)
    left, flags = word & -PAGE_SIZE, word % PAGE_SIZE
    if flags != SIZES:
        raise InputError(
            f"{path}: RAM that does not begin with the sizes of its blocks"
        )
    if left > _MOST_BYTES:
        raise InputError(f"{path}: a guest of {left} bytes of RAM, which cannot be")
    names: set[str] = set()
    vpn = 0
    while left > 0:
        name, size = stream.text(), stream.number(8)
        if ignore_shared:
            stream.skip(8)
        if size % PAGE_SIZE or not 0 < size <= left or name in names:
            raise InputError(
                f"{path}: RAM block {name!r} of {size} bytes, expected whole pages, "
                f"at most {left} bytes, of each block once"
            )
        names.add(name)
        if len(names) > _MOST_BLOCKS:
            raise InputError(f"{path}: more than {_MOST_BLOCKS} blocks of RAM")
        left -= size
        device = _DEVICE.search(name)
        block = Block(name, size // PAGE_SIZE, -1 if device else vpn)
        yield block
        vpn += 0 if device else block.pages


def count_blocks(blocks: Sequence[Block], account: Account) -> None:
    """Count the pages of *blocks*, those of devices as skipped."""
    account.pages = sum(block.pages for block in blocks)
    devices = sum(block.pages for block in blocks if block.first < 0)
    account.skipped["pages of devices (ROM, video memory)"] += devices


def mappings(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """The RAM blocks, as mappings of their machine's process."""
    return [ram(b.name, b.first, b.pages) for b in blocks if b.first >= 0]


def rows(
    blocks: Sequence[Block],
    vpn: npt.NDArray[np.int64],
    digested: Digested,
    zero: int,
) -> Pages:
    """Rows of pages of *blocks*, ascending *vpn*; of those with the digest *zero* none
    is known to be present."""
    starts = [block.first for block in blocks if block.first >= 0]
    mapping = np.searchsorted(starts, vpn, "right").astype(np.int32) - 1
    return page_rows(mapping, vpn, digested, zero=zero, presence_known=False)
