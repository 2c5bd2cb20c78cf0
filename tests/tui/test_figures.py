"""Every figure on the screen is the one that `replay --format json` prints.

The expected texts are written here from the JSON's integers alone, by the functions
of `analyzer.report.units`; of what no JSON has (pairs, holders, the course of a
process) from a result that `replay --save` wrote.
"""

import asyncio
import json
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
from click.testing import CliRunner
from flights import Flight, flown, seen
from lives import over_time
from textual.widgets import Static

from analyzer.cli import program
from analyzer.counters import RMAP_ITEM_SIZE
from analyzer.knobs import KsmKnobs
from analyzer.report.units import (
    bytes_text,
    count_text,
    duration_text,
    pages_text,
    percent_text,
    profit_text,
    share_text,
)
from traces.schema import PAGE_SIZE
from tui.look import State
from tui.session import Unit
from tui.views.figures import change_words
from tui.views.findings import Findings
from tui.views.prose import Prose
from tui.widgets.composition import Composition
from tui.widgets.grid import Grid
from tui.widgets.heat_map import HeatMap
from tui.widgets.kpi import KpiStrip
from tui.widgets.lane import Lane

WIDE = 250, 32
"""A terminal on which no table leaves a column out."""


@dataclass
class Told:
    """What `replay --passes k --format json` says of a trace."""

    flight: Flight
    scans: int | None
    unit: Unit
    document: dict[str, Any]
    offered: int
    """Pages at the end: what percentages are of, at every pass."""

    def amount(self, pages: int) -> str:
        if self.unit is Unit.BYTES:
            return bytes_text(pages * PAGE_SIZE)
        if self.unit is Unit.PAGES:
            return count_text(pages)
        return percent_text(pages / self.offered) if self.offered else "-"

    @cached_property
    def workloads(self) -> dict[str, dict[str, Any]]:
        return {row["workload"]: with_sums(row) for row in self.document["workloads"]}

    @cached_property
    def processes(self) -> list[dict[str, Any]]:
        """By their number."""
        return [with_sums(row) for row in self.document["processes"]]

    @cached_property
    def mappings(self) -> dict[int, dict[str, Any]]:
        rows = self.document["mappings"]
        return {row["mapping"]: with_sums(row) for row in rows}

    @property
    def final(self) -> bool:
        return self.scans is None

    def unknown(self, column: str) -> bool:
        """Whether only the end of the replay knows it."""
        if self.final:
            return False
        once = ("pages_captured", "fill_pages")
        several = self.document["trace"]["epochs"] > 1
        return column == "share_cross" or (several and column in once)

    def text(self, row: dict[str, Any], column: str) -> str:
        """A cell of a table."""
        value = row[column]
        if value is None:
            return "-"
        if column in AMOUNTS:
            return self.amount(value)
        return LOOKS[column](value)


AMOUNTS = {
    "pages",
    "pages_captured",
    "pages_saved",
    "pages_saved_zero",
    "pages_saved_nonzero",
    "fill_pages",
}
LOOKS = {
    "share_saved": percent_text,
    "share_cross": percent_text,
    "net_saved": profit_text,
    "ksm_process_profit": profit_text,
    "processes": count_text,
    "workloads": count_text,
    "copies": count_text,
    "frames": count_text,
    "pages_unshared": count_text,
    "pages_volatile": count_text,
    "ksm_merging_pages": count_text,
    "ksm_zero_pages": count_text,
    "ksm_rmap_items": count_text,
    "start_vpn": lambda vpn: f"{vpn * PAGE_SIZE:x}",
    "digest": lambda digest: f"{digest % 2**64:016x}",
    "workload": str,
    "what": str,
    "whose": str,
}


def with_sums(row: dict[str, Any]) -> dict[str, Any]:
    """*row* with what is worked out from its figures."""
    saved = row["pages_saved_zero"] + row["pages_saved_nonzero"]
    row = row | {"pages_saved": saved}
    row["share_saved"] = saved / row["pages"] if row["pages"] else None
    if "ksm_rmap_items" in row:
        row["net_saved"] = saved * PAGE_SIZE - row["ksm_rmap_items"] * RMAP_ITEM_SIZE
    if "pages_cross" in row:
        merging = row["ksm_merging_pages"]
        row["share_cross"] = row["pages_cross"] / merging if merging else None
    return row


