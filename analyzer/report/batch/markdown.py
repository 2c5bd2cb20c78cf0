"""The summary for tickets: GitHub's Markdown, each source a link to its report."""

from urllib.parse import quote

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
from analyzer.report.columns import Unit
from analyzer.report.escape import printable
from analyzer.report.layout import Layout
from analyzer.report.markdown import escaped


def markdown(batch: Batch, _: Layout) -> str:
    """Headline, table, and what failed, is limited, was skipped."""
    blocks = [f"**{headline(batch)}.**"]
    if batch.good:
        blocks.append(_table(table(batch)))
        if len(batch.good) > 1:
            blocks.append(f"{APART[0].upper()}{APART[1:]}.")
    told = [f"**failed**: {escaped(printable(one.error))}" for one in batch.bad]
    told += [f"**limit** ({escaped(who)}): {escaped(of)}" for who, of in limits(batch)]
    told += [
        f"**skipped**: {escaped(printable(f'{path}: {why}'))}"
        for path, why in batch.skipped
    ]
    if told:
        blocks.append("\n".join(f"- {sentence}" for sentence in told))
    return "\n\n".join(blocks) + "\n"


def _table(rows: list[Row]) -> str:
    shown = said(rows)
    columns = [COLUMNS[name][0] for name in shown]
    lines = [
        [column.title for column in columns],
        ["---:" if column.right else "---" for column in columns],
        *([_cell(row, name) for name in shown] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(row: Row, name: str) -> str:
    text = row.texts[name]
    if COLUMNS[name][0].unit is not Unit.NAME:
        return text
    if name == "source" and row.entry and row.entry.report:
        return f"[{escaped(text)}]({quote(row.entry.report)})"
    return escaped(text)
