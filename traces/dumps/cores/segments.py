"""The memory in an ELF core's segments, page by page."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from traces.dumps.cores.elf import Elf, Loads
from traces.dumps.digesting import BATCH_PAGES, Digested, Digester, joined
from traces.dumps.dump import Account
from traces.dumps.extents import StoredZeros, extents_of, runs
from traces.schema import PAGE_SIZE

Batch = tuple[npt.NDArray[np.int64], Digested]
"""Pages of a segment, by number within it, and what is in them."""


class Stream:
    """The digests of a compressed core, which can be read but once and forwards.

    Reading it takes up the notes that stand behind the memory.
    """

    def __init__(self, elf: Elf, digester: Digester) -> None:
        source, loads = elf.source, elf.loads
        self._starts: list[int] = []
        self._digested: list[Digested] = []
        notes = [(offset, size, True) for offset, size in elf.late]
        places = zip(loads.offset.tolist(), loads.filesz.tolist(), strict=True)
        for offset, size, of_notes in sorted([*notes, *((*p, False) for p in places)]):
            end = offset + size
            # What several segments hold was read for the first of them.
            passed = max(source.at - offset, 0)
            start = offset + passed + -passed % PAGE_SIZE
            if start >= end:
                continue
            source.skip(start - source.at)
            if of_notes:
                elf.add_notes(source.read(end - start), size)
                continue
            self._starts.append(start)
            self._digested.append(
                digester.of_source(source, (end - start) // PAGE_SIZE)
            )
            source.skip(end - source.at)
        elf.late = []
        self.end = source.at
        """How many bytes there are, unpacked."""

    def pages(self, offset: int, pages: int) -> Digested:
        """At most *pages* pages from *offset* on; fewer where they are missing."""
        parts = []
        at = max(int(np.searchsorted(self._starts, offset, "right")) - 1, 0)
        while pages and at < len(self._starts):
            first, rest = divmod(offset - self._starts[at], PAGE_SIZE)
            if first < 0 or rest:
                break
            part = self._digested[at].taken(slice(first, first + pages))
            parts.append(part)
            offset += len(part.digest) * PAGE_SIZE
            pages -= len(part.digest)
            at += 1
        return joined(parts)


class Segments:
    """Reads *loads* of *elf*, and counts them in *account*.

    A plain file is read when asked for pages, a compressed one was read as *stream*.
    Where *holes* say nothing they are read as the zeros they are.
    """

    def __init__(
        self,
        elf: Elf,
        loads: Loads,
        stream: Stream | None,
        digester: Digester,
        account: Account,
        *,
        holes: bool,
    ) -> None:
        self._source, self._loads, self._digester = elf.source, loads, digester
        self._stream, self._account = stream, account
        self._sizes = loads.filesz // PAGE_SIZE
        # A sum of what headers say may be more than 64 bits hold.
        account.pages += sum(self._sizes.tolist())
        self._numbers = [np.empty(0, np.int64)] * len(loads)
        self.sparse = self.fine = False
        """Whether there are holes among the pages, and whether they tell each page
        that is not there."""
        if stream is None:
            self._look(holes)
        else:
            account.damage = elf.source.cut or account.damage
            self._find(stream)

    def present(self, at: int) -> int:
        """How many pages of a segment there are."""
        return len(self._numbers[at])

    def pages(self, at: int) -> Iterator[Batch]:
        """The pages of a segment that are there, ascending."""
        numbers, offset = self._numbers[at], int(self._loads.offset[at])
        if self._stream is not None:
            yield numbers, self._stream.pages(offset, len(numbers))
            return
        for cut in range(0, len(numbers), BATCH_PAGES):
            yield self._read(offset, numbers[cut : cut + BATCH_PAGES])

    def _read(self, offset: int, numbers: npt.NDArray[np.int64]) -> Batch:
        starts, lengths = runs(numbers)
        places = offset + starts * PAGE_SIZE
        digested = self._digester.of_file(self._source.file(), places, lengths)
        self._source.at = offset + int(numbers[-1] + 1) * PAGE_SIZE
        # It may be cut while it is read.
        lost = int(np.count_nonzero(~digested.read))
        self._account.missing_bytes += lost * PAGE_SIZE
        if self._account.zeros is not None:
            zeros = digested.read & (digested.digest == self._digester.zero)
            self._account.zeros.add(offset + numbers[zeros] * PAGE_SIZE)
        return numbers[digested.read], digested.taken(digested.read)

    def _look(self, holes: bool) -> None:
        """Find the pages of each segment that a plain file holds."""
        loads, size = self._loads, self._source.size
        ends = loads.offset + loads.filesz
        first, end = int(loads.offset.min(initial=size)), int(ends.max(initial=0))
        found = extents_of(self._source.file(), first, min(end, size))
        self.sparse, self.fine = found.sparse and holes, found.fine
        self._account.zeros = StoredZeros() if self.sparse else None
        for at, offset in self._once():
            pages = self._there(at, size) // PAGE_SIZE
            numbers = found.pages(offset, pages) if self.sparse else np.arange(pages)
            self._account.absent += pages - len(numbers)
            self._numbers[at] = numbers

    def _find(self, stream: Stream) -> None:
        """Find the pages of each segment that a compressed file held."""
        for at, offset in self._once():
            pages = self._there(at, stream.end) // PAGE_SIZE
            kept = len(stream.pages(offset, pages).digest)
            if kept < pages:
                what = "pages of overlapping segments"
                self._account.skipped[what] += pages - kept
            self._numbers[at] = np.arange(kept)

    def _there(self, at: int, end: int) -> int:
        """How many bytes of a segment there are before *end*; counts the others."""
        offset, size = int(self._loads.offset[at]), int(self._loads.filesz[at])
        there = max(min(offset + size, end) - offset, 0)
        self._account.missing_bytes += size - there
        return there

    def _once(self) -> Iterator[tuple[int, int]]:
        """Each segment and where its bytes begin, in the order of the file; not those
        that hold bytes of another one, as a wrong header may say a thousand times."""
        loads, end = self._loads, 0
        for at in np.argsort(loads.offset, kind="stable").tolist():
            offset, size = int(loads.offset[at]), int(loads.filesz[at])
            if size and offset < end:
                pages = int(self._sizes[at])
                self._account.skipped["pages of overlapping segments"] += pages
            elif size:
                end = offset + size
                yield at, offset
