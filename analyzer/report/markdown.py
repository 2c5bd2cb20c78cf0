"""The report for tickets and pull requests: GitHub's Markdown."""

import re
from typing import Any, Final

import polars as pl

from analyzer.findings import findings
from analyzer.report.columns import COLUMNS, TABLES, Unit, remainder, shown
from analyzer.report.escape import printable
from analyzer.report.findings import sentence
from analyzer.report.layout import Layout
from analyzer.report.rows import nothing_shown, rows
from analyzer.report.summary import bounds, limits, nothing_offered, saved, stated
from analyzer.report.units import pages_text, profit_text, share_text
from analyzer.result import ReplayResult
from analyzer.worth import ENOUGH, pages_offered, pages_saved, pass_of

ROWS: Final = 20
"""Rows of the table unless more are asked for."""

_SPECIAL: Final = re.compile(r"[\\`*\[\]<>|~&#]|(?<![^\W_])_|_(?![^\W_])")


def markdown(result: ReplayResult, layout: Layout) -> str:
    """Headline, the table *layout.by*, then what the figures rest on."""
    if pages_offered(result):
        headline = " ".join([_headline(result), *_bounds(result)])
        blocks = [headline, _composition(result), _table(result, layout)]
    else:
        headline = f"**{escaped(nothing_offered(result))}**"
        blocks = [". ".join([headline, *_bounds(result)])]
    if found := _findings(result):
        blocks.append(found)
    sentences = [
        f"**{label}**: {escaped(text)}"
        for label, text in stated(result, layout.by, layout.where)
    ]
    sentences += [f"**limit**: {escaped(text)}" for text in limits(result)]
    blocks.append("\n".join(f"- {sentence}" for sentence in sentences))
    return "\n\n".join(blocks) + "\n"


def _bounds(result: ReplayResult) -> list[str]:
    return [f"{label.capitalize()} {told}." for label, told in bounds(result)]


def _findings(result: ReplayResult) -> str:
    told = (sentence(finding) for finding in findings(result))
    return "\n".join(
        f"- **{escaped(printable(head))}**: {escaped(printable(body))}"
        for head, body in told
    )


def escaped(text: str) -> str:
    """Printable *text* that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def _headline(result: ReplayResult) -> str:
    offered = pages_offered(result)
    text = (
        f"**KSM would save {saved(result)}** "
        f"({share_text(pages_saved(result), offered)} of {pages_text(offered)} "
        "offered), "
        f"general_profit {profit_text(result.counters.general_profit)}"
    )
    reached = pass_of(result)
    if reached is None:
        return f"{text}."
    return f"{text}; {ENOUGH:.0%} by pass {reached} of {result.passes.height}."


def _composition(result: ReplayResult) -> str:
    found = result.composition
    parts = {
        "non-zero": found.saved_nonzero,
        "zero": found.saved_zero,
        "kept": found.kept,
        "unmerged": found.unmerged,
    }
    return ", ".join(f"{name} {pages_text(pages)}" for name, pages in parts.items())


def _table(result: ReplayResult, layout: Layout) -> str:
    table = TABLES[layout.by]
    frame = rows(result, layout.by, layout.where)
    if not frame.height:
        nothing = nothing_shown(layout.by, layout.where)
        return f"{nothing[0].upper()}{escaped(nothing[1:])}."
    wanted = layout.rows if layout.rows is not None else ROWS
    names = shown(table, frame)
    titles = [COLUMNS[name].title for name in names]
    rules = ["---:" if COLUMNS[name].right else "---" for name in names]
    lines = [titles, rules, *_rows(frame, names, wanted)]
    if 0 < wanted < frame.height:
        rest = frame.slice(wanted)
        texts = _texts(remainder(table, rest), names)
        texts[names.index(table.key)] = f"{rest.height} more"
        lines.append(texts)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rows(frame: pl.DataFrame, names: list[str], wanted: int) -> list[list[str]]:
    head = frame.head(wanted) if wanted > 0 else frame
    return [_texts(row, names) for row in head.rows(named=True)]


def _texts(row: dict[str, Any], names: list[str]) -> list[str]:
    return [_cell(name, row.get(name)) for name in names]


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    text = COLUMNS[name].text(value)
    return escaped(text) if COLUMNS[name].unit is Unit.NAME else text
