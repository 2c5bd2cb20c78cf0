"""What all our widgets share: lines drawn in a look, on its ground."""

from textual.strip import Strip
from textual.widget import Widget

from tui.look import Ink, Look, look_of


class Drawn(Widget):
    """A widget that is drawn line by line.

    Textual puts no ground under lines a widget draws itself.
    """

    def render_line(self, y: int) -> Strip:
        """Line *y* as it is on the screen, exactly as wide as the widget."""
        look = look_of(self)
        width = self.scrollable_content_region.width
        line = self.drawn_line(y, look).adjust_cell_length(width)
        return line.apply_style(look.style(Ink.TEXT, Ink.GROUND))

    def drawn_line(self, y: int, look: Look) -> Strip:
        """Line *y*; where a segment has no colours, those of the ground are used."""
        raise NotImplementedError
