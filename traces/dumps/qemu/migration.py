"""QEMU's migration stream: `migrate exec:cat>FILE`, virsh dump without --memory-only,
and what libvirt and qcow2 snapshots carry inside.

Layout: migration/ram.c. Pages come in any order, and those that change meanwhile come
again: the last one counts.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from traces.dumps.digesting import Digested, Digester
from traces.dumps.dump import UNTOUCHED, Account, Dumped, guest
from traces.dumps.qemu import sections
from traces.dumps.qemu.mapped_ram import CAPABILITY as MAPPED_RAM
from traces.dumps.qemu.ram_blocks import (
    IGNORE_SHARED,
    SIZES,
    Block,
    count_blocks,
    mappings,
    read_blocks,
    rows,
)
from traces.dumps.qemu.sent import Sent
from traces.dumps.qemu.stream import Bytes, EndedError, Records, Stream
from traces.dumps.source import Source
from traces.errors import InputError
from traces.schema import PAGE_SIZE, Pages

_ZERO, _PAGE, _EOS, _CONTINUE, _FLUSH = 0x2, 0x8, 0x10, 0x20, 0x200
_WAYS: Final = {
    0x40: "XBZRLE", 0x60: "XBZRLE", 0x80: "RDMA", 0x100: "compress",
    0x120: "compress", _FLUSH: "multifd",
}  # fmt: skip
_FLAGS: Final = PAGE_SIZE - 1
_FOLLOW: Final = {_PAGE | _CONTINUE: PAGE_SIZE, _ZERO | _CONTINUE: 1}
"""Bytes that follow a record of a page of the same block as the one before."""

_BEAT: Final = 256 << 20
"""Bytes read between two signs of life."""
_FREE_BYTES: Final = 64 << 20
_BYTES_A_BYTE: Final = 16
"""Bytes that digests may take for each byte of the stream, where pages are strewn."""

_NOT_SENT: Final = (
    "pages that the stream does not mention (given back by the guest, not plugged in, "
    "shared and ignored)"
)


class Migration:
    """The RAM in a stream; blocks are mappings, placed one behind the other."""

    def __init__(
        self, source: Source, name: str, form: str, below: Bytes | None = None
    ) -> None:
        """Of what *below* gives, or of what comes next in *source*."""
        self.format = form
        self.host = self.kernel = self.captured_at = ""
        self.account = Account(limits=[UNTOUCHED])
        self._source, self._name = source, name
        self._stream = Stream(below) if below else Stream(source, source.at)
        self._blocks: list[Block] = []
        self._block: Block | None = None
        """Of the page before, in whichever section that was."""
        self._sent = Sent()
        self._told = 0
        self._complete = False

    def steps(self, digester: Digester) -> Iterator[Dumped | Pages]:
        """The machine, then its RAM once all of the stream was read."""
        for beat, _ in enumerate(self._read(digester)):
            if not beat:
                yield guest(self._name, mappings(self._blocks))
            yield rows(self._blocks, np.empty(0, np.int64), Digested.none(), 0)
        self._settle()
        for numbers, digested in self._sent.batches():
            yield rows(self._blocks, numbers, digested, digester.zero)

    def _read(self, digester: Digester) -> Iterator[None]:
        """Reads everything, and stops now and then once the blocks are known."""
        stream, path = self._stream, self._source.path
        try:
            found = sections.read_configuration(stream, path)
            if MAPPED_RAM in found.capabilities:
                raise InputError(
                    f"{path}: a mapped-ram stream where pages cannot be mapped",
                    hint=sections.ANOTHER_WAY,
                )
            shared = IGNORE_SHARED in found.capabilities
            for _ in sections.ram_sections(stream, path):
                yield from self._section(digester, shared)
            self._complete = True
        except EndedError:
            if not self._blocks:
                raise InputError(
                    f"{path}: ends at byte {stream.at}, before it says what RAM "
                    "there is"
                ) from None

    def _section(self, digester: Digester, shared: bool) -> Iterator[None]:
        stream = self._stream
        while True:
            flags = stream.word() & _FLAGS
            if flags in _FOLLOW:
                if self._block is None:
                    raise self._damaged("a page of no block")
                # Where the first record is not whole in the buffer, or at all.
                stream.demand(8 + _FOLLOW[flags])
                self._take(self._block, stream.records(_FOLLOW), digester)
            elif flags in (_PAGE, _ZERO):
                self._block = self._named(flags, digester)
            elif flags == _EOS:
                stream.skip(8)
                return
            elif flags == SIZES and not self._blocks:
                self._blocks = list(read_blocks(stream, self._source.path, shared))
                count_blocks(self._blocks, self.account)
                self._check_blocks()
                yield
            elif flags in _WAYS:
                raise sections.refused(self._source.path, _WAYS[flags])
            else:
                raise self._damaged(f"a record of type {flags:#x}")
            if stream.at - self._told > _BEAT:
                self._told = stream.at
                yield

    def _named(self, flags: int, digester: Digester) -> Block:
        """Takes a page of another block than the one before, whose name stands between
        its number and its bytes."""
        stream = self._stream
        number, name = stream.number(8) >> 12, stream.text()
        for block in self._blocks:
            if block.name == name:
                break
        else:
            raise self._damaged(f"a page of block {name!r}, which it did not name")
        flags |= _CONTINUE
        stream.demand(_FOLLOW[flags])
        found = Records(np.array([number]), np.array([flags]), stream.place())
        stream.skip(_FOLLOW[flags])
        self._take(block, found, digester)
        return block

    def _take(self, block: Block, found: Records, digester: Digester) -> None:
        """Digest the pages of *found*, all of *block*."""
        most = int(found.number.max())
        if most >= block.pages:
            raise self._damaged(
                f"page {most} of block {block.name!r}, which has {block.pages}"
            )
        if block.first < 0:
            return
        digest = np.full(len(found.number), digester.zero)
        fill = np.zeros(len(digest), bool)
        whole = found.flags == _PAGE | _CONTINUE
        if whole.any():
            pages = self._stream.bodies(found.place[whole], PAGE_SIZE)
            digested = digester.of_bytes(pages.data)
            digest[whole], fill[whole] = digested.digest, digested.fill
        if not whole.all():
            of = self._stream.bodies(found.place[~whole], 1)[:, 0]
            # Ever since QEMU 2.0 these are zeros.
            for byte in np.unique(of[of != 0]).tolist():
                (full,) = digester.of_bytes(bytes([byte]) * PAGE_SIZE).digest
                there = np.flatnonzero(~whole)[of == byte]
                digest[there], fill[there] = full, True
        self._sent.put(found.number + block.first, digest, fill)
        if self._sent.size > _FREE_BYTES + _BYTES_A_BYTE * self._stream.at:
            raise self._damaged("pages strewn as in no memory")

    def _check_blocks(self) -> None:
        if all(block.first < 0 for block in self._blocks):
            names = ", ".join(repr(block.name) for block in self._blocks[:8])
            raise InputError(
                f"{self._source.path}: no block of RAM among {names or 'none'}"
            )

    def _settle(self) -> None:
        """Tells what is missing, once all was read."""
        account, there = self.account, self._sent.pages
        ram = sum(block.pages for block in self._blocks if block.first >= 0)
        if self._complete:
            if not there:
                raise InputError(
                    f"{self._source.path}: has no page of RAM",
                    hint=f"migrate without {IGNORE_SHARED}, which leaves it out",
                )
            account.skipped[_NOT_SENT] += ram - there
            return
        account.damage = (
            f"{self._source.cut or 'its stream is truncated'}: {ram - there} of {ram} "
            "pages of RAM are not in it, and others may have changed behind its end"
        )

    def _damaged(self, what: str) -> InputError:
        return InputError(
            f"{self._source.path}: a migration stream with {what}, before byte "
            f"{self._stream.at}",
        )
