"""Which columns of a table fit a width, and how wide each one is.

A number is drawn whole or not at all; only names are shortened. Where there is
not room for every column, those of the highest rank are left out.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

GAP: Final = 2
"""Cells between two columns."""


class Need(NamedTuple):
    """What one column asks for."""

    least: int
    most: int
    rank: int
    """0 is always given room, if only part of what it needs."""


def planned(needs: Sequence[Need], width: int) -> list[int]:
    """Cells for each column, 0 for one left out; with the gaps at most *width*."""
    given = [0] * len(needs)
    order = sorted(range(len(needs)), key=lambda at: needs[at].rank)
    left = width + GAP
    for at in order:
        need = needs[at]
        room = left - GAP
        if need.rank == 0 and room > 0:
            given[at] = min(need.least, room)
        elif 0 < need.least <= room:
            given[at] = need.least
        if given[at]:
            left -= given[at] + GAP
    for at in order:
        if given[at]:
            more = min(needs[at].most - given[at], left)
            given[at] += max(more, 0)
            left -= max(more, 0)
    return given
