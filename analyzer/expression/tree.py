"""What an expression is made of; each part says itself, and what rows fit it.

Two-valued: a text that is null is empty, a figure that is null fits no comparison.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, NamedTuple, Protocol

import polars as pl

from analyzer.expression.fields import Field, Kind
from analyzer.expression.pattern import Pattern
from analyzer.expression.quantity import Quantity

Place = tuple[int, int]
"""First character and how many."""


class Columns(NamedTuple):
    """What a table has of what an expression asks for."""

    of: Mapping[str, str]
    """A field's name → its column."""
    searched: Sequence[str]
    """Where a word alone is looked for; never empty where there is one."""
    pid: bool
    """Whether a word may be a process's number."""


WORDS: Final = frozenset({"and", "or", "not", "in"})
"""What only means itself between quotes."""

_BARE: Final = re.compile(r"[A-Za-z0-9_./:@-]+")
_LARGEST_PID: Final = 1 << 31


class Node(Protocol):
    """A part of an expression."""

    def over(self, columns: Columns) -> pl.Expr:
        """bool per row of a table with *columns*, never null."""

    def fields(self) -> Iterator[tuple[Field | None, Place]]:
        """What the table must have, None for anything in which a word can be."""


@dataclass(frozen=True, slots=True)
class Word:
    """A text alone: found in any name, or the number of a process."""

    pattern: Pattern
    place: Place = field(default=(0, 0), compare=False)

    def over(self, columns: Columns) -> pl.Expr:
        fits = [self.pattern.within(_text(name)) for name in columns.searched]
        number = self.pattern.literal
        if columns.pid and number.isascii() and number.isdecimal():
            pid = int(number[:20])
            fits.append(pl.col("pid") == (pid if pid < _LARGEST_PID else -1))
        return pl.any_horizontal(fits)

    def fields(self) -> Iterator[tuple[Field | None, Place]]:
        yield None, self.place

    def __str__(self) -> str:
        source = self.pattern.source
        bare = _BARE.fullmatch(source) and source.lower() not in WORDS
        return source if bare else str(self.pattern)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field beside a value."""

    subject: Field
    operator: str
    value: Pattern | Quantity
    place: Place = field(default=(0, 0), compare=False)

    def over(self, columns: Columns) -> pl.Expr:
        return _compared(
            columns.of[self.subject.name], self.subject.kind, self.operator, self.value
        )

    def fields(self) -> Iterator[tuple[Field | None, Place]]:
        yield self.subject, self.place

    def __str__(self) -> str:
        return f"{self.subject.name} {self.operator} {self.value}"


@dataclass(frozen=True, slots=True)
class Membership:
    """A field, and the values of which it has one."""

    subject: Field
    values: tuple[Pattern | Quantity, ...]
    place: Place = field(default=(0, 0), compare=False)

    def over(self, columns: Columns) -> pl.Expr:
        column, kind = columns.of[self.subject.name], self.subject.kind
        return pl.any_horizontal(
            _compared(column, kind, "==", value) for value in self.values
        )

    def fields(self) -> Iterator[tuple[Field | None, Place]]:
        yield self.subject, self.place

    def __str__(self) -> str:
        return f"{self.subject.name} in ({', '.join(map(str, self.values))})"


@dataclass(frozen=True, slots=True)
class Not:
    """What does not fit *part*."""

    part: Node

    def over(self, columns: Columns) -> pl.Expr:
        return ~self.part.over(columns)

    def fields(self) -> Iterator[tuple[Field | None, Place]]:
        yield from self.part.fields()

    def __str__(self) -> str:
        return f"not {_inside(self.part, Not)}"


@dataclass(frozen=True, slots=True)
class And:
    """What fits every one of *parts*."""

    parts: tuple[Node, ...]

    def over(self, columns: Columns) -> pl.Expr:
        return pl.all_horizontal(part.over(columns) for part in self.parts)

    def fields(self) -> Iterator[tuple[Field | None, Place]]:
        for part in self.parts:
            yield from part.fields()

    def __str__(self) -> str:
        return " and ".join(_inside(part, And) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Or:
    """What fits any of *parts*."""

    parts: tuple[Node, ...]

    def over(self, columns: Columns) -> pl.Expr:
        return pl.any_horizontal(part.over(columns) for part in self.parts)

    def fields(self) -> Iterator[tuple[Field | None, Place]]:
        for part in self.parts:
            yield from part.fields()

    def __str__(self) -> str:
        return " or ".join(_inside(part, Or) for part in self.parts)


_LOOSE: Final[tuple[type, ...]] = (Or, And, Not)
"""What binds least comes first; all else binds most."""


def _inside(part: Node, whole: type) -> str:
    looser = isinstance(part, _LOOSE[: _LOOSE.index(whole)])
    return f"({part})" if looser else str(part)


def _compared(
    column: str, kind: Kind, operator: str, value: Pattern | Quantity
) -> pl.Expr:
    if isinstance(value, Pattern):
        same = value.equals(_text(column))
    elif operator in ("==", "!="):
        same = _is(pl.col(column), kind, value.stored(kind))
    else:
        return _ordered(pl.col(column), kind, operator, value.stored(kind))
    return ~same if operator == "!=" else same


def _text(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).fill_null("")


def _is(figure: pl.Expr, kind: Kind, value: Fraction) -> pl.Expr:
    if kind is Kind.SHARE:
        return (figure == float(value)).fill_null(False)
    if value.denominator != 1:
        return pl.lit(False)
    return (figure == value.numerator).fill_null(False)


def _ordered(figure: pl.Expr, kind: Kind, operator: str, value: Fraction) -> pl.Expr:
    """Integers are held against integers: 1.5 is between them, and its floor or
    ceiling divides them as it does."""
    if kind is Kind.SHARE:
        low = high = float(value)
    else:
        low, high = math.floor(value), math.ceil(value)
    match operator:
        case "<":
            fits = figure < high
        case "<=":
            fits = figure <= low
        case ">":
            fits = figure > low
        case _:
            fits = figure >= high
    return fits.fill_null(False)
