"""Names come from outside: a process may call itself an escape sequence.

Whatever reaches a terminal goes through `printable` first. It keeps ordinary
letters of every script and shows the rest by number.
"""

import unicodedata
from typing import Final

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(text: str) -> str:
    """*text* with control, direction-changing, invisible and unassigned characters
    written as `\\xNN`, `\\uNNNN` or `\\UNNNNNNNN`; always a single line."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _numbered(char) if unicodedata.category(char) in _HIDDEN else char
        for char in text
    )


def _numbered(char: str) -> str:
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
