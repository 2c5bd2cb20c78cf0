"""Two results side by side as text, Markdown, CSV and JSON."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import polars as pl

from analyzer.compare import Comparison
from analyzer.report.cells import cells, clipped, padded
from analyzer.report.columns import COLUMNS, Column, Unit
from analyzer.report.escape import printable
from analyzer.report.grid import GAP, Need, planned
from analyzer.report.ink import Line, Span, flowed, painted
from analyzer.report.layout import Layout
from analyzer.report.machine import (
    csv_text,
    filter_object,
    json_text,
    policy_object,
    trace_object,
)
from analyzer.report.markdown import escaped
from analyzer.report.rows import compared, fitting_sentence
from analyzer.report.summary import bounds, limits, saved
from analyzer.report.text import gain, labelled, marked, signed
from analyzer.report.units import (
    NOTHING,
    count_text,
    counted,
    duration_text,
    pages_text,
    percent_text,
    profit_text,
)
from analyzer.result import ReplayResult
from analyzer.worth import at_least, pages_saved
from traces.schema import PAGE_SIZE
from traces.tool import tool

COMPARE_SCHEMA: Final = "ksm-analyze/compare/1"
"""Changes its number only when a key goes or changes its meaning."""

TABLES: Final[Mapping[str, tuple[str, str]]] = {
    "workload": ("workloads", "workload"),
    "process": ("processes", "comm"),
}
"""What `--by` can name → the frame of a `Comparison` and the column naming its rows."""

_ROWS: Final = {"text": 8, "md": 20}

_FIGURES: Final[Mapping[str, Column]] = {
    **COLUMNS,
    "pages_offered": Column("offered", Unit.PAGES),
    "pages_saved_at_most": Column("saved at most", Unit.PAGES),
    "pages_ideal": Column("ideal", Unit.PAGES),
    "full_scans": Column("full scans", Unit.COUNT),
    "time_ns": Column("time (estimate)", Unit.DURATION),
    "cpu_ns": Column("CPU (estimate)", Unit.DURATION),
    "cpu_ppm": Column("of a CPU (estimate)", Unit.SHARE),
    "time_to_50_ns": Column("50 % after (estimate)", Unit.DURATION),
    "time_to_90_ns": Column("90 % after (estimate)", Unit.DURATION),
    "time_to_99_ns": Column("99 % after (estimate)", Unit.DURATION),
}
"""How a total looks: as the column of its name, if there is one."""


class _Cells(NamedTuple):
    """One drawn column: its title, a text and a style for every row."""

    title: str
    texts: list[str]
    rank: int
    right: bool = True
    styles: Sequence[str] = ()


def drawn(comparison: Comparison, form: str, layout: Layout) -> str:
    """*comparison* in the format *form*; ends with a newline."""
    forms: Mapping[str, Callable[[Comparison, Layout], str]] = {
        "text": compare_text,
        "json": compare_json,
        "csv": compare_csv,
        "md": compare_markdown,
    }
    return forms[form](comparison, layout)


def compare_text(comparison: Comparison, layout: Layout) -> str:
    """At most *layout.width* cells wide."""
    width = layout.width
    change = _change(comparison)
    lines = flowed([[Span(_headline(comparison), _style(change, bold=True))]], width)
    for label, told in _stated(comparison, layout):
        lines += labelled(label, told, width)
    lines += [[], *_drawn(_totals(comparison), layout)]
    for heading, table in _tables(comparison, layout, "text"):
        lines.append([])
        if heading:
            lines.append([Span(heading, "bold")])
        lines += _drawn(table, layout)
    found = _limits(comparison)
    lines += [[]] if found else []
    for limit in found:
        lines += marked(limit, width)
    return painted(lines, layout.colour)


def compare_markdown(comparison: Comparison, layout: Layout) -> str:
    """GitHub's Markdown."""
    told = [
        f"- **{label}**: {escaped(text)}" for label, text in _stated(comparison, layout)
    ]
    blocks = [
        f"**{_headline(comparison)}**",
        "\n".join(told),
        _piped(_totals(comparison)),
    ]
    for heading, table in _tables(comparison, layout, "md"):
        if heading:
            blocks.append(f"**{heading}**")
        blocks.append(_piped(table))
    if found := _limits(comparison):
        blocks.append("\n".join(f"- **limit**: {escaped(text)}" for text in found))
    return "\n\n".join(blocks) + "\n"


