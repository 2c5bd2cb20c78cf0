"""A scroll bar of characters: Textual's own is all colour, and lost without it."""

from typing import ClassVar, Final

from rich.color import Color
from rich.segment import Segment, Segments
from rich.style import Style
from textual.scrollbar import ScrollBarRender

from tui.look import Look

_UNSEEN: Final = Color.default()


class TexturedBar(ScrollBarRender):
    """The thumb in full blocks, the track a faint line."""

    THUMB: ClassVar[str] = "█"
    TRACK: ClassVar[tuple[str, str]] = ("─", "│")
    """Across, and down."""

    @classmethod
    def render_bar(
        cls,
        size: int = 25,
        virtual_size: float = 50,
        window_size: float = 20,
        position: float = 0,
        thickness: int = 1,
        vertical: bool = True,
        back_color: Color = _UNSEEN,
        bar_color: Color = _UNSEEN,
    ) -> Segments:
        """Textual's bar, with characters for its colours."""
        bar = super().render_bar(
            size,
            virtual_size,
            window_size,
            position,
            thickness,
            vertical,
            back_color,
            bar_color,
        )
        drawn = [cls._drawn(segment, vertical) for segment in bar.segments]
        return Segments(drawn, new_lines=bar.new_lines)

    @classmethod
    def _drawn(cls, segment: Segment, vertical: bool) -> Segment:
        if segment.text == "\n" or segment.style is None:
            return segment
        meta = segment.style.meta
        thumb = meta.get("@mouse.down") == "grab"
        sign = cls.THUMB if thumb else cls.TRACK[vertical]
        style = Style(dim=None if thumb else True, meta=meta)
        return Segment(sign * len(segment.text), style)


class AsciiBar(TexturedBar):
    """The same in ASCII."""

    THUMB = "#"
    TRACK = ("-", "|")


def scroll_bar(look: Look) -> type[ScrollBarRender]:
    """The renderer of scroll bars in *look*, for `ScrollBar.renderer`."""
    if look.ascii:
        return AsciiBar
    return ScrollBarRender if look.colour else TexturedBar