@pytest.fixture(scope="session")
def prefork(tmp_path_factory: pytest.TempPathFactory) -> Flight:
    """Workers that share frames with the parent they forked from."""
    folder = tmp_path_factory.mktemp("prefork")
    path = folder / "prefork.parquet"
    found = CliRunner().invoke(
        program, ["synth", "prefork", "--pages", "4096", "-o", str(path)]
    )
    assert found.exit_code == 0, found.output
    return flown(path, folder)


@pytest.fixture(scope="session")
def over_epochs(tmp_path_factory: pytest.TempPathFactory) -> Flight:
    """A capture over time: processes fork, write, end, and begin."""
    folder = tmp_path_factory.mktemp("epochs")
    doings = [("write", 0, n, n) for n in range(12)]
    doings += [("fork", 0, 0, 0), ("write", 1, 3, 4), ("epoch", 0, 0, 0)]
    doings += [("spawn", 0, 0, 0), *(("write", 2, n, n) for n in range(8))]
    doings += [("epoch", 0, 0, 0), ("exit", 0, 0, 0), ("epoch", 0, 0, 0)]
    return flown(over_time(doings, folder / "time.parquet"), folder, FAST)


FAST = KsmKnobs(pages_to_scan=10, sleep_millisecs=5000)
KNOBS = KsmKnobs(
    pages_to_scan=4000, max_page_sharing=8, smart_scan=False, use_zero_pages=True
)


@pytest.fixture(scope="session")
def otherwise(demo: Flight, tmp_path_factory: pytest.TempPathFactory) -> Flight:
    """The same trace with other knobs and a process left out."""
    folder = tmp_path_factory.mktemp("otherwise")
    return flown(demo.trace, folder, KNOBS, 'all; opt-out comm == "report*"')


