"""Terminal cells: how wide a text is drawn, and cutting it to a width.

A letter is not always a cell: ideographs take two, accents that combine with the
letter before them take none.
"""

import unicodedata

ELLIPSIS = "…"
"""Stands for what was cut off."""


def cells(text: str) -> int:
    """The width of printable *text*."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def clipped(text: str, width: int) -> str:
    """*text*, or as much of it as leaves room for an ellipsis within *width*."""
    if cells(text) <= width:
        return text
    kept, room = [], width - 1
    for char in text:
        room -= _cells_of(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept) + ELLIPSIS if width > 0 else ""


def padded(text: str, width: int, right: bool = False) -> str:
    """*text* filled with spaces to *width*, on its left where it is *right*-aligned."""
    space = " " * (width - cells(text))
    return space + text if right else text + space


def _cells_of(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
