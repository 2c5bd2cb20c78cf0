"""Memory as a base and what was written since: Firecracker's diff snapshots.

A diff is as large as its base and holds the pages that changed; the others are holes
in it (Firecracker's docs/snapshotting/snapshot-support.md).
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from traces.dumps.digesting import BATCH_PAGES, Digester, joined
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

_NOWHERE: Final = -1
_BASE: Final = 0


class Layers:
    """A guest's RAM; page numbers are those of the files.

    Each page is that of the last file that has it. Raises InputError where the later
    files are no diffs of the first: of another size, compressed, or without holes.
    """

    def __init__(self, source: Source, name: str, *, holes: bool) -> None:
        self.format = "raw"
        self.host = self.kernel = self.captured_at = ""
        self.account = Account(limits=[UNTOUCHED if holes else HOLES_OF_ZEROS])
        self.account.zeros = self._zeros = StoredZeros()
        self._base, self._name, self._holes = source, name, holes
        if not source.plain:
            raise _no_layer(source, f"{source.packing[0]}, and so has no holes")

    def steps(self, digester: Digester) -> Iterator[Dumped | Pages]:
        """The machine, then its RAM."""
        with ExitStack() as stack:
            diffs = [stack.enter_context(Source(part)) for part in self._base.parts]
            layers = [self._base, *diffs]
            of = self._owners(layers)
            self.account.pages = len(of)
            self.account.absent = int(np.count_nonzero(of == _NOWHERE))
            yield guest(self._name, [ram("ram", 0, len(of))])
            for at in range(0, len(of), BATCH_PAGES):
                yield self._batch(layers, of[at : at + BATCH_PAGES], at, digester)

    def _owners(self, layers: Sequence[Source]) -> npt.NDArray[np.int16]:
        """Which layer each page is in."""
        pages = self._base.size // PAGE_SIZE
        of = np.full(pages, _NOWHERE if self._holes else _BASE, np.int16)
        for number, layer in enumerate(layers):
            found = extents_of(layer.file(), 0, layer.size)
            if layer is not self._base:
                _check_diff(layer, self._base.path, self._base.size, found.sparse)
            of[found.pages(0, pages)] = number
        return of

    def _batch(
        self,
        layers: Sequence[Source],
        of: npt.NDArray[np.int16],
        first: int,
        digester: Digester,
    ) -> Pages:
        """The pages from number *first* on, which are in the layers *of*."""
        numbers, parts = [], []
        for number, layer in enumerate(layers):
            mine = first + np.flatnonzero(of == number)
            starts, lengths = runs(mine)
            digested = digester.of_file(layer.file(), starts * PAGE_SIZE, lengths)
            # A file may be cut while it is read.
            lost = int(np.count_nonzero(~digested.read))
            self.account.missing_bytes += lost * PAGE_SIZE
            numbers.append(mine[digested.read])
            parts.append(digested.taken(digested.read))
            if number == _BASE:
                zero = numbers[-1][parts[-1].digest == digester.zero]
                self._zeros.add(zero * PAGE_SIZE)
        self._base.at = (first + len(of)) * PAGE_SIZE
        every = np.concatenate(numbers)
        order = np.argsort(every)
        return page_rows(
            0, every[order], joined(parts).taken(order), zero=digester.zero,
            presence_known=False,
        )  # fmt: skip


def _check_diff(diff: Source, base: Path, size: int, sparse: bool) -> None:
    if not diff.plain:
        raise _no_layer(diff, f"{diff.packing[0]}, and so has no holes")
    if diff.size != size:
        raise _no_layer(
            diff, f"of {diff.size} bytes, expected {size} as its base {base} is"
        )
    if not sparse:
        raise _no_layer(diff, "without a hole: every page of it would be a change")
    if os.fstat(diff.file()).st_blksize > PAGE_SIZE:
        raise _no_layer(diff, "on a file system of blocks larger than a page")


def _no_layer(source: Source, what: str) -> InputError:
    return InputError(
        f"{source.path}: {what}",
        hint="a diff is a file with holes: copy it with cp --sparse=auto or tar -S",
    )
