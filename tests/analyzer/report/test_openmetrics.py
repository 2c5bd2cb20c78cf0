import json
import re

import polars as pl
import pytest
from results import HOSTILE, NAMES, empty, result, uncertain_result

from analyzer.counters import KsmCounters
from analyzer.expression.expression import Expression
from analyzer.report import drawn
from analyzer.report.layout import Layout
from traces.schema import PAGE_SIZE

# OpenMetrics 1.0, section 4: what a line may be.
_DESCRIPTOR = re.compile(r"# (TYPE|UNIT|HELP) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)")
_SAMPLE = re.compile(
    r"([a-zA-Z_:][a-zA-Z0-9_:]*)"
    r'\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\}'
    r" (-?[0-9]+(?:\.[0-9]+)?)"
)
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')


WHATS = ("zero", "other", "shared")


def parsed(text):
    """Name → labels → value, of an exposition that keeps every rule."""
    lines = text.split("\n")
    assert lines[-2:] == ["# EOF", ""]
    families, current, told = {}, "", set()
    for line in lines[:-2]:
        if found := _DESCRIPTOR.fullmatch(line):
            kind, name, value = found.groups()
            if kind == "TYPE":
                assert name not in families, "interleaved, or twice"
                assert value == "gauge"
                families[name], current, told = {}, name, set()
            assert name == current
            assert not families[name], "descriptors come before samples"
            assert kind not in told
            assert kind != "UNIT" or name.endswith(f"_{value}")
            told.add(kind)
        else:
            found = _SAMPLE.fullmatch(line)
            assert found, line
            name, labels, value = found.groups()
            assert name == current
            labels = frozenset(_LABEL.findall(labels))
            assert labels not in families[name], "one series twice"
            families[name][labels] = float(value) if "." in value else int(value)
    assert all(families.values())
    return families


def exposed(told=None, **layout):
    text = drawn(told or result(), "openmetrics", Layout(source="s", **layout))
    return {
        name.removeprefix("ksm_analyze_"): {
            frozenset(labels - {("source", "s")}): value
            for labels, value in samples.items()
        }
        for name, samples in parsed(text).items()
    }


def single(families, name, *labels):
    return families[name][frozenset(labels)]


def both(families, name, *labels):
    return tuple(
        single(families, name, *labels, ("kind", kind)) for kind in ("zero", "nonzero")
    )


def test_the_figures_are_those_of_the_json():
    document = json.loads(drawn(result(), "json", Layout()))
    families = exposed()
    savings, ideal = document["savings"], document["ideal"]
    assert both(families, "saved_bytes") == (
        savings["bytes_saved_zero"],
        savings["bytes_saved_nonzero"],
    )
    assert both(families, "ideal_saved_bytes") == (
        ideal["pages_saved_zero"] * PAGE_SIZE,
        ideal["pages_saved_nonzero"] * PAGE_SIZE,
    )
    for name in KsmCounters._fields:
        unit = "_bytes" if name == "general_profit" else ""
        assert single(families, f"{name}{unit}") == document["counters"][name]
    assert single(families, "ksmd_cpu_seconds") * 1e9 == document["cost"]["cpu_ns"]
    assert single(families, "trace_pages") == document["trace"]["pages"]
    assert single(families, "limits") == len(document["trace"]["limits"])
    assert single(families, "captured_timestamp_seconds") == 1767225600
    whole = sum(document["composition"].values()) * PAGE_SIZE
    assert single(families, "offered_bytes") == whole


def test_estimates_are_called_so():
    text = drawn(result(), "openmetrics", Layout())
    grades = dict(re.findall(r"# HELP ksm_analyze_(\S+) .* \[(exact|estimate)\b", text))
    assert len(grades) == text.count("# TYPE ")
    assert {name for name, grade in grades.items() if grade == "estimate"} == {
        "ksmd_cpu_seconds",
        "ksmd_time_seconds",
        "time_to_savings_seconds",
    }