def compare_csv(comparison: Comparison, layout: Layout) -> str:
    """The table *layout.by*: a record for every row of either side."""
    rows = compared(comparison, layout.by, layout.where)
    if layout.rows:
        rows = rows.head(layout.rows)
    return csv_text(rows.columns, rows.iter_rows())


def compare_json(comparison: Comparison, layout: Layout) -> str:
    """One object; docs/commands/compare.md lists its keys."""
    document: dict[str, Any] = {
        "schema": COMPARE_SCHEMA,
        "generated_by": tool(),
        "a": _side_object(comparison.a),
        "b": _side_object(comparison.b),
        "differs": {
            found.name: {"a": found.a, "b": found.b} for found in comparison.differs
        },
        "totals": {
            row.pop("figure"): row for row in comparison.totals.rows(named=True)
        },
        "workloads": comparison.workloads.rows(named=True),
        "processes": comparison.processes.rows(named=True),
        "passes": [
            {"full_scans": at, "pages_merged_a": a, "pages_merged_b": b}
            for at, a, b in comparison.curves("pass").iter_rows()
        ],
    }
    if layout.where is not None:
        shown = compared(comparison, layout.by, layout.where)
        document["filter"] = filter_object(comparison, layout.by, layout.where)
        document[TABLES[layout.by][0]] = shown.rows(named=True)
    return json_text(document)


def _side_object(result: ReplayResult) -> dict[str, Any]:
    return {
        "trace": trace_object(result.trace),
        "knobs": result.knobs.as_files(),
        "kernel_profile": result.profile,
        **policy_object(result),
        "settled": result.settled,
        "costs": result.costs,
        "uncertainty": result.uncertainty._asdict(),
    }


def _change(comparison: Comparison) -> int:
    return pages_saved(comparison.b) - pages_saved(comparison.a)


def _headline(comparison: Comparison) -> str:
    a, b = pages_saved(comparison.a), pages_saved(comparison.b)
    sure = not (at_least(comparison.a) or at_least(comparison.b))
    far = "" if sure else " as far as that can be told"
    if a == b:
        return f"A and B save the same{far}, {pages_text(a)}"
    more = "more" if b > a else "less"
    part = f" ({_relative(b - a, a)})" if a else ""
    return (
        f"B saves {pages_text(abs(b - a))} {more} than A{part}{far}: "
        f"{saved(comparison.b)} instead of {saved(comparison.a)}"
    )


def _stated(comparison: Comparison, layout: Layout) -> Iterator[tuple[str, str]]:
    """Label and sentence of what stands above the totals; escaped."""
    yield from _sides(comparison)
    if layout.where is not None:
        yield "filter", fitting_sentence(comparison, layout.by, layout.where)


