"""Panes of words and small bars, put together line by line."""

from collections.abc import Callable, Sequence
from typing import Final

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.timer import Timer
from textual.widgets import Static

from analyzer.report.cells import padded
from analyzer.report.escape import printable
from tui.draw import Cells
from tui.look import Colour, Ink, Look, look_of

_SETTLED: Final = 0.06
"""Seconds the cursor rests before the pane that tells of its row follows."""


class Prose(VerticalScroll, can_focus=True):
    """A pane that shows a `Page`, and scrolls if it is longer than the pane.

    The page is written for the width there is, and written again for another.
    """

    DEFAULT_CSS = """
    Prose { padding: 0 1; scrollbar-gutter: stable; }
    Prose > Static { width: 100%; height: auto; }
    """

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        """A pane with nothing in it yet."""
        super().__init__(id=id, classes=classes)
        self._fill: Callable[[Page], object] | None = None
        self._settling: Timer | None = None

    def compose(self) -> ComposeResult:
        yield Static(Text(""))

    def say(self, fill: Callable[["Page"], object]) -> None:
        """Show what *fill* writes on an empty page, from now on and at any width."""
        self._fill = fill
        self.write()

    def once_settled(self, tell: Callable[[], None]) -> None:
        """Have *tell* say what is selected, once the cursor rests there."""
        if self._settling is not None:
            self._settling.stop()
        self._settling = self.set_timer(_SETTLED, tell)

    def write(self) -> None:
        """Fill the page anew: the width or the look has changed."""
        width = self.scrollable_content_region.width
        if self._fill is None or not self.display or width <= 0:
            return
        page = Page(look_of(self), width)
        self._fill(page)
        page.text.rstrip()
        self.query_one(Static).update(page.text)

    def on_resize(self) -> None:
        self.write()

    def on_show(self) -> None:
        self.write()


class Page:
    """Lines of at most *width* cells; names given to it are made safe."""

    def __init__(self, look: Look, width: int) -> None:
        self.look, self.width = look, width
        self.text = Text(no_wrap=False)

    def line(self, *parts: tuple[str, Colour] | str, bold: bool = False) -> "Page":
        """One line of words, each in its colour."""
        for part in parts:
            words, ink = (part, Ink.TEXT) if isinstance(part, str) else part
            self.text.append(printable(words), self.look.style(ink, bold=bold))
        self.text.append("\n")
        return self

    def title(self, words: str, *more: tuple[str, Colour]) -> "Page":
        """A name, and what it is."""
        name = self.look.clipped(printable(words), self.width)
        self.text.append(name, self.look.style(Ink.TEXT, bold=True))
        return self.line(*more)

    def heading(self, words: str) -> "Page":
        """What the lines below it are, after an empty line."""
        self.text.append("\n")
        return self.line((words, Ink.ACCENT))

    def cells(self, drawn: Cells) -> "Page":
        """A picture of at most a line."""
        for segment in drawn:
            self.text.append(segment.text, segment.style)
        self.text.append("\n")
        return self

    def row(
        self,
        name: str,
        figure: str,
        more: Sequence[str] = (),
        *,
        sign: tuple[str, Colour] | None = None,
        ink: Colour = Ink.TEXT,
        bold: bool = False,
        named: int = 18,
    ) -> "Page":
        """A figure with its name before it and others, dim, behind it."""
        style = self.look.style
        named = min(named, self.width - 10)
        if sign is not None:
            self.text.append(f"{sign[0]} ", style(sign[1]))
            named -= 2
        shown = padded(self.look.clipped(printable(name), named), named)
        self.text.append(shown, style(Ink.MUTED))
        self.text.append(f"{figure:>10}", style(ink, bold=bold))
        room = self.width - named - 10 - (2 if sign else 0)
        for text in more:
            cell = f" {text:>6}"
            if len(cell) <= room:
                self.text.append(cell, style(Ink.DIM))
                room -= len(cell)
        self.text.append("\n")
        return self

    def gap(self) -> "Page":
        """An empty line."""
        self.text.append("\n")
        return self

    def bars(self, rows: Sequence[tuple[str, Cells, str]], named: int) -> "Page":
        """Rows of a name, a picture and a figure."""
        for name, drawn, figure in rows:
            self.text.append("  ")
            shown = padded(self.look.clipped(printable(name), named), named)
            self.text.append(shown, self.look.style(Ink.MUTED))
            for segment in drawn:
                self.text.append(segment.text, segment.style)
            self.text.append(f"{figure:>10}\n", self.look.style(Ink.TEXT))
        return self
