"""The second band: the views by number; click or type it."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from rich.segment import Segment
from textual.events import Click
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.look import Ink, look_of

_ROOM = 96
"""Cells from which on the titles are written out."""
_HINTS = 118
_HINT = "/ filter  : palette  ? help "


class _Zone(NamedTuple):
    begin: int
    end: int
    view: str
    text: str


class Tabs(Widget):
    """Shows where one is, and where one can go."""

    DEFAULT_CSS = "Tabs { height: 1; }"

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, view: str) -> None:
            super().__init__()
            self.view = view

    def __init__(
        self,
        views: Mapping[str, tuple[str, str]],
        *,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self._views = views
        self._current = ""

    def show(self, view: str) -> None:
        """Mark *view* as the one that is seen."""
        self._current = view
        self.refresh()

    def render_line(self, y: int) -> Strip:  # noqa: ARG002
        look, width = look_of(self), self.size.width
        ground = look.style(None, Ink.GROUND)
        segments: list[Segment] = []
        at = 0
        for zone in self._zones():
            segments.append(Segment(" " * (zone.begin - at), ground))
            if zone.view == self._current:
                chosen = look.style(
                    Ink.ACCENT, Ink.PANEL, bold=True, reverse=not look.colour
                )
                segments.append(Segment(zone.text, chosen))
            else:
                number, title = zone.text[:3], zone.text[3:]
                segments.append(Segment(number, look.style(Ink.DIM, Ink.GROUND)))
                segments.append(Segment(title, look.style(Ink.MUTED, Ink.GROUND)))
            at = zone.end
        if width >= _HINTS:
            segments.append(Segment(" " * (width - at - len(_HINT)), ground))
            segments.append(Segment(_HINT, look.style(Ink.DIM, Ink.GROUND)))
        return Strip(segments).adjust_cell_length(width, ground)

    def on_click(self, event: Click) -> None:
        for zone in self._zones():
            if zone.begin <= event.x < zone.end:
                self.post_message(self.Chosen(zone.view))

    def _zones(self) -> Iterator[_Zone]:
        width = self.size.width
        long = width >= _ROOM
        texts = [
            f" {number} {titles[0] if long else titles[1]} "
            for number, titles in enumerate(self._views.values(), 1)
        ]
        if sum(map(len, texts)) > width:
            texts = [f" {number} " for number in range(1, len(texts) + 1)]
        at = 0
        for view, text in zip(self._views, texts, strict=True):
            yield _Zone(at, at + len(text), view, text)
            at += len(text) + long
