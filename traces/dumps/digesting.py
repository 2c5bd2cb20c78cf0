"""Pages of a dump → digests, from a file or as they stream by."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from traces.digest import (
    CHUNK_PAGES,
    file_digests,
    page_buffer,
    page_digests,
    page_secret,
    zero_digest,
)
from traces.dumps.source import Readable
from traces.schema import PAGE_SIZE

BATCH_PAGES: Final = 1 << 16
"""Pages digested before others hear of it: 256 MiB, a fraction of a second."""

_CHUNK: Final = CHUNK_PAGES


class Digested(NamedTuple):
    """An element per page."""

    digest: npt.NDArray[np.int64]
    fill: npt.NDArray[np.bool_]
    """All bytes equal, not zero."""
    read: npt.NDArray[np.bool_]
    """False where the file ended before the page did."""

    @classmethod
    def none(cls) -> "Digested":
        """Of no page."""
        nothing = np.empty(0, bool)
        return cls(np.empty(0, np.int64), nothing, nothing)

    def taken(
        self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp] | slice
    ) -> "Digested":
        """Those of *rows*."""
        return Digested(self.digest[rows], self.fill[rows], self.read[rows])


class Digester:
    """Digests pages under one seed; keeps one buffer, so for one thread."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.zero = zero_digest(seed)
        """The digest of a zero page."""
        self._secret = page_secret(seed)
        self._words = page_buffer(_CHUNK)
        self._bytes = memoryview(self._words.view(np.uint8).data)

    def of_file(
        self, file: int, offsets: npt.NDArray[np.int64], pages: npt.NDArray[np.int64]
    ) -> Digested:
        """The pages of extents: *pages* whole pages from byte *offsets* each, in that
        order. *file* is a file descriptor, and need not be aligned."""
        total = int(pages.sum())
        digest, fill = np.zeros(total, np.int64), np.zeros(total, np.uint8)
        extents, chunks = _chunked(offsets, pages)
        done = np.zeros(len(chunks) - 1, np.int64)
        file_digests(
            file, extents, chunks, self._words, self._secret, self.zero, digest, fill,
            done,
        )  # fmt: skip
        rows = np.arange(total)
        read = rows % _CHUNK < done[rows // _CHUNK] if total else rows.astype(bool)
        digest[~read] = 0
        return Digested(digest, fill.astype(bool) & read, read)

    def of_source(self, source: Readable, pages: int) -> Digested:
        """The next *pages* pages of *source*; fewer elements at its end."""
        parts = []
        while pages > 0:
            wanted = min(pages, _CHUNK)
            got = source.read_into(self._bytes[: wanted * PAGE_SIZE]) // PAGE_SIZE
            parts.append(self._buffered(got))
            pages -= wanted
            if got < wanted:
                break
        return joined(parts)

    def of_bytes(self, data: bytes | bytearray | memoryview) -> Digested:
        """The whole pages in *data*."""
        view = memoryview(data).cast("B")
        parts = []
        for at in range(0, len(view) // PAGE_SIZE * PAGE_SIZE, _CHUNK * PAGE_SIZE):
            piece = view[at : at + _CHUNK * PAGE_SIZE]
            pages = len(piece) // PAGE_SIZE
            self._bytes[: pages * PAGE_SIZE] = piece[: pages * PAGE_SIZE]
            parts.append(self._buffered(pages))
        return joined(parts)

    def _buffered(self, pages: int) -> Digested:
        digest, fill = np.empty(pages, np.int64), np.empty(pages, np.uint8)
        page_digests(self._words, pages, self._secret, self.zero, digest, fill)
        return Digested(digest, fill.astype(bool), np.ones(pages, bool))


def joined(parts: list[Digested]) -> Digested:
    """One behind the other."""
    if not parts:
        return Digested.none()
    digest, fill, read = map(np.concatenate, zip(*parts, strict=True))
    return Digested(digest, fill, read)


def _chunked(
    offsets: npt.NDArray[np.int64], pages: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """The extents cut where a chunk of pages is full, as pairs (offset, bytes), and
    where each chunk of them begins."""
    first = np.concatenate(([0], np.cumsum(pages))).astype(np.int64)
    total = int(first[-1])
    bounds = np.append(np.arange(0, total, _CHUNK), total)
    starts = np.union1d(first[:-1], bounds[:-1])
    starts = starts[starts < total]
    lengths = np.diff(np.append(starts, total))
    extent = np.searchsorted(first, starts, "right") - 1
    places = offsets[extent] + (starts - first[extent]) * PAGE_SIZE
    pairs = np.stack([places, lengths * PAGE_SIZE], 1).astype(np.uint64)
    return pairs.ravel(), np.searchsorted(starts, bounds)
