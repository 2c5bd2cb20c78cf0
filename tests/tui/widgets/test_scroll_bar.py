"""Scroll bars that can be seen without colour."""

import pytest
from textual.scrollbar import ScrollBarRender

from tui.look import PLAIN, Look
from tui.widgets.scroll_bar import scroll_bar

MONO = Look(colour=False)


@pytest.mark.parametrize("vertical", [True, False])
@pytest.mark.parametrize(
    ("look", "thumb", "tracks"),
    [(MONO, "█", "─│"), (Look(ascii=True), "#", "-|")],
)
def test_thumb_and_track_are_characters(vertical, look, thumb, tracks):
    bar = scroll_bar(look).render_bar(10, 100, 30, 0, vertical=vertical)
    drawn = [segment for segment in bar.segments if segment.text != "\n"]
    track = tracks[vertical]
    assert "".join(segment.text for segment in drawn) == thumb * 3 + track * 7
    assert all(segment.style.color is None for segment in drawn)
    assert drawn[0].style.meta == {"@mouse.down": "grab"}


def test_with_colour_the_bar_is_textuals():
    assert scroll_bar(PLAIN) is ScrollBarRender
