"""Styled text for terminals: spans laid out first, coloured last.

Widths are counted before any escape sequence is added, so that colour never moves
a column.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from analyzer.report.cells import cells

# 256-colour indices near the screen's palette, of different luminance each.
_CODES: Final = {
    "": "",
    "bold": "1",
    "dim": "2",
    "nonzero": "38;5;36",
    "zero": "38;5;75",
    "kept": "38;5;67",
    "unmerged": "38;5;241",
    "answer": "1;38;5;36",
    "gain": "38;5;36",
    "loss": "38;5;166",
    "warning": "38;5;172",
}


class Span(NamedTuple):
    """Text of one style."""

    text: str
    style: str = ""


Line = list[Span]
"""Spans side by side."""


def painted(lines: Iterable[Line], colour: bool) -> str:
    """The lines as one string, without trailing spaces."""
    return "".join(f"{_painted(line, colour)}\n" for line in lines)


def flowed(
    pieces: Iterable[Sequence[Span]], width: int, gap: int = 3, indent: int = 0
) -> list[Line]:
    """*pieces* side by side; a piece that does not fit begins a new line, one wider
    than a line is broken between its words.

    Lines after the first are indented; the first leaves the same room for a label.
    """
    room = width - indent
    lines: list[Line] = [[]]
    used = 0
    for piece in pieces:
        size = sum(cells(span.text) for span in piece)
        if used and used + gap + size <= room:
            lines[-1].append(Span(" " * gap))
            used += gap
        elif used:
            lines.append([])
            used = 0
        for word in piece if size <= room else _words(piece, room):
            if used and used + cells(word.text) > room:
                lines.append([])
                used = 0
                word = Span(word.text.lstrip(" "), word.style)
            lines[-1].append(word)
            used += cells(word.text)
    margin = Span(" " * indent)
    return [lines[0], *([margin, *line] for line in lines[1:])]


def _words(piece: Sequence[Span], room: int) -> Iterable[Span]:
    """The words of *piece*, each with the space before it, none wider than *room*."""
    for text, style in piece:
        for at, word in enumerate(text.split(" ")):
            spaced = f" {word}" if at else word
            while cells(spaced) > room:
                cut = room
                while cut > 1 and cells(spaced[:cut]) > room:
                    cut -= 1
                yield Span(spaced[:cut], style)
                spaced = spaced[cut:]
            if spaced:
                yield Span(spaced, style)


def _painted(line: Line, colour: bool) -> str:
    while line and not line[-1].text.strip(" "):
        line = line[:-1]
    if not line:
        return ""
    last = Span(line[-1].text.rstrip(" "), line[-1].style)
    return "".join(
        f"\x1b[{_CODES[style]}m{text}\x1b[0m" if colour and style and text else text
        for text, style in [*line[:-1], last]
    )
