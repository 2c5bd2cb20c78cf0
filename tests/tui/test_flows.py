"""The main flows, by the keys a person presses from launch."""

import asyncio
import csv
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flights import screen_text, seen, told, until

from analyzer.cli import program
from analyzer.compare import compare
from analyzer.report.units import pages_text
from tui.clipboard import clip_path
from tui.jobs import Job
from tui.variant import Progress
from tui.views.findings import Findings
from tui.views.offers import Offers
from tui.views.process import Process
from tui.widgets.dials import Dials
from tui.widgets.grid import Grid
from tui.widgets.kpi import KpiStrip
from tui.widgets.page_map import PageMap


def flow(act: Any, *what: Any, **options: Any) -> None:
    """Run *act* with a pilot of the app opened on *what*."""

    async def run() -> None:
        async with seen(*what, **options) as pilot:
            await act(pilot)

    asyncio.run(run())


async def press(pilot: Any, *keys: str) -> None:
    await pilot.press(*keys)
    await pilot.pause()


async def to_view(pilot: Any, key: str, name: str) -> Any:
    await pilot.press(key)
    app = pilot.app
    await until(pilot, lambda: name == app.view.NAME and app.screen.focused is not None)
    return app.view


async def focus(pilot: Any, widget: Any) -> None:
    """Go there as a person does, from pane to pane."""
    for _ in range(8):
        if pilot.app.screen.focused is widget:
            return
        await press(pilot, "tab")
    raise AssertionError(f"no tab leads to {widget}")


def done(app: Any) -> bool:
    return not app.tasks.all()


