"""The pages of one mapping, each as small as it must be for all to be seen."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.strip import Strip

from analyzer.report.escape import printable
from tui import draw
from tui.draw import Cells
from tui.look import Colour, Glyph, Ink, Look, look_of
from tui.widgets.drawn import Drawn


class PageMap(Drawn, can_focus=True, inherit_bindings=False):
    """Page states row by row, two slices to a cell: the upper half, then the lower.

    A slice shows the state most of its pages are in, see `tui.draw.dominant`. With
    textures a cell is one slice. The subtitle says how many pages a cell stands for.
    """

    DEFAULT_CSS = """
    PageMap {
        height: 1fr;
        min-height: 3;
        border: round $border-blurred;
        border-title-color: $foreground;
        border-subtitle-color: $text-muted;
    }
    PageMap:focus { border: round $border; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "go(-1, 0)", "Pages before", show=False, id="pages.left"),
        Binding("right,l", "go(1, 0)", "Next pages", show=False, id="pages.right"),
        Binding("up,k", "go(0, -1)", "Line above", show=False, id="pages.up"),
        Binding("down,j", "go(0, 1)", "Line below", show=False, id="pages.down"),
        Binding("home", "edge(0)", "First page", show=False, id="pages.home"),
        Binding("end,G", "edge(1)", "Last page", show=False, id="pages.end"),
        Binding("enter", "open", "Open", id="pages.open",
                tooltip="Replay for what these pages hold: their contents"),
    ]  # fmt: skip

    class Said(Message):
        """What a map says names the map and the pages, by index, both included."""

        def __init__(self, page_map: "PageMap", first: int, last: int) -> None:
            super().__init__()
            self.page_map = page_map
            self.first = first
            self.last = last

        @property
        def control(self) -> "PageMap":
            """The map it happened in."""
            return self.page_map

    class Moved(Said):
        """Other pages are selected."""

    class Opened(Said):
        """The pages are to be opened."""

    def __init__(
        self,
        *,
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        """A map of no pages yet."""
        super().__init__(name=name, id=id, classes=classes)
        self._title = ""
        self._states = b""
        self._kinds: Sequence[Colour] = ()
        self._extent: Callable[[int], str] | None = None
        self._page = 0
        self._drawn_for: tuple[int, int, bool] | None = None
        self._slices: list[int | None] = []

    def set(
        self,
        title: str,
        states: bytes,
        kinds: Sequence[Colour],
        extent: Callable[[int], str] | None = None,
    ) -> None:
        """One byte of *states* for each page, an index of *kinds* or `HOLE`.

        Of equals the kind further along is shown. *extent* writes how much so many
        pages are, beside their number.
        """
        self._states, self._kinds, self._extent = states, kinds, extent
        self._page = min(self._page, max(len(states) - 1, 0))
        self._drawn_for = None
        self._title = printable(title)
        self._say_size()
        self.refresh()

    @property
    def pages_per_cell(self) -> int:
        """How many pages a cell stands for."""
        width, height = self.size
        halves = 1 if look_of(self).textured else 2
        slices = max(width * height, 1) * halves
        return max(-(-len(self._states) // slices), 1) * halves

    @property
    def selected(self) -> tuple[int, int]:
        """The first and last page of the cell under the cursor."""
        each = self.pages_per_cell
        first = self._page // each * each
        return first, min(first + each, len(self._states)) - 1

    def select(self, page: int) -> None:
        """Move to the cell of a page, the nearest there is."""
        if not self._states:
            return
        before = self.selected
        self._page = min(max(page, 0), len(self._states) - 1)
        if self.selected != before:
            self.refresh()
            self.post_message(self.Moved(self, *self.selected))

    def action_go(self, columns: int, rows: int) -> None:
        """Select a neighbouring cell."""
        cells = columns + rows * self.size.width
        to = self._page + cells * self.pages_per_cell
        if columns or 0 <= to < len(self._states):
            self.select(to)

    def action_edge(self, end: int) -> None:
        """Select the first cell or the last."""
        self.select(end * (len(self._states) - 1))

    def action_open(self) -> None:
        """Say that the pages are to be opened."""
        if self._states:
            self.post_message(self.Opened(self, *self.selected))

    def on_click(self, event: events.Click) -> None:
        """Select a cell, and open it at the second click."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        page = (offset.y * self.size.width + offset.x) * self.pages_per_cell
        if page < len(self._states):
            self.select(page)
            if event.chain == 2:
                self.action_open()

    def on_mount(self) -> None:
        """Say what a cell is."""
        self._say_size()

    def on_resize(self) -> None:
        """A cell is more pages now, or fewer."""
        self._say_size()

    def on_focus(self) -> None:
        """Show the cursor."""
        self.refresh()

    def on_blur(self) -> None:
        """Hide the cursor."""
        self.refresh()

    def _say_size(self) -> None:
        self.border_title = Content(self._title)
        self.border_subtitle = None
        if not self.is_mounted or not self._states:
            return
        pages = self.pages_per_cell
        extent = f" ({self._extent(pages)})" if self._extent else ""
        plural = "s" if pages > 1 else ""
        told = f"1 cell = {pages} page{plural}{extent}"
        if self.styles.border_bottom[0]:
            self.border_subtitle = Content(told)
        else:
            self.border_title = Content(f"{self._title}, {told}")

    def drawn_line(self, y: int, look: Look) -> Strip:
        """One row of cells."""
        width = self.size.width
        self._lay_out(look)
        drawn: Cells = [self._cell(y * width + x, look) for x in range(width)]
        return Strip(drawn).simplify()

    def _lay_out(self, look: Look) -> None:
        wanted = (*self.size, look.textured)
        if wanted == self._drawn_for:
            return
        self._drawn_for = wanted
        each = self.pages_per_cell // (1 if look.textured else 2)
        states, kinds = self._states, len(self._kinds)
        self._slices = [
            draw.dominant(states, first, min(first + each, len(states)), kinds)
            for first in range(0, len(states), each)
        ]

    def _cell(self, at: int, look: Look) -> Segment:
        halves = 1 if look.textured else 2
        kinds = self._slices[at * halves : (at + 1) * halves]
        colours = [None if kind is None else self._kinds[kind] for kind in kinds]
        if self.has_focus and kinds and at == self._page // self.pages_per_cell:
            return self._cursor(colours[0], look)
        if look.textured:
            colour = colours[0] if colours else None
            texture = look.texture(colour) if colour else " "
            return Segment(texture, look.style(colour))
        upper, lower = (*colours, None, None)[:2]
        if upper == lower:
            return Segment(" ", look.style(bg=upper))
        if upper is None:
            return Segment("▄", look.style(lower))
        return Segment("▀", look.style(upper, lower))

    def _cursor(self, colour: Colour | None, look: Look) -> Segment:
        if not look.textured:
            sign = look.glyph(Glyph.NOTCH)
            return Segment(sign, look.style(Ink.GROUND, Ink.CURSOR, bold=True))
        texture = look.texture(colour) if colour else " "
        return Segment(texture, look.style(Ink.CURSOR, bold=True, reverse=True))
