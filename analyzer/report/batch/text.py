"""The summary for people at a terminal."""

from collections.abc import Mapping, Sequence

from analyzer.report.batch.entry import Batch
from analyzer.report.batch.table import (
    APART,
    COLUMNS,
    Row,
    headline,
    limits,
    said,
    table,
)
from analyzer.report.cells import cells, clipped, padded
from analyzer.report.escape import printable
from analyzer.report.grid import GAP, Need, planned
from analyzer.report.ink import Line, Span, flowed, painted
from analyzer.report.layout import Layout
from analyzer.report.text import marked, signed

_LABEL = 9


def text(batch: Batch, layout: Layout) -> str:
    """For people at a terminal."""
    lines: list[Line] = flowed([[Span(headline(batch), "bold")]], layout.width)
    if batch.good:
        lines += [[], *_grid(table(batch), layout)]
        if len(batch.good) > 1:
            lines += [[], *flowed([[Span(APART, "dim")]], layout.width)]
    lines.append([])
    for one in batch.bad:
        lines += _told("failed", "loss", printable(one.error), layout.width)
    for whose, limit in limits(batch):
        lines += marked(f"{whose}: {limit}", layout.width)
    for path, why in batch.skipped:
        said = printable(f"{path}: {why}")
        lines += _told("skipped", "dim", said, layout.width)
    return painted(lines if lines[-1] else lines[:-1], layout.colour)


def _told(label: str, style: str, sentence: str, width: int) -> list[Line]:
    first, *others = flowed([[Span(sentence)]], width, indent=_LABEL)
    return [[Span(label.ljust(_LABEL), style), *first], *others]


def _grid(rows: Sequence[Row], layout: Layout) -> list[Line]:
    told = {
        name: [_number(row.texts[name], name, layout) for row in rows]
        for name in said(rows)
    }
    needs = [_need(name, texts, layout.width) for name, texts in told.items()]
    widths = dict(zip(told, planned(needs, layout.width), strict=True))
    lines = [_line({name: COLUMNS[name][0].title for name in told}, widths, "dim")]
    for at, row in enumerate(rows):
        style = "dim" if row.entry is None else ""
        texts = {name: column[at] for name, column in told.items()}
        lines.append(_line(texts, widths, style))
    return lines


def _need(name: str, texts: Sequence[str], width: int) -> Need:
    column, rank = COLUMNS[name]
    widest = max(map(cells, [column.title, *texts]))
    least = min(widest, max(6, width // 4)) if name == "source" else widest
    return Need(least, widest, rank)


def _number(text: str, name: str, layout: Layout) -> str:
    return signed(text, layout) if COLUMNS[name][0].right else text


def _line(texts: Mapping[str, str], widths: Mapping[str, int], style: str) -> Line:
    line: Line = []
    for name, width in widths.items():
        if width:
            right = COLUMNS[name][0].right
            cell = Span(padded(clipped(texts[name], width), width, right), style)
            line += [Span(" " * GAP), cell] if line else [cell]
    return line
