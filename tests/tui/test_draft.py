"""What a draft's toggles mean is the policy one would have written by hand."""

import asyncio

import pytest
from builders import Proc, trace_file
from flights import flown, seen, until

from analyzer.policy import MergePolicy, Offer
from analyzer.replay import run
from tui.draft import Draft
from tui.variant import Settings

GROUPS = {"web": [1, 2], "db": [3], "[x] *": [4]}


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    return trace_file(
        tmp_path_factory.mktemp("draft") / "t.parquet",
        Proc("AABZ", pid=1, workload="web"),
        Proc("AABC", pid=2, workload="web"),
        Proc("ABDZ", pid=3, workload="db", mergeable=False),
        Proc("ABZZ", pid=4, workload="[x] *"),
    )


def group(name):
    return "group", name


def process(pid):
    return "process", pid - 1


CASES = {
    "a workload out": ("all", [group("web")], {3, 4}),
    "a process out": ("all", [process(2)], {1, 3, 4}),
    "a workload in": ("none", [group("web")], {1, 2}),
    "a process in": ("none", [process(3)], {3}),
    "a workload whose name is a pattern": ("all", [group("[x] *")], {1, 2, 3}),
    "a workload out, one of it in again": (
        "all", [group("web"), process(1)], {1, 3, 4},
    ),
    "a workload in, one of it out again": ("none", [group("web"), process(1)], {2}),
    "twice is not at all": ("all", [group("web"), group("web")], {1, 2, 3, 4}),
    "a process, then its workload": ("none", [process(1), group("web")], {1, 2}),
    "what was captured, and one more": ("captured", [group("db")], {1, 2, 3, 4}),
    "what was captured, but one": ("captured", [process(4)], {1, 2}),
    "who was opted out, in again": (
        'all; opt-out workload == "web"', [group("web")], {1, 2, 3, 4},
    ),
    "of who was opted out one in again": (
        'all; opt-out workload == "web"', [process(2)], {2, 3, 4},
    ),
    "who was opted in, out again": (
        'none; opt-in workload == "web"', [group("web")], set(),
    ),
    "of who was opted in one out again": (
        'none; opt-in workload == "web"', [process(1)], {2},
    ),
    "another opted out": (
        'all; opt-out workload == "web"', [group("db")], {4},
    ),
}  # fmt: skip


def test_toggles_are_the_policy_one_means(trace, tmp_path):
    """What is replayed offers just those that the list shows as offered."""

    async def act() -> None:
        for number, (base, toggles, expected) in enumerate(CASES.values()):
            folder = tmp_path / str(number)
            folder.mkdir()
            async with seen(flown(trace, folder, policy=base), view="what_if") as pilot:
                view = pilot.app.view
                for key in toggles:
                    view.toggle(key)
                settings = view.draft.settings()
                shown = {
                    pid for pid in range(1, 5) if view._offered.offered(process(pid))
                }
                assert shown == expected, base
                policy = MergePolicy.parse(settings.policy)
                rows = run([trace], policy=policy).processes.rows(named=True)
                assert {r["pid"] for r in rows if r["pages"]} == expected, settings

    asyncio.run(act())


def test_by_hand_it_is_the_same_policy():
    draft = Draft.of(Settings())
    draft.workloads["web"] = False
    draft.processes[3] = False
    assert MergePolicy.parse(draft.settings().policy) == MergePolicy(
        opt_out='workload == "web" or pid == 3'
    )
    draft = Draft.of(Settings(policy="none; opt-in-tree 1"))
    draft.workloads["web"] = True
    assert MergePolicy.parse(draft.settings().policy) == MergePolicy(
        Offer.NONE, opt_in='workload == "web"', trees=(1,)
    )


def test_a_knob_is_turned_and_back():
    draft = Draft.of(Settings())
    assert not draft.changed
    draft.turn("pages_to_scan", "4000")
    draft.turn("smart_scan", "off")
    assert draft.settings().knobs.pages_to_scan == 4000
    assert draft.settings().knobs.smart_scan is False
    assert draft.title() == "pages_to_scan 4000, smart_scan 0"
    draft.turn("pages_to_scan", "100")
    draft.turn("smart_scan", "on")
    assert not draft.changed


def test_another_policy_forgets_the_toggles():
    draft = Draft.of(Settings())
    draft.workloads["web"] = False
    draft.turn("policy", "none")
    assert draft.settings().policy == "none"


def test_an_exact_replay_of_toggles_replaces_the_estimate(trace, tmp_path):
    async def act() -> None:
        async with seen(flown(trace, tmp_path), view="what_if") as pilot:
            app, view = pilot.app, pilot.app.view
            offers = view.query_one("#wi-offer")
            assert "≈" in offers.row_texts(group("web"))[1]
            view.toggle(group("web"))
            await pilot.press("f5")
            await until(pilot, lambda: not app.tasks.all())
            assert "≈" not in offers.row_texts(group("web"))[1]
            assert "≈" in offers.row_texts(group("db"))[1]

    asyncio.run(act())
