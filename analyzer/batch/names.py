"""Names of files for reports: safe on any system, none given twice."""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

_PLAIN: Final = frozenset(".-_+@=,")
_MOST_BYTES: Final = 120
"""Of a name without its suffix: file systems end at 255."""
_UNNAMED: Final = "source"


def file_names(
    names: Iterable[str], suffix: str, taken: Sequence[str] = ()
) -> list[str]:
    """A file's name for each of *names*, in their order, all different from each other
    and from those *taken*, also where upper and lower case are one.

    Letters and digits of every script stay; what could mean something to a shell, a
    file system or a reader of right-to-left text becomes `_`.
    """
    used = {name.casefold() for name in taken}
    found = []
    for name in names:
        stem = _stem(name)
        unique, number = f"{stem}{suffix}", 1
        while unique.casefold() in used:
            number += 1
            unique = f"{stem}-{number}{suffix}"
        used.add(unique.casefold())
        found.append(unique)
    return found


def _stem(name: str) -> str:
    text = unicodedata.normalize("NFC", name)
    safe = "".join(c if c.isalnum() or c in _PLAIN else "_" for c in text)
    if safe.startswith((".", "-")):
        # Neither hidden nor taken for an option.
        safe = f"_{safe[1:]}"
    while len(safe.encode()) > _MOST_BYTES:
        safe = safe[:-1]
    return safe or _UNNAMED
