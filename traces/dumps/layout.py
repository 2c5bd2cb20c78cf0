"""What a table or a file of digests does not tell of itself, and its user does."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from traces.errors import UsageError

COLUMNS: Final = (
    "digest", "addr", "pid", "process", "container", "host", "vma_start", "vma_end",
    "vma_name", "vma_flags", "zero", "anon", "present", "eligible", "frame", "count",
    "time",
)  # fmt: skip
"""What a table may say of a page."""

_LEAST_DIGITS, _MOST_DIGITS = 8, 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How to read a table of pages (`tables.table`), or traces of UMass."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """One of `COLUMNS` → what it is called in the table, where that is different."""
    zero_digest: str = ""
    """What the table's hash makes of 4096 zero bytes, in lower case hexadecimal."""
    delimiter: str = ","
    header: bool = True
    """Whether the first line names the columns; else they are called 1, 2, 3 …"""
    header_bytes: int = 0
    trailer_bytes: int = 0

    @classmethod
    def asked(
        cls,
        *,
        maps: Iterable[str],
        zero_digest: str,
        delimiter: str,
        header: bool,
        header_bytes: int,
        trailer_bytes: int,
    ) -> Self:
        """As the command line gives it; raises UsageError where that makes no sense."""
        return cls(
            columns=_columns(maps),
            zero_digest=_hexadecimal(zero_digest),
            delimiter=_character(delimiter),
            header=header,
            header_bytes=header_bytes,
            trailer_bytes=trailer_bytes,
        )

    def name(self, column: str) -> str:
        """What one of `COLUMNS` is called in the table."""
        return self.columns.get(column, column)


def digits_of(text: str) -> bool:
    """Whether *text* is a digest in hexadecimal."""
    return bool(re.fullmatch(rf"[0-9a-f]{{{_LEAST_DIGITS},{_MOST_DIGITS}}}", text))


def _columns(maps: Iterable[str]) -> dict[str, str]:
    columns: dict[str, str] = {}
    for pair in (pair for text in maps for pair in text.split(",")):
        ours, equals, theirs = pair.partition("=")
        if not (equals and theirs):
            raise UsageError(f"--map {pair}: expected COLUMN=NAME, as in digest=md5")
        if ours not in COLUMNS:
            raise UsageError(
                f"--map {pair}: there is no {ours!r}", hint=f"map {', '.join(COLUMNS)}"
            )
        columns[ours] = theirs
    return columns


def _hexadecimal(text: str) -> str:
    digits = text.lower().removeprefix("0x")
    if text and not digits_of(digits):
        raise UsageError(
            f"--zero-digest {text}: expected {_LEAST_DIGITS} to {_MOST_DIGITS} "
            "hexadecimal digits"
        )
    return digits


def _character(text: str) -> str:
    character = {"tab": "\t"}.get(text, text)
    if len(character) != 1 or not character.isascii() or character in '"\r\n\0':
        raise UsageError(f"--delimiter {text!r}: expected one character, such as ';'")
    return character
