"""One line of text put together piece by piece, left and right part."""

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from analyzer.report.cells import cells
from tui.draw import Cells
from tui.look import Colour, Ink, Look


class Line:
    """Pieces of text on one ground; what does not fit is left out whole."""

    def __init__(self, look: Look, ground: Colour = Ink.SURFACE) -> None:
        self.look, self.ground = look, ground
        self.segments: Cells = []
        self.width = 0

    def add(
        self,
        words: str,
        fg: Colour = Ink.TEXT,
        bg: Colour | None = None,
        *,
        bold: bool = False,
    ) -> "Line":
        """Append *words*, which must be safe to print."""
        style = self.look.style(fg, bg or self.ground, bold=bold)
        return self.put([Segment(words, style)])

    def put(self, segments: Cells) -> "Line":
        """Append drawn cells."""
        self.segments += segments
        self.width += sum(cells(segment.text) for segment in segments)
        return self

    def strip(self, width: int, right: "Line | None" = None) -> Strip:
        """Exactly *width* cells, *right* at the end of them; the left part is cut."""
        ground = self._ground()
        kept = right.width if right is not None else 0
        left = Strip(self.segments).adjust_cell_length(max(width - kept, 0), ground)
        tail = Strip(right.segments) if right is not None else Strip([])
        return Strip.join([left, tail]).adjust_cell_length(width, ground)

    def _ground(self) -> Style:
        return self.look.style(None, self.ground)
