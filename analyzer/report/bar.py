"""Bars of coloured cells, and how many cells each part of a whole is given."""

from collections.abc import Sequence
from typing import Final, NamedTuple


class Part(NamedTuple):
    """One of the things a bar is divided into."""

    title: str
    style: str
    texture: str
    """Tells it from its neighbours where there is no colour."""
    ascii: str


NONZERO: Final = Part("non-zero", "nonzero", "█", "#")
ZERO: Final = Part("zero", "zero", "▓", "0")
KEPT: Final = Part("kept", "kept", "▒", "=")
UNMERGED: Final = Part("unmerged", "unmerged", "░", ".")


def apportioned(values: Sequence[int], width: int) -> list[int]:
    """Cells for each of *values*, together exactly *width* (none if all are zero).

    Negative values get none. By largest remainder, ties to the earlier.
    """
    sizes = [max(value, 0) for value in values]
    whole = sum(sizes)
    if not whole:
        return [0] * len(sizes)
    shares = [size * width // whole for size in sizes]
    left = width - sum(shares)
    largest = sorted(range(len(sizes)), key=lambda at: -(sizes[at] * width % whole))
    for at in largest[:left]:
        shares[at] += 1
    return shares
