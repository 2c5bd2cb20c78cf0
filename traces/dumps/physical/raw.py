"""Memory as it is, without any header: memory-backend-file, pmemsave, .vmem,
Firecracker's mem_file."""

from collections.abc import Iterator

import numpy as np

from traces.dumps.digesting import BATCH_PAGES, Digester
from traces.dumps.dump import (
    HOLES_OF_ZEROS,
    UNTOUCHED,
    Account,
    Dumped,
    guest,
    page_rows,
    ram,
)
from traces.dumps.extents import StoredZeros, extents_of, runs
from traces.dumps.source import Source
from traces.errors import InputError
from traces.schema import PAGE_SIZE, Pages


class RawMemory:
    """A guest's RAM; page numbers are those of the file.

    Raises InputError where there is not one page.
    """

    def __init__(self, source: Source, name: str, *, holes: bool) -> None:
        self.format = "raw"
        self.host = self.kernel = self.captured_at = ""
        self.account = Account()
        self.sparse = False
        """Whether the file has holes."""
        self._source, self._name, self._holes = source, name, holes
        if len(head := source.peek(PAGE_SIZE)) < PAGE_SIZE:
            what = f"{len(head)} bytes, expected a page of {PAGE_SIZE} at least"
            raise InputError(f"{source.path}: {what}")

    def steps(self, digester: Digester) -> Iterator[Dumped | Pages]:
        """The machine, then its RAM."""
        if self._source.plain:
            yield from self._file(digester)
        else:
            yield from self._stream(digester)

    def _file(self, digester: Digester) -> Iterator[Dumped | Pages]:
        source, account = self._source, self.account
        pages = account.pages = source.size // PAGE_SIZE
        found = extents_of(source.file(), 0, source.size)
        self.sparse = found.sparse
        sparse = found.sparse and self._holes
        known = sparse and found.fine
        zeros = account.zeros = StoredZeros() if sparse else None
        self._tell(known)
        numbers = found.pages(0, pages) if sparse else np.arange(pages)
        account.absent = pages - len(numbers)
        yield guest(self._name, [ram("ram", 0, pages)])
        for at in range(0, len(numbers), BATCH_PAGES):
            some = numbers[at : at + BATCH_PAGES]
            starts, lengths = runs(some)
            digested = digester.of_file(source.file(), starts * PAGE_SIZE, lengths)
            source.at = int(some[-1] + 1) * PAGE_SIZE
            if zeros is not None:
                zeros.add(some[digested.digest == digester.zero] * PAGE_SIZE)
            yield page_rows(0, some, digested, zero=digester.zero, presence_known=known)
        self._count_rest(source.size % PAGE_SIZE)

    def _stream(self, digester: Digester) -> Iterator[Dumped | Pages]:
        self._tell(False)
        parts = []
        while True:
            digested = digester.of_source(self._source, BATCH_PAGES)
            parts.append(digested)
            if len(digested.digest) < BATCH_PAGES:
                break
        pages = self.account.pages = sum(len(part.digest) for part in parts)
        yield guest(self._name, [ram("ram", 0, pages)])
        first = 0
        for part in parts:
            numbers = np.arange(first, first + len(part.digest))
            first += len(part.digest)
            yield page_rows(0, numbers, part, zero=digester.zero, presence_known=False)
        self.account.damage = self._source.cut
        self._count_rest(self._source.at % PAGE_SIZE)

    def _tell(self, known: bool) -> None:
        if not self._holes:
            self.account.limits.append(HOLES_OF_ZEROS)
        elif not known:
            self.account.limits.append(UNTOUCHED)

    def _count_rest(self, rest: int) -> None:
        if rest:
            self.account.missing_bytes += PAGE_SIZE - rest
