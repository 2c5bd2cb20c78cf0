"""The pane beside the tree: everything of the row under the cursor."""

from typing import Any

import polars as pl

from analyzer.counters import RMAP_ITEM_SIZE
from analyzer.moment import history, kinds_of
from analyzer.report.columns import COLUMNS
from analyzer.report.units import (
    bytes_text,
    count_text,
    profit_text,
    share_text,
)
from analyzer.worth import counted_in
from traces.schema import PAGE_SIZE
from tui.draw import Slice, gapped, spark
from tui.look import Glyph, Ink, State
from tui.session import Session
from tui.sheet import STATES, Table, state_bar
from tui.views.prose import Page
from tui.views.states import TITLES
from tui.views.tree import GROUP, MAPPING, PROCESS, Tree, mapping_name, split
from tui.widgets.source import Key

_SHARERS = 5
_KINDS = 6


def selected(session: Session, tree: Tree, key: Key, page: Page) -> Page:
    """Fill *page* with what is known of *key* at the moment looked at."""
    what, which = split(key)
    if what == MAPPING:
        return _mapping(session, tree, which, page)
    table = tree.groups if what == GROUP else tree.processes
    if what == GROUP:
        page.title(str(which) or "(none)", (f"   {tree.grouping}", Ink.DIM))
        members = _members(tree, which)
    else:
        _process_title(table, which, page)
        members = [which]
    page.gap().cells(state_bar(table, which, page.width, page.look))
    _states(session, table, which, page)
    _profit(table, which, page, what)
    _course(session, members, page)
    workload = which if what == GROUP else table.value(which, "workload")
    if what == PROCESS or tree.grouping == "workload":
        whose = "" if what == GROUP else "its workload "
        _sharers(session, workload, f"{whose}saves non-zero because of", page)
    _kinds(session, members, page)
    return page


def _members(tree: Tree, group: Any) -> list[int]:
    owners = tree.processes.column(tree.grouping)
    pairs = zip(tree.processes.keys, owners, strict=True)
    return [process for process, owner in pairs if owner == group]


def _process_title(table: Table, process: int, page: Page) -> None:
    pid, comm = table.value(process, "pid"), table.value(process, "comm")
    page.title(f"{pid} {comm}", ("   process", Ink.DIM))
    known = (
        table.value(process, name)
        for name in ("workload", "user", "unit", "container", "pod", "vm")
    )
    facts = dict.fromkeys(str(value) for value in known if value)
    separator = f" {page.look.glyph(Glyph.SEPARATOR)} "
    page.line((separator.join(facts), Ink.DIM))


def _states(session: Session, table: Table, key: Any, page: Page) -> None:
    pages = table.value(key, "pages") or 0
    for state, column in STATES.items():
        value = table.value(key, column)
        if value is None:
            continue
        page.row(
            TITLES[state],
            session.amount(value),
            (share_text(value, pages), count_text(value)),
            sign=(page.look.swatch(state), state),
            bold=state in (State.SAVED, State.ZERO),
        )
    _uncertain(session, table, key, page)


def _uncertain(session: Session, table: Table, key: Any, page: Page) -> None:
    """Pages that may not count, and what became of them; nothing where all do."""
    assert session.result is not None
    way = "counted in" if counted_in(session.result) else "kept out"
    for name in ("uncertain_zero_pages", "uncertain_pages"):
        if value := table.value(key, name):
            told = way, count_text(value)
            page.row(COLUMNS[name].title, session.amount(value), told)


def _profit(table: Table, key: Any, page: Page, what: str) -> None:
    page.gap()
    net = table.value(key, "net_saved")
    ink = Ink.LOSS if net < 0 else Ink.GAIN
    items = table.value(key, "ksm_rmap_items")
    page.row("net", profit_text(net), ink=ink)
    page.row("ksm_rmap_items", count_text(items), (bytes_text(items * RMAP_ITEM_SIZE),))
    if what == PROCESS:
        for name in ("ksm_merging_pages", "ksm_zero_pages"):
            page.row(name, count_text(table.value(key, name)))
        profit = table.value(key, "ksm_process_profit")
        page.row("ksm_process_profit", profit_text(profit))


def _course(session: Session, members: list[int], page: Page) -> None:
    assert session.result is not None
    saved = history(session.result, members)[: session.at + 1]
    if len(saved) > 1:
        page.heading("saved over passes")
        page.cells(spark(saved, page.width, page.look, State.SAVED))


def _sharers(session: Session, workload: str, heading: str, page: Page) -> None:
    found = session.detail
    if found is None or not found.result.pairs.height:
        return
    rows = (
        found.result.pairs.filter(
            (pl.col("workload") == workload) & (pl.col("pages_saved") != 0)
        )
        .sort("pages_saved", "other", descending=[True, False])
        .head(_SHARERS)
    )
    if not rows.height:
        return
    page.heading(f"{heading}{_of_the_end(session)}")
    total = int(rows["pages_saved"].sum())
    named = min(20, page.width * 2 // 5)
    wide = max(page.width - named - 12, 6)
    page.bars(
        [
            (
                "itself" if other == workload else other or "all others",
                gapped(
                    [Slice(saved, State.SAVED if other == workload else Ink.CURSOR)],
                    wide,
                    total,
                    page.look,
                ),
                session.amount(saved),
            )
            for other, saved in rows.select("other", "pages_saved").iter_rows()
        ],
        named,
    )


def _kinds(session: Session, members: list[int], page: Page) -> None:
    found = session.detail
    if found is None:
        return
    kinds = kinds_of(found.result, members).head(_KINDS)
    if not kinds.height:
        return
    page.heading(f"by mapping{_of_the_end(session)}")
    columns = ("kind", "pages_saved_nonzero", "pages_saved_zero")
    rows = kinds.select(columns).rows()
    most = max(other + zero for _, other, zero in rows)
    wide = max(page.width - 22, 6)
    page.bars(
        [
            (
                kind,
                gapped(
                    [Slice(other, State.SAVED), Slice(zero, State.ZERO)],
                    wide,
                    max(most, 1),
                    page.look,
                ),
                session.amount(other + zero),
            )
            for kind, other, zero in rows
        ],
        10,
    )


def _mapping(session: Session, tree: Tree, which: tuple[int, int], page: Page) -> Page:
    process, mapping = which
    table = tree.mappings(process)
    page.title(mapping_name(table, mapping), ("   mapping", Ink.DIM))
    start = table.value(mapping, "start_vpn") * PAGE_SIZE
    page.line((f"{start:x}{_of_the_end(session)}", Ink.MUTED)).gap()
    pages = table.value(mapping, "pages")
    page.row("size", session.amount(pages), (count_text(pages),))
    for name, column, state in (
        ("saved non-zero", "pages_saved_nonzero", State.SAVED),
        ("saved zero", "pages_saved_zero", State.ZERO),
    ):
        value = table.value(mapping, column)
        page.row(
            name,
            session.amount(value),
            (share_text(value, pages), count_text(value)),
            sign=(page.look.swatch(state), state),
            bold=True,
        )
    for name in ("zero_pages", "fill_pages", "ksm_merging_pages", "ksm_zero_pages"):
        value = table.value(mapping, name)
        page.row(name, count_text(value), (share_text(value, pages),))
    _uncertain(session, table, mapping, page)
    return page


def _of_the_end(session: Session) -> str:
    return " (at the end)" if session.detail_is_of_the_end else ""
