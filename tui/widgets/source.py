"""What a grid asks of whoever has the data.

The grid holds keys, never rows: a key says which workload, process or mapping is
meant, in every pass, under every filter. So selection, marks and unfolded rows stay
with the things they were put on.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from tui.draw import Cells
from tui.look import Look

Key = Hashable
"""The identity of a row: `17`, `("process", 17)`."""

Cell = str | Cells
"""Text, which the grid makes safe, aligns and cuts; or segments of the cell's width,
whose names the source has made safe."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a grid, the first of which names the row."""

    key: str
    title: str
    width: int
    """Cells it needs; it is never drawn narrower, unless its rank is 0."""
    rank: int
    """Columns of the highest rank are left out first; 0 always stays."""
    flex: int = 0
    """Its share of the cells that are left over."""
    right: bool = True
    """A figure, to the right and sorted from the largest; else text."""
    sortable: bool = True
    pictorial: bool = False
    """A picture of figures: nothing that could be copied as text."""


class Source(ABC):
    """The rows behind a grid, by key."""

    tree: bool = False
    """Whether any row has children; a grid of none has no room for fold signs."""

    @abstractmethod
    def roots(self) -> Sequence[Key]:
        """The rows of the first level, in the source's own order."""

    @abstractmethod
    def cell(self, key: Key, column: str, width: int, look: Look) -> Cell:
        """What stands in a row; asked for visible rows only."""

    def children(self, key: Key) -> Sequence[Key]:  # noqa: ARG002
        """The rows beneath *key*; asked when it is unfolded."""
        return ()

    def has_children(self, key: Key) -> bool:  # noqa: ARG002
        """Whether *key* can be unfolded; asked for visible rows only."""
        return False

    def order(
        self,
        column: str,  # noqa: ARG002
        descending: bool,  # noqa: ARG002
        keys: Sequence[Key],
    ) -> Sequence[Key]:
        """*keys*, all of one parent, sorted by *column*; may be computed once.

        Equal rows stay in the source's own order.
        """
        return keys

    def summary(self, column: str, width: int, look: Look) -> Cell | None:  # noqa: ARG002
        """A cell of a last row that cannot be selected (`10 more`, with totals).

        None for the first column where there is no such row.
        """
        return None


def by_values(
    keys: Sequence[Key], values: Sequence[Any], descending: bool
) -> list[Key]:
    """*keys* by their *values*, which can be compared; rows without one come last."""
    known = [at for at, value in enumerate(values) if value is not None]
    known.sort(key=values.__getitem__, reverse=descending)
    missing = (at for at, value in enumerate(values) if value is None)
    return [keys[at] for at in (*known, *missing)]


def fitted(columns: Sequence[Column], width: int) -> list[tuple[Column, int]]:
    """The columns there is room for and their cells, one cell apart.

    A column is whole or left out, except those of rank 0, which take what there is.
    """
    left, kept = width + 1, set[str]()
    for column in sorted(columns, key=lambda column: column.rank):
        if column.width + 1 <= left or column.rank == 0:
            kept.add(column.key)
            left -= column.width + 1
    shown = [column for column in columns if column.key in kept]
    flexes = sum(column.flex for column in shown)
    given = []
    for column in shown:
        # What is left is negative only where a column of rank 0 is cut.
        more = left * column.flex // flexes if left > 0 and flexes else 0
        less = left if left < 0 and column.rank == 0 else 0
        given.append((column, max(column.width + more + less, 1)))
    return given
