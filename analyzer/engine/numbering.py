"""Digests → content numbers, one epoch after the other.

Where a whole trace is known at once, `contents` numbers only what repeats. Through
time any content may come back, so each gets a number when it is first seen.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from analyzer.engine.jit import jit

ZERO: Final = 0
"""The number of the zero page's content."""

_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)


class Numbering:
    """A growing table of digests; equal digests, equal numbers."""

    def __init__(self, zero: np.uint64) -> None:
        self._keys = np.zeros(1 << 16, np.uint64)
        self._places = np.full(1 << 16, -1, np.int32)
        self._count = 0
        self.numbers(np.array([zero], np.uint64))

    def __len__(self) -> int:
        return self._count

    @property
    def digests(self) -> npt.NDArray[np.uint64]:
        """uint64[len(self)]: the digest of each number."""
        used = self._places >= 0
        digests = np.empty(self._count, np.uint64)
        digests[self._places[used]] = self._keys[used]
        return digests

    def numbers(self, digests: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
        """int32: the number of each digest, new ones in order of their coming."""
        self._make_room(len(digests))
        found = np.empty(len(digests), np.int32)
        self._count = _look_up(digests, self._keys, self._places, self._count, found)
        return found

    def _make_room(self, more: int) -> None:
        size = len(self._keys)
        while (self._count + more) * 3 > size * 2:
            size *= 2
        if size > len(self._keys):
            keys, places = self._keys, self._places
            self._keys = np.zeros(size, np.uint64)
            self._places = np.full(size, -1, np.int32)
            _move(keys, places, self._keys, self._places)


@jit
def _look_up(digests, keys, places, count, found):
    mask = np.uint64(len(keys) - 1)
    for k in range(len(digests)):
        x = digests[k]
        at = _home(x) & mask
        while places[at] >= 0 and keys[at] != x:
            at = (at + np.uint64(1)) & mask
        if places[at] < 0:
            keys[at] = x
            places[at] = count
            count += 1
        found[k] = places[at]
    return count


@jit
def _move(old_keys, old_places, keys, places):
    mask = np.uint64(len(keys) - 1)
    for k in range(len(old_keys)):
        if old_places[k] >= 0:
            at = _home(old_keys[k]) & mask
            while places[at] >= 0:
                at = (at + np.uint64(1)) & mask
            keys[at] = old_keys[k]
            places[at] = old_places[k]


@jit
def _home(digest):
    # Synthetic digests may have all their variety at the top.
    mixed = digest * _MULTIPLIER
    return mixed ^ (mixed >> np.uint64(32))
