"""Samples kept, and what a file of them holds."""

import csv
import io
import json
from pathlib import Path

import pytest
from live_host import LiveHost, live_host

from analyzer.counters import KsmCounters
from analyzer.live.history import History
from analyzer.live.sampler import Sampler


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LiveHost:
    return live_host(tmp_path, monkeypatch)


def two_looks(host: LiveHost) -> History:
    """The second a hundred pages later."""
    history, sampler = History(), Sampler()
    host.process(7, "=web", merging=3)
    history.add(sampler.look())
    host.process(7, "=web", merging=5)
    host.process(8, merging=1)
    host.set(pages_sharing=190)
    (host.ksm / "pages_skipped").unlink()
    history.add(sampler.look())
    return history


def test_nothing_has_no_rates() -> None:
    assert History().last is None
    assert History().rates() == (None, None, None)


def test_what_a_process_merged_since(host: LiveHost) -> None:
    history = two_looks(host)
    assert history.last is not None
    known, new = history.last.processes
    assert history.merged_since(known) == 2
    assert history.merged_since(new) is None


def test_only_the_last_sample_keeps_its_processes(host: LiveHost) -> None:
    first, last = two_looks(host).samples
    assert first.processes == ()
    assert len(last.processes) == 2


def test_csv_has_a_row_per_sample(host: LiveHost) -> None:
    history = two_looks(host)
    header, *rows = csv.reader(io.StringIO(history.csv()))
    assert header == ["time_ns", "run", *KsmCounters._fields, "ksmd_cpu_ns"]
    sharing, skipped = header.index("pages_sharing"), header.index("pages_skipped")
    assert [row[sharing] for row in rows] == ["90", "190"]
    # What the kernel does not tell is empty, and no zero.
    assert [row[skipped] for row in rows] == ["40", ""]


def test_json_has_the_processes_too(host: LiveHost) -> None:
    document = json.loads(two_looks(host).json({"full_scans": 3}))
    assert document["schema"] == "ksm-analyze/live/1"
    assert document["knobs"]["use_zero_pages"] == 1
    assert document["prediction"] == {"full_scans": 3}
    assert document["limits"] == ["this kernel does not tell pages_skipped"]
    first, last = document["samples"]
    assert last["time_ns"] > first["time_ns"]
    assert (first["pages_skipped"], last["pages_skipped"]) == (40, None)
    assert [p["ksm_merging_pages"] for p in document["processes"]] == [5, 1]


def test_json_of_nothing() -> None:
    document = json.loads(History().json())
    assert document["samples"] == document["processes"] == []
    assert document["knobs"] is document["prediction"] is None
