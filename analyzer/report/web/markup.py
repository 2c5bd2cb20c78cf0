"""HTML that is escaped unless it says that it is HTML already.

What comes from outside is written as on a terminal, control and direction-changing
characters by number, and stands in an element that keeps its direction to itself.
"""

import json
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from html import escape
from typing import Any, Final

from analyzer.report.escape import printable

_EMPTY: Final = frozenset({"input", "line", "link", "meta", "path", "polygon", "rect"})
_ESCAPED_IN_JSON: Final = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
)


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Attribute = str | int | float | bool | None


def tag(name: str, *content: str, **attributes: Attribute) -> Markup:
    """The element *name*; content that is no `Markup` is escaped.

    Attributes are named as in Python: `class_`, `aria_label`. One that is True has
    no value, one that is None or False is left out.
    """
    words = "".join(
        f" {key.rstrip('_').replace('_', '-')}{_assigned(value)}"
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _EMPTY:
        return Markup(f"<{name}{words}/>")
    return Markup(f"<{name}{words}>{joined(content)}</{name}>")


def joined(content: Iterable[str]) -> Markup:
    """One after another; escaped like the content of `tag`."""
    return Markup("".join(map(_escaped, content)))


def name(text: str) -> Markup:
    """A name from outside, which may be written from right to left."""
    return tag("bdi", text)


def sentence(text: str, names: Iterable[str]) -> Markup:
    """*text* with *names* from outside in it: each keeps its direction to itself."""
    parts = [text]
    for found in sorted({found for found in names if found}, key=len, reverse=True):
        parts = [piece for part in parts for piece in _split(part, found)]
    return joined(parts)


def data(value: Any, identity: str) -> Markup:
    """*value* as JSON that scripts can read, in a block that is never run."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return tag(
        "script",
        Markup(text.translate(_ESCAPED_IN_JSON)),
        type="application/json",
        id=identity,
    )


def source_hash(text: str) -> str:
    """How a Content-Security-Policy allows this script or style and no other."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _escaped(text: str) -> str:
    return text if isinstance(text, Markup) else escape(printable(text))


def _assigned(value: Attribute) -> str:
    return "" if value is True else f'="{_escaped(str(value))}"'


def _split(part: str, found: str) -> Iterable[str]:
    """*part* with every *found* as a name of its own."""
    if isinstance(part, Markup):
        return [part]
    pieces: list[str] = []
    for piece in part.split(found):
        pieces += [piece, name(found)]
    return pieces[:-1]
