"""The summary over many sources as a page, with links to the reports beside it."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from typing import Final
from urllib.parse import quote

from analyzer.report.batch.entry import Batch
from analyzer.report.batch.table import APART, COLUMNS, Row, headline, limits, table
from analyzer.report.escape import printable
from analyzer.report.layout import Layout
from traces.tool import tool

_STYLE: Final = """
:root { color-scheme: light dark; --text: #16202b; --muted: #4b5b6b; --line: #d5dde5;
  --ground: #fbfcfd; --surface: #fff; --accent: #0b6fbf; --loss: #c03a1c; }
@media screen and (prefers-color-scheme: dark) {
  :root { --text: #dbe3ec; --muted: #93a1b0; --line: #2b3643; --ground: #0e1218;
    --surface: #141a22; --accent: #58b7ff; --loss: #f07a5c; } }
body { margin: 0; background: var(--ground); color: var(--text);
  font: 14px/1.45 system-ui, sans-serif; font-variant-numeric: tabular-nums; }
main { max-width: 1280px; margin: 0 auto; padding: 20px 24px 48px; }
h1 { font-size: 20px; } h2 { font-size: 14px; color: var(--muted); }
section { overflow-x: auto; }
table { border-collapse: collapse; background: var(--surface); width: 100%; }
th, td { padding: 4px 10px; border-bottom: 1px solid var(--line); text-align: left;
  white-space: nowrap; }
td:first-child, li { white-space: normal; overflow-wrap: anywhere; }
.figure { text-align: right; } th, .sum, footer { color: var(--muted); }
a { color: var(--accent); } .failed { color: var(--loss); }
"""

_SUM: Final = ' class="sum"'


def page(batch: Batch, _: Layout) -> str:
    """*batch* as an HTML document that loads nothing but what one clicks on."""
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
    )
    told = f"{headline(batch)[0].upper()}{headline(batch)[1:]}"
    body = [f"<h1>{escape(told)}</h1>"]
    if batch.good:
        body.append(_table(table(batch)))
    if len(batch.good) > 1:
        body.append(f"<p>{APART[0].upper()}{APART[1:]}.</p>")
    failed = [_name(one.error) for one in batch.bad]
    body.append(_list("Failed", "failed", failed))
    limited = [f"{_name(whose)}: {_name(limit)}" for whose, limit in limits(batch)]
    body.append(_list("Limits", "limits", limited))
    skipped = [_name(f"{path}: {why}") for path, why in batch.skipped]
    body.append(_list("Skipped", "skipped", skipped))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>KSM reports: {len(batch.entries)} sources</title>"
        f"<style>{_STYLE}</style></head>\n<body><main>\n"
        f"{''.join(body)}<footer><p>{escape(tool())}</p></footer>\n"
        "</main></body></html>\n"
    )


def _table(rows: Sequence[Row]) -> str:
    head = "".join(
        f'<th scope="col"{_class(column.right)}>{escape(column.title)}</th>'
        for column, _ in COLUMNS.values()
    )
    lines = "".join(
        f"<tr{'' if row.entry else _SUM}>{_cells(row)}</tr>\n" for row in rows
    )
    return (
        f"<section><table><thead><tr>{head}</tr></thead>\n"
        f"<tbody>{lines}</tbody></table></section>\n"
    )


def _cells(row: Row) -> str:
    report = row.entry.report if row.entry else ""
    told = []
    for name, (column, _) in COLUMNS.items():
        text = _name(row.texts[name])
        if name == "source" and report:
            text = f'<a href="{escape(quote(report))}">{text}</a>'
        told.append(f"<td{_class(column.right)}>{text}</td>")
    return "".join(told)


def _class(figure: bool) -> str:
    return ' class="figure"' if figure else ""


def _list(title: str, kind: str, items: Sequence[str]) -> str:
    if not items:
        return ""
    lines = "".join(f"<li>{item}</li>\n" for item in items)
    return f'<section class="{kind}"><h2>{title}</h2><ul>{lines}</ul></section>\n'


def _name(text: str) -> str:
    """*text* from outside: escaped, its direction kept to itself."""
    return f"<bdi>{escape(printable(text))}</bdi>"
