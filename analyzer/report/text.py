"""The report a terminal shows: headline, bar, table, what it rests on."""

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from analyzer.findings import findings
from analyzer.report.bar import KEPT, NONZERO, UNMERGED, ZERO, Part, apportioned
from analyzer.report.cells import cells, clipped, padded
from analyzer.report.columns import (
    COLUMNS,
    TABLES,
    Table,
    Unit,
    remainder,
    shown,
)
from analyzer.report.escape import printable
from analyzer.report.findings import sentence
from analyzer.report.grid import GAP, Need, planned
from analyzer.report.ink import Line, Span, flowed, painted
from analyzer.report.layout import Layout
from analyzer.report.rows import nothing_shown, rows
from analyzer.report.summary import bounds, limits, nothing_offered, saved, stated
from analyzer.report.units import pages_text, profit_text, share_text
from analyzer.result import ReplayResult
from analyzer.worth import ENOUGH, pages_offered, pages_saved, pass_of

ROWS: Final = 8
"""Rows of the table unless more are asked for."""
FINDINGS: Final = 3
"""Findings told, at most; the other formats tell all."""
_LEAST_ROWS: Final = 3
_BESIDE: Final = 3
"""Lines beside the rows: the titles, what is left out, and the next prompt."""

_BAR: Final = Need(least=15, most=40, rank=6)
_LABEL: Final = 9


def text(result: ReplayResult, layout: Layout) -> str:
    """At most *layout.width* cells wide; ends with a newline."""
    below = [[], *_grounds(result, layout)]
    if not pages_offered(result):
        nothing = flowed([[Span(nothing_offered(result), "bold")]], layout.width)
        nothing += _bounds(result, layout)
        found = _findings(result, layout, len(nothing) + len(below))
        return painted([*nothing, *found, *below], layout.colour)
    above = [
        *_headline(result, layout),
        *_bounds(result, layout),
        *_composition(result, layout),
        [],
    ]
    found = _findings(result, layout, len(above) + len(below) + _LEAST_ROWS)
    others = len(above) + len(found) + len(below)
    table = _table(result, layout, _rows(layout, others))
    return painted([*above, *table, *found, *below], layout.colour)


def _findings(result: ReplayResult, layout: Layout, others: int) -> list[Line]:
    """The heaviest, each whole; on a low terminal only those that leave the headline
    and the table in sight."""
    lines: list[Line] = [[]]
    for finding in findings(result)[:FINDINGS]:
        told = printable(sentence(finding).text)
        more = labelled("found", told, layout.width)
        if (
            layout.height is not None
            and layout.height < others + len(lines) + len(more) + _BESIDE
        ):
            break
        lines += more
    return lines if len(lines) > 1 else []


def _rows(layout: Layout, others: int) -> int:
    if layout.rows is not None:
        return layout.rows
    if layout.height is None:
        return ROWS
    return max(_LEAST_ROWS, min(ROWS, layout.height - others - _BESIDE))


def _grounds(result: ReplayResult, layout: Layout) -> list[Line]:
    """What the figures rest on, and what keeps them from being the whole truth."""
    lines: list[Line] = []
    for label, told in stated(result, layout.by, layout.where):
        lines += labelled(label, told, layout.width)
    for limit in limits(result):
        lines += marked(limit, layout.width)
    if layout.hint:
        lines += labelled("next", layout.hint, layout.width)
    return lines


def _headline(result: ReplayResult, layout: Layout) -> list[Line]:
    share = share_text(pages_saved(result), pages_offered(result))
    profit = result.counters.general_profit
    pieces = [
        [
            Span("saved ", "bold"),
            Span(signed(saved(result), layout), "answer"),
            Span(f" ({share} of {pages_text(pages_offered(result))} offered)"),
        ],
        [
            Span("general_profit "),
            Span(signed(profit_text(profit), layout), gain(profit)),
        ],
    ]
    reached = pass_of(result)
    if reached is not None:
        by = f"{ENOUGH:.0%} by pass {reached}/{result.passes.height}"
        pieces.append([Span(by, "dim")])
    return flowed(pieces, layout.width)


def _bounds(result: ReplayResult, layout: Layout) -> list[Line]:
    """Right under the headline, as it is part of the answer."""
    return [
        line
        for label, told in bounds(result)
        for line in flowed([[Span(f"{label} {told}")]], layout.width, indent=2)
    ]


def _parts(result: ReplayResult) -> list[tuple[Part, int]]:
    found = result.composition
    return [
        (NONZERO, found.saved_nonzero),
        (ZERO, found.saved_zero),
        (KEPT, found.kept),
        (UNMERGED, found.unmerged),
    ]


def _composition(result: ReplayResult, layout: Layout) -> list[Line]:
    return [_bar(_parts(result), layout.width, layout), *_legend(result, layout)]


def _legend(result: ReplayResult, layout: Layout) -> list[Line]:
    return flowed(
        [
            [
                Span(_glyph(part, layout, "■"), part.style),
                Span(f" {part.title} ", "dim"),
                Span(signed(pages_text(pages), layout)),
            ]
            for part, pages in _parts(result)
        ],
        layout.width,
        gap=2,
    )


def _bar(parts: Sequence[tuple[Part, int]], width: int, layout: Layout) -> Line:
    shares = apportioned([pages for _, pages in parts], width)
    return [
        Span(_glyph(part, layout, "█") * share, part.style)
        for (part, _), share in zip(parts, shares, strict=True)
        if share
    ]


def _glyph(part: Part, layout: Layout, coloured: str) -> str:
    if layout.ascii:
        return part.ascii
    return coloured if layout.colour else part.texture


