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


class Segments:
    """Reads *loads* of *elf*, and counts them in *account*.

    Those not *wanted* are counted, and not read. Where *holes* say nothing they are
    read as the zeros they are. A plain file is read when asked for
    pages; of a compressed one, which can be read but once and in its own order, the
    digests are kept.
    """

    def __init__(
        self,
        elf: Elf,
        loads: Loads,
        wanted: npt.NDArray[np.bool_],
        digester: Digester,
        account: Account,
        *,
        holes: bool,
    ) -> None:
        self._source, self._loads, self._digester = elf.source, loads, digester
        self._account, self._wanted, self._holes = account, wanted, holes
        self._sizes = loads.filesz // PAGE_SIZE
        # A sum of what headers say may be more than 64 bits hold.
        account.pages += sum(self._sizes.tolist())
        self._numbers = [np.empty(0, np.int64)] * len(loads)
        self._kept: list[Digested] = []
        self.sparse = self.fine = False
        """Whether there are holes among the pages, and whether they tell each page
        that is not there."""
        if elf.source.plain:
            self._look()
        else:
            self._stream()

    def present(self, at: int) -> int:
        """How many pages of a segment there are."""
        return len(self._numbers[at])

    def pages(self, at: int) -> Iterator[Batch]:
        """The pages of a segment that are there, ascending."""
        numbers = self._numbers[at]
        if self._kept:
            yield numbers, self._kept[at]
            return
        file, offset = self._source.file(), int(self._loads.offset[at])
        for cut in range(0, len(numbers), BATCH_PAGES):
            some = numbers[cut : cut + BATCH_PAGES]
            starts, lengths = runs(some)
            places = offset + starts * PAGE_SIZE
            digested = self._digester.of_file(file, places, lengths)
            self._source.at = offset + int(some[-1] + 1) * PAGE_SIZE
            if not digested.read.all():
                # It was cut while it was read.
                lost = int(np.count_nonzero(~digested.read))
                self._account.missing_bytes += lost * PAGE_SIZE
                some = some[digested.read]
                digested = digested.taken(digested.read)
            yield some, digested

    def _look(self) -> None:
        """Find the pages of a plain file that are there."""
        loads, size = self._loads, self._source.size
        ends = np.minimum(loads.offset + loads.filesz, size)
        first, end = int(loads.offset.min(initial=size)), int(ends.max(initial=0))
        found = extents_of(self._source.file(), first, end)
        self.sparse, self.fine = found.sparse and self._holes, found.fine
        for at, offset in self._in_order_of_the_file():
            there = max(int(ends[at]) - offset, 0)
            self._account.missing_bytes += int(loads.filesz[at]) - there
            pages = there // PAGE_SIZE
            numbers = found.pages(offset, pages) if self.sparse else np.arange(pages)
            self._account.absent += pages - len(numbers)
            self._numbers[at] = numbers

    def _stream(self) -> None:
        """Read a compressed file to its end, and keep the digests."""
        source = self._source
        self._kept = [self._digester.of_bytes(b"")] * len(self._loads)
        for at, offset in self._in_order_of_the_file():
            source.skip(offset - source.at)
            pages, size = int(self._sizes[at]), int(self._loads.filesz[at])
            if self._wanted[at]:
                self._kept[at] = self._digester.of_source(source, pages)
                there = len(self._kept[at].digest)
            else:
                there = source.skip(pages * PAGE_SIZE) // PAGE_SIZE
            source.skip(offset + size - source.at)
            self._account.missing_bytes += offset + size - max(source.at, offset)
            self._numbers[at] = np.arange(there)
        self._account.damage = source.cut

    def _in_order_of_the_file(self) -> Iterator[tuple[int, int]]:
        """Each segment that holds bytes, and where they begin; not those that hold
        bytes of another one, as a header that is wrong may say a thousand times."""
        loads = self._loads
        end = self._source.at if self._source.packing else 0
        for at in np.argsort(loads.offset, kind="stable").tolist():
            offset, size = int(loads.offset[at]), int(loads.filesz[at])
            if size and offset < end:
                pages = int(self._sizes[at])
                self._account.skipped["pages of overlapping segments"] += pages
            elif size:
                end = offset + size
                yield at, offset
