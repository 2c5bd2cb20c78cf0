"""The summary over many sources as a page, with links to the reports beside it; it
looks as they do."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Final
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
from analyzer.report.layout import Layout
from analyzer.report.web.grounds import origin
from analyzer.report.web.markup import Markup, joined, name, source_hash, tag

_NAME: Final = "source"


def page(batch: Batch, _: Layout) -> str:
    """*batch* as an HTML document that loads nothing and runs nothing."""
    style = (files("analyzer.report.web") / "page.css").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; style-src {source_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="referrer", content="no-referrer"),
        tag("title", f"KSM report: {len(batch.entries)} sources"),
        tag("link", rel="icon", href="data:,"),
        tag("style", Markup(style)),
    )
    failed = [tag("li", name(one.error), class_="loss") for one in batch.bad]
    limited = [
        tag("li", name(whose), ": ", name(limit)) for whose, limit in limits(batch)
    ]
    skipped = [tag("li", name(f"{path}: {why}")) for path, why in batch.skipped]
    body = tag(
        "body",
        tag(
            "main",
            tag("header", tag("h1", headline(batch)), class_="top"),
            _table(table(batch)) if batch.good else "",
            _list("Failed", failed),
            _list("Limits", limited),
            _list("Skipped", skipped),
            origin(batch.command),
        ),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _table(rows: Sequence[Row]) -> Markup:
    columns = said(rows)
    titles = [
        tag("th", COLUMNS[column][0].title, scope="col", class_=_class(column))
        for column in columns
    ]
    good = [_row(row, columns) for row in rows if row.entry is not None]
    summed = [_row(row, columns) for row in rows if row.entry is None]
    drawn = tag(
        "table",
        tag("thead", tag("tr", *titles)),
        tag("tbody", *good),
        tag("tfoot", *summed) if summed else "",
    )
    apart = f"{APART[0].upper()}{APART[1:]}."
    return tag(
        "section",
        tag("p", apart, class_="about") if summed else "",
        tag("div", drawn, class_="scroll"),
        class_="card",
    )


def _row(row: Row, columns: Sequence[str]) -> Markup:
    shown = name(row.texts[_NAME])
    if row.entry is not None and row.entry.report:
        shown = tag("a", shown, href=quote(row.entry.report))
    first = tag("th", shown, scope="row", title=row.texts[_NAME])
    figures = [
        tag("td", row.texts[column], class_=_class(column))
        for column in columns
        if column != _NAME
    ]
    return tag("tr", first, *figures)


def _class(column: str) -> str | None:
    if column == "pages_saved":
        return "answer"
    return "name" if COLUMNS[column][0].unit is Unit.NAME else None


def _list(title: str, items: Sequence[Markup]) -> Markup:
    if not items:
        return Markup("")
    return tag(
        "section",
        tag("h2", title),
        tag("ul", joined(items)),
        class_="card findings",
    )
