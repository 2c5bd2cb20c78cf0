"""docs/tutorial.md: its keys, pressed in this order, lead to what it says one sees."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flights import Flight, seen

from analyzer.compare import compare
from analyzer.report.units import duration_text, pages_text, percent_text
from tui.app import KsmApp
from tui.views.process import Process
from tui.views.prose import Prose
from tui.widgets.grid import Grid
from tui.widgets.page_map import PageMap

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text()
ON_THE_SCREEN = re.search(r"(?<=On the screen\n).*?(?=\n## )", PAGE, re.DOTALL)
assert ON_THE_SCREEN
QUESTIONS = re.findall(
    r"^\*\*(.*?\?)\*\* (.*?)(?=^\*\*|\Z)", ON_THE_SCREEN[0], re.DOTALL | re.MULTILINE
)
NAMES = {">": "greater_than_sign", "<": "less_than_sign", ",": "comma", "F5": "f5"}


def keys_in(answer: str) -> list[str]:
    found = re.search(r"^    keys: (.*)$", answer, re.MULTILINE)
    return [NAMES.get(key, key) for key in found[1].split()] if found else []


async def after(demo: Flight, keys: list[str], look: Callable[[KsmApp], None]) -> None:
    async with seen(demo, size=(120, 40)) as pilot:
        app = pilot.app
        async with asyncio.timeout(60):
            for key in keys:
                await pilot.press(key)
                while app.tasks.all():
                    await pilot.pause(0.02)
                await pilot.pause(0.1)
        look(app)


def told(app: KsmApp) -> str:
    """What the panes of words on the screen say."""
    static = (pane.children[0] for pane in app.screen.query(Prose))
    return "\n".join(str(getattr(pane, "content", "")) for pane in static)


def worth_it(app: KsmApp, answer: str) -> None:
    result = app.session.result
    assert result is not None
    assert app.view is not None
    assert app.view.NAME == "overview"
    saved = result.savings.pages_saved_zero + result.savings.pages_saved_nonzero
    zero = result.savings.pages_saved_zero
    for pages in (saved, sum(result.composition), zero):
        assert pages_text(pages) in answer


def who(app: KsmApp, answer: str) -> None:
    assert app.view is not None
    assert app.view.NAME == "compare"
    session = app.session
    assert session.a
    assert session.b
    assert session.a.result
    assert session.b.result
    assert "without queue.service" in session.b.name
    found = compare(session.a.result, session.b.result)
    totals = {row["figure"]: row["delta"] for row in found.totals.to_dicts()}
    assert f"{pages_text(-totals['pages_saved'])} less" in answer
    rows = {row["workload"]: row for row in found.workloads.to_dicts()}
    lost = {
        name: row["pages_saved_a"] - (row["pages_saved_b"] or 0)
        for name, row in rows.items()
    }
    assert lost["web.service"] == 0
    assert lost["report.service"] == 1
    assert lost["queue.service"] > 100


def how_fast(app: KsmApp, answer: str) -> None:
    assert app.view is not None
    assert app.view.NAME == "what_if"
    a, b = app.session.a, app.session.b
    assert a
    assert b
    assert a.result
    assert b.result
    assert b.result.knobs.pages_to_scan == 800
    totals = {r["figure"]: r for r in compare(a.result, b.result).totals.to_dicts()}
    assert totals["pages_saved"]["delta"] == 0
    for side in ("a", "b"):
        reached = totals["time_to_90_ns"][side] // 1_000_000
        assert duration_text(reached) in answer
        assert percent_text(totals["cpu_ppm"][side] / 1_000_000) in answer


def why_volatile(app: KsmApp, answer: str) -> None:  # noqa: ARG001
    screen = app.screen
    assert isinstance(screen, Process)
    assert isinstance(screen.focused, PageMap)
    assert app.session.at == 0
    assert not app.session.detail_is_of_the_end, "this pass was replayed"
    moment = app.session.moment
    assert moment is not None
    row = moment.processes.filter(moment.processes["process"] == screen.process)
    assert row["pages_volatile"][0] == row["pages"][0]
    tree = app.query_one("#workloads Grid", Grid)
    assert "pages_volatile" in tree.shown_columns()


def how_dear(app: KsmApp, answer: str) -> None:
    assert app.view is not None
    assert app.view.NAME == "sharing"
    words = told(app)
    assert "report.service and queue.service" in words
    apart = re.search(r"if kept apart\s+-([\d.]+ [KM]iB)", words)
    assert apart
    assert f"{apart[1]} more" in answer


def show(app: KsmApp, answer: str) -> None:
    found = re.search(r"^(\w+\.csv) is in", answer, re.MULTILINE)
    assert found
    rows = Path(found[1]).read_text().splitlines()
    result = app.session.result
    assert result is not None
    assert len(rows) == 1 + result.workloads.height


SEEN: list[Callable[[KsmApp, str], None]] = [
    worth_it,
    who,
    how_fast,
    why_volatile,
    how_dear,
    show,
]


def test_six_questions_are_answered():
    assert len(QUESTIONS) == len(SEEN)


@pytest.mark.parametrize("number", range(len(SEEN)), ids=lambda n: SEEN[n].__name__)
def test_keys_lead_where_the_tutorial_says(demo, number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, answer = QUESTIONS[number]
    asyncio.run(after(demo, keys_in(answer), lambda app: SEEN[number](app, answer)))
