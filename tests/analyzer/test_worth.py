from dataclasses import replace

from results import empty, result

from analyzer.worth import cost_of, pages_merged, pass_of


def test_what_is_merged_after_each_pass_is_of_both_kinds():
    found = result()
    expected = [
        row["pages_sharing"] + row["ksm_zero_pages"]
        for row in found.passes.rows(named=True)
    ]
    assert pages_merged(found).to_list() == expected


def test_the_pass_of_95_percent_is_the_first_that_stays_there():
    assert pass_of(result(passes=12)) == 5
    assert pass_of(result(passes=1)) == 1
    assert pass_of(empty()) is None


def test_the_cost_is_of_the_last_pass_and_of_nothing_without_one():
    found = result()
    cost = cost_of(found)
    assert cost is not None
    assert (cost.cpu_ns, cost.time_ns) == (6_000_000_000, 360_000_000_000)
    assert cost.reached_ns[99] == 360_000_000_000
    assert cost_of(replace(found, passes=found.passes.clear())) is None
    nothing = cost_of(empty())
    assert nothing is not None
    assert (nothing.reached_ns, nothing.scanned_per_page_saved) == ({}, None)
