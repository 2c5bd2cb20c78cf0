"""A proof as it is read by people and by programs."""

import json
from dataclasses import replace

from analyzer.live.agreement import Proof, Row

PROOF = Proof(
    kernel="6.18.44",
    profile="6.18",
    measured_at="2026-11-22T22:00:00+00:00",
    knobs={"smart_scan": 1},
    full_scans=2,
    processes=("P0 python", "P1 evil\x1b[2J"),
    pages=12345,
    rows=(
        Row(1, "pages_shared", "", 0, 0),
        Row(1, "ksm_rmap_items", "P0 python", 12000, 12000),
        Row(2, "pages_shared", "", 906, 904),
        Row(2, "ksm_rmap_items", "P0 python", 12000, 12000),
        Row(2, "ksm_merging_pages", "P1 evil\x1b[2J", 7, 8),
    ),
    notes=("something was not compared",),
)

TEXT = """\
Linux 6.18.44, simulated as 6.18
2026-11-22T22:00:00+00:00, 2 full scans of 12,345 pages
processes: P0 python, P1 evil\\x1b[2J
knobs: smart_scan=1

full scan 1                                         kernel         model
  pages_shared                                           0             0
  figures of processes: 1 of 1 agree

full scan 2                                         kernel         model
  pages_shared                                         906           904  differs by -2
  P1 evil\\x1b[2J ksm_merging_pages                       7             8  differs by +1
  figures of processes: 1 of 2 agree

3 of 5 figures agree
note: something was not compared
"""


def test_text_shows_both_side_by_side_and_whatever_differs() -> None:
    assert PROOF.text() == TEXT


def test_where_only_processes_were_compared_all_of_them_are_shown() -> None:
    alone = Proof(
        kernel="6.18",
        profile="6.18",
        measured_at="now",
        knobs={},
        full_scans=1,
        processes=("P0 a",),
        pages=1,
        rows=(Row(1, "ksm_rmap_items", "P0 a", 1, 1),),
    )
    assert "P0 a ksm_rmap_items" in alone.text()
    assert alone.agrees


def test_nothing_compared_is_no_agreement() -> None:
    assert not replace(PROOF, rows=()).agrees


def test_the_dictionary_is_complete_and_plain() -> None:
    document = json.loads(json.dumps(PROOF.as_dict()))
    assert document["schema"] == "ksm-analyze/proof/1"
    assert document["agrees"] is False
    assert document["agreeing"] == 3
    assert document["rows"][2] == {
        "full_scan": 2,
        "figure": "pages_shared",
        "process": "",
        "kernel": 906,
        "model": 904,
        "agrees": False,
    }
    assert document["notes"] == ["something was not compared"]
