"""Figures that follow the pass: said once, drawn here and by units.js alike.

A figure is a sequence of words and of units with the columns they are drawn from.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from analyzer.report.columns import COLUMNS, SHARES, Unit
from analyzer.report.units import (
    NOTHING,
    bytes_text,
    count_text,
    duration_text,
    pages_text,
    percent_text,
    profit_text,
    share_text,
)
from traces.schema import PAGE_SIZE, UNKNOWN

Figure = Sequence[str | tuple[str, ...]]
"""Words, or a unit of `UNITS` and the names of the values it draws."""


def ratio_text(part: int, whole: int) -> str:
    """`14.7`: how many times the *whole* is in the *part*."""
    return f"{part / whole:.1f}" if whole else NOTHING


def _number_text(value: int) -> str:
    return NOTHING if value == UNKNOWN else str(value)


def _address_text(page: int) -> str:
    return f"{page * PAGE_SIZE:x}"


UNITS: Final[Mapping[str, Callable[..., str]]] = {
    "text": str,
    "number": _number_text,
    "count": count_text,
    "pages": pages_text,
    "bytes": bytes_text,
    "profit": profit_text,
    "duration": duration_text,
    "share": share_text,
    "percent": percent_text,
    "ratio": ratio_text,
    "address": _address_text,
}
"""Each is a function of the same name in units.js."""

_UNIT_OF: Final[Mapping[Unit, str]] = {
    Unit.NAME: "text",
    Unit.NUMBER: "number",
    Unit.COUNT: "count",
    Unit.PAGES: "pages",
    Unit.BYTES: "bytes",
    Unit.PROFIT: "profit",
    Unit.SHARE: "share",
    Unit.PAGE_NUMBER: "address",
    # Sixteen digits are more than a number of a script can hold.
    Unit.DIGEST: "text",
}


def unit_of(column: str) -> str:
    """How the cells of a column of `COLUMNS` are drawn."""
    return _UNIT_OF[COLUMNS[column].unit]


def values_of(column: str) -> tuple[str, ...]:
    """The columns whose values a cell of *column* is drawn from."""
    return SHARES.get(column, (column,))


def drawn(unit: str, *values: Any) -> str:
    """*values* as people read them; numbers with the typographic minus."""
    text = UNITS[unit](*values)
    return text if unit == "text" else signed(text)


def told(figure: Figure, row: Mapping[str, Any]) -> str:
    """*figure* of the values in *row*."""
    return "".join(
        part if isinstance(part, str) else drawn(part[0], *(row[n] for n in part[1:]))
        for part in figure
    )


def signed(number: str) -> str:
    """*number* with the typographic minus."""
    if number.startswith("-") and len(number) > 1:
        return f"\u2212{number[1:]}"
    return number
