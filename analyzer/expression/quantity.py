"""Numbers with units, exactly: `1.5GiB` is a fraction, never a float."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from typing import Final

from analyzer.expression.fields import Kind
from traces.schema import PAGE_SIZE

_NUMBER: Final = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?([^0-9.].*)?")
_LETTERS: Final = "kMGTPE"
_LARGEST: Final = 1 << 63
"""Columns are int64."""
_DIGITS: Final = 60


def _binary(one: Fraction, *, short: bool) -> Iterator[tuple[str, Fraction]]:
    yield "B", one
    for power, letter in enumerate(_LETTERS.upper(), 1):
        yield f"{letter}iB", one * 1024**power
        if short:
            yield letter, one * 1024**power


def _decimal() -> Iterator[tuple[str, Fraction]]:
    for power, letter in enumerate(_LETTERS, 1):
        yield letter, Fraction(1000**power)


_A_PAGE: Final = Fraction(1, PAGE_SIZE)
_ONE: Final = Fraction(1)

UNITS: Final[Mapping[Kind, Mapping[str, Fraction]]] = {
    Kind.TEXT: {},
    Kind.NUMBER: {"": _ONE},
    Kind.COUNT: {"": _ONE, **dict(_decimal())},
    Kind.PAGES: {"": _ONE, **dict(_binary(_A_PAGE, short=True))},
    Kind.PAGE_COUNT: {
        "": _ONE,
        **dict(_decimal()),
        **dict(_binary(_A_PAGE, short=False)),
    },
    Kind.BYTES: {"": _ONE, **dict(_binary(_ONE, short=True))},
    Kind.SHARE: {"%": Fraction(1, 100)},
    Kind.DURATION: {
        "ns": _ONE,
        "us": Fraction(10**3),
        "ms": Fraction(10**6),
        "s": Fraction(10**9),
        "min": Fraction(60 * 10**9),
        "h": Fraction(3600 * 10**9),
        "d": Fraction(86400 * 10**9),
    },
}
"""What a kind of field can be compared in → how much of the column's own unit it is."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as it was written, but for needless zeros and the unit's case."""

    amount: str
    unit: str
    """A key of `UNITS`; empty for the column's own, or for nothing at all."""

    def stored(self, kind: Kind) -> Fraction:
        """How much that is in a column of this *kind*."""
        value = Fraction(self.amount)
        return value * UNITS[kind][self.unit] if value else value

    def __str__(self) -> str:
        return f"{self.amount}{self.unit}"


def quantity(text: str, kind: Kind) -> Quantity:
    """*text* as a quantity of this *kind*.

    Raises ValueError, saying what is wrong with it.
    """
    found = _NUMBER.fullmatch(text)
    if found is None or len(text) > _DIGITS:
        raise ValueError(f"{text} is no number")
    sign, whole, part, unit = found.groups(default="")
    amount = whole.lstrip("0") or "0"
    if part := part.rstrip("0"):
        amount = f"{amount}.{part}"
    unit = unit.strip()
    if amount == "0" and not unit:
        return Quantity(amount, unit)
    made = Quantity(f"{'-' * (sign == '-')}{amount}", _unit(unit, kind))
    if abs(made.stored(kind)) >= _LARGEST:
        raise ValueError(f"{text} is larger than any figure")
    return made


def _unit(unit: str, kind: Kind) -> str:
    for known in UNITS[kind]:
        if known.lower() == unit.lower():
            return known
    named = [known for known in UNITS[kind] if known]
    if not named:
        raise ValueError(f"no unit {unit} here: it is {kind.value}")
    if not unit:
        raise ValueError(f"{kind.value} needs its unit: {', '.join(named)}")
    by_case = {known.lower(): known for known in named}
    near = get_close_matches(unit.lower(), by_case, 1)
    if near:
        raise ValueError(f"no unit {unit} for {kind.value}: {by_case[near[0]]} is one")
    raise ValueError(f"no unit {unit} for {kind.value}: {', '.join(named)} are")
