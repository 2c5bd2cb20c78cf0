"""A screen as SVG that refers to nothing elsewhere."""

import io
import re
from xml.etree import ElementTree

from rich.console import Console
from rich.text import Text

from tui.picture import standalone


def picture_of(*lines: Text) -> str:
    console = Console(record=True, width=40, file=io.StringIO())
    for line in lines:
        console.print(line)
    return standalone(console.export_svg(title="ksm-analyze"))


def drawn(svg: str) -> str:
    """All texts, one after another."""
    found = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    return "".join(text.text or "" for text in found).replace("\xa0", " ")


def test_nothing_is_loaded_from_elsewhere():
    svg = picture_of(Text("web.service 46.2 MiB", "bold red on blue"))
    assert svg.count("http") == 1, "the name of SVG itself"
    assert not re.search(r"url\(|@font-face|Fira", svg)


def test_words_stay_as_they_are():
    names = 'a<b & "c" arial [red] terminal-12-r1 @font-face {x} <!--'
    assert names in drawn(picture_of(Text(names[:30]), Text(names[30:]))).replace(
        "ksm-analyze", ""
    )


def test_blocks_become_rectangles_where_they_stood():
    svg = picture_of(Text("ab██▌░", "red"))
    assert "█" not in svg
    rects = re.findall(
        r'<rect class="r\d+" x="([\d.]+)" y="1.5" width="([\d.]+)" height="24.4"', svg
    )
    assert rects == [("24.4", "24.4"), ("48.8", "6.1"), ("61", "12.2")]


def test_wide_characters_take_two_cells():
    svg = picture_of(Text("日█", "red"))
    assert 'x="24.4"' in svg


def test_a_tenth_of_a_bar_stands_on_the_floor_of_its_line():
    svg = picture_of(Text("x"), Text("▂", "red"))
    assert re.search(r'y="44.2" width="12.2" height="6.1"', svg)
