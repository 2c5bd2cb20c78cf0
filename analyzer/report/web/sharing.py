"""Who shares with whom: how far apart sharers are, and a matrix of workloads."""

import math
from collections.abc import Mapping
from typing import Final

from analyzer.report.units import count_text, pages_text, share_text
from analyzer.report.web.figures import signed
from analyzer.report.web.markup import Markup, name, tag
from analyzer.report.web.swatch import swatch
from analyzer.result import ReplayResult, Sharing

MOST: Final = 24
"""Workloads that are told apart: as many as a page is wide enough for."""
ROOMY: Final = 10
"""Workloads up to which something else has room beside the matrix."""
PAIRS: Final = 12
"""Pairs of workloads told one by one."""

OTHERS: Final = "(all others)"

_SHADES: Final = 9
_DECADES: Final = 4
"""Shades go down to a ten-thousandth of the largest."""

_DISTANCES: Final[Mapping[str, str]] = {
    "within_process": "within one process",
    "within_workload": "between processes of one workload",
    "across_workloads": "across workloads",
}

Cells = dict[tuple[str, str], int]
"""Workload, other → pages saved in the first because of the second."""


def distances(result: ReplayResult) -> Markup:
    """The non-zero savings, by how far apart the sharers are."""
    sharing = result.sharing
    whole = sum(sharing)
    return tag(
        "section",
        tag("h2", "Self and cross sharing"),
        tag("p", "Non-zero savings by how far apart the sharers are, at the end.",
            class_="about"),
        _bar(sharing),
        tag("ul", *(
            tag("li", swatch(part), f"{title} ",
                tag("b", signed(pages_text(getattr(sharing, part)))), " ",
                tag("small", signed(share_text(getattr(sharing, part), whole))))
            for part, title in _DISTANCES.items()
        ), class_="legend"),
        class_="card",
        id="distances",
    )  # fmt: skip


def matrix(result: ReplayResult) -> Markup:
    """The card of the matrix; empty where nothing tells of pairs."""
    if not result.pairs.height:
        return Markup("")
    names, cells = _square(result)
    most = max(1, *cells.values())
    head = tag(
        "tr",
        tag("td"),
        *(
            tag("th", tag("span", name(other or OTHERS)), scope="col", title=other)
            for other in names
        ),
    )
    rows = [
        tag(
            "tr",
            tag("th", name(one or OTHERS), scope="row", title=one),
            *(_cell(cells.get((one, other), 0), most, one == other) for other in names),
        )
        for one in names
    ]
    return tag(
        "section",
        tag("h2", "Who shares with whom"),
        tag("p", "Non-zero memory saved in the row because the column has the same "
            "content, at the end; each shade is a step of a logarithm. The framed "
            "diagonal is a workload with itself.", class_="about"),
        tag("div",
            tag("table", tag("caption", "Saved in the row because of the column",
                             class_="unseen"),
                tag("thead", head), tag("tbody", *rows), class_="matrix"),
            class_="scroll", tabindex=0, role="region",
            aria_label="Who shares with whom, table"),
        class_="card roomy" if len(names) <= ROOMY else "card",
        id="sharing",
    )  # fmt: skip


def pairs(result: ReplayResult) -> Markup:
    """The card of the pairs of workloads that share most, both directions added."""
    rows = _pairs(result)
    if not rows:
        return Markup("")
    titles = ["workload", "and", "saved", "contents", "if kept apart"]
    body = [
        tag("tr", tag("th", name(one), scope="row"), tag("td", name(other),
            class_="name"), tag("td", signed(pages_text(saved)), class_="answer"),
            tag("td", count_text(contents)),
            tag("td", signed(pages_text(-contents)), class_="loss"))
        for one, other, saved, contents in rows[:PAIRS]
    ]  # fmt: skip
    return tag(
        "section",
        tag("h2", "Pairs that share most across workloads"),
        tag("p", "Saved in both because of the other; kept apart, one more copy of "
            "each content that both hold would stay.", class_="about"),
        tag("div", tag("table", tag("thead", tag("tr", *(
            tag("th", title, scope="col", class_="name" if at < 2 else None)
            for at, title in enumerate(titles)))), tag("tbody", *body)),
            class_="scroll", tabindex=0, role="region", aria_label="Pairs, table"),
        tag("p", f"{len(rows) - PAIRS} more pairs share less.", class_="about")
        if len(rows) > PAIRS else "",
        class_="card",
        id="pairs",
    )  # fmt: skip


def _bar(sharing: Sharing) -> Markup:
    whole = sum(max(part, 0) for part in sharing) or 1
    left, parts = 0.0, []
    for part in _DISTANCES:
        width = 100 * max(getattr(sharing, part), 0) / whole
        parts.append(
            tag(
                "rect",
                class_=part,
                x=f"{left:.3f}%",
                width=f"{width:.3f}%",
                height="100%",
            )
        )
        left += width
    return tag("svg", *parts, class_="parts", aria_hidden="true")


def _square(result: ReplayResult) -> tuple[list[str], Cells]:
    """The workloads by what they save, and their cells; those beyond `MOST` are
    added up under the empty name, which is last."""
    found: Cells = {
        (one, other): saved
        for one, other, saved in result.pairs.select(
            "workload", "other", "pages_saved"
        ).iter_rows()
    }
    totals: dict[str, int] = {}
    for (one, other), saved in found.items():
        totals[one] = totals.get(one, 0) + saved
        totals.setdefault(other, 0)
    named = sorted((n for n in totals if n), key=lambda n: (-totals[n], n))
    kept = named[:MOST]
    cells: Cells = {}
    for (one, other), saved in found.items():
        place = one if one in kept else "", other if other in kept else ""
        cells[place] = cells.get(place, 0) + saved
    others = [""] if "" in totals or len(named) > MOST else []
    return [*kept, *others], cells


def _cell(saved: int, most: int, itself: bool) -> Markup:
    shade = 0
    if saved > 0:
        depth = 1 + math.log10(saved / most) / _DECADES
        shade = max(1, math.ceil(depth * _SHADES))
    itself_class = " itself" if itself else ""
    number, _, unit = pages_text(saved).partition(" ")
    text = tag("td", "", class_=f"h0{itself_class}")
    if saved:
        text = tag(
            "td",
            signed(number),
            tag("small", f" {unit}"),
            class_=f"h{shade}{itself_class}",
        )
    return text


def _pairs(result: ReplayResult) -> list[tuple[str, str, int, int]]:
    """Two workloads, what is saved in both, contents both hold; the most first."""
    both: dict[tuple[str, str], int] = {}
    contents: dict[tuple[str, str], int] = {}
    for row in result.pairs.rows(named=True):
        one, other = sorted((row["workload"], row["other"]))
        # All workloads that are not told apart are under the empty name.
        if "" != one != other:
            both[one, other] = both.get((one, other), 0) + row["pages_saved"]
            contents[one, other] = row["contents"]
    ranked = sorted(both.items(), key=lambda item: (-item[1], item[0]))
    return [(*pair, saved, contents[pair]) for pair, saved in ranked if saved > 0]
