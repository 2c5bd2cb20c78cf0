"""What was sent last of each page, where pages come in any order and more than once."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from traces.dumps.digesting import Digested

_CHUNK: Final = 1 << 10
"""Pages whose digests lie together: memory is taken where pages are."""
_BATCH: Final = 64
_SENT, _FILL = 1, 2


class Sent:
    """Digests by page number."""

    def __init__(self) -> None:
        self._chunks: dict[int, tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]]
        self._chunks = {}

    @property
    def size(self) -> int:
        """Bytes they take."""
        return len(self._chunks) * _CHUNK * 9

    @property
    def pages(self) -> int:
        """How many different pages there are."""
        return sum(int(np.count_nonzero(kind)) for _, kind in self._chunks.values())

    def put(
        self,
        numbers: npt.NDArray[np.int64],
        digest: npt.NDArray[np.int64],
        fill: npt.NDArray[np.bool_],
    ) -> None:
        """Pages in the order they came: of one that comes twice, the last stays."""
        chunk = numbers // _CHUNK
        cuts = np.flatnonzero(np.diff(chunk)) + 1
        starts = [0, *cuts.tolist()] if len(numbers) else []
        ends = [*cuts.tolist(), len(numbers)]
        kind = np.where(fill, _SENT | _FILL, _SENT)
        for at, end in zip(starts, ends, strict=False):
            digests, kinds = self._chunk(int(chunk[at]))
            places = numbers[at:end] % _CHUNK
            digests[places] = digest[at:end]
            kinds[places] = kind[at:end]

    def batches(self) -> Iterator[tuple[npt.NDArray[np.int64], Digested]]:
        """All pages, ascending."""
        keys = sorted(self._chunks)
        for at in range(0, len(keys), _BATCH):
            some = keys[at : at + _BATCH]
            digest = np.concatenate([self._chunks[key][0] for key in some])
            kind = np.concatenate([self._chunks[key][1] for key in some])
            firsts = np.array(some, np.int64) * _CHUNK
            numbers = (firsts[:, None] + np.arange(_CHUNK)).ravel()
            sent = kind != 0
            found = Digested(digest, kind & _FILL != 0, sent)
            yield numbers[sent], found.taken(sent)

    def _chunk(
        self, number: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        found = self._chunks.get(number)
        if found is None:
            found = np.zeros(_CHUNK, np.int64), np.zeros(_CHUNK, np.uint8)
            self._chunks[number] = found
        return found
