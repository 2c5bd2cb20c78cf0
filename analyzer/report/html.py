"""The report one sends to others: a page in one file, which loads nothing else."""

from dataclasses import replace
from importlib.resources import files
from typing import Any, Final

from analyzer.policy import MergePolicy
from analyzer.report.escape import printable
from analyzer.report.summary import bounds, limits, nothing_offered
from analyzer.report.units import count_text, counted, pages_text
from analyzer.report.web import grounds, histories, overview, sharing
from analyzer.report.web.chart import chart
from analyzer.report.web.course import PARTS, Course
from analyzer.report.web.markup import Markup, data, joined, name, source_hash, tag
from analyzer.report.web.swatch import textures
from analyzer.report.web.table import Extent, Table, table_section
from analyzer.result import ReplayResult
from analyzer.worth import at_least, pages_offered

_WORKLOADS: Final = Extent(kept=500, shown=30, remembered=240_000)
_PROCESSES: Final = Extent(kept=2000, shown=20, remembered=480_000)
"""What the workloads leave of the room to remember, the processes have."""
_MAPPINGS: Final = Extent(kept=200, shown=15)
_KINDS: Final = Extent(kept=60, shown=60)
_CONTENTS: Final = Extent(kept=200, shown=20)


def page(result: ReplayResult, command: str) -> str:
    """*result* as an HTML document; *command* is what makes it again.

    The same result and command give the same text. It works without a network under
    its own Content-Security-Policy, and without scripts: these only sort, filter and
    choose the pass. A result without detail shows its end only.
    """
    style, script = _source("page.css"), _source("units.js") + _source("page.js")
    title = f"KSM report: {printable(result.trace.path)}"
    course = Course(result)
    if pages_offered(result):
        tables = _tables(result, course)
        body, told = _body(result, course, tables), _data(course, tables)
    else:
        body = tag("p", nothing_offered(result), class_="nothing")
        told = _data(course, {})
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy",
            content=_policy(style, script)),
        tag("meta", name_="viewport",
            content="width=device-width, initial-scale=1"),
        tag("meta", name_="referrer", content="no-referrer"),
        tag("title", title),
        tag("link", rel="icon", href="data:,"),
        tag("style", Markup(style)),
    )  # fmt: skip
    page_body = tag(
        "body",
        textures(),
        tag(
            "main",
            _header(result),
            grounds.notice(notices(result)),
            body,
            _foundations(result),
            grounds.origin(command),
        ),
        data(told, "data"),
        tag("script", Markup(script)),
    )
    return f"<!doctype html>\n{tag('html', head, page_body, lang='en')}\n"


def notices(result: ReplayResult) -> list[str]:
    """What stands above the figures, because it keeps them from being the whole
    truth; escaped."""
    told = [f"{label} {sentence}" for label, sentence in bounds(result)]
    return told + limits(result)


def _source(file: str) -> str:
    return (files("analyzer.report.web") / file).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src {source_hash(style)}; "
        f"script-src {source_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _tables(result: ReplayResult, course: Course) -> dict[str, Table]:
    by_workload = by_process = None
    if len(course) > 1:
        by_workload = histories.of_workloads(result, course.at)
        by_process = histories.of_processes(result, course.at)
    workloads = Table(result, "workload", _WORKLOADS, by_workload)
    left = _PROCESSES.remembered - workloads.size
    processes = replace(_PROCESSES, remembered=left)
    return {
        "workload": workloads,
        "process": Table(result, "process", processes, by_process),
        "kind": Table(result, "kind", _KINDS),
        "mapping": Table(result, "mapping", _MAPPINGS),
        "content": Table(result, "content", _CONTENTS),
    }


def _data(course: Course, tables: dict[str, Table]) -> dict[str, Any]:
    """Everything page.js shows that is not in the page already."""
    return {
        "course": course.columns,
        "parts": list(PARTS),
        "figures": overview.figures() if tables else {},
        "tables": {by: table.data() for by, table in tables.items()},
    }


def _header(result: ReplayResult) -> Markup:
    trace, policy = result.trace, MergePolicy.parse(result.policy)
    facts = [
        name(trace.path),
        counted(trace.pages, "page"),
        f"{pages_text(pages_offered(result))} offered",
        counted(trace.processes, "process", "processes"),
        counted(trace.workloads, "workload"),
        f"ksmd of Linux {result.profile}",
        f"policy {policy}",
    ]
    return tag(
        "header",
        tag("h1", "KSM report"),
        tag("ul", *(tag("li", fact) for fact in facts), class_="facts"),
        tag("button", "light / dark", type="button", id="theme", class_="script",
            aria_pressed="false"),
        class_="top",
    )  # fmt: skip


def _body(result: ReplayResult, course: Course, tables: dict[str, Table]) -> Markup:
    picture = chart(course)
    return joined(
        [
            overview.cards(course, least=at_least(result)),
            overview.composition(course),
            tag(
                "div",
                picture,
                grounds.found(result),
                class_="pair" if picture else None,
            ),
            _followed(tables["workload"], "workloads", "Workloads", course),
            _followed(tables["process"], "processes", "Processes", course),
            sharing.distances(result),
            tag(
                "div",
                sharing.matrix(result),
                sharing.pairs(result),
                class_="pair sharing",
            ),
            table_section(tables["kind"], "kinds", "Kinds of mappings", [_END]),
            table_section(tables["mapping"], "mappings", "Mappings", [_END]),
            table_section(
                tables["content"], "contents", "Most repeated contents",
                [_contents(result)],
            ),
        ]
    )  # fmt: skip


def _foundations(result: ReplayResult) -> Markup:
    return tag(
        "div",
        grounds.grounds(result, notices(result)),
        grounds.knobs(result),
        class_="pair",
    )


_END: Final = "At the end of the replay."


def _followed(table: Table, identity: str, title: str, course: Course) -> Markup:
    """The card of a table that follows the pass, as far as it can."""
    lines = [_END]
    if len(course) > 1:
        lines = [
            "Follows the pass chosen; a figure with \u00b7 is known at the end only."
        ]
        if table.remembered < table.kept:
            lines.append(
                f"The first {table.remembered} rows are known after every pass, the "
                "others at the end."
            )
    return table_section(table, identity, title, lines)


def _contents(result: ReplayResult) -> str:
    return (
        f"The {result.contents.height} that save most of "
        f"{count_text(result.ideal.distinct_contents)}, at the end. A digest stands "
        "for a content; its bytes were never stored."
    )
