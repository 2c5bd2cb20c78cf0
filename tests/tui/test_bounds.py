"""What a dump cannot tell, as the screen says it."""

import asyncio
from dataclasses import replace

import pytest
from builders import Proc, trace_file
from flights import flown, screen_text, seen, until

from analyzer.policy import MergePolicy, Uncertain
from traces.schema import PageFlag
from tui.draft import Draft
from tui.variant import Settings
from tui.views.process import Process

UNTOUCHED, CACHED = int(PageFlag.PRESENCE_UNKNOWN), int(PageFlag.ANON_UNKNOWN)
FLAGS = [0, UNTOUCHED, CACHED, 0]


def flow(act, *what, **options):
    async def run() -> None:
        async with seen(*what, **options) as pilot:
            await act(pilot)

    asyncio.run(run())


@pytest.fixture(autouse=True)
def nobodys_log(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dump")
    path = trace_file(
        folder / "dump.parquet",
        Proc("AZAB", pid=1, workload="web", flags=FLAGS),
        Proc("AZCB", pid=2, workload="db", flags=FLAGS),
        Proc("ZZ", pid=3, workload="idle", flags=[UNTOUCHED] * 2),
    )
    return flown(path, folder)


@pytest.fixture(scope="module")
def sure(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sure")
    path = trace_file(folder / "sure.parquet", Proc("AZAB", pid=1), Proc("AZC", pid=2))
    return flown(path, folder)


def words(app) -> str:
    return " ".join(screen_text(app).split())


def test_the_overview_says_at_least_and_at_most(dump):
    async def act(pilot) -> None:
        text = words(pilot.app)
        assert "Saved at least" in text
        assert "at most 28.0 KiB" in text
        assert "4 zero pages that may never" in text
        assert "may be of the file cache" in text

    flow(act, dump)


def test_rows_say_what_is_kept_out(dump):
    async def act(pilot) -> None:
        app = pilot.app
        await app.go("workloads")
        await pilot.pause()
        text = words(app)
        assert "unc. zero" in text
        for name, told in (
            ("web", "uncertain zero 4.00 KiB kept out 1 uncertain 4.00 KiB kept out 1"),
            ("idle", "uncertain zero 8.00 KiB kept out 2"),
        ):
            app.view.find(name)
            await until(pilot, lambda told=told: told in _pane(app))

    flow(act, dump)


def _pane(app) -> str:
    """The right part of the screen, where the selected row is told of."""
    lines = screen_text(app).splitlines()
    return " ".join(" ".join(line[-60:] for line in lines).replace("│", " ").split())


def test_pages_kept_out_are_not_drawn_and_that_is_said(dump):
    async def act(pilot) -> None:
        app = pilot.app
        for process, told in (
            (0, "pages kept out are not drawn"),
            (2, "all kept out"),
        ):
            app.open_process(process)
            await until(pilot, lambda: isinstance(app.screen, Process))
            await until(pilot, lambda told=told: told in words(app))
            await pilot.press("escape")
            await pilot.pause()

    flow(act, dump)


def test_counting_in_is_a_dial_and_a_variant_of_its_own(dump):
    async def act(pilot) -> None:
        app = pilot.app
        await app.go("what_if")
        await pilot.pause()
        assert "uncertain" in words(app)
        assert "saved at least" in words(app)
        # Whose pages are all kept out is offered all the same.
        assert app.view._offered.offered(("group", "idle")) is True
        app.view.draft.turn("uncertain", "count-in")
        app.view.look_at()
        await pilot.press("f5")
        await until(pilot, lambda: not app.tasks.all())
        variant = app.session.variants[-1]
        assert variant.settings.policy == "all; uncertain count-in"
        assert "uncertain count-in" in variant.name
        assert sum(variant.result.savings[:2]) == 6
        await app.go("compare")
        await pilot.pause()
        text = words(app)
        assert "of A, savings are the least; deltas are of these" in text
        assert "B counted in 4 zero pages that may never have been touched" in text

    flow(act, dump)


def test_where_all_is_certain_the_screen_says_nothing(sure):
    async def act(pilot) -> None:
        app = pilot.app
        for name in ("overview", "workloads", "what_if"):
            await app.go(name)
            await pilot.pause()
            text = words(app)
            for word in ("uncertain", "at least", "at most", "unc. zero"):
                assert word not in text

    flow(act, sure)


def test_where_nothing_is_sure_counting_in_is_offered(tmp_path):
    path = trace_file(tmp_path / "t.parquet", Proc("ZZ", flags=[UNTOUCHED] * 2))
    none = flown(path, tmp_path)

    async def act(pilot) -> None:
        text = words(pilot.app)
        assert "nothing offered is sure to be there: 2 pages kept out" in text
        assert "at most 8.00 KiB: 2 zero pages" in text
        assert "2 pages were captured, none is sure to be there." in text
        assert "turn uncertain to count-in" in text

    flow(act, none)


@pytest.mark.parametrize("offer", ["all", "none"])
@pytest.mark.parametrize("way", Uncertain)
def test_whatever_else_is_turned_the_dial_stays(offer, way):
    draft = Draft.of(Settings(policy="all; opt-out web; uncertain count-in"))
    draft.turn("uncertain", str(way))
    draft.turn("policy", offer)
    assert MergePolicy.parse(draft.settings().policy).uncertain is way
    draft.workloads["db"] = offer == "none"
    assert MergePolicy.parse(draft.settings().policy).uncertain is way
    assert ("uncertain keep-out" in draft.title()) == (way is Uncertain.KEEP_OUT)
    plain = replace(Draft.of(Settings()))
    assert "uncertain" not in [dial.name for dial in plain.dials()]
    assert plain.dials(uncertain=True)[-1].name == "uncertain"
