"""Summaries of results that are made up; tests/analyzer/cli/test_report.py has real
ones."""

from dataclasses import replace
from urllib.parse import unquote

import pytest
from results import HOSTILE, empty, other_result, result, uncertain_result

from analyzer.report.batch.document import FORMATS, drawn
from analyzer.report.batch.entry import Batch, Skipped, entry_of, failed
from analyzer.report.batch.machine import frame
from analyzer.report.cells import cells
from analyzer.report.document import FORMATS as OF_ONE
from analyzer.report.layout import Layout
from analyzer.report.summary import bounds
from traces.schema import OF_THE_REST


def some():
    """Two that went well, one of them truncated, one that failed, one skipped."""
    cut = other_result()
    limits = [f"vm.elf: truncated, 7 bytes are missing: {OF_THE_REST}"]
    cut = replace(cut, trace=replace(cut.trace, limits=limits))
    web = entry_of("web", "/captures/web.parquet", "trace", result())
    return Batch(
        entries=[
            entry_of("vm", "/captures/vm.elf", "elf-vmcore", cut),
            failed("/captures/x", "/captures/x", "begins with b'MZ'", "try another"),
            replace(web, report="web.html"),
        ],
        skipped=[Skipped("/captures/notes.txt", "neither a trace nor a dump")],
        command="again",
    )


def hostile():
    entries = [
        replace(entry_of(name, name, "trace", result()), report=f"{at} %#?.html")
        for at, name in enumerate(HOSTILE)
    ]
    return Batch(
        entries=[*entries, *(failed(name, name, name) for name in HOSTILE)],
        skipped=[Skipped(name, name) for name in (*HOSTILE, "\udcff")],
        command="\x1b<b>",
    )


def test_every_format_of_a_report_is_one_of_summaries():
    assert set(FORMATS) == set(OF_ONE)


@pytest.mark.parametrize("form", sorted(FORMATS))
@pytest.mark.parametrize("make", [some, hostile])
def test_no_name_reaches_a_terminal_as_it_is(form, make):
    found = drawn(make(), form, Layout())
    if form != "parquet":
        assert not {"\x1b", "\u202e", "\r", "\0"} & set(found.decode())


def test_of_what_is_missing_nobody_knows_the_most():
    unsure = uncertain_result()
    limits = [f"core: truncated, 7 bytes are missing: {OF_THE_REST}"]
    cut = replace(unsure, trace=replace(unsure.trace, limits=limits))
    for made, told in ((unsure, True), (cut, False)):
        entries = [entry_of("core", "core", "elf-core", made)]
        batch = Batch(entries=entries, skipped=[], command="again")
        text = drawn(batch, "text", Layout(width=200)).decode()
        assert ("at most" in text) is told
    assert "of what is not missing" in dict(bounds(cut))["at most"]
    assert "missing" not in dict(bounds(unsure))["at most"]


def test_the_one_that_saves_most_comes_first():
    lines = drawn(some(), "text", Layout(width=200)).decode().splitlines()
    at = {line.split()[0]: number for number, line in enumerate(lines) if line}
    assert at["web"] < at["vm"] < at["all"] < at["failed"] < at["skipped"]
    assert lines[at["vm"]].split()[1] == "truncated"


@pytest.mark.parametrize("width", [20, 33, 54, 80, 120, 220])
def test_no_line_is_wider_than_there_is_room(width):
    found = drawn(hostile(), "text", Layout(width=width)).decode()
    assert max(map(cells, found.splitlines())) <= width


def test_links_lead_to_the_files():
    names = [one.report for one in hostile().entries if one.report]
    text = drawn(hostile(), "md", Layout()).decode()
    page = drawn(hostile(), "html", Layout()).decode()
    links = [part.split('"')[0] for part in page.split('<a href="')[1:]]
    assert sorted(map(unquote, links)) == sorted(names)
    assert all(f"]({link})" in text for link in links)


def test_what_failed_has_no_figures_and_a_total_leaves_it_out():
    rows = frame(some())
    assert rows["pages"].is_null().to_list() == [False, True, False]
    assert rows["truncated"].to_list() == [True, False, False]
    assert rows["error"][1] == "/captures/x: begins with b'MZ'"


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_a_source_of_nothing(form):
    batch = Batch(
        entries=[entry_of("a", "a", "trace", empty())], skipped=[], command="again"
    )
    assert drawn(batch, form, Layout())


def test_savings_that_are_the_least_are_called_so():
    entries = [
        entry_of("sure", "a", "trace", result()),
        entry_of("not", "b", "raw", uncertain_result()),
    ]
    batch = Batch(entries=entries, skipped=[], command="again")
    lines = drawn(batch, "text", Layout(width=200)).decode().splitlines()
    assert lines[0].startswith("KSM would save at least ")
    assert [line.count("at least") for line in lines if line.startswith("not")] == [1]
    assert frame(batch)["at_least"].to_list() == [False, True]
    most = uncertain_result().uncertainty[3:]
    names = ("pages_saved_zero_at_most", "pages_saved_nonzero_at_most")
    assert tuple(frame(batch)[name][1] for name in names) == most


def test_many_names_before_a_limit_are_counted():
    entries = [entry_of(f"n{at}", f"n{at}", "trace", result()) for at in range(9)]
    other = entry_of("o", "o", "trace", replace(empty(), trace=other_result().trace))
    text = drawn(
        Batch(entries=[*entries, other], skipped=[], command="again"), "md", Layout()
    ).decode()
    assert "**limit** (n0, n1, n2 and 6 others)" in text
    assert "**limit** (o)" in text
