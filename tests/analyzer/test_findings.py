"""One result by hand per kind that shows it, and one just beside the rule's edge."""

from dataclasses import dataclass, replace

import polars as pl
import pytest
from results import HOSTILE, empty, result

from analyzer.counters import general_profit
from analyzer.findings import MOST, Kind, Place, View, findings
from analyzer.knobs import KsmKnobs
from analyzer.report.findings import sentence
from analyzer.report.units import pages_text
from analyzer.result import Ideal, ReplayResult, Savings
from traces.schema import OF_THE_REST


@dataclass(frozen=True)
class Row:
    """A workload: what its row of the table is made of."""

    name: str
    pages: int = 1000
    zero: int = 0
    nonzero: int = 0
    items: int | None = None
    more: tuple[tuple[str, int], ...] = ()


def made(*rows: Row, **fields) -> ReplayResult:
    """A settled replay of one pass of which only *rows* are worth telling."""
    plain = result(passes=1)
    blank = dict.fromkeys(plain.workloads.columns, 0)
    frame = pl.DataFrame(
        [
            {
                **blank,
                "workload": row.name,
                "processes": 1,
                "pages": row.pages,
                "ksm_rmap_items": row.pages if row.items is None else row.items,
                "pages_saved_zero": row.zero,
                "pages_saved_nonzero": row.nonzero,
                **dict(row.more),
            }
            for row in rows
        ]
    )
    zero, nonzero = sum(row.zero for row in rows), sum(row.nonzero for row in rows)
    items = int(frame["ksm_rmap_items"].sum())
    counters = plain.counters._replace(
        pages_sharing=zero + nonzero,
        ksm_zero_pages=0,
        rmap_items=items,
        stable_node_chains=0,
        stable_node_dups=0,
        general_profit=general_profit(zero + nonzero, 0, items),
    )
    given = {
        "workloads": frame,
        "savings": Savings(zero, nonzero, 0),
        "ideal": Ideal(zero, nonzero, 1),
        "counters": counters,
        "knobs": KsmKnobs(),
        "pairs": plain.pairs.clear(),
        **fields,
    }
    return replace(plain, **given)


def epochs(found: ReplayResult, number: int) -> ReplayResult:
    return replace(found, trace=replace(found.trace, epochs=number))


def kinds(found):
    return {finding.kind for finding in findings(found)}


def the(found, kind):
    (finding,) = [finding for finding in findings(found) if finding.kind is kind]
    return finding


def test_the_biggest_saver_is_named_with_its_part():
    found = made(Row("one", nonzero=300), Row("two", zero=100, nonzero=600))
    finding = the(found, Kind.BIGGEST_SAVER)
    assert finding.subject == "two"
    assert finding.numbers == {
        "pages_saved": 700,
        "pages_saved_in_all": 1000,
        "pages": 1000,
    }
    assert finding.place == Place(View.WORKLOADS, "two")
    assert finding.weight == 700 * 4096
    assert sentence(finding).text == (
        "two saves most: 2.73 MiB, 70.0% of all savings and 70.0% of its 3.91 MiB"
    )


def test_of_one_workload_nobody_asks_which_saves_most():
    assert Kind.BIGGEST_SAVER not in kinds(made(Row("one", nonzero=300)))
    assert Kind.BIGGEST_SAVER not in kinds(made(Row("one"), Row("two")))


def test_the_pass_of_95_percent_is_told_if_it_is_not_the_last():
    found = result(passes=12)
    finding = the(found, Kind.ENOUGH_BY_PASS)
    assert finding.place == Place(View.TIME, 5)
    assert finding.numbers["pass"] == 5
    assert finding.numbers["time_ns"] == found.passes["time_ns"][4]
    assert "by pass 5 of 12" in sentence(finding).head
    assert "an estimated 7.5 min" in sentence(finding).body
    assert Kind.ENOUGH_BY_PASS not in kinds(result(passes=4))


