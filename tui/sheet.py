"""Frames as the rows of a grid: looks from report.columns, bars of page states."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from analyzer.report.columns import COLUMNS, Unit
from analyzer.report.units import NOTHING
from tui.draw import Cells, Slice, figure, gapped
from tui.look import Colour, Ink, Look, State
from tui.session import Session
from tui.widgets.source import Cell, Column, Key, Source, by_values

if TYPE_CHECKING:
    import polars as pl

STATES: Final[Mapping[State, str]] = {
    State.SAVED: "pages_saved_nonzero",
    State.ZERO: "pages_saved_zero",
    State.KEPT: "state_kept",
    State.UNSHARED: "pages_unshared",
    State.VOLATILE: "pages_volatile",
    State.UNSCANNED: "state_unscanned",
}
"""State → the column of a moment's frames that counts its pages."""

_BOLD: Final = frozenset({"pages_saved"})
_INKS: Final[Mapping[str, Colour]] = {
    "pages_saved_zero": State.ZERO,
    "pages_volatile": State.VOLATILE,
}


class Table:
    """A frame's columns as lists, taken out when they are first asked for."""

    def __init__(self, frame: "pl.DataFrame", key: str) -> None:
        self.frame = frame
        self.keys: list[Any] = frame[key].to_list()
        self.at = {value: row for row, value in enumerate(self.keys)}
        self._lists: dict[str, list[Any]] = {}

    def column(self, name: str) -> list[Any]:
        """All its values, in the frame's order."""
        if name not in self._lists:
            self._lists[name] = self.frame[name].to_list()
        return self._lists[name]

    def value(self, key: Any, name: str) -> Any:
        """One of them; None where the frame lacks the column or the row."""
        row = self.at.get(key)
        if row is None or name not in self.frame.columns:
            return None
        return self.column(name)[row]

    def ordered(self, keys: Sequence[Any], name: str, descending: bool) -> list[Any]:
        """*keys* sorted by a column."""
        values = self.column(name)
        return by_values(keys, [values[self.at[key]] for key in keys], descending)

    def states(self, key: Any) -> list[Slice]:
        """The pages of a row by their state, for a bar."""
        return [
            Slice(self.value(key, name) or 0, state) for state, name in STATES.items()
        ]


class Sheet(Source):
    """The rows of one frame, all on one level."""

    def __init__(self, frame: "pl.DataFrame", key: str, session: Session) -> None:
        self.table = Table(frame, key)
        self.session = session

    def roots(self) -> Sequence[Key]:
        return self.table.keys

    def order(
        self, column: str, descending: bool, keys: Sequence[Key]
    ) -> Sequence[Key]:
        if column not in self.table.frame.columns:
            return keys
        return self.table.ordered(keys, column, descending)

    def cell(self, key: Key, column: str, width: int, look: Look) -> Cell:
        value = self.table.value(key, column)
        return drawn(self.session, column, value, width, look)


def drawn(session: Session, column: str, value: Any, width: int, look: Look) -> Cell:
    """One cell of a stored or derived column, in the unit that was chosen."""
    if value is None:
        return NOTHING if COLUMNS[column].right else ""
    if COLUMNS[column].unit is Unit.NAME:
        return str(value)
    ink: Colour = _INKS.get(column, Ink.TEXT)
    if COLUMNS[column].unit is Unit.PROFIT:
        ink = Ink.LOSS if value < 0 else Ink.GAIN if value else Ink.DIM
    elif value == 0 or COLUMNS[column].unit is Unit.SHARE:
        ink = Ink.DIM if value == 0 else Ink.TEXT
    return figure(
        text_of(session, column, value), width, look, ink, bold=column in _BOLD
    )


def text_of(session: Session, column: str, value: Any) -> str:
    """A figure in words, in the unit that was chosen."""
    if COLUMNS[column].unit is Unit.PAGES:
        return session.amount(value)
    return COLUMNS[column].text(value)


def state_bar(table: Table, key: Any, width: int, look: Look) -> Cells:
    """A row's pages by their state."""
    slices = table.states(key)
    return gapped(slices, width, table.value(key, "pages") or 0, look)


def columns_of(
    names: Mapping[str, int], widths: Mapping[str, int], flex: Mapping[str, int] = {}
) -> list[Column]:
    """Grid columns of stored or derived figures: name → rank, titled as everywhere."""
    return [
        Column(
            key=name,
            title=COLUMNS[name].title,
            width=widths.get(name, 9),
            rank=rank,
            flex=flex.get(name, 0),
            right=COLUMNS[name].right,
        )
        for name, rank in names.items()
    ]
