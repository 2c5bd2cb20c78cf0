"""Digests → small content numbers, so that a scan can index arrays by content."""

from typing import Final

import numpy as np
import numpy.typing as npt

from analyzer.engine.jit import jit
from analyzer.engine.radix import (
    bits_for,
    halves,
    places,
    side_by_side,
)

ZERO: Final = 0
"""The number of the zero page's content."""


def content_numbers(
    digests: npt.NDArray[np.uint64], zero: np.uint64
) -> tuple[npt.NDArray[np.int32], int]:
    """Number the contents of *digests*; (int32[rows], how many repeat, zero included).

    The zero page's content is 0, contents found in several rows are 1, 2 …, contents
    found once are negative and all different. The numbers depend on nothing but the
    digests and their order.
    """
    rows = len(digests)
    bits = bits_for(rows)
    cursors, starts, ends = places(digests, zero, bits)
    total = int(ends[-1])
    part = np.empty(total, np.uint64)
    row = np.empty(total, np.int32)
    numbers = np.empty(rows, np.int32)
    bounds = halves(rows)
    shift = np.uint64(64 - bits)
    side_by_side(
        lambda t: _scatter(
            digests,
            bounds[t],
            bounds[t + 1],
            shift,
            zero,
            cursors[t],
            part,
            row,
            numbers,
        )
    )
    cuts = halves(len(starts))
    # Each thread counts from a bound the threads before it cannot reach.
    first = [1 + int(starts[cut]) // 2 for cut in cuts[:-1].tolist()]
    after = side_by_side(
        lambda t: _number(
            cuts[t], cuts[t + 1], bits, starts, ends, part, row, numbers, first[t]
        )
    )
    gap = first[1] - after[0]
    side_by_side(lambda t: _close(numbers, bounds[t], bounds[t + 1], first[1], gap))
    return numbers, after[1] - gap


@jit
def _scatter(digests, lo, hi, shift, zero, cursor, part, row, numbers):
    for i in range(lo, hi):
        x = digests[i]
        if x == zero:
            numbers[i] = ZERO
        else:
            q = x >> shift
            at = cursor[q]
            cursor[q] = at + 1
            part[at] = x
            row[at] = i
            numbers[i] = -1 - i


@jit
def _number(first, last, bits, starts, ends, part, row, numbers, count):
    """Number the repeated contents of some parts from *count*; returns the next."""
    bits_ = np.uint64(bits)
    one = np.uint64(1)
    seen = np.empty(1 << 20, np.uint8)
    largest = 0
    for q in range(first, last):
        largest = max(largest, ends[q] - starts[q])
    capacity = 2
    while capacity < largest * 3 // 2 + 1:
        capacity <<= 1
    key = np.empty(capacity, np.uint64)
    value = np.empty(capacity, np.int32)
    for q in range(first, last):
        lo, hi = starts[q], ends[q]
        # One byte per hash value proves most single contents single: 0, 1, then
        # anything else means "perhaps repeated".
        width = 15
        while (1 << width) < (hi - lo) * 3 and width < 20:
            width += 1
        narrow = np.uint64(64 - width)
        seen[: 1 << width] = 0
        for k in range(lo, hi):
            at = (part[k] << bits_) >> narrow
            seen[at] = (seen[at] << 1) | 1
        perhaps = 0
        for k in range(lo, hi):
            perhaps += seen[(part[k] << bits_) >> narrow] != 1
        size = 2
        while size < perhaps * 3 // 2 + 1:
            size <<= 1
        log = 0
        while (1 << log) < size:
            log += 1
        top = np.uint64(64 - log)
        mask = np.uint64(size - 1)
        key[:size] = 0
        for k in range(lo, hi):
            x = part[k] << bits_
            if seen[x >> narrow] == 1:
                continue
            # The part's own bits were shifted out, so the lowest is free to say
            # that the place is taken.
            x |= one
            at = x >> top
            while key[at] != x and key[at] != 0:
                at = (at + one) & mask
            if key[at] == 0:
                key[at] = x
                value[at] = -1 - row[k]
                continue
            number = value[at]
            if number < 0:
                numbers[-1 - number] = count
                number = count
                value[at] = count
                count += 1
            numbers[row[k]] = number
    return count


@jit
def _close(numbers, lo, hi, first, gap):
    for i in range(lo, hi):
        if numbers[i] >= first:
            numbers[i] -= gap
