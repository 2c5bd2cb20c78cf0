"""The memory in an ELF core's segments, page by page."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from traces.dumps.digesting import BATCH_PAGES, Digested, Digester
from traces.dumps.dump import Account
from traces.dumps.elf import Elf, Loads
from traces.dumps.extents import extents_of, runs
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
        notes = dict(elf.late)
        sizes = dict(zip(loads.offset.tolist(), loads.filesz.tolist(), strict=True))
        for offset in sorted(notes.keys() | sizes.keys()):
            if source.at > offset:
                # Within what was just read: its bytes are gone by.
                continue
            source.skip(offset - source.at)
            if offset in notes:
                elf.add_notes(source.read(notes[offset]), notes[offset])
                continue
            self._starts.append(offset)
            self._digested.append(
                digester.of_source(source, sizes[offset] // PAGE_SIZE)
            )
        elf.late = []

    def pages(self, offset: int, pages: int) -> Digested:
        """At most *pages* pages from *offset* on; fewer where they are missing."""
        at = int(np.searchsorted(self._starts, offset, "right")) - 1
        if at < 0:
            return Digested.none()
        first, rest = divmod(offset - self._starts[at], PAGE_SIZE)
        found = self._digested[at]
        if rest:
            return Digested.none()
        return found.taken(slice(first, first + pages))


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
        account.pages += int(self._sizes.sum())
        self.sparse = self.fine = False
        """Whether there are holes among the pages, and whether they tell each page
        that is not there."""
        if stream is None:
            self._numbers = self._there(holes)
        else:
            account.damage = elf.source.cut
            self._numbers = [self._kept(at, stream) for at in range(len(loads))]

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
        return numbers[digested.read], digested.taken(digested.read)

    def _there(self, holes: bool) -> list[npt.NDArray[np.int64]]:
        """The pages of each segment that a plain file holds."""
        loads, size = self._loads, self._source.size
        ends = loads.offset + loads.filesz
        first, end = int(loads.offset.min(initial=size)), int(ends.max(initial=0))
        found = extents_of(self._source.file(), first, end)
        self.sparse, self.fine = found.sparse and holes, found.fine
        numbers = []
        for at in range(len(loads)):
            offset = int(loads.offset[at])
            missing = int(ends[at]) - max(size, offset)
            self._account.missing_bytes += max(missing, 0)
            pages = max(min(int(self._sizes[at]), (size - offset) // PAGE_SIZE), 0)
            numbers.append(
                found.pages(offset, pages) if self.sparse else np.arange(pages)
            )
            self._account.absent += pages - len(numbers[-1])
        return numbers

    def _kept(self, at: int, stream: Stream) -> npt.NDArray[np.int64]:
        pages, size = int(self._sizes[at]), int(self._loads.filesz[at])
        there = len(stream.pages(int(self._loads.offset[at]), pages).digest)
        if there < pages:
            self._account.missing_bytes += size - there * PAGE_SIZE
        return np.arange(there)