def test_what_captures_cannot_tell_bounds_the_savings():
    assert single(exposed(), "saved_at_least") == 0
    families, found = exposed(uncertain_result()), uncertain_result().uncertainty
    assert single(families, "saved_at_least") == 1
    assert both(families, "saved_at_most_bytes") == tuple(
        pages * PAGE_SIZE for pages in found[3:]
    )
    told = [single(families, "uncertain_pages", ("what", what)) for what in WHATS]
    assert tuple(told) == found[:3]


def test_the_parts_add_up():
    families = exposed()
    parts = sum(both(families, "saved_bytes")) + sum(
        single(families, name) for name in ("kept_bytes", "unmerged_bytes")
    )
    assert parts == single(families, "offered_bytes")


@pytest.mark.parametrize("rows", [0, 1, 3, 1000, None])
def test_workloads_and_the_rest_are_all_of_them(rows):
    families = exposed(rows=rows)
    for at, kind in enumerate(("zero", "nonzero")):
        own = [
            value
            for labels, value in families["workload_saved_bytes"].items()
            if ("kind", kind) in labels
        ]
        rest = both(families, "other_workloads_saved_bytes")[at]
        assert sum(own) + rest == both(families, "saved_bytes")[at]
        assert len(own) + single(families, "other_workloads") == len(NAMES)
    if rows == 1:
        saved = pl.col("pages_saved_zero") + pl.col("pages_saved_nonzero")
        most = result().workloads.sort(saved, descending=True)["workload"][0]
        assert frozenset({("workload", most)}) in families["workload_offered_bytes"]


def test_only_workloads_that_fit():
    fits = Expression.parse(f'workload == "{NAMES[1]}"')
    families = exposed(where=fits)
    assert [*families["workload_offered_bytes"]] == [
        frozenset({("workload", NAMES[1])})
    ]
    assert single(families, "other_workloads") == 0


def test_hostile_names_are_one_label_each():
    families = exposed(result(HOSTILE), rows=0)
    names = [dict(labels)["workload"] for labels in families["workload_offered_bytes"]]
    assert len(names) == len(set(HOSTILE))
    assert not any(set("\x1b\n\r\u202e") & set(name) for name in names)


def test_names_that_look_alike_are_one_series():
    families = exposed(result(("a\x1b", "a\\x1b")))
    assert len(families["workload_offered_bytes"]) == 1
    total = sum(families["workload_saved_bytes"].values())
    assert total == sum(both(families, "saved_bytes"))


def test_a_result_of_nothing():
    families = exposed(empty())
    assert single(families, "offered_bytes") == 0
    assert "workload_saved_bytes" not in families
    assert "full_scans_to_95_percent" not in families


def test_the_source_is_the_path_unless_it_has_a_name():
    text = drawn(result(), "openmetrics", Layout())
    assert 'ksm_analyze_kept_bytes{source="prod-node-17.parquet"} ' in text


@pytest.mark.parametrize("names", [NAMES, HOSTILE])
def test_prometheus_reads_the_same(names):
    client = pytest.importorskip("prometheus_client.openmetrics.parser")
    text = drawn(result(names), "openmetrics", Layout(rows=0))
    read = {
        sample.name: sample.value
        for family in client.text_string_to_metric_families(text)
        for sample in family.samples
        if len(sample.labels) == 1
    }
    plain = {
        name: value
        for name, samples in parsed(text).items()
        for labels, value in samples.items()
        if len(labels) == 1
    }
    assert read == plain


def test_the_older_text_format_reads_the_same():
    """What node_exporter's textfile collector understands."""
    client = pytest.importorskip("prometheus_client.parser")
    text = drawn(result(HOSTILE), "openmetrics", Layout(rows=0))
    families = list(client.text_string_to_metric_families(text))
    assert {family.name for family in families} == set(parsed(text))
    assert {family.type for family in families} == {"gauge"}
    assert all(family.documentation for family in families)