def document(flight: Flight, scans: int | None) -> dict[str, Any]:
    """What the command prints after so many full scans; at the end with None."""
    knobs, policy = flight.settings.knobs, flight.settings.policy
    arguments = ["replay", str(flight.trace), "--format", "json", "--by", "mapping"]
    arguments += ["--rows", "1000"]
    if scans is None:
        # What is saved knows of pairs, and so says more.
        arguments += ["--save", str(flight.saved.with_name("saved.parquet"))]
    default = KsmKnobs().as_files()
    for name, value in knobs.as_files().items():
        if value == default[name]:
            continue
        option = name.replace("_", "-")
        if name in ("smart_scan", "use_zero_pages"):
            arguments += [f"--{option}" if value else f"--no-{option}"]
        else:
            arguments += [f"--{option}", str(value)]
    if policy != "all":
        arguments += ["--opt-out", policy.partition("opt-out ")[2]]
    if scans is not None:
        arguments += ["--passes", str(scans)]
    found = CliRunner().invoke(program, arguments, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    told: dict[str, Any] = json.loads(found.stdout)
    return told


def cells_of(grid: Grid, key: Any) -> dict[str, str]:
    """The row's texts by the key of their column; every column must be shown."""
    columns = [column.key for column in grid.columns if not column.pictorial]
    texts = grid.row_texts(key)
    assert len(columns) == len(texts), "a column was left out"
    return dict(zip(columns, texts, strict=True))


def prose_of(pane: Any) -> list[str]:
    """The lines of a pane, as they are before they are wrapped."""
    return str(pane.query_one(Static).content).splitlines()


CASES = [
    ("demo", 2),
    ("prefork", None),
    ("over_epochs", 4),
    ("over_epochs", None),
    ("otherwise", 1),
]


@pytest.mark.parametrize(("name", "scans"), CASES)
def test_every_view_shows_what_replay_prints(request, name, scans):
    flight = request.getfixturevalue(name)
    now, end = document(flight, scans), document(flight, None)
    offered = sum(row["pages"] for row in end["processes"])

    async def walk() -> None:
        async with seen(flight, size=WIDE) as pilot:
            app = pilot.app
            if scans is not None:
                app.go_to(scans - 1)
                await pilot.pause()
            for unit in Unit:
                assert app.session.unit is unit
                told = Told(flight, scans, unit, now, offered)
                # Mappings, pairs and contents are a replay's end's.
                last = Told(flight, None, unit, end, offered)
                for view, check in VIEWS.items():
                    await app.go(view)
                    await pilot.pause()
                    await check(app.view, told, last)
                # Each unit with another process.
                process = list(Unit).index(unit) % len(told.processes)
                await check_process(pilot, process, told, last)
                await pilot.press("u")
            assert app.session.unit is Unit.BYTES

    asyncio.run(walk())


async def check_overview(view: Any, told: Told, end: Told) -> None:
    check_cards(view, told)
    parts = {part.label: part for part in view.query_one(Composition)._parts}
    where = told.document["composition"]
    for label, name in (
        ("non-zero", "saved_nonzero"),
        ("zero", "saved_zero"),
        ("kept", "kept"),
        ("unmerged", "unmerged"),
    ):
        assert parts[label].value == where[name]
        assert parts[label].text == told.amount(where[name])
    grid = view.query_one(Grid)
    assert set(grid.visible_rows()) == set(told.workloads)
    for key in grid.visible_rows():
        row = told.workloads[key]
        check_row(cells_of(grid, key), row, told, name="")
    heat = view.query_one(HeatMap)
    pairs = pairs_of(end)
    assert heat._names == [name or "(all others)" for name in by_savings(pairs)]
    check_matrix(heat, pairs, end)
    shown = prose_of(view.query_one(Findings))
    # One way of drawing a sign and a line for each.
    words = [f["text"] for f in end.document["findings"]]
    words += end.document["trace"]["limits"]
    assert [line[2:] for line in shown] == words


def pairs_of(told: Told) -> dict[tuple[str, str], tuple[int, int]]:
    rows = told.flight.result.pairs.iter_rows(named=True)
    return {
        (row["workload"], row["other"]): (row["pages_saved"], row["contents"])
        for row in rows
    }


def by_savings(pairs: dict[tuple[str, str], tuple[int, int]]) -> list[str]:
    totals: dict[str, int] = defaultdict(int)
    for (name, _), (saved, _) in pairs.items():
        totals[name] += saved
    return sorted(totals, key=lambda name: (not name, -totals[name], name))


def check_matrix(heat: Any, pairs: Any, told: Told) -> None:
    names = by_savings(pairs)
    for y, row in enumerate(names):
        for x, column in enumerate(names):
            saved = max(pairs.get((row, column), (0, 0))[0], 0)
            assert heat._values[y][x] == saved
            assert heat._formatter(saved) == told.amount(saved)


def check_cards(view: Any, told: Told) -> None:
    cards = {card.label: card for card in view.query_one(KpiStrip)._cards}
    savings, counters = told.document["savings"], told.document["counters"]
    zero, other = savings["pages_saved_zero"], savings["pages_saved_nonzero"]
    whole = sum(told.document["composition"].values())
    saved = cards["Saved"]
    assert saved.value == told.amount(zero + other)
    assert saved.subtitle == (
        f"{share_text(zero + other, whole)} of {told.amount(whole)}"
    )
    assert saved.history[-1] == zero + other
    assert cards["Zero pages"].value == told.amount(zero)
    assert cards["Zero pages"].subtitle == f"{share_text(zero, zero + other)} of saved"
    profit = cards["general_profit"]
    assert profit.value == profit_text(counters["general_profit"])
    cost = bytes_text(counters["rmap_items"] * RMAP_ITEM_SIZE)
    assert profit.subtitle == f"rmap_items {cost}"
    sharing, shared = counters["pages_sharing"], counters["pages_shared"]
    ratio = f"{sharing / shared:.1f}" if shared else "-"
    assert cards["sharing / shared"].value == ratio
    assert cards["sharing / shared"].subtitle == (
        f"{count_text(sharing)} on {count_text(shared)}"
    )
    passes = told.document["passes"]
    if not told.flight.result.end.later or told.scans is not None:
        last = passes[-1]
        share = last["cpu_ns"] / last["time_ns"]
        assert cards["ksmd CPU, est."].value == percent_text(share)
        before = passes[-2] if len(passes) > 1 else dict.fromkeys(last, 0)
        scanned = last["pages_scanned"] - before["pages_scanned"]
        skipped = last["pages_skipped"] - before["pages_skipped"]
        assert cards["ksmd CPU, est."].subtitle == (
            f"scan {count_text(scanned)} skip {count_text(skipped)}"
        )


def check_row(
    texts: dict[str, str], row: dict[str, Any], told: Told, name: str = "name"
) -> None:
    """Every cell of a row; the name is whoever asks to see to."""
    for column, text in texts.items():
        if column == name:
            continue
        if told.unknown(column):
            assert text in ("", "-"), column
            continue
        assert text == told.text(row, column), column


async def check_workloads(view: Any, told: Told, end: Told) -> None:
    grid = view.query_one(Grid)
    grid._rows.unfolded.clear()
    grid.refresh_rows()
    grid.action_unfold_all()
    for what, process in list(grid.visible_rows()):
        if what == "process" and process < 2:
            grid.select((what, process))
            grid.action_unfold()
    seen_processes = 0
    for what, which in grid.visible_rows():
        texts = cells_of(grid, (what, which))
        if what == "group":
            assert texts["name"] == which
            check_row(texts, told.workloads[which], told)
        elif what == "process":
            seen_processes += 1
            row = told.processes[which]
            assert texts.pop("processes") == ""
            assert texts["name"] == f"{row['pid']} {row['comm']}"
            check_row(texts, row, told)
        else:
            row = end.mappings[which[1]]
            assert row["process"] == which[0]
            texts = {name: text for name, text in texts.items() if text}
            assert {"pages", "pages_saved", "ksm_merging_pages"} <= texts.keys()
            start = row["start_vpn"] * PAGE_SIZE
            told_name = row["name"] or f"[{row['kind']}] {start:x}"
            assert texts["name"] == told_name
            check_row(texts, row, end)
    assert seen_processes == len(told.processes)
    for key in (("group", next(iter(told.workloads))), ("process", 0)):
        grid.select(key)
        row = told.workloads[key[1]] if key[0] == "group" else told.processes[key[1]]
        name = key[1] if key[0] == "group" else f"{row['pid']} {row['comm']}"
        await titled(view.query_one(Prose), name)
        check_selected(view.query_one(Prose), key, told, end)


def check_selected(pane: Prose, key: Any, told: Told, end: Told) -> None:
    """The pane about a workload or process."""
    lines = prose_of(pane)
    what, which = key
    row = told.workloads[which] if what == "group" else told.processes[which]
    pages = row["pages"]
    for title, column in (
        ("saved non-zero", "pages_saved_nonzero"),
        ("saved zero", "pages_saved_zero"),
        ("unshared", "pages_unshared"),
        ("volatile", "pages_volatile"),
    ):
        value = row[column]
        shown = figures_of(lines, title)
        want = [told.amount(value), share_text(value, pages), count_text(value)]
        assert shown == want
    assert figures_of(lines, "net") == [profit_text(row["net_saved"])]
    items = row["ksm_rmap_items"]
    assert figures_of(lines, "ksm_rmap_items") == [
        count_text(items),
        bytes_text(items * RMAP_ITEM_SIZE),
    ]
    if what == "process":
        for name in ("ksm_merging_pages", "ksm_zero_pages"):
            assert figures_of(lines, name) == [count_text(row[name])]
        assert figures_of(lines, "ksm_process_profit") == [
            profit_text(row["ksm_process_profit"])
        ]
    kinds: dict[str, int] = defaultdict(int)
    for mapping in end.mappings.values():
        owner = end.processes[mapping["process"]]
        if which in (owner["workload"], owner["process"]):
            kinds[mapping["kind"]] += mapping["pages_saved"]
    at = next((n for n, s in enumerate(lines) if s.startswith("by mapping")), None)
    shown = {} if at is None else bars(lines[at + 1 :])
    largest = sorted(kinds, key=lambda kind: (-kinds[kind], kind))[:6]
    assert shown == {kind: end.amount(kinds[kind]) for kind in largest}


async def titled(pane: Prose, name: str) -> None:
    """Wait until the pane is about *name*: it follows the cursor with a delay."""
    for _ in range(200):
        if prose_of(pane)[:1] and prose_of(pane)[0].startswith(name):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{prose_of(pane)[:1]} and not {name}")


def figures_of(lines: list[str], name: str) -> list[str]:
    """The figures behind *name* in a pane."""
    for line in lines:
        bare = line.removeprefix("■ ")
        if bare.startswith(f"{name} "):
            return FIGURE.findall(bare.removeprefix(name))
    raise AssertionError(f"{name} is not in {lines}")


FIGURE = re.compile(r"[-+]?[\d.]+(?: [KMGT]?i?B\b|%|[kMGT]\b)?|-")


def bars(lines: list[str]) -> dict[str, str]:
    """The figures at the ends of a pane's bars, until a line that is none."""
    shown = {}
    for line in lines:
        if not line.startswith("  "):
            break
        name, _, rest = line.strip().partition(" ")
        shown[name] = FIGURE.findall(rest)[-1]
    return shown


async def check_sharing(view: Any, _: Told, end: Told) -> None:
    pairs = pairs_of(end)
    heat = view.main()
    check_matrix(heat, pairs, end)
    names = by_savings(pairs)
    copied = view.rows()
    if not names:
        assert copied is None or not copied.rows
        return
    assert [row[0] for row in copied.rows] == [n or "(all others)" for n in names]
    for y, row in enumerate(names):
        for x, column in enumerate(names):
            saved = max(pairs.get((row, column), (0, 0))[0], 0)
            assert copied.rows[y][x + 1] == end.amount(saved)
    if len(names) < 2:
        return
    heat.select(0, 1)
    await asyncio.sleep(0.02)
    lines = prose_of(view.query_one(Prose))
    here, there = names[:2]
    saved, contents = pairs.get((here, there), (0, 0))
    assert figures_of(lines, f"saved in {here}")[0] == end.amount(saved)
    if there:
        assert figures_of(lines, "contents both hold") == [count_text(contents)]
        assert figures_of(lines, "if kept apart")[0] == f"-{pages_text(contents)}"


async def check_contents(view: Any, told: Told, end: Told) -> None:
    grid = view.query_one(Grid)
    rows = {row["digest"]: row for row in end.document["contents"]}
    assert set(grid.visible_rows()) == set(rows)
    for key in grid.visible_rows():
        check_row(cells_of(grid, key), rows[key], end, name="")
    if not rows:
        return
    distinct = end.document["ideal"]["distinct_contents"]
    said = f"{grid.border_title} {grid.border_subtitle}"
    assert f"{count_text(len(rows))} of {count_text(distinct)} distinct" in said
    assert ("of the end" in said) is not told.final
    grid.select(next(iter(rows)))
    row = next(iter(rows.values()))
    await titled(view.query_one(Prose), f"{row['digest'] % 2**64:016x}")
    lines = prose_of(view.query_one(Prose))
    saved = end.amount(row["pages_saved"])
    assert f"{count_text(row['copies'])} copies save {saved}" in lines
    holders = end.flight.result.holders.rows(named=True)
    for holder in [h for h in holders if h["digest"] == row["digest"]][:3]:
        of = [
            line
            for line in lines
            if line.startswith(holder["workload"]) and f" {holder['kind']}" in line
        ]
        assert of, (lines, holder)
        assert f" {count_text(holder['copies'])} " in of[0]
        assert f" {count_text(holder['processes'])} process" in of[0]


async def check_time(view: Any, told: Told, _: Told) -> None:
    lanes = {lane.name: lane for lane in view.query(Lane)}
    passes = told.document["passes"]
    if told.final and told.flight.result.end.later:
        return
    last = passes[-1]
    before = passes[-2] if len(passes) > 1 else dict.fromkeys(last, 0)
    time = last["time_ns"] - before["time_ns"]
    cpu = (last["cpu_ns"] - before["cpu_ns"]) / time if time else 0
    words = {
        "scan_scanned": count_text(last["pages_scanned"] - before["pages_scanned"]),
        "scan_skipped": count_text(last["pages_skipped"] - before["pages_skipped"]),
        "cpu_ppm": percent_text(cpu),
        "general_profit": profit_text(told.document["counters"]["general_profit"]),
    }
    for name, lane in lanes.items():
        line = lane.render_line(0).text
        assert f"  {words[name]}   peak" in line
    chart = view.main()
    now = {str(layer.colour): layer.values[view.session.at] for layer in chart._layers}
    sums = {
        name: sum(row[name] for row in told.processes)
        for name in ("pages_saved_nonzero", "pages_saved_zero", "pages_unshared",
                     "pages_volatile")
    }  # fmt: skip
    assert list(now.values())[:2] == [
        sums["pages_saved_nonzero"],
        sums["pages_saved_zero"],
    ]
    assert now[str(State.UNSHARED)] == sums["pages_unshared"]
    assert now[str(State.VOLATILE)] == sums["pages_volatile"]


async def check_what_if(view: Any, told: Told, end: Told) -> None:
    """Variants are of their end, whatever pass is looked at."""
    grid = view.query_one("#wi-variants", Grid)
    (variant,) = grid.visible_rows()
    savings, counters = end.document["savings"], end.document["counters"]
    zero, other = savings["pages_saved_zero"], savings["pages_saved_nonzero"]
    cost = end.document["cost"]
    reached = cost["time_to_percent_ns"].get("90")
    texts = cells_of(grid, variant)
    assert texts.pop("name").endswith(variant.name)
    assert texts == {
        "saved": end.amount(zero + other),
        "zero": end.amount(zero),
        "profit": profit_text(counters["general_profit"]),
        "cpu": percent_text(cost["cpu_share"]),
        "reached": "-" if reached is None else duration_text(reached // 1_000_000),
    }
    lines = prose_of(view.query_one("#wi-draft"))
    for title, words in (
        ("saved", end.amount(zero + other)),
        ("  non-zero", end.amount(other)),
        ("  zero", end.amount(zero)),
        ("general_profit", profit_text(counters["general_profit"])),
        ("pages_unshared", count_text(counters["pages_unshared"])),
        ("ksmd CPU, est.", percent_text(cost["cpu_share"])),
    ):
        assert figures_of(lines, title)[0] == words
    offers = view.query_one("#wi-offer", Grid)
    potential = {
        row["workload"]: row["ideal_if_toggled"]
        for row in end.flight.result.workloads.iter_rows(named=True)
    }
    for key in offers.visible_rows():
        what, which = key
        if what != "group":
            continue
        texts = cells_of(offers, key)
        mark = "x" if told.workloads[which]["pages"] else " "
        assert texts.pop("name") == f"[{mark}] {which}"
        value = potential[which]
        sign = "+" if value > 0 else "-" if value < 0 else ""
        assert texts.pop("ideal_if_toggled") == f"≈{sign}{end.amount(abs(value))}"
        check_row(texts, told.workloads[which], told)


async def check_process(pilot: Any, process: int, told: Told, end: Told) -> None:
    """The drill-down of a process."""
    row = told.processes[process]
    pilot.app.open_process(process)
    await pilot.pause()
    screen = pilot.app.screen
    cards = {card.label: card for card in screen.query_one(KpiStrip)._cards}
    for name in ("ksm_merging_pages", "ksm_zero_pages", "ksm_rmap_items"):
        assert cards[name].value == count_text(row[name])
    assert cards["ksm_process_profit"].value == profit_text(row["ksm_process_profit"])
    pages, captured = row["pages"], row["pages_captured"]
    saved = share_text(row["pages_saved"], pages)
    assert cards["ksm_process_profit"].subtitle == f"saved {saved}"
    assert cards["ksm_rmap_items"].subtitle == bytes_text(
        row["ksm_rmap_items"] * RMAP_ITEM_SIZE
    )
    if not told.unknown("pages_captured"):
        assert cards["offered"].value == share_text(pages, captured)
    grid = screen.query_one(Grid)
    mine = {
        number: mapping
        for number, mapping in end.mappings.items()
        if mapping["process"] == process
    }
    assert set(grid.visible_rows()) == set(mine)
    for key, mapping in mine.items():
        texts = cells_of(grid, key)
        assert texts["name"] == (mapping["name"] or f"[{mapping['kind']}]")
        check_row(texts, mapping, end)
    assert ("of the end" in str(grid.border_title)) is not told.final
    await pilot.press("escape")
    await pilot.pause()


VIEWS: dict[str, Any] = {
    "overview": check_overview,
    "workloads": check_workloads,
    "sharing": check_sharing,
    "contents": check_contents,
    "time": check_time,
    "what_if": check_what_if,
}


def test_a_change_of_ksmd_cpu_is_told_in_points() -> None:
    unasked: Any = None
    assert change_words(unasked, "cpu_ppm", -17_000) == "-1.7 points"
    assert change_words(unasked, "cpu_ppm", 4_000) == "+0.4 points"
