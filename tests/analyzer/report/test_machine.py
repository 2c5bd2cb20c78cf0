import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from results import HOSTILE, empty, result

from analyzer.counters import KsmCounters
from analyzer.findings import findings
from analyzer.report import drawn
from analyzer.report.columns import TABLES
from analyzer.report.findings import sentence
from analyzer.report.layout import Layout
from analyzer.report.machine import json_text, replay_csv, replay_json

CONTRACT: dict[str, Any] = {
    "schema": str,
    "generated_by": str,
    "trace": {
        "path": str,
        "pages": int,
        "processes": int,
        "workloads": int,
        "epochs": int,
        "captured_at": str,
        "kernel": str,
        "limits": [str],
    },
    "knobs": {"pages_to_scan": int, "use_zero_pages": int, "smart_scan": int},
    "policy": str,
    "settled": bool,
    "counters": dict.fromkeys(KsmCounters._fields, int),
    "savings": {
        "pages_saved_zero": int,
        "pages_saved_nonzero": int,
        "bytes_saved_zero": int,
        "bytes_saved_nonzero": int,
    },
    "ideal": {
        "pages_saved_zero": int,
        "pages_saved_nonzero": int,
        "distinct_contents": int,
    },
    "findings": [
        {
            "kind": str,
            "subject": str,
            "text": str,
            "numbers": {},
            "place": {"view": str, "other": str},
            "bytes_at_stake": int,
        }
    ],
    "passes": [dict.fromkeys(KsmCounters._fields, int)],
    "workloads": [{"workload": str, "processes": int, "pages_saved_zero": int}],
    "processes": [
        {
            "pid": int,
            "comm": str,
            "workload": str,
            "pages": int,
            "ksm_rmap_items": int,
            "ksm_merging_pages": int,
            "ksm_zero_pages": int,
            "ksm_process_profit": int,
            "pages_saved_zero": int,
            "pages_saved_nonzero": int,
        }
    ],
}


def loaded(found, **layout):
    return json.loads(drawn(found, "json", Layout(**layout)))


def check(value, expected):
    if isinstance(expected, dict):
        for key, inner in expected.items():
            check(value[key], inner)
    elif isinstance(expected, list):
        assert type(value) is list
        for item in value:
            check(item, expected[0])
    else:
        assert type(value) is expected


@pytest.mark.parametrize("make", [result, empty, lambda: result(HOSTILE)])
def test_the_object_has_the_promised_keys_and_types(make):
    check(loaded(make()), CONTRACT)


def test_figures_are_exact():
    found, document = result(), loaded(result())
    assert document["counters"] == found.counters._asdict()
    assert document["passes"] == found.passes.rows(named=True)
    assert document["processes"] == found.processes.rows(named=True)
    saved = document["savings"]
    assert saved["bytes_saved_zero"] == 4096 * saved["pages_saved_zero"]
    for name in ("pages_saved_zero", "pages_saved_nonzero"):
        assert sum(row[name] for row in document["processes"]) == saved[name]
        assert sum(row[name] for row in document["workloads"]) == saved[name]


def test_findings_hold_their_numbers_and_their_place():
    found = result(passes=12)
    told = loaded(found)["findings"]
    assert [row["kind"] for row in told] == [each.kind for each in findings(found)]
    for row, each in zip(told, findings(found), strict=True):
        assert row["numbers"] == each.numbers
        assert row["place"]["view"] == each.place.view
        assert row["place"]["key"] == each.place.key
        assert row["text"] == sentence(each).text


def test_names_are_exact_and_the_text_is_ascii():
    document = drawn(result(HOSTILE), "json", Layout())
    assert document.isascii()
    assert {row["workload"] for row in json.loads(document)["workloads"]} == set(
        HOSTILE
    )


def test_mappings_are_in_it_when_asked_for():
    assert "mappings" not in loaded(result())
    found = loaded(result(), by="mapping")["mappings"]
    assert found == result().mappings.rows(named=True)


def test_there_is_no_nan():
    with pytest.raises(ValueError, match="JSON compliant"):
        json_text({"a": float("nan")})


def test_every_row_is_on_a_line_of_its_own():
    lines = drawn(result(), "json", Layout()).splitlines()
    assert sum('"pid":' in line for line in lines) == 10


@pytest.mark.parametrize("by", sorted(TABLES))
def test_csv_is_the_whole_table(by):
    found = result(HOSTILE)
    text = drawn(found, "csv", Layout(by=by))
    frame = getattr(found, TABLES[by].frame)
    header, *rows = csv.reader(io.StringIO(text))
    assert header == frame.columns
    assert len(rows) == frame.height == len(text.splitlines()) - 1
    assert {len(row) for row in rows} == {len(header)}


def test_csv_can_be_cut_short():
    assert len(drawn(result(), "csv", Layout(rows=2)).splitlines()) == 3
    assert len(drawn(result(), "csv", Layout(rows=0)).splitlines()) == 6


def test_csv_quotes_what_would_break_a_record():
    text = drawn(result(HOSTILE), "csv", Layout())
    assert '"=cmd,""quoted"""' in text
    assert "two\\x0alines\\x0d\\x0a" in text
    assert "\x1b" not in text


def test_what_nobody_has_counted_is_left_out():
    full = result()
    plain = replace(full, compositions=full.compositions.clear())
    row = json.loads(replay_json(plain, Layout()))["processes"][0]
    assert "ideal_if_toggled" not in row
    assert "ideal_if_toggled" not in replay_csv(plain, Layout(by="process"))
    assert "ideal_if_toggled" in replay_csv(full, Layout(by="process"))
