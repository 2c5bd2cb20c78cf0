"""The answer: five figures and one bar of everything, after the pass that is chosen."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from analyzer.report.web.course import PARTS, Course
from analyzer.report.web.figures import Figure, told
from analyzer.report.web.markup import Markup, tag
from analyzer.report.web.swatch import swatch


class Card(NamedTuple):
    """A figure, what it is, and what it is made of."""

    identity: str
    title: str
    value: Figure
    about: Figure
    colour: str
    bounded: bool = False
    """Whether what a capture cannot tell may make it more."""


CARDS: Final = (
    Card(
        "saved",
        "Saved",
        [("pages", "saved")],
        [("share", "saved", "offered"), " of ", ("pages", "offered"), " offered"],
        "saved_nonzero",
        bounded=True,
    ),
    Card(
        "zero",
        "Zero pages",
        [("pages", "part_saved_zero")],
        [
            ("share", "part_saved_zero", "saved"),
            " of saved; non-zero ",
            ("pages", "part_saved_nonzero"),
        ],
        "saved_zero",
        bounded=True,
    ),
    Card(
        "profit",
        "general_profit",
        [("profit", "general_profit")],
        ["less ", ("bytes", "rmap_bytes"), " of rmap_items"],
        "accent",
        bounded=True,
    ),
    Card(
        "ratio",
        "pages_sharing / pages_shared",
        [("ratio", "pages_sharing", "pages_shared")],
        [("count", "pages_sharing"), " on ", ("count", "pages_shared")],
        "kept",
    ),
    Card(
        "cpu",
        "ksmd CPU, estimated",
        [("percent", "cpu_share")],
        ["of one; ", ("duration", "cpu_milliseconds"), " in ",
         ("duration", "milliseconds")],
        "volatile",
    ),
)  # fmt: skip

_PASS: Final[Figure] = ["pass ", ("number", "full_scans")]


def figures() -> dict[str, Figure]:
    """Identity of an element → the figure it shows."""
    shown: dict[str, Figure] = {"pass": _PASS}
    for card in CARDS:
        shown[f"card-{card.identity}"] = card.value
        shown[f"about-{card.identity}"] = card.about
    for name in PARTS:
        shown[f"part-{name}"] = [("pages", f"part_{name}")]
        shown[f"share-{name}"] = [("share", f"part_{name}", "offered")]
    return shown


def cards(course: Course, *, least: bool) -> Markup:
    """The five figures; savings that are the *least* there can be are called so."""
    row = course.row(-1)
    return tag(
        "section",
        *(_card(card, row, least and card.bounded) for card in CARDS),
        class_="cards",
        aria_label="What it comes to",
    )


def composition(course: Course) -> Markup:
    """Where the frames offered to ksmd went."""
    row = course.row(-1)
    return tag(
        "section",
        tag("h2", "Where the offered memory went"),
        _bar(row),
        tag("ul", *(_part(name, title, row) for name, title in PARTS.items()),
            class_="legend"),
        class_="composition",
    )  # fmt: skip


def figure(identity: str, row: Mapping[str, Any], element: str = "span") -> Markup:
    """The element that shows a figure."""
    return tag(element, told(figures()[identity], row), id=identity)


def _card(card: Card, row: Mapping[str, Any], least: bool) -> Markup:
    return tag(
        "div",
        swatch(card.colour),
        tag("h3", f"{card.title}, at least" if least else card.title),
        figure(f"card-{card.identity}", row, "strong"),
        figure(f"about-{card.identity}", row, "small"),
        class_="kpi",
    )


def _bar(row: Mapping[str, Any]) -> Markup:
    whole = row["offered"] or 1
    left, parts = 0.0, []
    for name in PARTS:
        width = 100 * max(row[f"part_{name}"], 0) / whole
        parts.append(
            tag(
                "rect",
                class_=name,
                x=f"{left:.3f}%",
                width=f"{width:.3f}%",
                height="100%",
            )
        )
        left += width
    return tag("svg", *parts, id="composition", aria_hidden="true")


def _part(name: str, title: str, row: Mapping[str, Any]) -> Markup:
    return tag(
        "li",
        swatch(name),
        f"{title} ",
        figure(f"part-{name}", row, "b"),
        " ",
        figure(f"share-{name}", row, "small"),
    )
