from dataclasses import replace

import polars as pl
import pytest
from results import HOSTILE, NAMES, empty, result

from analyzer.knobs import KsmKnobs
from analyzer.report import drawn
from analyzer.report.layout import Layout


def text(found, **layout):
    return drawn(found, "text", Layout(**layout))


def lines_of(found, label, **layout):
    return [line for line in text(found, **layout).splitlines() if label in line]


def test_the_headline_answers_the_question():
    assert text(result()).splitlines()[0] == (
        "saved 4.97 GiB (44.5% of 11.2 GiB offered)   general_profit +4.79 GiB"
    )


def test_no_escape_sequence_without_colour():
    assert "\x1b" not in text(result(HOSTILE), width=110, ascii=False)


def test_colour_only_adds_sequences():
    import re

    plain = text(result(), width=110, ascii=False).replace("▓", "█")
    coloured = text(result(), width=110, ascii=False, colour=True)
    stripped = re.sub(r"\x1b\[[0-9;]*m", "", coloured).replace("■", "█")
    for texture in "▒░":
        plain = plain.replace(texture, "█")
    assert stripped == plain
    assert coloured != stripped


def test_ascii_bars_are_ascii():
    assert text(result()).isascii()


def test_a_loss_has_the_typographic_minus_where_there_is_one():
    assert "\u221213.0 MiB" in text(result(), ascii=False)
    assert "-13.0 MiB" in text(result())


def test_rows_left_out_are_counted_and_summed():
    shown = text(result(), rows=2)
    more = next(line for line in shown.splitlines() if "more" in line)
    assert more.split()[:4] == ["3", "more", "1.63", "GiB"]


@pytest.mark.parametrize("height", [24, 27, 40])
def test_the_headline_stays_on_the_terminal(height):
    many = result([f"workload-{at}" for at in range(50)])
    shown = text(many, width=110, height=height).splitlines()
    assert len(shown) < height
    assert any("workload-2 " in line for line in shown)


def test_a_single_row_is_not_summed_up():
    assert "more" not in text(result(), rows=4).split("\n\n")[1]
    assert "cron-batch" in text(result(), rows=4)


def test_all_rows_are_shown_when_asked_for():
    many = result([f"workload-{at}" for at in range(50)])
    table = text(many, rows=0).split("\n\n")[1]
    assert len(table.splitlines()) == 51


def test_the_last_pass_is_always_shown():
    table = text(result(passes=30), by="pass").split("\n\n")[1].splitlines()
    assert [line.split()[0] for line in table[-2:]] == ["22", "30"]
    assert "more" in table[-2]


def test_the_policy_is_said_in_words():
    assert lines_of(result(), "as if all had called PR_SET_MEMORY_MERGE")
    captured = replace(result(), policy="captured")
    assert lines_of(captured, "only the mappings that were mergeable when captured")


def test_only_knobs_that_differ_are_named():
    assert lines_of(result(), "pages_to_scan 4000, use_zero_pages 1")
    usual = replace(result(), knobs=KsmKnobs())
    assert lines_of(usual, "knobs    the kernel's defaults")


def test_it_says_when_it_was_stopped_early():
    assert lines_of(result(), "nothing left to merge")
    assert lines_of(replace(result(), settled=False), "more may merge")


def test_every_limit_has_its_own_marked_line():
    trace = replace(result().trace, limits=["first", "second \x1b[2J"])
    shown = text(replace(result(), trace=trace)).splitlines()
    assert shown[-2:] == ["! first", "! second \\x1b[2J"]


def test_a_hint_is_the_last_line():
    last = text(result(), hint="ksm-analyze replay --by process").splitlines()[-1]
    assert last == "next     ksm-analyze replay --by process"


def test_nothing_offered_is_said_plainly():
    shown = text(empty())
    assert shown.startswith("nothing was offered to ksmd: the trace holds no pages\n")
    assert "ideal" not in shown
    assert drawn(empty(), "md", Layout()).startswith("**nothing was offered")
    captured = replace(empty(), policy="captured")
    assert "--policy all" in text(captured)


@pytest.mark.parametrize("by", ["workload", "process"])
def test_equal_savings_are_in_the_order_of_names(by):
    table = text(result(NAMES[::-1]), by=by)
    assert table == text(result(NAMES[::-1]), by=by)


def test_what_contents_share_is_not_summed():
    table = text(result(), by="content", rows=2, width=200).split("\n\n")[1]
    more = table.splitlines()[-1].split()
    assert more == ["2", "more", "75.3", "MiB", "19.3k", "19.3k"]


def test_it_says_how_many_contents_were_kept():
    assert lines_of(result(), "the 4 that save most of 1.46M", by="content")


def test_hosts_are_named_where_there_are_several():
    found = result()
    assert "  node-17" not in text(found, by="process", width=200)
    other = pl.when(pl.col("pid") > 1010).then(pl.lit("node-18"))
    hosts = other.otherwise(pl.col("host")).alias("host")
    joined = replace(found, processes=found.processes.with_columns(hosts))
    assert "node-18" in text(joined, by="process", width=110)
    assert "node-18" in drawn(joined, "md", Layout(by="process"))


def test_three_findings_are_told_and_fewer_where_the_headline_would_go():
    found = result(passes=12)
    many = [line for line in text(found).splitlines() if line.startswith("found")]
    assert len(many) == 3
    assert not lines_of(found, "found  ", width=80, height=24)
    assert len(lines_of(found, "found  ", width=80, height=28)) == 1
    assert len(lines_of(found, "found  ", width=80, height=60)) == 3


@pytest.mark.parametrize("height", range(20, 50))
def test_no_finding_pushes_the_headline_out(height):
    found = result([f"workload-{at}" for at in range(50)], passes=12)
    told = text(found, height=height).splitlines()
    assert len(told) < height or not any(line.startswith("found") for line in told)


def test_findings_are_escaped_where_they_are_drawn():
    shown = text(result(("esc\x1b[31m", "b"), passes=12))
    assert "found    esc\\x1b[31m saves most" in shown
