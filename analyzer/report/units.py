"""Numbers as people read them; tables and machine formats keep the integers.

Bytes are IEC with three significant digits, counts SI, shares have one decimal.
Signs are ASCII here; who draws on a terminal may put a typographic minus.
"""

from typing import Final

from traces.page import PAGE_SIZE

_BYTES: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_COUNTS: Final = ("", "k", "M", "G", "T", "P", "E")

NOTHING: Final = "-"
"""What a share of nothing is drawn as."""


def bytes_text(value: int) -> str:
    """`9.37 GiB`, `940 MiB`, `-12.0 KiB`, `0 B`."""
    if value < 0:
        return f"-{bytes_text(-value)}"
    number, unit = _scaled(value, 1024, _BYTES)
    return f"{number} {unit}"


def pages_text(pages: int) -> str:
    """The bytes of so many pages."""
    return bytes_text(pages * PAGE_SIZE)


def profit_text(value: int) -> str:
    """Bytes with their sign: `+9.21 GiB`."""
    return f"+{bytes_text(value)}" if value > 0 else bytes_text(value)


def count_text(value: int) -> str:
    """`2400` as it is, from ten thousand on `4.67M`."""
    if value < 0:
        return f"-{count_text(-value)}"
    return str(value) if value < 10_000 else "".join(_scaled(value, 1000, _COUNTS))


def share_text(part: int, whole: int) -> str:
    """`40.9%`; `100.0%` is all of it, not nearly all."""
    return percent_text(part / whole) if whole else NOTHING


def percent_text(share: float) -> str:
    """The same of a number from 0 to 1."""
    percent = 100 * share
    return f"{min(percent, 99.9) if percent < 100 else percent:.1f}%"


def duration_text(milliseconds: int) -> str:
    """`240 ms`, `5.7 s`, `5.7 min`, `12.3 h`, `2.1 d`."""
    for size, unit in (
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "min"),
        (1000, "s"),
    ):
        if milliseconds >= size:
            return f"{milliseconds / size:.1f} {unit}"
    return f"{milliseconds} ms"


def _scaled(value: int, base: int, units: tuple[str, ...]) -> tuple[str, str]:
    """Three significant digits of *value* in the largest unit it fills."""
    scaled, at = float(value), 0
    # 1023.6 would be written as 1024 of a unit that ends at 1023.
    while scaled >= base - 0.5 and at < len(units) - 1:
        scaled, at = scaled / base, at + 1
    if at == 0:
        return str(value), units[0]
    decimals = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
    return f"{scaled:.{decimals}f}", units[at]


def left_out(number: int, reason: str) -> str:
    """*number* of what a *reason* for leaving it out begins with, such as `pages`."""
    one = {"pages": "page", "parts": "part", "processes": "process"}
    what, _, rest = reason.partition(" ")
    return f"{number} {one.get(what, what) if number == 1 else what} {rest}"


def counted(number: int, one: str, more: str = "") -> str:
    """*number* of what one is called *one*, and several *more*, else with an s."""
    return f"{count_text(number)} {one if number == 1 else more or f'{one}s'}"
