"""The keys, made from the bindings: what is focused first, then everything else."""

from collections.abc import Sequence
from itertools import groupby
from textwrap import wrap
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from analyzer.report.cells import cells
from tui.keys import GROUPS, Key, all_keys, keys_of
from tui.look import Ink, Look, look_of
from tui.views.view import home

_TWO_COLUMNS = 100
"""Cells of the screen from which on the keys stand in two columns."""
_AROUND = 7
"""Cells of the frame, the padding and the scroll bar."""
_BETWEEN = 2
_KEYS = 13
_WIDEST = 76
"""Cells of a column beyond which nothing is gained."""


class Help(ModalScreen[None]):
    """Closes with escape, ? or q."""

    CSS = """
    Help { align: center middle; }
    Help > VerticalScroll { width: auto; max-width: 96%; height: auto; max-height: 96%;
        border: round $primary; background: $surface; padding: 0 2; }
    Help Static { width: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1,q", "leave", "Close")
    ]

    def __init__(self, focused: Widget | None, *near: Widget | None) -> None:
        super().__init__()
        self._near = [widget for widget in (focused, *near) if widget is not None]

    def compose(self) -> ComposeResult:
        with VerticalScroll() as box:
            box.border_title = Content("keys")
            box.border_subtitle = Content("esc closes")
            yield Static(self._text(), markup=False)

    def _text(self) -> Text:
        look = look_of(self)
        across = self.app.size.width
        room = across * 96 // 100 - _AROUND
        if across < _TWO_COLUMNS:
            blocks = [_block(title, keys, room, look) for title, keys in self._groups()]
            return Text("\n").join(line for block in blocks for line in block)
        room = min((room - _BETWEEN) // 2, _WIDEST)
        blocks = [_block(title, keys, room, look) for title, keys in self._groups()]
        left: list[Text] = []
        right: list[Text] = []
        for block in blocks:
            (left if len(left) <= len(right) else right).extend(block)
        return Text("\n").join(_side_by_side(left, right, room + _BETWEEN))

    def _groups(self) -> list[tuple[str, list[Key]]]:
        own = home(self).config.keys
        here = list(keys_of(*(type(widget) for widget in self._near), own=own))
        mine = {key.id for key in here}
        rest = [key for key in all_keys(own) if key.id not in mine]
        rest.sort(key=lambda key: list(GROUPS).index(key.group))
        groups = [
            (GROUPS[group], list(keys))
            for group, keys in groupby(rest, key=lambda key: key.group)
        ]
        return [("Here", here), *groups] if here else groups

    def action_leave(self) -> None:
        self.dismiss(None)


def _block(title: str, keys: Sequence[Key], width: int, look: Look) -> list[Text]:
    """A title, and its keys in lines of at most *width* cells."""
    lines = [Text(title, look.style(Ink.CURSOR, bold=True))]
    for key in keys:
        shown = look.words(key.keys)
        told = wrap(key.text, max(width - _KEYS - 1, 16))
        for at, words in enumerate(told):
            line = Text()
            keys_style = look.style(Ink.ACCENT, bold=True)
            line.append(f"{'' if at else shown:<{_KEYS}} ", keys_style)
            lines.append(line.append(words, look.style(Ink.TEXT)))
    return [*lines, Text()]


def _side_by_side(left: list[Text], right: list[Text], column: int) -> list[Text]:
    lines = []
    for at in range(max(len(left), len(right))):
        line = left[at].copy() if at < len(left) else Text()
        line.pad_right(max(column - cells(line.plain), 1))
        lines.append(line.append_text(right[at]) if at < len(right) else line)
    return lines
