"""QEMU's migration stream: `migrate exec:cat>FILE`, virsh dump without --memory-only,
and what libvirt and qcow2 snapshots carry inside.

Layout: migration/ram.c. Pages come in any order, and those that change meanwhile come
again: the last one counts.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from traces.dumps import sections
from traces.dumps.digesting import Digester
from traces.dumps.dump import UNTOUCHED, Account, Dumped, guest
from traces.dumps.mapped_ram import CAPABILITY as MAPPED_RAM
from traces.dumps.ram_blocks import (
    IGNORE_SHARED,
    SIZES,
    Block,
    count_blocks,
    mappings,
    read_blocks,
    rows,
)
from traces.dumps.sent import Sent
from traces.dumps.source import Source
from traces.dumps.stream import Bytes, EndedError, Stream
from traces.errors import InputError
from traces.schema import PAGE_SIZE, Pages

_ZERO, _PAGE, _EOS, _CONTINUE, _FLUSH = 0x2, 0x8, 0x10, 0x20, 0x200
_WAYS: Final = {
    0x40: "XBZRLE", 0x60: "XBZRLE", 0x80: "RDMA", 0x100: "compress",
    0x120: "compress", _FLUSH: "multifd",
}  # fmt: skip
_FLAGS: Final = PAGE_SIZE - 1

_WAITING_PAGES: Final = 512
_WAITING: Final = 1 << 12
_BEAT: Final = 256 << 20
"""Bytes read between two signs of life."""
_FREE_BYTES: Final = 64 << 20
_BYTES_A_BYTE: Final = 16
"""Bytes that digests may take for each byte of the stream, where pages are strewn."""

_NOT_SENT: Final = (
    "pages that the stream does not mention (given back by the guest, not plugged in)"
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
        self._stream = Stream(below or source)
        self._blocks: list[Block] = []
        self._sent = Sent()
        self._complete = False

    def steps(self, digester: Digester) -> Iterator[Dumped | Pages]:
        """The machine, then its RAM once all of the stream was read."""
        for beat, _ in enumerate(self._read(digester)):
            if not beat:
                yield guest(self._name, mappings(self._blocks))
            yield rows(self._blocks, np.empty(0, np.int64), digester.of_bytes(b""), 0)
        self._settle()
        for numbers, digested in self._sent.batches():
            yield rows(self._blocks, numbers, digested, digester.zero)

    def _read(self, digester: Digester) -> Iterator[None]:
        """Reads everything, and stops now and then once the blocks are known."""
        stream, path = self._stream, self._source.path
        waiting = _Waiting(digester, self._sent)
        try:
            found = sections.read_configuration(stream, path)
            if MAPPED_RAM in found.capabilities:
                raise InputError(
                    f"{path}: a mapped-ram stream where pages cannot be mapped",
                    hint=sections.ANOTHER_WAY,
                )
            shared = IGNORE_SHARED in found.capabilities
            for _ in sections.ram_sections(stream, path):
                yield from self._section(waiting, shared)
            self._complete = True
        except EndedError:
            if not self._blocks:
                raise InputError(
                    f"{path}: ends at byte {stream.at}, before it says what RAM "
                    "there is"
                ) from None
        waiting.settle()
        self._check_strewn()

    def _section(self, waiting: "_Waiting", shared: bool) -> Iterator[None]:
        stream, block, at = self._stream, None, self._stream.at
        while True:
            flags = stream.word() & _FLAGS
            kind = flags & ~_CONTINUE
            if kind in (_PAGE, _ZERO):
                if not flags & _CONTINUE:
                    words, bodies, block = self._named(kind)
                elif block is None:
                    raise self._damaged("a page of no block")
                else:
                    size = 8 + (PAGE_SIZE if kind == _PAGE else 1)
                    words, bodies = stream.run(size, flags)
                self._take(waiting, block, words, bodies)
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
            if stream.at - at > _BEAT:
                at = stream.at
                yield

    def _named(self, kind: int) -> tuple[Any, npt.NDArray[np.uint8], Block]:
        """A page of another block than the one before: its name stands in between."""
        word, name = self._stream.number(8), self._stream.text()
        body = self._stream.take(PAGE_SIZE if kind == _PAGE else 1)
        for block in self._blocks:
            if block.name == name:
                bodies = np.frombuffer(body, np.uint8).reshape(1, -1)
                return np.array([word], np.uint64), bodies, block
        raise self._damaged(f"a page of block {name!r}, which it did not name before")

    def _take(
        self,
        waiting: "_Waiting",
        block: Block,
        words: Any,
        bodies: npt.NDArray[np.uint8],
    ) -> None:
        numbers = (words >> 12).astype(np.int64)
        if numbers.max() >= block.pages:
            raise self._damaged(
                f"page {numbers.max()} of block {block.name!r}, which has {block.pages}"
            )
        if block.first < 0:
            return
        waiting.add(numbers + block.first, bodies)
        self._check_strewn()

    def _check_strewn(self) -> None:
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


class _Waiting:
    """Pages on their way to be digested, many at a time."""

    def __init__(self, digester: Digester, sent: Sent) -> None:
        self._digester, self._sent = digester, sent
        self._bytes = memoryview(bytearray(_WAITING_PAGES * PAGE_SIZE))
        self._pages = np.frombuffer(self._bytes, np.uint8).reshape(-1, PAGE_SIZE)
        self._filled = self._count = 0
        self._numbers: list[npt.NDArray[np.int64]] = []
        self._whole: list[npt.NDArray[np.bool_]] = []

    def add(
        self, numbers: npt.NDArray[np.int64], bodies: npt.NDArray[np.uint8]
    ) -> None:
        """Pages, [page, byte]; or the one byte that each of them is full of."""
        whole = bodies.shape[1] == PAGE_SIZE
        if not whole and bodies.any():
            bodies, whole = np.repeat(bodies, PAGE_SIZE, axis=1), True
        count = len(numbers)
        if self._filled + count > _WAITING_PAGES or self._count > _WAITING:
            self.settle()
        if whole:
            self._pages[self._filled : self._filled + count] = bodies
            self._filled += count
        self._numbers.append(numbers)
        self._whole.append(np.full(count, whole))
        self._count += count

    def settle(self) -> None:
        """Digest what waits."""
        if not self._numbers:
            return
        whole = np.concatenate(self._whole)
        found = self._digester.of_bytes(self._bytes[: self._filled * PAGE_SIZE])
        digest = np.full(len(whole), self._digester.zero)
        fill = np.zeros(len(whole), bool)
        digest[whole], fill[whole] = found.digest, found.fill
        self._sent.put(np.concatenate(self._numbers), digest, fill)
        self._numbers, self._whole, self._filled, self._count = [], [], 0, 0
