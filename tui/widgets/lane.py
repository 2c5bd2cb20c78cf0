"""One figure over the passes, under a chart whose columns it shares."""

from collections.abc import Sequence

from rich.segment import Segment
from textual.strip import Strip

from tui import draw
from tui.draw import ASCII_RISING, RISING, Cells
from tui.look import Colour, Glyph, Ink, Look
from tui.widgets.timeline import Formatter, Timeline


class Lane(Timeline, can_focus=False):
    """A label with the value at the cursor and the peak, and bars under it.

    A column shows the last of the moments that share it; the peak is that of all. A
    value below zero is the lowest bar there is, in the colour of a loss.
    """

    DEFAULT_CSS = "Lane { height: 3; }"

    def __init__(
        self,
        label: str,
        colour: Colour,
        formatter: Formatter = str,
        *,
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        """A lane called *label*, its values written by *formatter*."""
        super().__init__(name=name, id=id, classes=classes)
        self._label = label
        self._colour = colour
        self._formatter = formatter
        self._values: Sequence[int] = ()
        self._most = 0
        self._drawn_for: tuple[int, int, Look] | None = None
        self._lines: dict[tuple[int, bool], Strip] = {}

    @property
    def count(self) -> int:
        """How many moments there are."""
        return len(self._values)

    def set(self, values: Sequence[int], formatter: Formatter | None = None) -> None:
        """A value for each moment; keeps the formatter unless one is given."""
        self._values = values
        self._most = max(values, default=0)
        self._formatter = formatter or self._formatter
        self._drawn_for = None
        self.refresh()

    def drawn_line(self, y: int, look: Look) -> Strip:
        """The label, then the bars."""
        if y == 0:
            return Strip(self._title(look))
        margin = Strip(draw.blank(self.margin))
        if not self.count:
            return margin
        wanted = self.columns, self.size.height, look
        if wanted != self._drawn_for:
            self._drawn_for = wanted
            self._lines.clear()
        sign = look.glyph(Glyph.CURSOR_LINE)
        cursor = Segment(sign, look.style(Ink.CURSOR, bold=True))
        lit, faded = self._line(y, False, look), self._line(y, True, look)
        return Strip.join([margin, self._split(lit, faded, cursor)])

    def _title(self, look: Look) -> Cells:
        drawn = draw.blank(self.margin)
        drawn.append(Segment(f"{self._label}  ", look.style(Ink.MUTED)))
        if self.count:
            value = self._values[min(max(self.cursor, 0), self.count - 1)]
            shown = self._formatter(value)
            drawn.append(Segment(shown, look.style(Ink.TEXT, bold=True)))
            peak = f"   peak {self._formatter(max(self._values))}"
            drawn.append(Segment(peak, look.style(Ink.DIM)))
        return drawn

    def _line(self, y: int, faded: bool, look: Look) -> Strip:
        line = self._lines.get((y, faded))
        if line is None:
            drawn = [
                self._bar(self._values[self.index_at(column)], y, faded, look)
                for column in range(self.columns)
            ]
            line = self._lines[y, faded] = Strip(drawn).simplify()
        return line

    def _bar(self, value: int, y: int, faded: bool, look: Look) -> Segment:
        rows = self.size.height - 1
        steps = ASCII_RISING if look.ascii else RISING
        below = (rows - y) * 8
        if value < 0:
            style = look.style(Ink.LOSS, faded=faded)
            return Segment(steps[0 if below else 1], style)
        filled = draw.level(value, self._most, rows * 8) - below
        style = look.style(self._colour, faded=faded)
        return Segment(steps[min(max(filled, 0), 8)], style)
