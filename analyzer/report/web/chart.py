"""Pages by state over the passes: an area chart, and the same figures as a table."""

from typing import Any, Final

from analyzer.report.units import pages_text
from analyzer.report.web.course import STATES, Course
from analyzer.report.web.figures import drawn
from analyzer.report.web.markup import Markup, tag
from analyzer.report.web.overview import figure
from analyzer.report.web.swatch import swatch

WIDTH: Final = 760
HEIGHT: Final = 280
LEFT: Final = 64
"""Room for the scale."""
RIGHT: Final = 8
TOP: Final = 8
BOTTOM: Final = 26

_LINES: Final = 4
"""Parts the height is divided into."""
_TICKS: Final = 6
_ROWS: Final = 24
"""Passes of the table, spread evenly."""


def chart(course: Course) -> Markup:
    """The card of it; empty where there is but one moment."""
    if len(course) < 2:
        return Markup("")
    last = len(course) - 1
    return tag(
        "section",
        tag(
            "header",
            tag("h2", "Pages by state over full scans"),
            tag("output", figure("pass", course.row(-1)),
                f" of {course.columns['full_scans'][-1]}", class_="count"),
        ),
        _picture(course),
        tag("input", type="range", id="scrubber", class_="script", min=0, max=last,
            value=last, aria_label="full scan"),
        tag("ul", *(tag("li", swatch(name), title) for name, title in STATES.items()),
            class_="legend"),
        tag("details", tag("summary", "These figures as a table"), _table(course)),
        class_="card chart",
        id="passes",
    )  # fmt: skip


def _picture(course: Course) -> Markup:
    heights = [_heights(course, at) for at in range(len(course))]
    most = max(1, *(row[-1] for row in heights))
    areas = [
        tag("polygon", class_=name, points=_outline(heights, at, most))
        for at, name in enumerate(STATES)
    ]
    return tag(
        "svg",
        *_scale(most),
        *areas,
        *_ticks(course),
        # What lies after the pass that is chosen is faded.
        tag(
            "rect", id="later", x=_x(1.0), y=TOP, width=0, height=HEIGHT - TOP - BOTTOM
        ),
        tag("line", id="cursor", x1=_x(1.0), x2=_x(1.0), y1=TOP, y2=HEIGHT - BOTTOM),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        id="chart",
        role="img",
        aria_label=_alternative(course),
        data_left=LEFT,
        data_width=WIDTH - LEFT - RIGHT,
    )


def _heights(course: Course, at: int) -> list[int]:
    """Where the states end, one upon the other."""
    ends, height = [0], 0
    for name in STATES:
        height += max(course.columns[f"state_{name}"][at], 0)
        ends.append(height)
    return ends


def _outline(heights: list[list[int]], state: int, most: int) -> str:
    last = len(heights) - 1
    upper = [(at / last, row[state + 1]) for at, row in enumerate(heights)]
    lower = [(at / last, row[state]) for at, row in enumerate(heights)]
    return " ".join(
        f"{_x(part):g},{_y(pages / most):g}" for part, pages in upper + lower[::-1]
    )


def _x(part: float) -> float:
    return round(LEFT + part * (WIDTH - LEFT - RIGHT), 1)


def _y(part: float) -> float:
    return round(TOP + (1 - part) * (HEIGHT - TOP - BOTTOM), 1)


def _scale(most: int) -> list[Markup]:
    drawn_lines = []
    for line in range(_LINES + 1):
        y = _y(line / _LINES)
        drawn_lines += [
            tag("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y),
            tag(
                "text",
                pages_text(most * line // _LINES),
                x=LEFT - 6,
                y=y + 4,
                class_="axis end",
            ),
        ]
    return drawn_lines


def _ticks(course: Course) -> list[Markup]:
    last = len(course) - 1
    places = sorted({last * tick // _TICKS for tick in range(_TICKS + 1)})
    scans = course.columns["full_scans"]
    return [
        tag(
            "text",
            f"pass {scans[at]}" if at == 0 else str(scans[at]),
            x=_x(at / last),
            y=HEIGHT - 8,
            class_="axis" + (" start" if at == 0 else " end" if at == last else ""),
        )
        for at in places
    ]


def _alternative(course: Course) -> str:
    row = course.row(-1)
    states = ", ".join(
        f"{title} {drawn('pages', row[f'state_{name}'])}"
        for name, title in STATES.items()
    )
    return f"Pages by state over {row['full_scans']} full scans. At the end: {states}."


def _table(course: Course) -> Markup:
    last = len(course) - 1
    places = sorted({last * row // (_ROWS - 1) for row in range(_ROWS)})
    titles = ["pass", "time, estimated", *STATES.values(), "general_profit"]
    return tag(
        "div",
        tag(
            "table",
            tag("thead", tag("tr", *(tag("th", t, scope="col") for t in titles))),
            tag("tbody", *(_row(course.row(at)) for at in places)),
        ),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label="Pages by state, table",
    )


def _row(row: dict[str, Any]) -> Markup:
    figures = [
        drawn("duration", row["milliseconds"]),
        *(drawn("pages", row[f"state_{name}"]) for name in STATES),
        drawn("profit", row["general_profit"]),
    ]
    return tag(
        "tr",
        tag("th", str(row["full_scans"]), scope="row"),
        *(tag("td", text) for text in figures),
    )
