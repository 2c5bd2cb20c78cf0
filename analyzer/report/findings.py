"""Findings in words: the same sentence in every format and on the screen.

Names stand in it as they are; whoever draws it escapes it.
"""

import shlex
from typing import NamedTuple

from analyzer.expression.pattern import exactly
from analyzer.findings import Finding, Kind
from analyzer.report.units import (
    count_text,
    duration_text,
    pages_text,
    profit_text,
    share_text,
)


class Sentence(NamedTuple):
    """What is so, and by how much."""

    head: str
    body: str

    @property
    def text(self) -> str:
        """Both, on one line of plain text; not escaped."""
        return f"{self.head}: {self.body}"


def sentence(finding: Finding) -> Sentence:
    """*finding* in words, with its numbers and what can be done."""
    match finding.kind:
        case Kind.BIGGEST_SAVER:
            return _biggest_saver(finding)
        case Kind.ENOUGH_BY_PASS:
            return _enough_by_pass(finding)
        case Kind.ZERO_DOMINATED:
            return _zero_dominated(finding)
        case Kind.LOWEST_PROFIT | Kind.LOSS:
            return _profit(finding)
        case Kind.NEGATIVE_PROFIT:
            return _negative_profit(finding)
        case Kind.VOLATILE:
            return _volatile(finding)
        case Kind.OPT_IN_POTENTIAL:
            return _opt_in_potential(finding)
        case Kind.KNOB_LIMITS:
            return _knob_limits(finding)
        case Kind.CROSS_SHARING:
            return _cross_sharing(finding)


def _biggest_saver(finding: Finding) -> Sentence:
    numbers = finding.numbers
    saved, pages = numbers["pages_saved"], numbers["pages"]
    part = share_text(saved, numbers["pages_saved_in_all"])
    return Sentence(
        f"{_name(finding.subject)} saves most",
        f"{pages_text(saved)}, {part} of all savings and {share_text(saved, pages)} of "
        f"its {pages_text(pages)}",
    )


def _enough_by_pass(finding: Finding) -> Sentence:
    numbers = finding.numbers
    until, end = numbers["pages_merged"], numbers["pages_merged_at_the_end"]
    lasted = duration_text(numbers["time_ns"] // 1_000_000)
    return Sentence(
        f"{numbers['share']:.0%} of the merging is done by pass {numbers['pass']} of "
        f"{numbers['passes']}",
        f"{pages_text(until)} of {pages_text(end)}, after an estimated {lasted}",
    )


def _zero_dominated(finding: Finding) -> Sentence:
    numbers = finding.numbers
    zero, saved = numbers["pages_saved_zero"], numbers["pages_saved"]
    told = f"{pages_text(zero)} of {pages_text(saved)}, {share_text(zero, saved)}"
    others = numbers["workloads"] - 1
    if others:
        told += f"; so it is in {_others(others)}"
    if not numbers["use_zero_pages"]:
        told += "; --use-zero-pages maps such pages to the kernel's zero page"
    return Sentence(f"zero pages are most of what {_name(finding.subject)} saves", told)


def _profit(finding: Finding) -> Sentence:
    numbers = finding.numbers
    items = numbers["rmap_items"]
    told = (
        f"{pages_text(numbers['pages_saved'])} saved with {count_text(items)} "
        f"rmap_items, net {profit_text(numbers['net_saved'])}; "
        f"{_per_hundred(numbers['saved_per_rmap_item'])} pages for 100 of them, "
        f"{_per_hundred(numbers['average'])} on average; "
        f"{_option('opt-out', finding.subject)} leaves it out"
    )
    if finding.kind is Kind.LOSS:
        return Sentence(f"{_name(finding.subject)} costs more than it saves", told)
    return Sentence(f"{_name(finding.subject)} pays least", told)


def _negative_profit(finding: Finding) -> Sentence:
    numbers = finding.numbers
    return Sentence(
        "merging costs more than it saves",
        f"general_profit {profit_text(numbers['general_profit'])}, as "
        f"{pages_text(numbers['pages_merged'])} merged do not pay for "
        f"{count_text(numbers['rmap_items'])} rmap_items",
    )


def _volatile(finding: Finding) -> Sentence:
    numbers = finding.numbers
    volatile, pages = numbers["pages_volatile"], numbers["pages"]
    return Sentence(
        f"{_name(finding.subject)} is the most volatile",
        f"{share_text(volatile, pages)} of its {pages_text(pages)} are in neither of "
        f"ksmd's trees: changed, skipped or new; "
        f"{_option('opt-out', finding.subject)} leaves it out",
    )


def _opt_in_potential(finding: Finding) -> Sentence:
    numbers = finding.numbers
    told = (
        f"an estimated {pages_text(numbers['ideal_if_toggled'])} more of the "
        f"ideal, of {pages_text(numbers['pages_captured'])} not offered; "
        f"{_option('opt-in', finding.subject)} offers it"
    )
    if numbers["opt_out"]:
        told += " unless --opt-out names it"
    others = numbers["workloads"] - 1
    if others:
        told += f"; {_others(others)} would save too"
    return Sentence(f"{_name(finding.subject)} is not offered, and would save", told)


def _knob_limits(finding: Finding) -> Sentence:
    numbers = finding.numbers
    saved, ideal = numbers["pages_saved"], numbers["pages_ideal"]
    told = f"{pages_text(saved)} of {pages_text(ideal)}, {share_text(saved, ideal)}"
    why = _why(finding)
    return Sentence("the ideal is far away", f"{told}; {why}" if why else told)


def _why(finding: Finding) -> str:
    numbers = finding.numbers
    scans = numbers.get("full_scans", 0)
    passes = "1 full scan" if scans == 1 else f"{scans} full scans"
    match finding.subject:
        case "max_page_sharing":
            kept = pages_text(numbers["pages_kept"])
            return (
                f"max_page_sharing {numbers['max_page_sharing']} keeps {kept} of "
                "copies; try a higher --max-page-sharing"
            )
        case "pages_to_scan":
            return (
                f"the trace ends after {passes} at pages_to_scan "
                f"{numbers['pages_to_scan']}; try a higher --pages-to-scan"
            )
        case "passes":
            return f"it was stopped after {passes}; try without --passes"
        case "merge_across_nodes":
            return (
                "merge_across_nodes is off, so equal pages of different nodes stay; "
                "try --merge-across-nodes"
            )
    return ""


def _cross_sharing(finding: Finding) -> Sentence:
    numbers = finding.numbers
    saved = numbers["pages_saved"]
    part = share_text(saved, numbers["pages_saved_in_all"])
    return Sentence(
        f"{finding.subject} and {finding.place.other} share most across workloads",
        f"{pages_text(saved)}, {part} of all savings, come from contents that both "
        "hold",
    )


def _per_hundred(share: float) -> str:
    return f"{100 * share:.1f}"


def _name(workload: str) -> str:
    return workload or "the unnamed workload"


def _others(number: int) -> str:
    return "1 other workload" if number == 1 else f"{number} other workloads"


def _option(option: str, workload: str) -> str:
    """What one would type to have *workload* in or out."""
    return f"--{option} {shlex.quote(f'workload == {exactly(workload)}')}"
