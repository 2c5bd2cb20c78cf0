"""Colours and textures of states: what colour cannot tell, a texture does."""

from collections.abc import Mapping
from typing import Final

from analyzer.report.web.markup import Markup, tag

_HATCHED: Final = "M-1 1l2-2M0 6l6-6M5 7l2-2"
_DOTTED: Final = "M1 1.5h1.4M4 4.5h1.4"
_BARRED: Final = "M0 1.5h6M0 4.5h6"

_TEXTURES: Final[Mapping[str, str]] = {
    "saved_zero": _HATCHED,
    "kept": _DOTTED,
    "volatile": _BARRED,
    "within_workload": _HATCHED,
    "across_workloads": _DOTTED,
}
"""Class of page.css → the lines drawn over its colour; others are plain."""


def textures() -> Markup:
    """What page.css fills the classes with."""
    patterns = [
        tag(
            "pattern",
            tag("rect", width=6, height=6, class_=f"{name} ground"),
            tag("path", d=lines, class_="texture"),
            id=f"texture-{name}",
            width=6,
            height=6,
            patternUnits="userSpaceOnUse",
        )
        for name, lines in _TEXTURES.items()
    ]
    return tag(
        "svg",
        tag("defs", *patterns),
        width=0,
        height=0,
        class_="unseen",
        aria_hidden="true",
    )


def swatch(name: str) -> Markup:
    """A small area of a class's colour and texture."""
    area = tag("rect", class_=name, width="100%", height="100%")
    return tag("svg", area, class_="swatch", aria_hidden="true")
