r"""Texts with wildcards: `*` any characters, `?` one, `[a-z]` and `[!0-9]` one of some.

A backslash before `\ * ? [ ] " '` makes it an ordinary character; before any other it
is itself one, as in the names systemd gives to cgroups.
"""

import re
from dataclasses import dataclass
from typing import Final

import polars as pl

LONGEST: Final = 1000
"""Characters; what is made of them must stay within what polars compiles."""

_PIECE: Final = re.compile(
    r"""\\(?P<plain>[\\*?\[\]"'])
    |(?P<any>\*+)
    |(?P<one>\?)
    |\[(?P<negated>!?)(?P<members>(?:\\[\\*?\[\]!\-"']|[^\]])+)\]
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_WILD: Final = re.compile(r"[\\*?\[]")
_MEMBER: Final = re.compile(
    r"""(?:\\(?P<plain>[\\*?\[\]!\-"'])|(?P<other>.))""", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text as it is compared."""

    source: str
    """Wildcards as they are, the same characters meant plainly after a backslash."""

    @classmethod
    def read(cls, text: str) -> "Pattern":
        """*text* as written between quotes; equal patterns have equal sources.

        Raises ValueError where it is too long, or a range in it runs backwards.
        """
        if len(text) > LONGEST:
            raise ValueError(f"a text longer than {LONGEST} characters")
        return cls("".join(_source(piece) for piece in _PIECE.finditer(text)))

    @classmethod
    def of(cls, value: str) -> "Pattern":
        """The one that fits *value* alone; `str` of it goes into an expression."""
        return cls(_WILD.sub(r"\\\g<0>", value))

    @property
    def wild(self) -> bool:
        """Whether it can fit more than one text."""
        return any(
            piece["any"] or piece["one"] or piece["members"]
            for piece in _PIECE.finditer(self.source)
        )

    @property
    def literal(self) -> str:
        """What it says if no character is a wildcard."""
        return "".join(
            piece["plain"] or piece[0] for piece in _PIECE.finditer(self.source)
        )

    @property
    def regex(self) -> str:
        """The same for polars, over the whole value."""
        body = "".join(_regex(piece) for piece in _PIECE.finditer(self.source))
        return rf"(?s)\A{body}\z"

    def equals(self, text: pl.Expr) -> pl.Expr:
        """bool: *text* fits, or is `literal`: `[heap]` finds `[heap]`."""
        same = text == self.literal
        return same | text.str.contains(self.regex) if self.wild else same

    def within(self, text: pl.Expr) -> pl.Expr:
        """bool: *text* holds `literal`, or fits as a whole; whatever the case."""
        small = text.str.to_lowercase()
        held = small.str.contains(self.literal.lower(), literal=True)
        return held | text.str.contains(f"(?i){self.regex}") if self.wild else held

    def __str__(self) -> str:
        quoted = self.source.replace('"', r"\"")
        return f'"{quoted}"'


def exactly(name: str) -> str:
    r"""*name*, escaped and quoted: what an expression compares with to find it alone.

    One of more than `LONGEST` characters, backslashes included, no expression takes.

    >>> f"workload == {exactly('web*')}"
    'workload == "web\\*"'
    """
    return str(Pattern.of(name))


def _source(piece: re.Match[str]) -> str:
    if piece["any"]:
        return "*"
    if piece["one"]:
        return "?"
    if piece["members"]:
        members = "".join(
            _spelled(lo) + (f"-{_spelled(hi)}" if hi != lo else "")
            for lo, hi in _members(piece["members"])
        )
        return f"[{piece['negated']}{members}]"
    return Pattern.of(piece["plain"] or piece["other"]).source


def _spelled(member: str) -> str:
    return f"\\{member}" if member in r"\[]!-" else member


def _members(text: str) -> list[tuple[str, str]]:
    """First and last of each range; a character alone is both."""
    pieces = list(_MEMBER.finditer(text))
    found, at = [], 0
    while at < len(pieces):
        lo = hi = pieces[at]["plain"] or pieces[at]["other"]
        if at + 2 < len(pieces) and pieces[at + 1]["other"] == "-":
            hi = pieces[at + 2]["plain"] or pieces[at + 2]["other"]
            at += 2
        if hi < lo:
            raise ValueError(f"the range {lo}-{hi} runs backwards")
        found.append((lo, hi))
        at += 1
    return found


def _regex(piece: re.Match[str]) -> str:
    if piece["any"]:
        return ".*"
    if piece["one"]:
        return "."
    if piece["members"]:
        members = "".join(
            f"{_escaped(lo)}-{_escaped(hi)}" for lo, hi in _members(piece["members"])
        )
        return f"[{'^' if piece['negated'] else ''}{members}]"
    return _escaped(piece["plain"] or piece["other"])


def _escaped(char: str) -> str:
    return rf"\x{{{ord(char):x}}}"
