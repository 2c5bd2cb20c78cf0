"""What a replayed capture said of this host, to be put beside what ksmd does there.

A prediction is of the memory as it was captured, and of the end, when ksmd has merged
what there was to merge. Between the two nothing is said: nobody knows since when ksmd
has had a host's processes, so its full scans here and those of a replay have no common
beginning.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import polars as pl

from analyzer.counters import KsmCounters
from analyzer.knobs import KsmKnobs
from analyzer.live.sample import Group, ProcessSample
from analyzer.report.summary import bounds
from analyzer.result import ReplayResult
from traces.capture import procfs

_DECISIVE: Final = ("use_zero_pages", "max_page_sharing", "merge_across_nodes")
"""The knobs that change what is merged in the end; the others change how soon."""


class Figures(NamedTuple):
    """/proc/PID/ksm_stat as predicted, of one process or added up."""

    ksm_merging_pages: int
    ksm_rmap_items: int
    ksm_zero_pages: int
    ksm_process_profit: int
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The end of a replay, with the way its processes are found on this host."""

    path: str
    captured_at: str
    """ISO 8601."""
    policy: str
    """Who the replay offered to ksmd: `all` or `captured`."""
    profile: str
    knobs: KsmKnobs
    full_scans: int
    settled: bool
    counters: KsmCounters
    limits: Sequence[str]
    """What the capture, and its replay, cannot tell."""
    elsewhere: str | None
    """Why its processes cannot be those that run here; None if they can be."""
    processes: Mapping[tuple[int, str], Figures]
    """(pid, comm) → figures of those that were offered; empty where it is of
    elsewhere."""
    born_until: float | None
    """Clock ticks from boot until the capture: who started later is not in it. None
    for captures over time, which saw processes start."""
    groups: Mapping[Group, Figures]

    def of(self, process: ProcessSample) -> Figures | None:
        """What was predicted of *process*; None where it is not in the capture."""
        if self.born_until is not None and process.start_ticks > self.born_until:
            return None
        return self.processes.get((process.pid, process.comm))

    def differences(self, knobs: KsmKnobs) -> list[str]:
        """In words, what is set otherwise here and changes what merges in the end."""
        here, there = knobs.as_files(), self.knobs.as_files()
        return [
            f"{name} is {here[name]} here, {there[name]} in the prediction"
            for name in _DECISIVE
            if here[name] != there[name]
        ]

    def as_dict(self) -> dict[str, Any]:
        """For a file: what it is of, and the counters at its end."""
        return {
            "trace": self.path,
            "captured_at": self.captured_at,
            "policy": self.policy,
            "kernel_profile": self.profile,
            "knobs": self.knobs.as_files(),
            "settled": self.settled,
            "this_boot": self.elsewhere is None,
            "counters": self.counters._asdict(),
        }

    def label(self) -> list[str]:
        """What it is a prediction of, the most important first."""
        end = "settled" if self.settled else "not settled"
        return [
            f"predicted from a capture of {self.captured_at}",
            f"offered: {self.policy}",
            f"{end} after {self.full_scans} full scans",
            f"ksmd of {self.profile}",
            self.path,
        ]


def prediction(result: ReplayResult) -> Prediction:
    """*result* as a prediction of this host."""
    boot = _boot_time()
    taken = _moment(result.trace.captured_at)
    elsewhere = _elsewhere(result, boot, taken)
    seconds = taken - boot + 1
    return Prediction(
        path=result.trace.path,
        captured_at=result.trace.captured_at,
        policy=result.policy,
        profile=result.profile,
        knobs=result.knobs,
        full_scans=result.counters.full_scans,
        settled=result.settled,
        counters=result.counters,
        limits=[*(" ".join(told) for told in bounds(result)), *result.trace.limits],
        elsewhere=elsewhere,
        processes={} if elsewhere else _by_process(result),
        born_until=(
            seconds * os.sysconf("SC_CLK_TCK") if result.trace.epochs == 1 else None
        ),
        groups=_by_group(result),
    )


def _elsewhere(result: ReplayResult, boot: float, taken: float) -> str | None:
    here = socket.gethostname()
    hosts = result.processes["host"].unique().sort().to_list()
    if hosts != [here]:
        return f"captured on {', '.join(hosts) or 'no host'}, this is {here}"
    if taken < boot:
        return "captured before this host was started"
    return None


def _by_process(result: ReplayResult) -> dict[tuple[int, str], Figures]:
    rows = result.processes.select("pid", "comm", *Figures._fields).iter_rows()
    return {(pid, comm): Figures(*found) for pid, comm, *found in rows if any(found)}


def _by_group(result: ReplayResult) -> dict[Group, Figures]:
    figures = [pl.col(name).sum() for name in Figures._fields]
    rows = result.processes.group_by("workload", "comm").agg(figures).iter_rows()
    return {(name, comm): Figures(*sums) for name, comm, *sums in rows if any(sums)}


def _boot_time() -> float:
    """Seconds since 1970, to the second (fs/proc/stat.c: btime)."""
    for line in (procfs.PROC / "stat").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name == "btime":
            return float(value)
    raise AssertionError("every kernel tells when it was started")


def _moment(text: str) -> float:
    """Seconds since 1970; a time without a zone is UTC. 0 for what is no time."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