def test_the_pass_of_95_percent_is_not_told_of_what_went_again():
    found = result(passes=12)
    less = pl.when(pl.col("full_scans") == pl.col("full_scans").max())
    fewer = less.then(pl.col("pages_sharing") // 2).otherwise(pl.col("pages_sharing"))
    passes = found.passes.with_columns(fewer.alias("pages_sharing"))
    assert Kind.ENOUGH_BY_PASS not in kinds(replace(found, passes=passes))


def test_zero_dominated_is_more_than_half_of_what_is_saved():
    other = Row("other", nonzero=600)
    finding = the(made(Row("a", zero=301, nonzero=300), other), Kind.ZERO_DOMINATED)
    assert finding.numbers["pages_saved_zero"] == 301
    told = sentence(finding).text
    assert told.startswith("zero pages are most of what a saves: 1.18 MiB of 2.35 MiB")
    assert "--use-zero-pages" in told
    assert Kind.ZERO_DOMINATED not in kinds(made(Row("a", zero=300, nonzero=300)))


def test_zero_pages_of_a_workload_that_saves_little_are_left_alone():
    rows = Row("a", zero=10), Row("b", nonzero=991)
    assert Kind.ZERO_DOMINATED not in kinds(made(*rows))
    rows = Row("a", zero=10), Row("b", nonzero=990)
    assert Kind.ZERO_DOMINATED in kinds(made(*rows))


def test_a_knob_that_is_set_is_not_advised():
    knobs = KsmKnobs(use_zero_pages=True)
    finding = the(made(Row("a", zero=10), knobs=knobs), Kind.ZERO_DOMINATED)
    assert "--use-zero-pages" not in sentence(finding).text


def test_other_workloads_of_zero_pages_are_counted():
    rows = Row("a", zero=10), Row("b", zero=30), Row("c", zero=20)
    finding = the(made(*rows), Kind.ZERO_DOMINATED)
    assert finding.subject == "b"
    assert "so it is in 2 other workloads" in sentence(finding).body


def test_the_lowest_profit_is_below_a_quarter_of_the_average():
    # 1001 of 4000 on average with 63: a quarter of the average is 62.6 a thousand.
    others = [Row(name, nonzero=313) for name in "bcd"]
    finding = the(made(Row("a", nonzero=62), *others), Kind.LOWEST_PROFIT)
    assert finding.subject == "a"
    assert finding.numbers["saved_per_rmap_item"] == 0.062
    assert finding.numbers["average"] == (62 + 3 * 313) / 4000
    told = sentence(finding).text
    assert told.startswith("a pays least: 248 KiB saved with 1000 rmap_items")
    assert "6.2 pages for 100 of them, 25.0 on average" in told
    assert "--opt-out 'workload == \"a\"'" in told
    assert Kind.LOWEST_PROFIT not in kinds(made(Row("a", nonzero=63), *others))


def test_a_small_workload_is_not_blamed():
    others = Row("b", pages=99_000, nonzero=50_000)
    assert Kind.LOSS in kinds(made(Row("a", pages=1000), others))
    assert Kind.LOSS not in kinds(made(Row("a", pages=999), others))


def test_a_loss_is_where_the_notes_cost_more_than_is_saved():
    # 64 rmap_items weigh as much as the one page they save.
    rows = Row("a", pages=65, nonzero=1), Row("b", pages=200, nonzero=100)
    finding = the(made(*rows), Kind.LOSS)
    assert finding.subject == "a"
    assert finding.numbers["net_saved"] == -64
    assert finding.good is False
    assert "a costs more than it saves: 4.00 KiB saved" in sentence(finding).text
    assert "net -64 B" in sentence(finding).text
    even = Row("a", pages=64, nonzero=1), Row("b", pages=200, nonzero=100)
    assert Kind.LOSS not in kinds(made(*even))
    assert Kind.LOWEST_PROFIT in kinds(made(*even))


def test_a_loss_of_the_whole_is_told_of_the_whole():
    found = made(Row("a", pages=65, nonzero=1))
    finding = the(found, Kind.NEGATIVE_PROFIT)
    assert finding.numbers["general_profit"] == -64
    assert finding.place == Place(View.OVERVIEW)
    assert "general_profit -64 B" in sentence(finding).text
    assert Kind.NEGATIVE_PROFIT not in kinds(made(Row("a", pages=64, nonzero=1)))


def test_nothing_is_a_loss_of_which_a_part_is_missing():
    lossy = made(Row("a", pages=65, nonzero=1), Row("b", pages=200, nonzero=1))
    assert {Kind.LOSS, Kind.NEGATIVE_PROFIT} <= kinds(lossy)
    limits = [f"core: truncated, 7 bytes are missing: {OF_THE_REST}"]
    cut = replace(lossy, trace=replace(lossy.trace, limits=limits))
    assert not {Kind.LOSS, Kind.LOWEST_PROFIT, Kind.NEGATIVE_PROFIT} & kinds(cut)


def volatile(pages, of=1000, **more):
    row = Row("a", of, nonzero=100, more=(("pages_volatile", pages),))
    rest = Row("b", 99_000, nonzero=9000, more=(("pages_volatile", 0),))
    return made(row, rest, **more)


def test_volatile_is_the_highest_share_of_a_trace_over_time():
    finding = the(epochs(volatile(100), 3), Kind.VOLATILE)
    assert finding.subject == "a"
    assert "10.0% of its 3.91 MiB" in sentence(finding).body
    assert "--opt-out" in sentence(finding).body
    assert Kind.VOLATILE not in kinds(epochs(volatile(99), 3))
    assert Kind.VOLATILE not in kinds(epochs(volatile(999, of=999), 3))


def test_nothing_is_volatile_in_one_snapshot():
    assert Kind.VOLATILE not in kinds(volatile(1000))


def apart(gain, pages=0, captured=50):
    more = (("pages_captured", captured), ("ideal_if_toggled", gain))
    rest = (("pages_captured", 1000), ("ideal_if_toggled", -900))
    return made(Row("ml", pages, more=more), Row("b", nonzero=900, more=rest))


def test_a_workload_not_offered_has_a_potential():
    finding = the(apart(40), Kind.OPT_IN_POTENTIAL)
    assert finding.place == Place(View.WHAT_IF, "ml")
    told = sentence(finding).text
    assert told.startswith("ml is not offered, and would save: an estimated 160 KiB")
    assert "--opt-in 'workload == \"ml\"'" in told
    for other in (apart(0), apart(40, pages=1), apart(40, captured=0)):
        assert Kind.OPT_IN_POTENTIAL not in kinds(other)


def test_an_opt_out_stands_above_an_opt_in():
    finding = the(apart(40), Kind.OPT_IN_POTENTIAL)
    assert "--opt-out" not in sentence(finding).body
    policy = 'captured; opt-out workload == "ml"'
    finding = the(replace(apart(40), policy=policy), Kind.OPT_IN_POTENTIAL)
    assert "offers it unless --opt-out names it" in sentence(finding).body


def test_a_potential_is_told_even_where_nothing_was_offered():
    more = (("pages_captured", 50), ("ideal_if_toggled", 40))
    assert kinds(made(Row("ml", 0, more=more))) == {Kind.OPT_IN_POTENTIAL}


def far(saved=899, **more):
    return made(Row("a", nonzero=saved), ideal=Ideal(0, 1000, 1), **more)


def test_the_ideal_is_far_below_nine_tenths_of_it():
    finding = the(far(settled=False), Kind.KNOB_LIMITS)
    assert (finding.subject, finding.place.key) == ("passes", "passes")
    assert finding.weight == 101 * 4096
    assert sentence(finding).text == (
        "the ideal is far away: 3.51 MiB of 3.91 MiB, 89.9%; it was stopped after 1 "
        "full scan; try without --passes"
    )
    assert Kind.KNOB_LIMITS not in kinds(far(900, settled=False))


def test_max_page_sharing_is_named_if_its_copies_make_half_of_what_is_missing():
    def chained(dups):
        found = far()
        counters = found.counters._replace(stable_node_chains=2, stable_node_dups=dups)
        return the(replace(found, counters=counters), Kind.KNOB_LIMITS)

    finding = chained(53)
    assert finding.place == Place(View.WHAT_IF, "max_page_sharing")
    assert "max_page_sharing 256 keeps 204 KiB of copies" in sentence(finding).body
    assert chained(52).subject == ""


def test_a_trace_that_ends_early_asks_for_a_faster_ksmd():
    finding = the(epochs(far(settled=False), 2), Kind.KNOB_LIMITS)
    assert finding.subject == "pages_to_scan"
    assert "ends after 1 full scan at pages_to_scan 100" in sentence(finding).body


def test_nodes_kept_apart_are_named():
    knobs = KsmKnobs(merge_across_nodes=False)
    finding = the(far(knobs=knobs), Kind.KNOB_LIMITS)
    assert finding.place == Place(View.WHAT_IF, "merge_across_nodes")
    assert "--merge-across-nodes" in sentence(finding).body


def test_without_a_cause_none_is_made_up():
    finding = the(far(), Kind.KNOB_LIMITS)
    assert finding.place == Place(View.OVERVIEW)
    assert sentence(finding).body == "3.51 MiB of 3.91 MiB, 89.9%"


def shared(*pairs):
    """A result that tells who shares with whom."""
    frame = pl.DataFrame(
        pairs, schema=["workload", "other", "pages_saved"], orient="row"
    )
    plain = made(Row("a", nonzero=500), Row("b", nonzero=500))
    return replace(plain, pairs=frame)


def test_the_pair_that_shares_most_is_of_two_workloads_and_both_directions():
    found = shared(("a", "a", 400), ("a", "b", 5), ("b", "a", 5), ("b", "c", 9))
    finding = the(found, Kind.CROSS_SHARING)
    assert finding.place == Place(View.SHARING, "a", "b")
    assert finding.numbers["pages_saved"] == 10
    assert sentence(finding).text == (
        "a and b share most across workloads: 40.0 KiB, 1.0% of all savings, come "
        "from contents that both hold"
    )
    assert Kind.CROSS_SHARING not in kinds(shared(("a", "b", 9)))
    assert Kind.CROSS_SHARING not in kinds(shared(("a", "a", 900)))
    assert Kind.CROSS_SHARING not in kinds(shared(("a", "", 90), ("", "a", 90)))


def test_nothing_is_found_where_nothing_is():
    assert findings(empty()) == []


def test_they_are_few_and_the_heaviest_comes_first():
    rows = [
        Row(
            name,
            zero=60,
            nonzero=40 * at,
            more=(
                ("pages_volatile", 500),
                ("pages_captured", 1),
                ("ideal_if_toggled", 7),
            ),
        )
        for at, name in enumerate("abcdef")
    ]
    rows += [
        Row("g", 0, more=(("pages_captured", 9), ("ideal_if_toggled", 7))),
        Row("h", 9000, more=(("pages_volatile", 1), ("pages_captured", 1))),
    ]
    rows[-1] = replace(rows[-1], more=(*rows[-1].more, ("ideal_if_toggled", 0)))
    rows[-2] = replace(rows[-2], more=(("pages_volatile", 0), *rows[-2].more))
    long = result(passes=12)
    found = made(*rows, ideal=Ideal(0, 10**6, 1), passes=long.passes)
    negative = found.counters._replace(general_profit=-1)
    found = epochs(replace(found, counters=negative), 2)
    several = findings(found)
    assert len(several) == MOST == len({finding.kind for finding in several})
    weights = [finding.weight for finding in several]
    assert weights == sorted(weights, reverse=True)


@pytest.mark.parametrize("found", [result(), result(HOSTILE), result(passes=12)])
def test_every_sentence_has_a_number_of_its_finding(found):
    for finding in findings(found):
        pages = [
            pages_text(value)
            for name, value in finding.numbers.items()
            if name.startswith("pages") and isinstance(value, int)
        ]
        assert any(text in sentence(finding).body for text in pages), finding.kind


def test_a_name_with_quotes_is_one_word_of_the_command_line():
    import shlex

    found = made(Row('it\'s "a"\\*', nonzero=0), Row("b", nonzero=500))
    body = sentence(the(found, Kind.LOSS)).body
    words = shlex.split(body.partition("--opt-out ")[2])
    assert words[0] == 'workload == "it\'s \\"a\\"\\\\\\*"'


def test_a_workload_without_a_name_is_called_so():
    found = made(Row("", nonzero=900), Row("b", nonzero=50))
    assert sentence(the(found, Kind.BIGGEST_SAVER)).head == (
        "the unnamed workload saves most"
    )
