"""A screen as SVG that looks the same everywhere and loads nothing from elsewhere.

What rich draws names a font on another host and leaves the blocks of bars to whatever
font there is, which draws gaps between them.
"""

import html
import re
from itertools import groupby
from typing import Final

from analyzer.report.cells import cells

_CELL: Final = 12.2
_LINE: Final = 24.4
_TOP: Final = 1.5
"""Rich's measures of a cell, and where its first line begins, in pixels."""

_TEXT: Final = re.compile(
    r'<text class="(?P<style>r\d+)" x="(?P<x>[\d.]+)" y="(?P<y>[\d.]+)"'
    r' textLength="[\d.]+">(?P<words>[^<]*)</text>'
)
_RECT: Final = re.compile(
    r'<rect fill="(?P<fill>[^"]+)" x="(?P<x>[\d.]+)" y="(?P<y>[\d.]+)"'
    r' width="(?P<width>[\d.]+)" height="[\d.]+" shape-rendering="crispEdges"/>'
)
_LEFT_OUT: Final = re.compile(
    r"<!--.*?-->|@font-face \{.*?\}|<defs>.*?</defs>"
    r'| clip-path="[^"]*"|(?:(?<=class=")|(?<=\.))terminal-\d+-|^\s+',
    re.DOTALL | re.MULTILINE,
)
"""Nothing a name could hold: in texts spaces, quotes and brackets are escaped."""
_FONTS: Final = {
    "font-family: Fira Code, monospace": "font-family: monospace",
    "font-family: arial": "font-family: sans-serif",
}

_BLOCKS: Final = {
    **{chr(0x2580 + n): (0, 1 - n / 8, 1, 1) for n in range(1, 9)},
    **{chr(0x2590 - n): (0, 0, n / 8, 1) for n in range(1, 8)},
    "▀": (0, 0, 1, 0.5),
    "▐": (0.5, 0, 1, 1),
    "░": (0, 0, 1, 1),
    "▒": (0, 0, 1, 1),
    "▓": (0, 0, 1, 1),
}
"""Block → left, top, right and bottom of it, in parts of a cell."""
_SHADES: Final = {"░": 0.35, "▒": 0.6, "▓": 0.8}
"""Opacities: as dense as fonts draw them, and to be seen on a dark ground."""


def standalone(svg: str) -> str:
    """*svg*, as `App.export_screenshot` or rich's `Console.export_svg` made it, with
    the reader's own fixed font, and with blocks drawn as rectangles."""
    svg = _LEFT_OUT.sub("", svg)
    for theirs, ours in _FONTS.items():
        svg = svg.replace(theirs, ours)
    return _TEXT.sub(_drawn, _merged(svg)).strip() + "\n"


def _merged(svg: str) -> str:
    """Backgrounds of one colour side by side as one."""
    found = list(_RECT.finditer(svg))
    if not found:
        return svg
    runs: list[tuple[str, float, float, float]] = []
    for rect in found:
        x, y, width = (float(rect[name]) for name in ("x", "y", "width"))
        if runs and runs[-1][:2] == (rect["fill"], y) and _touch(runs[-1], x):
            _, _, x, before = runs.pop()
            width += before
        runs.append((rect["fill"], y, x, width))
    drawn = "\n".join(
        f'<rect fill="{fill}" x="{_px(x)}" y="{_px(y)}" width="{_px(width)}"'
        ' height="24.65" shape-rendering="crispEdges"/>'
        for fill, y, x, width in runs
        if width
    )
    return svg[: found[0].start()] + drawn + "\n" + svg[found[-1].end() :]


def _touch(run: tuple[str, float, float, float], x: float) -> bool:
    return abs(run[2] + run[3] - x) < 0.1


def _drawn(text: re.Match[str]) -> str:
    """Its words as text, its blocks as rectangles, each where it was."""
    x, line = float(text["x"]), round((float(text["y"]) - 20) / _LINE)
    words = html.unescape(text["words"])
    out = []
    for block, run in groupby(words, lambda sign: sign if sign in _BLOCKS else ""):
        part = "".join(run)
        width = cells(part) * _CELL
        if block:
            out += _rectangles(block, len(part), x, line, text["style"])
        elif part.strip():
            out.append(
                f'<text class="{text["style"]}" x="{_px(x)}" y="{text["y"]}" '
                f'textLength="{_px(width)}">{html.escape(part)}</text>\n'
            )
        x += width
    return "".join(out)


def _rectangles(block: str, count: int, x: float, line: int, style: str) -> list[str]:
    left, top, right, bottom = _BLOCKS[block]
    # What fills its cell from side to side needs one for all of them.
    whole = right - left == 1
    shade = f' opacity="{_SHADES[block]}"' if block in _SHADES else ""
    width = (count if whole else right - left) * _CELL
    y = line * _LINE + _TOP + top * _LINE
    return [
        f'<rect class="{style}" x="{_px(x + (at + left) * _CELL)}" y="{_px(y)}" '
        f'width="{_px(width)}" height="{_px((bottom - top) * _LINE)}"{shade} '
        'shape-rendering="crispEdges"/>\n'
        for at in range(1 if whole else count)
    ]


def _px(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
