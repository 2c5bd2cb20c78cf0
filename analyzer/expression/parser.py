"""Text → tree, and where in the text it goes wrong."""

import re
from typing import Final, NamedTuple
from unicodedata import combining, east_asian_width

from analyzer.expression.fields import Field, Kind, field_of, nearest
from analyzer.expression.pattern import Pattern
from analyzer.expression.quantity import Quantity, quantity
from analyzer.expression.tree import (
    WORDS,
    And,
    Comparison,
    Membership,
    Node,
    Not,
    Or,
    Place,
    Word,
)
from traces.errors import UsageError

_LONGEST: Final = 1 << 16
_DEEPEST: Final = 40
_SHOWN: Final = 60
"""Characters of an expression that a hint quotes."""

_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<word>[^\s"'()=!<>,]+)
    |(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<operator>==|!=|<=|>=|<|>)
    |(?P<mark>[(),])
    |(?P<wrong>.)
    |$)""",
    re.VERBOSE | re.DOTALL,
)
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")


class _Token(NamedTuple):
    kind: str
    """`word`, `text`, `operator`, `mark`, or `end`."""
    text: str
    place: Place

    def says(self, *words: str) -> bool:
        return self.kind in ("word", "mark") and self.text.lower() in words


def parsed(text: str) -> Node:
    """The tree of *text*. Raises UsageError, with the place, for what is none."""
    return _Parser(text).expression()


def wrong(
    text: str, place: Place, message: str, meant: str | None = None
) -> UsageError:
    """The refusal of *text* for what stands at *place*; *meant* would be right."""
    first, length = place
    near = f", did you mean {meant}?" if meant else ""
    begin = max(first - _SHOWN // 2, 0)
    shown = "".join(
        char if char.isprintable() else " " for char in text[begin : begin + _SHOWN]
    )
    before = "".join(map(_blank, shown[: first - begin]))
    carets = "^" * max(min(length, _SHOWN // 2), 1)
    return UsageError(
        f"{message} (column {first + 1}){near}", hint=f"{shown}\n{before}{carets}"
    )


def _blank(char: str) -> str:
    """As many spaces as *char* takes cells."""
    return " " * (0 if combining(char) else 1 + (east_asian_width(char) in "FW"))


class _Parser:
    """Recursive descent, a method per rule of docs/expressions.md."""

    def __init__(self, text: str) -> None:
        if len(text) > _LONGEST:
            raise UsageError(f"an expression longer than {_LONGEST} characters")
        self._text = text
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0

    def expression(self) -> Node:
        if self._here.kind == "end":
            raise UsageError("an empty expression")
        tree = self._any()
        if self._here.kind != "end":
            raise self._wrong("expected and, or, or the end")
        return tree

    def _any(self) -> Node:
        parts = [self._all()]
        while self._takes("or"):
            parts.append(self._all())
        return _joined(Or, parts)

    def _all(self) -> Node:
        parts = [self._one()]
        while self._takes("and"):
            parts.append(self._one())
        return _joined(And, parts)

    def _one(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._wrong(f"more than {_DEEPEST} levels deep")
        if self._takes("not"):
            made: Node = Not(self._one())
        elif self._takes("("):
            made = self._any()
            self._closed()
        else:
            made = self._condition()
        self._depth -= 1
        return made

    def _condition(self) -> Node:
        subject = self._value("a name or a text")
        if self._here.kind == "operator":
            field = self._field(subject)
            operator = self._next().text
            return Comparison(
                field, operator, self._operand(field, operator), subject.place
            )
        if self._here.says("in"):
            return self._membership(subject)
        if self._here.says("not") and self._tokens[self._at + 1].says("in"):
            self._next()
            return Not(self._membership(subject))
        return Word(self._pattern(subject), subject.place)

    def _membership(self, subject: _Token) -> Node:
        field = self._field(subject)
        self._next()
        if not self._takes("("):
            raise self._wrong("expected ( after in")
        values = [self._operand(field, "in")]
        while self._takes(","):
            values.append(self._operand(field, "in"))
        self._closed()
        return Membership(field, tuple(values), subject.place)

    def _closed(self) -> None:
        if not self._takes(")"):
            raise self._wrong("expected )")

    def _field(self, subject: _Token) -> Field:
        name = subject.text
        field = field_of(name) if subject.kind == "word" else None
        if field is None:
            raise wrong(
                self._text,
                subject.place,
                f"no field {name}",
                nearest(name.strip("\"'")),
            )
        return field

    def _operand(self, field: Field, operator: str) -> Pattern | Quantity:
        token = self._value("a value")
        if field.kind is Kind.TEXT:
            if operator not in ("==", "!=", "in"):
                message = f"{field.name} is a text, which {operator} cannot compare"
                raise wrong(self._text, token.place, message)
            return self._pattern(token)
        if token.kind == "text":
            message = f"{field.name} is {field.kind.value}, not a text"
            raise wrong(self._text, token.place, message)
        return self._quantity(field, token)

    def _quantity(self, field: Field, token: _Token) -> Quantity:
        text, (first, length) = token.text, token.place
        unit = self._here
        if _NUMBER.fullmatch(text) and unit.kind == "word" and not unit.says(*WORDS):
            self._next()
            text += unit.text
            length = sum(unit.place) - first
        try:
            return quantity(text, field.kind)
        except ValueError as error:
            raise wrong(self._text, (first, length), str(error)) from error

    def _pattern(self, token: _Token) -> Pattern:
        text = token.text[1:-1] if token.kind == "text" else token.text
        try:
            return Pattern.read(text)
        except ValueError as error:
            raise wrong(self._text, token.place, str(error)) from error

    @property
    def _here(self) -> _Token:
        return self._tokens[self._at]

    def _next(self) -> _Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _takes(self, word: str) -> bool:
        """Whether *word* is next; it is passed over then."""
        found = self._here.says(word)
        self._at += found
        return found

    def _value(self, what: str) -> _Token:
        here = self._here
        if here.kind not in ("word", "text") or here.says(*WORDS):
            raise self._wrong(f"expected {what}")
        return self._next()

    def _wrong(self, message: str) -> UsageError:
        return wrong(self._text, self._here.place, message)


def _joined(made: type[And] | type[Or], parts: list[Node]) -> Node:
    """One of *parts* is itself; those made alike are taken apart."""
    if len(parts) == 1:
        return parts[0]
    flat: list[Node] = []
    for part in parts:
        flat += part.parts if isinstance(part, made) else [part]
    return made(tuple(flat))


def _tokens(text: str) -> list[_Token]:
    """All of *text*, and an end."""
    found = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind is None:
            continue
        place = match.start(kind), len(match[kind])
        if kind == "wrong":
            raise _stray(text, match[kind], place)
        found.append(_Token(kind, match[kind], place))
        surrogate = next((c for c in match[kind] if "\ud800" <= c <= "\udfff"), None)
        if surrogate:
            raise wrong(text, place, "a text that is not UTF-8")
    return [*found, _Token("end", "", (len(text), 0))]


def _stray(text: str, char: str, place: Place) -> UsageError:
    if char in "\"'":
        return wrong(text, place, f"no closing {char}")
    meant = {"=": "==", "!": "!= or not"}[char]
    return wrong(text, place, f"no {char} alone", meant)
