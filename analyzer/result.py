"""What a replay found, as plain values: saved, loaded and drawn without the rest.

Computes nothing. Every table is a polars frame whose columns docs/savings.md
defines; a row's `process` and `mapping` are numbers within the replayed trace.
"""

from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from analyzer.counters import KsmCounters
from analyzer.knobs import KsmKnobs


class Pass(NamedTuple):
    """What the replay yields after every full scan."""

    wakeups: int
    """Wake-ups of ksmd since the start, of `pages_to_scan` pages each."""
    counters: KsmCounters


class Savings(NamedTuple):
    """Physical frames before less after, by whether their content is zero."""

    pages_saved_zero: int
    pages_saved_nonzero: int
    pages_saved_by_split: int
    """The part of pages_saved_zero that splitting huge pages freed (6.12 and
    later); the kernel counts it nowhere."""


class Ideal(NamedTuple):
    """What a merger without any limit would save on the same pages."""

    pages_saved_zero: int
    """Every frame that holds a zero page."""
    pages_saved_nonzero: int
    distinct_contents: int
    """The zero page included."""


class Sharing(NamedTuple):
    """pages_saved_nonzero, by how far apart the sharers are; adds up to it."""

    within_process: int
    within_workload: int
    """Between processes of one workload, beyond within_process."""
    across_workloads: int


class Composition(NamedTuple):
    """Where the frames offered to ksmd went; adds up to all of them."""

    saved_nonzero: int
    saved_zero: int
    kept: int
    """KSM pages: the one frame each set of merged copies shares."""
    unmerged: int
    """Frames no other page was merged with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceInfo:
    """The replayed capture, for whoever reads the result without it."""

    path: str
    pages: int
    """Rows; a frame mapped twice is two."""
    frames: int
    """Physical pages behind them."""
    processes: int
    workloads: int
    epochs: int
    captured_at: str
    kernel: str
    limits: list[str]
    """What the capture, and this replay of it, cannot tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayResult:
    """One replay of one trace under one set of knobs."""

    trace: TraceInfo
    knobs: KsmKnobs
    policy: str
    settled: bool
    """Whether it ran until nothing could merge any more (else: a pass limit)."""
    counters: KsmCounters
    savings: Savings
    ideal: Ideal
    sharing: Sharing
    composition: Composition
    passes: pl.DataFrame
    """A row per full scan: the counters, and `wakeups`."""
    process_passes: pl.DataFrame
    """A row per full scan and process: the figures of /proc/PID/ksm_stat."""
    processes: pl.DataFrame
    workloads: pl.DataFrame
    mappings: pl.DataFrame
    contents: pl.DataFrame
    """The contents that save most, in that order."""
