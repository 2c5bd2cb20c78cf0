"""A prediction is put beside a process only if it is of that process."""

import socket
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from live_host import LiveHost, live_host
from results import result

from analyzer.knobs import KsmKnobs
from analyzer.live.prediction import Figures, Prediction, prediction
from analyzer.live.sample import ProcessSample
from analyzer.result import ReplayResult

BOOT = 1_700_000_000
"""2023-11-14T22:13:20 UTC, as `LiveHost` has it."""
CAPTURED = "2023-11-14T22:15:00+00:00"
"""100 seconds later."""


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LiveHost:
    return live_host(tmp_path, monkeypatch)


def captured(at: str = CAPTURED, host: str | None = None) -> ReplayResult:
    """A result of two processes, both `pg` of workload `db`."""
    made = result(["pg"])
    processes = made.processes.with_columns(
        pl.lit(host or socket.gethostname()).alias("host"),
        pl.lit("pg").alias("comm"),
        pl.lit("db").alias("workload"),
        pl.Series("pid", [10, 11], pl.Int32),
        pl.Series("ksm_merging_pages", [400, 300], pl.Int64),
    )
    trace = replace(made.trace, captured_at=at)
    return replace(made, trace=trace, processes=processes)


def running(pid: int, comm: str = "pg", born: int = 100) -> ProcessSample:
    return ProcessSample(pid, born, comm, "db", 5, 6, 0, 0, True, True)


def merging(found: Figures | None) -> int | None:
    return found.ksm_merging_pages if found else None


def test_processes_are_found_by_pid_and_name() -> None:
    made = prediction(captured())
    assert made.elsewhere is None
    assert merging(made.of(running(10))) == 400
    assert merging(made.of(running(11))) == 300
    assert made.of(running(10, "other")) is None
    assert made.of(running(12)) is None


def test_who_was_not_offered_has_no_prediction() -> None:
    made = captured()
    none = [pl.lit(0, pl.Int64).alias(name) for name in Figures._fields]
    found = prediction(replace(made, processes=made.processes.with_columns(none)))
    assert found.of(running(10)) is None
    assert found.groups == {}


def test_who_was_born_after_the_capture_is_not_in_it() -> None:
    made = prediction(captured())
    # The capture is told to the second, and so is the boot.
    assert merging(made.of(running(10, born=10_000))) == 400
    assert made.of(running(10, born=10_200)) is None


def test_captures_over_time_see_processes_start() -> None:
    made = captured()
    trace = replace(made.trace, epochs=3)
    found = prediction(replace(made, trace=trace)).of(running(10, born=10_200))
    assert merging(found) == 400


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (captured(host="prod-node-17"), "captured on prod-node-17"),
        (captured("2023-11-14T22:13:19+00:00"), "before this host was started"),
        (captured("not a time"), "before this host was started"),
    ],
)
def test_elsewhere_only_sums_are_compared(made: ReplayResult, reason: str) -> None:
    found = prediction(made)
    assert found.elsewhere is not None
    assert reason in found.elsewhere
    assert found.of(running(10)) is None
    assert merging(found.groups[running(10).group]) == 700


def test_the_whole_is_the_end_of_the_replay() -> None:
    made = captured()
    found = prediction(made)
    assert found.counters == made.counters
    assert found.label() == [
        f"predicted from a capture of {CAPTURED}",
        "offered: all",
        f"settled after {made.counters.full_scans} full scans",
        "ksmd of 6.18",
        "prod-node-17.parquet",
    ]
    cut_short = prediction(replace(made, settled=False))
    assert "not settled" in cut_short.label()[2]


def test_a_file_has_what_it_is_of() -> None:
    made = captured(host="elsewhere")
    document = prediction(made).as_dict()
    assert document["captured_at"] == CAPTURED
    assert document["this_boot"] is False
    assert document["counters"] == made.counters._asdict()


def test_knobs_that_change_the_end_are_told() -> None:
    found: Prediction = prediction(captured())
    assert found.differences(found.knobs) == []
    other = replace(found.knobs, use_zero_pages=False, pages_to_scan=7)
    assert found.differences(other) == ["use_zero_pages is 0 here, 1 in the prediction"]
    assert len(found.differences(KsmKnobs(max_page_sharing=9))) == 2