def _sides(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Label and sentence of what is compared; escaped."""
    for label, side in (("A", comparison.a), ("B", comparison.b)):
        trace = side.trace
        epochs = f", {trace.epochs} epochs" if trace.epochs > 1 else ""
        early = "" if side.settled or trace.epochs > 1 else "; more may merge"
        yield (
            label,
            printable(
                f"{trace.path}: {count_text(trace.pages)} pages, "
                f"{counted(trace.processes, 'process', 'processes')}{epochs}; "
                f"{trace.captured_at[:10]}, {trace.kernel or 'kernel not told'}{early}"
            ),
        )
    if comparison.differs:
        told = (f"{name} {a} in A, {b} in B" for name, a, b in comparison.differs)
        yield "settings", printable("; ".join(told))
    else:
        yield "settings", "the same"
    if found := doubts(comparison):
        yield "bounds", "; ".join(found)


def doubts(comparison: Comparison) -> list[str]:
    """What either side's captures cannot tell, and what that makes of the figures."""
    sides = ("A", comparison.a), ("B", comparison.b)
    told = [
        f"{label} {bound} {text}"
        for label, side in sides
        for bound, text in bounds(side)
    ]
    least = [label for label, side in sides if at_least(side)]
    if least:
        which = "both sides" if len(least) > 1 else least[0]
        told.insert(0, f"of {which}, savings are the least; deltas are of these")
    return told


def _limits(comparison: Comparison) -> list[str]:
    a, b = limits(comparison.a), limits(comparison.b)
    return [
        *(f"A and B: {text}" for text in a if text in b),
        *(f"A: {text}" for text in a if text not in b),
        *(f"B: {text}" for text in b if text not in a),
    ]


def _totals(comparison: Comparison) -> list[_Cells]:
    rows = comparison.told_totals().rows(named=True)
    looks = [_FIGURES[row["figure"]] for row in rows]
    shown = list(zip(looks, rows, strict=True))
    styles = [
        _style(row["delta"])
        if row["unit"] == "bytes" or "saved" in row["figure"]
        else ""
        for row in rows
    ]
    return [
        _Cells("", [look.title for look in looks], 0, right=False),
        _Cells("A", [_value(look, row["a"]) for look, row in shown], 2),
        _Cells("B", [_value(look, row["b"]) for look, row in shown], 3),
        _Cells("delta", [_delta(look, row["delta"]) for look, row in shown], 1,
               styles=styles),
        _Cells("%", [_relative(row["delta"], row["a"]) for row in rows], 4),
    ]  # fmt: skip


def _tables(
    comparison: Comparison, layout: Layout, form: str
) -> Iterator[tuple[str, list[_Cells]]]:
    """Heading and table of the rows of both sides, then of those of one."""
    _, key = TABLES[layout.by]
    frame = compared(comparison, layout.by, layout.where)
    wanted = _ROWS[form] if layout.rows is None else layout.rows
    both = frame.filter(pl.col("only") == "")
    if both.height:
        yield "", _changes(both, key, wanted)
    for side in ("a", "b"):
        alone = frame.filter(pl.col("only") == side)
        if alone.height:
            yield f"only in {side.upper()}", _alone(alone, key, side, wanted)


def _changes(frame: pl.DataFrame, key: str, wanted: int) -> list[_Cells]:
    rows = _rows(frame, key, wanted)
    saved = COLUMNS["pages_saved"]
    deltas = [row["pages_saved_delta"] for row in rows]
    parts = [_relative(row["pages_saved_delta"], row["pages_saved_a"]) for row in rows]
    return [
        *_names(frame, rows, key, ("a", "b")),
        _Cells("saved A", [saved.text(row["pages_saved_a"]) for row in rows], 2),
        _Cells("saved B", [saved.text(row["pages_saved_b"]) for row in rows], 3),
        _Cells("delta", [_delta(saved, delta) for delta in deltas], 1,
               styles=list(map(_style, deltas))),
        _Cells("%", parts, 4),
        *(
            _Cells(
                f"{COLUMNS[name].title} delta",
                [_delta(COLUMNS[name], row[f"{name}_delta"]) for row in rows],
                rank,
            )
            for rank, name in enumerate(("pages_saved_zero", "net_saved", "pages"), 6)
        ),
    ]  # fmt: skip


def _alone(frame: pl.DataFrame, key: str, side: str, wanted: int) -> list[_Cells]:
    rows = _rows(frame, key, wanted)
    return [
        *_names(frame, rows, key, (side,)),
        *(
            _Cells(
                COLUMNS[name].title,
                [COLUMNS[name].text(row[f"{name}_{side}"]) for row in rows],
                rank,
            )
            for rank, name in enumerate(
                ("pages_saved", "pages", "pages_saved_zero", "net_saved"), 1
            )
        ),
    ]


def _rows(frame: pl.DataFrame, key: str, wanted: int) -> list[dict[str, Any]]:
    """The first *wanted* rows, and one that sums up the others, if that saves any."""
    if wanted <= 0 or frame.height <= wanted + 1:
        return frame.rows(named=True)
    rest = frame.slice(wanted)
    figures = [name for name in frame.columns if name.endswith(("_a", "_b", "_delta"))]
    more = rest.select(pl.col(figures).sum()).row(0, named=True)
    return [*frame.head(wanted).rows(named=True), more | {key: f"{rest.height} more"}]


def _names(
    frame: pl.DataFrame, rows: list[dict[str, Any]], key: str, sides: tuple[str, ...]
) -> Iterator[_Cells]:
    """What a row is known by, and how many processes it stands for."""
    if "pid" in frame.columns:
        pids = ["" if row.get("pid") is None else str(row["pid"]) for row in rows]
        if any(pids):
            yield _Cells(COLUMNS["pid"].title, pids, 2)
    names = [printable(row[key]) for row in rows]
    yield _Cells(
        COLUMNS[key].title, names, 0, right=False, styles=["bold"] * len(names)
    )
    if key != "workload":
        workloads = [printable(row.get("workload") or "") for row in rows]
        yield _Cells(COLUMNS["workload"].title, workloads, 5, right=False)
    for side in sides:
        counts = [count_text(row[f"processes_{side}"]) for row in rows]
        title = f"procs {side.upper()}" if len(sides) > 1 else "procs"
        yield _Cells(title, counts, 9)


def _drawn(columns: list[_Cells], layout: Layout) -> list[Line]:
    texts = [
        [signed(text, layout) if column.right else text for text in column.texts]
        for column in columns
    ]
    needs = [
        _need(column, drawn, layout.width)
        for column, drawn in zip(columns, texts, strict=True)
    ]
    widths = planned(needs, layout.width)
    shown = [
        (column, drawn, width)
        for column, drawn, width in zip(columns, texts, widths, strict=True)
        if width
    ]
    titles = [(c.title, "dim", c.right, width) for c, _, width in shown]
    lines = [_line(titles)]
    for at in range(len(columns[0].texts)):
        lines.append(
            _line(
                [
                    (drawn[at], c.styles[at] if c.styles else "", c.right, width)
                    for c, drawn, width in shown
                ]
            )
        )
    return lines


def _need(column: _Cells, texts: list[str], width: int) -> Need:
    widest = max(map(cells, [column.title, *texts]))
    if column.right:
        return Need(widest, widest, column.rank)
    return Need(min(widest, max(6, width // 3)), widest, column.rank)


def _line(parts: Sequence[tuple[str, str, bool, int]]) -> Line:
    line: Line = []
    for text, style, right, width in parts:
        if line:
            line.append(Span(" " * GAP))
        line.append(Span(padded(clipped(text, width), width, right), style))
    return line


def _piped(columns: list[_Cells]) -> str:
    rules = ["---:" if column.right else "---" for column in columns]
    texts = [
        column.texts if column.right else list(map(escaped, column.texts))
        for column in columns
    ]
    lines = [[column.title for column in columns], rules, *zip(*texts, strict=True)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _value(look: Column, value: int | None) -> str:
    if value is None:
        return NOTHING
    return percent_text(value / 1e6) if look.unit is Unit.SHARE else look.text(value)


def _delta(look: Column, delta: int | None) -> str:
    """With its sign, in the unit of its column."""
    if delta is None:
        return NOTHING
    match look.unit:
        case Unit.PAGES:
            return profit_text(delta * PAGE_SIZE)
        case Unit.PROFIT:
            return profit_text(delta)
        case Unit.DURATION:
            return _plus(delta, duration_text(abs(delta) // 1_000_000))
        case Unit.SHARE:
            return _plus(delta, f"{abs(delta) / 1e4:.1f} points")
    return _plus(delta, count_text(abs(delta)))


def _relative(delta: int | None, before: int | None) -> str:
    """The change as a share of what was before."""
    if delta is None or not before:
        return NOTHING
    return _plus(delta, percent_text(abs(delta / before)))


def _plus(delta: int, size: str) -> str:
    sign = "+" if delta > 0 else "-" if delta < 0 else ""
    return f"{sign}{size}"


def _style(delta: int | None, bold: bool = False) -> str:
    if not delta:
        return "bold" if bold else ""
    return gain(delta)