def _table(result: ReplayResult, layout: Layout, wanted: int) -> list[Line]:
    table = TABLES[layout.by]
    frame = rows(result, layout.by, layout.where)
    if not frame.height:
        nothing = nothing_shown(layout.by, layout.where)
        return flowed([[Span(nothing, "dim")]], layout.width)
    head, more = _split(table, frame, wanted)
    drawn = head.rows(named=True)
    names = shown(table, frame)
    texts = {name: [COLUMNS[name].text(row[name]) for row in drawn] for name in names}
    if more is not None:
        at = len(drawn) - 1 if table.ends else len(drawn)
        rest = remainder(table, more)
        for name in names:
            texts[name].insert(at, COLUMNS[name].text(rest.get(name)))
            if rest.get(name) is None:
                texts[name][at] = ""
        texts[table.key][at] = f"{more.height} more"
        drawn.insert(at, {})
    texts = {
        name: [signed(cell, layout) if COLUMNS[name].right else cell for cell in column]
        for name, column in texts.items()
        # A column that says nothing in any row gives its room to the others.
        if any(column) or name == table.key
    }
    return _drawn(table, texts, drawn, layout)


def _split(
    table: Table, frame: pl.DataFrame, rows: int
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """The rows to show, and those that are summed up, if that saves any line."""
    if rows <= 0 or frame.height <= rows + 1:
        return frame, None
    if not table.ends:
        return frame.head(rows), frame.slice(rows)
    middle = frame.slice(rows - 1, frame.height - rows)
    return frame.head(rows - 1).vstack(frame.tail(1)), middle


def _drawn(
    table: Table,
    texts: dict[str, list[str]],
    rows: list[dict[str, Any]],
    layout: Layout,
) -> list[Line]:
    needs = [_need(table, name, column, layout.width) for name, column in texts.items()]
    if table.bar:
        needs.append(_BAR)
    widths = planned(needs, layout.width)
    names = [name for name, width in zip(texts, widths, strict=False) if width]
    room = dict(zip(texts, widths, strict=False))
    bar = widths[-1] if table.bar else 0
    lines = [_row([_head(name, room[name]) for name in names])]
    if bar:
        lines[0] += [Span(" " * GAP), Span("non-zero + zero", "dim")]
    most = max((_both(row) for row in rows), default=0)
    for at, row in enumerate(rows):
        line = _row(
            [_cell(table, name, texts[name][at], room[name], row) for name in names]
        )
        if bar and row:
            line += [Span(" " * GAP), *_row_bar(row, most, bar, layout)]
        lines.append(line)
    return lines


def _need(table: Table, name: str, column: Sequence[str], width: int) -> Need:
    widest = max(map(cells, [COLUMNS[name].title, *column]))
    least = widest
    if COLUMNS[name].unit is Unit.NAME:
        least = min(widest, max(6, width // (4 if name == table.key else 6)))
    return Need(least, widest, table.columns[name])


def _row(spans: Sequence[Span]) -> Line:
    line: Line = []
    for span in spans:
        line += [Span(" " * GAP), span] if line else [span]
    return line


def _head(name: str, width: int) -> Span:
    title = clipped(COLUMNS[name].title, width)
    return Span(padded(title, width, COLUMNS[name].right), "dim")


def _cell(
    table: Table, name: str, content: str, width: int, row: dict[str, Any]
) -> Span:
    drawn = padded(clipped(content, width), width, COLUMNS[name].right)
    if not row:
        return Span(drawn, "dim")
    if name in (table.key, "pages_saved"):
        return Span(drawn, "bold")
    if COLUMNS[name].unit is Unit.PROFIT:
        return Span(drawn, gain(row[name]))
    return Span(drawn, "dim" if COLUMNS[name].unit is Unit.SHARE else "")


def _row_bar(row: dict[str, Any], most: int, width: int, layout: Layout) -> Line:
    """As long as the row's savings are beside the largest row's."""
    length = width * _both(row) // most if most > 0 else 0
    parts = [(NONZERO, row["pages_saved_nonzero"]), (ZERO, row["pages_saved_zero"])]
    # Something saved is never drawn as nothing.
    return _bar(parts, max(length, 1), layout) if _both(row) > 0 else []


def _both(row: dict[str, Any]) -> int:
    parts: list[int] = [
        row.get("pages_saved_zero", 0),
        row.get("pages_saved_nonzero", 0),
    ]
    return sum(max(pages, 0) for pages in parts)


def labelled(label: str, sentence: str, width: int) -> list[Line]:
    """*sentence*, escaped before, beside its label; where that is too narrow, below."""
    indent = _LABEL if width > 3 * _LABEL else 2
    first, *others = flowed([[Span(sentence)]], width, indent=indent)
    if indent == _LABEL:
        return [[Span(label.ljust(_LABEL), "dim"), *first], *others]
    return [[Span(label, "dim")], [Span("  "), *first], *others]


def marked(limit: str, width: int) -> list[Line]:
    """A limit of the figures, escaped before."""
    first, *others = flowed([[Span(limit)]], width, indent=2)
    return [[Span("! ", "warning"), *first], *others]


def gain(value: int) -> str:
    """The style of a number that is a gain or a loss."""
    return "loss" if value < 0 else "gain"


def signed(number: str, layout: Layout) -> str:
    """The typographic minus where the terminal is known to have one."""
    if number.startswith("-") and len(number) > 1 and not layout.ascii:
        return f"\u2212{number[1:]}"
    return number
