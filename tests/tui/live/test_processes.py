"""Rows of processes: whose they are, in which order, and what stands in them."""

from pathlib import Path

import pytest
from live_host import LiveHost, live_host

from analyzer.counters import KsmCounters
from analyzer.knobs import KsmKnobs
from analyzer.live.history import History
from analyzer.live.prediction import Figures, Prediction
from analyzer.live.sampler import Sampler
from analyzer.report.columns import COLUMNS as DRAWN
from tui.live.processes import COLUMNS, Processes, columns
from tui.look import PLAIN
from tui.widgets.source import Cell

WEB = Figures(100, 900, 0, 7)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LiveHost:
    return live_host(tmp_path, monkeypatch)


def looked(host: LiveHost) -> History:
    """Two processes called web and one called db, after a second look."""
    history, sampler = History(), Sampler()
    for merging in (40, 50):
        host.process(3, "web", merging=merging, items=60, offered=True)
        host.process(4, "web", merging=10, items=20, offered=True)
        host.process(5, "Db", merging=30, items=30, profit=-4096)
        history.add(sampler.look())
    return history


def foretold(
    elsewhere: str | None = None,
    processes: dict[tuple[int, str], Figures] | None = None,
    groups: dict[tuple[str, str], Figures] | None = None,
) -> Prediction:
    return Prediction(
        path="a.parquet",
        captured_at="2026-01-01T00:00:00+00:00",
        policy="all",
        profile="6.18",
        knobs=KsmKnobs(),
        full_scans=4,
        settled=True,
        counters=KsmCounters(*range(12)),
        limits=["one snapshot"],
        elsewhere=elsewhere,
        processes=processes or {},
        born_until=None,
        groups=groups or {},
    )


def text(cell: Cell | None) -> str:
    assert cell is not None
    if isinstance(cell, str):
        return cell
    return "".join(segment.text for segment in cell).strip()


def cells(source: Processes, key: object, *names: str) -> list[str]:
    return [text(source.cell(key, name, 9, PLAIN)) for name in names]  # type: ignore[arg-type]


def test_rows_keep_their_identity(host: LiveHost) -> None:
    source = Processes(looked(host))
    assert source.roots() == [(3, 5), (4, 5), (5, 5)]
    assert not source.tree
    assert source.count == 3


def test_what_stands_in_a_row(host: LiveHost) -> None:
    source = Processes(looked(host))
    names = ("comm", "pid", "ksm_merging_pages", "change", "predicted", "offered")
    assert cells(source, (3, 5), *names) == [
        "web", "3", "200 KiB", "+40.0 KiB", "-", "prctl",
    ]  # fmt: skip
    names = ("change", "ksm_process_profit", "ksm_rmap_items", "offered")
    assert cells(source, (5, 5), *names) == ["0 B", "-4.00 KiB", "30", "no"]


def test_pages_can_be_counted(host: LiveHost) -> None:
    source = Processes(looked(host), in_pages=True)
    assert cells(source, (3, 5), "ksm_merging_pages", "change") == ["50", "+10"]


def test_rows_are_sorted_by_figures_and_by_names(host: LiveHost) -> None:
    source = Processes(looked(host))
    keys = source.roots()
    by_merging = source.order("ksm_merging_pages", True, keys)
    assert by_merging == [(3, 5), (5, 5), (4, 5)]
    # A capital letter is no reason to come first.
    assert source.order("comm", False, keys) == [(5, 5), (3, 5), (4, 5)]
    # What is not told comes last, whichever way.
    assert source.order("predicted", True, keys) == keys


def test_a_text_finds_names_and_numbers(host: LiveHost) -> None:
    history = looked(host)
    assert Processes(history, words="WEB").roots() == [(3, 5), (4, 5)]
    assert Processes(history, words="5").roots() == [(5, 5)]
    assert Processes(history, words="nobody").roots() == []


def test_a_prediction_of_this_boot_stands_beside_each_process(host: LiveHost) -> None:
    found = foretold(processes={(3, "web"): WEB, (9, "gone"): WEB, (10, "gone"): WEB})
    source = Processes(looked(host), found)
    assert not source.tree
    assert cells(source, (3, 5), "predicted", "reached") == ["400 KiB", "50.0%"]
    assert cells(source, (4, 5), "predicted", "reached") == ["-", "-"]
    assert text(source.summary("comm", 20, PLAIN)) == "2 more predicted"
    assert text(source.summary("predicted", 20, PLAIN)) == "800 KiB"


def test_the_exact_figures_of_a_row(host: LiveHost) -> None:
    source = Processes(looked(host), foretold(processes={(3, "web"): WEB}))
    assert source.exactly((3, 5)) == [
        "web, pid 3, web",
        "ksm_merging_pages 50",
        "change 10",
        "predicted 100",
        "reached 50.0%",
        "ksm_zero_pages 0",
        "ksm_process_profit 0",
        "ksm_rmap_items 60",
        "offered prctl",
    ]


def test_a_prediction_of_elsewhere_is_of_groups(host: LiveHost) -> None:
    found = foretold("elsewhere", groups={("web", "web"): WEB, ("x", "y"): WEB})
    source = Processes(looked(host), found)
    assert source.tree
    assert source.roots() == [("web", "web"), ("Db", "Db")]
    assert source.children(("web", "web")) == [(3, 5), (4, 5)]
    names = ("pid", "ksm_merging_pages", "change", "predicted", "reached")
    assert cells(source, ("web", "web"), *names) == [
        "-", "240 KiB", "+40.0 KiB", "400 KiB", "60.0%",
    ]  # fmt: skip
    # Which of its processes has which part of it, nobody has said.
    assert cells(source, (3, 5), "predicted", "reached") == ["-", "-"]
    assert text(source.summary("comm", 20, PLAIN)) == "1 more predicted"
    assert source.count == 3


def test_a_filter_leaves_no_sum_of_the_rest(host: LiveHost) -> None:
    found = foretold(processes={(9, "gone"): WEB})
    assert Processes(looked(host), found, "web").summary("comm", 20, PLAIN) is None


def test_titles_are_those_of_other_tables() -> None:
    for column in COLUMNS:
        if column.key in DRAWN:
            assert column.title == DRAWN[column.key].title, column.key


def test_without_a_prediction_there_is_no_column_for_it() -> None:
    names = [column.key for column in columns(predicted=False)]
    assert "predicted" not in names
    assert len(columns(predicted=True)) == len(names) + 2