@pytest.fixture(autouse=True)
def nobodys_files(tmp_path, monkeypatch):
    """Copies, logs and exports go nowhere else."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def replayed(*arguments: Any) -> dict[str, Any]:
    words = ["replay", *map(str, arguments), "--format", "json"]
    found = CliRunner().invoke(program, words, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    read: dict[str, Any] = json.loads(found.stdout)
    return read


def test_worth_enabling_is_answered_before_a_key_is_pressed(demo):
    async def act(pilot: Any) -> None:
        app, view = pilot.app, pilot.app.view
        assert view.NAME == "overview"
        cards = view.query_one(KpiStrip)._cards
        text = screen_text(app)
        for card in cards:
            assert card.value in text
        findings = view.query_one(Findings)._findings
        assert findings
        assert findings[0].subject in text
        # Each finding leads to where it can be seen.
        for at, finding in enumerate(findings):
            await app.go("overview")
            await focus(pilot, view.query_one(Findings))
            await press(pilot, *["k"] * 8, *["j"] * at, "enter")
            await until(pilot, lambda f=finding: str(f.place.view) == app.view.NAME)
            if finding.place.view == "workloads":
                assert app.view.main().selected == ("group", finding.place.key)
            elif finding.place.view == "time":
                assert app.session.at == finding.place.key - 1

    flow(act, demo)


def test_who_to_opt_in_is_found_by_toggling_and_replaying(demo):
    """By the process the app starts; what it finds is what `replay` prints."""

    async def act(pilot: Any) -> None:
        app = pilot.app
        view = await to_view(pilot, "6", "what_if")
        offers = view.query_one(Offers)
        await focus(pilot, offers)
        assert offers.sorting == ("ideal_if_toggled", True)
        first = offers.selected
        assert offers.row_texts(first)[0].startswith("[x]")
        await press(pilot, "space")
        assert offers.row_texts(first)[0].startswith("[ ]")
        await press(pilot, "f5")
        variant = app.session.variants[-1]
        await until(pilot, lambda: variant.progress is Progress.DONE, 60)
        assert variant.error == ""
        found = replayed(demo.trace, "--opt-out", f'workload == "{first[1]}"')
        assert variant.result.savings._asdict().items() <= found["savings"].items()
        assert variant.result.counters._asdict() == found["counters"]
        rows = {row["workload"]: row for row in found["workloads"]}
        for row in variant.result.workloads.iter_rows(named=True):
            expected = rows[row["workload"]]
            assert {name: row[name] for name in expected} == expected
        # The estimate gave way to what was replayed.
        saved = sum(demo.result.savings[:2]) - sum(variant.result.savings[:2])
        await until(
            pilot, lambda: f"-{pages_text(saved)}" in offers.row_texts(first)[1]
        )
        assert "≈" not in offers.row_texts(first)[1]
        view = await to_view(pilot, "7", "compare")
        assert app.session.b is variant
        assert view.main().row_texts(first[1])[0] == first[1]

    flow(act, demo, job=Job)


def test_a_scan_rate_is_turned_replayed_and_told_in_the_table(demo):
    async def act(pilot: Any) -> None:
        app = pilot.app
        view = await to_view(pilot, "6", "what_if")
        dials = view.query_one(Dials)
        assert app.screen.focused is dials
        assert dials.selected.name == "pages_to_scan"
        await press(pilot, "right", "right", "f5")
        await until(pilot, lambda: done(app))
        grid = view.query_one("#wi-variants", Grid)
        a, b = grid.visible_rows()
        assert b.settings.knobs.pages_to_scan == 400
        assert b.progress is Progress.DONE
        assert "pages_to_scan 400" in grid.row_texts(b)[0]
        totals = compare(a.result, b.result).totals
        by_name = {row["figure"]: row for row in totals.iter_rows(named=True)}
        assert pages_text(by_name["pages_saved"]["b"]) in grid.row_texts(b)
        # The same again is not replayed twice.
        await press(pilot, "f5")
        assert len(app.session.variants) == 2
        # A number can be typed, and is taken by whoever runs it at once.
        await press(pilot, "enter", "3", "0", "0", "0", "f5")
        await until(pilot, lambda: done(app) and len(app.session.variants) == 3)
        assert app.session.variants[-1].settings.knobs.pages_to_scan == 3000
        # What a kernel refuses is refused in its words, and the knob stays.
        await press(pilot, "down", "down", "enter", "1", "enter")
        assert view.draft.knobs.max_page_sharing == 256
        assert any("max_page_sharing" in line for line in told(app))

    flow(act, demo)


def test_volatile_pages_are_followed_to_the_page_map(demo):
    async def act(pilot: Any) -> None:
        app = pilot.app
        view = await to_view(pilot, "2", "workloads")
        grid = view.main()
        for _ in range(20):
            if grid.sorting[0] == "pages_volatile":
                break
            await press(pilot, "greater_than_sign")
        assert grid.sorting == ("pages_volatile", True)
        counts = [
            view._tree.groups.value(which, "pages_volatile")
            for _, which in grid.visible_rows()
        ]
        assert counts == sorted(counts, reverse=True)
        await press(pilot, "home", "right", "down", "enter")
        await until(pilot, lambda: isinstance(app.screen, Process))
        screen = app.screen
        pages = screen.query_one(PageMap)
        assert "pages of" in str(pages.border_title)
        assert not app.session.detail_is_of_the_end
        await press(pilot, "comma")
        assert app.session.at == app.session.count - 2
        # The process is of this pass, its mappings are not, and that is said.
        said = str(screen.query_one(Grid).border_title)
        assert f"of the end; x replays pass {app.session.at + 1}" in said
        await press(pilot, "x")
        await until(pilot, lambda: done(app) and not app.session.detail_is_of_the_end)
        await pilot.pause()
        assert "of the end" not in str(screen.query_one(Grid).border_title)
        expected = replayed(
            demo.trace, "--passes", app.session.at + 1, "--by", "mapping"
        )
        shown = screen.frame().rows(named=True)
        mine = [m for m in expected["mappings"] if m["process"] == screen.process]
        for row, mapping in zip(shown, mine, strict=True):
            assert {name: row[name] for name in mapping} == mapping
        await press(pilot, "full_stop")
        assert app.session.at_end
        # From a page to the contents around it.
        await focus(pilot, screen.query_one(PageMap))
        await press(pilot, "enter")
        await until(pilot, lambda: app.view.NAME == "contents" and done(app))
        assert app.screen is not screen
        part = app.session.a.part
        assert part is not None
        assert "pages of" in str(app.view.main().border_title)
        assert (
            list(app.view.main().visible_rows())
            == part.result.contents["digest"].to_list()
        )
        await press(pilot, "backspace")
        assert str(app.view.main().border_title) == "contents that save most"

    flow(act, demo)


def test_a_replayed_pass_is_shown_by_every_view_of_the_end(demo):
    async def act(pilot: Any) -> None:
        app = pilot.app
        await press(pilot, "comma", "comma")
        for key, name in (("3", "sharing"), ("4", "contents")):
            view = await to_view(pilot, key, name)
            assert "x replays pass 2" in str(view.main().border_title)
        await press(pilot, "x")
        await until(pilot, lambda: done(app))
        found = app.session.detail.result
        assert found.passes.height == 2
        expected = replayed(demo.trace, "--passes", 2, "--rows", 1000)
        assert found.contents.rows(named=True) == expected["contents"]
        for key, name in (("3", "sharing"), ("4", "contents")):
            view = await to_view(pilot, key, name)
            assert "of the end" not in str(view.main().border_title)
        digests = app.view.main().visible_rows()
        assert set(digests) == {row["digest"] for row in expected["contents"]}
        await press(pilot, "x")
        assert any("already" in line for line in told(app))

    flow(act, demo)


def test_what_isolation_costs_is_told_of_a_pair(demo):
    async def act(pilot: Any) -> None:
        app = pilot.app
        view = await to_view(pilot, "3", "sharing")
        await press(pilot, "right")
        heat = view.main()
        assert (heat.row, heat.column) == (0, 1)
        names = view._matrix.names[:2]
        pairs = demo.result.pairs.rows(named=True)
        (pair,) = [p for p in pairs if [p["workload"], p["other"]] == names]
        await until(pilot, lambda: "if kept apart" in screen_text(app))
        (line,) = [
            line for line in screen_text(app).splitlines() if "if kept apart" in line
        ]
        assert f"-{pages_text(pair['contents'])}" in line
        assert "one more copy of each" in screen_text(app)

    flow(act, demo)


def test_what_is_seen_is_written_exactly_and_for_its_owner_only(demo, tmp_path):
    async def act(pilot: Any) -> None:
        app = pilot.app
        await to_view(pilot, "2", "workloads")
        for suffix in ("csv", "json", "md", "svg"):
            await write(pilot, f"out.{suffix}")
            path = tmp_path / f"out.{suffix}"
            await until(pilot, path.exists)
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
        expected = {row["workload"]: row for row in replayed(demo.trace)["workloads"]}
        assert [row["workload"] for row in rows] == [
            which for _, which in app.view.main().visible_rows()
        ]
        for row in rows:
            for name, value in expected[row["workload"]].items():
                assert row[name] == str(value)
        document = json.loads((tmp_path / "out.json").read_text())
        assert document["view"] == "workloads"
        assert document["full_scans"] == 4
        for row in document["rows"]:
            assert expected[row["workload"]].items() <= row.items()
        table = (tmp_path / "out.md").read_text().splitlines()
        assert len(table) == 2 + len(rows)
        assert (tmp_path / "out.svg").read_text().startswith("<svg")
        # What is there is not written over, and a suffix says what is meant.
        before = (tmp_path / "out.csv").read_bytes()
        await write(pilot, "out.csv")
        assert "is there already" in screen_text(app)
        await press(pilot, "escape")
        assert (tmp_path / "out.csv").read_bytes() == before
        await write(pilot, "out.exe")
        assert "no such suffix" in screen_text(app)
        await press(pilot, "escape")
        await write(pilot, "nowhere/out.csv")
        assert "nowhere" in screen_text(app)
        await press(pilot, "escape")

    flow(act, demo)


async def write(pilot: Any, name: str) -> None:
    await press(pilot, "e")
    field = pilot.app.screen.query_one("Input")
    field.value = name
    await press(pilot, "enter")


def test_rows_and_tables_are_copied_with_what_they_show(demo, monkeypatch):
    copied: list[str] = []

    async def act(pilot: Any) -> None:
        app = pilot.app
        monkeypatch.setattr(app, "copy_to_clipboard", copied.append)
        view = await to_view(pilot, "2", "workloads")
        grid = view.main()
        await press(pilot, "y")
        assert copied[-1] == "\t".join(grid.row_texts(grid.selected))
        assert clip_path().read_text() == copied[-1]
        assert stat.S_IMODE(clip_path().stat().st_mode) == 0o600
        await press(pilot, "Y")
        lines = copied[-1].splitlines()
        assert lines[0] == "\t".join(grid.titles())
        assert lines[1:] == ["\t".join(grid.row_texts(k)) for k in grid.visible_rows()]
        assert any("3 rows copied" in line for line in told(app))
        # In the drill-down it is the drill-down that is copied and written.
        await press(pilot, "right", "down", "enter")
        await until(pilot, lambda: isinstance(app.screen, Process))
        mappings = app.screen.query_one(Grid)
        await press(pilot, "y")
        assert copied[-1] == "\t".join(mappings.row_texts(mappings.selected))
        await write(pilot, "process.csv")
        lines = Path("process.csv").read_text().splitlines()
        rows = list(csv.DictReader(lines))
        assert len(rows) == len(mappings.visible_rows())
        # A view without a table says so.
        await press(pilot, "escape")
        await to_view(pilot, "5", "time")
        count = len(copied)
        await press(pilot, "Y")
        assert len(copied) == count
        assert any("no table here" in line for line in told(app))

    flow(act, demo)
