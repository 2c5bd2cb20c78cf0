"""What a replay found, as plain values: saved, loaded and drawn without the rest.

Computes nothing. Every table is a polars frame whose columns docs/savings.md
defines; a row's `process` and `mapping` are numbers within the replayed trace.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, get_type_hints

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from analyzer.counters import KsmCounters
from analyzer.knobs import KsmKnobs
from analyzer.policy import MergePolicy
from traces.errors import InputError, UsageError
from traces.schema import FORMAT_KEY, KIND_KEY
from traces.table import (
    DAMAGE,
    check_seal,
    first_line,
    footer_table,
    footer_values,
    open_parquet,
    replacing,
    sealed,
)

RESULT_FORMAT: Final = 3
"""Raised whenever an older reader would misread a newer result."""

RESULT_KEY: Final = b"ksm_analyze.result"
"""Footer key: everything of a result that is not a table, as JSON."""

_BODY: Final = "process_passes"
"""The longest table: a saved result's rows. The others are in the footer."""

_Record = TypeVar("_Record")


class Pass(NamedTuple):
    """What the replay yields after every full scan."""

    wakeups: int
    """Wake-ups of ksmd since the start, of `pages_to_scan` pages each."""
    counters: KsmCounters
    time_ns: int = 0
    """Simulated time since the start; an estimate but for the sleeps."""
    cpu_ns: int = 0
    """ksmd's CPU time until then, estimated."""


class Stage(NamedTuple):
    """What a replay begins to do, for whoever shows how far it is."""

    name: str
    """`read`, `number`, `epoch` (once for each that is taken over) or `weigh`."""
    epoch: int = 0
    epochs: int = 1


class End(NamedTuple):
    """Where a replay stopped."""

    wakeups: int
    time_ns: int
    cpu_ns: int
    later: bool
    """Whether time went on after the last full scan, as a trace of several epochs
    does to its end."""


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


class Uncertainty(NamedTuple):
    """What the captures cannot tell of the pages offered, and what it may hide."""

    zero_pages: int
    """Rows of zero that may never have been touched; kept out unless the policy counts
    them in, as the others."""
    other_pages: int
    """Rows that may be of the file cache."""
    shared_pages: int
    """Rows whose frame is unknown, and taken for that of a relative's equal page."""
    pages_saved_zero_at_most: int
    """The ideal, were all of them there, each with a frame of its own; the ideal
    itself where nothing is uncertain."""
    pages_saved_nonzero_at_most: int


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
    profile: str
    """The kernel whose ksmd was simulated."""
    costs: str
    """Where the estimate of ksmd's CPU time comes from."""
    policy: str
    settled: bool
    """Whether it ran until nothing could merge any more (else: a pass limit)."""
    counters: KsmCounters
    end: End
    savings: Savings
    ideal: Ideal
    uncertainty: Uncertainty
    sharing: Sharing
    composition: Composition
    passes: pl.DataFrame
    """A row per full scan: the counters, `wakeups`, `time_ns` and `cpu_ns`."""
    process_passes: pl.DataFrame
    """A row per full scan and process: the figures of /proc/PID/ksm_stat."""
    process_savings: pl.DataFrame
    """A row per full scan and process: what it has saved. Empty without detail."""
    compositions: pl.DataFrame
    """A row per full scan: the composition then. Empty without detail."""
    processes: pl.DataFrame
    workloads: pl.DataFrame
    pairs: pl.DataFrame
    """Who shares with whom, by workload. Empty without detail."""
    mappings: pl.DataFrame
    kinds: pl.DataFrame
    """The mappings by what they are: heap, stack, anon, file…"""
    contents: pl.DataFrame
    """The contents that save most, in that order."""
    holders: pl.DataFrame
    """Who holds each of them, by workload and kind of mapping. Empty without
    detail."""

    def save(self, path: Path) -> None:
        """Write one Parquet file, laid out like a trace, atomically (mode 0600).

        Raises OutputError where that is impossible.
        """
        values = {
            KIND_KEY.decode(): "result",
            FORMAT_KEY.decode(): str(RESULT_FORMAT),
            RESULT_KEY.decode(): json.dumps(
                self._plain(), sort_keys=True, allow_nan=False
            ),
        }
        for name in TABLES:
            if name != _BODY:
                values |= footer_values(name, _arrow(getattr(self, name)))
        body = _arrow(getattr(self, _BODY))
        with (
            replacing(path) as temporary,
            pq.ParquetWriter(
                temporary, body.schema, compression="zstd", store_schema=False
            ) as file,
        ):
            file.write_table(body)
            file.add_key_value_metadata(sealed(values))

    @classmethod
    def load(cls, path: Path) -> "ReplayResult":
        """A result equal to the saved one.

        Raises InputError for anything else, naming what was found and expected.
        """
        try:
            with open_parquet(path) as file:
                values = dict(file.metadata.metadata or {})
                _check_kind(path, values)
                check_seal(values, required=True)
                body = file.read(use_threads=False)
            fields = _records(values.get(RESULT_KEY, b""))
            for name in TABLES:
                table = body if name == _BODY else footer_table(values, name)
                fields[name] = _frame(name, table)
            MergePolicy.parse(fields["policy"])
            return cls(**fields)
        except (InputError, UsageError) as error:
            told = str(error).startswith(f"{path}: ")
            text = str(error) if told else f"{path}: {error}"
            raise InputError(text, error.hint) from error
        except (*DAMAGE, pl.exceptions.PolarsError) as error:
            raise InputError(f"{path}: damaged: {first_line(error)}") from error

    def _plain(self) -> dict[str, Any]:
        return {
            "trace": asdict(self.trace),
            "knobs": asdict(self.knobs),
            **{name: getattr(self, name) for name in _PLAIN},
            **{name: getattr(self, name)._asdict() for name in _TUPLES},
        }


_PROCESS_FIGURES: Final = (
    "pages",
    "pages_captured",
    "zero_pages",
    "fill_pages",
    "uncertain_zero_pages",
    "uncertain_pages",
    "ksm_rmap_items",
    "ksm_merging_pages",
    "ksm_zero_pages",
    "ksm_process_profit",
    "pages_unshared",
    "pages_volatile",
    "pages_split",
    "pages_saved_zero",
    "pages_saved_nonzero",
    "pages_unmerged",
    "pages_cross",
    "ideal_saved_zero",
    "ideal_saved_nonzero",
    "ideal_if_toggled",
)

MAPPING_FIGURES: Final = (
    "pages",
    "zero_pages",
    "fill_pages",
    "uncertain_zero_pages",
    "uncertain_pages",
    "ksm_merging_pages",
    "ksm_zero_pages",
    "pages_saved_zero",
    "pages_saved_nonzero",
)

TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "passes": ("wakeups", *KsmCounters._fields, "time_ns", "cpu_ns"),
    "process_passes": (
        "full_scans",
        "process",
        "ksm_rmap_items",
        "ksm_merging_pages",
        "ksm_zero_pages",
        "pages_unshared",
        "pages_volatile",
        "pages_split",
    ),
    "process_savings": (
        "full_scans",
        "process",
        "pages",
        "pages_saved_zero",
        "pages_saved_nonzero",
    ),
    "compositions": ("full_scans", *Composition._fields),
    "processes": (
        "process",
        "host",
        "pid",
        "comm",
        "workload",
        "user",
        "unit",
        "container",
        "pod",
        "vm",
        "cgroup",
        *_PROCESS_FIGURES,
    ),
    "workloads": ("workload", "processes", *_PROCESS_FIGURES),
    "pairs": ("workload", "other", "pages_saved", "contents"),
    "mappings": (
        "mapping",
        "process",
        "host",
        "pid",
        "comm",
        "workload",
        "kind",
        "name",
        "start_vpn",
        *MAPPING_FIGURES,
    ),
    "kinds": ("kind", "mappings", *MAPPING_FIGURES),
    "contents": (
        "digest",
        "what",
        "copies",
        "frames",
        "processes",
        "workloads",
        "whose",
        "pages_saved",
    ),
    "holders": ("digest", "workload", "kind", "processes", "copies"),
}
"""Table → the columns every result has; docs/savings.md says what each means."""

_PLAIN: Final = {"profile": str, "costs": str, "policy": str, "settled": bool}

_TUPLES: Final[Mapping[str, Any]] = {
    "counters": KsmCounters,
    "end": End,
    "savings": Savings,
    "ideal": Ideal,
    "uncertainty": Uncertainty,
    "sharing": Sharing,
    "composition": Composition,
}

# `workload` is a text, `workloads` and `processes` are numbers.
_TEXTS: Final = frozenset(
    {"host", "comm", "workload", "user", "unit", "container", "pod", "vm", "cgroup"}
    | {"kind", "name", "other", "what", "whose"}
)


def _check_kind(path: Path, values: Mapping[bytes, bytes]) -> None:
    kind = values.get(KIND_KEY)
    if kind is None or FORMAT_KEY not in values:
        raise InputError(
            f"{path}: a Parquet file, but not a ksm-analyze result: "
            f"its footer has no {KIND_KEY.decode()}"
        )
    if kind != b"result":
        raise InputError(
            f"{path}: a ksm-analyze {kind.decode(errors='replace')}, expected a result"
        )
    version = values[FORMAT_KEY].decode(errors="replace")
    if version != str(RESULT_FORMAT):
        raise InputError(
            f"{path}: result format {version}, expected {RESULT_FORMAT}",
            hint="another version of ksm-analyze wrote it: replay the trace again",
        )


def _records(text: bytes) -> dict[str, Any]:
    """The fields of a result that are no tables, every type checked."""
    try:
        values = json.loads(text)
        if not isinstance(values, dict):
            raise TypeError("expected an object")
        for name, kind in _PLAIN.items():
            if not isinstance(values[name], kind):
                raise TypeError(f"{name} is of another type")
        return {
            "trace": _record(TraceInfo, values["trace"]),
            "knobs": _record(KsmKnobs, values["knobs"]),
            **{name: values[name] for name in _PLAIN},
            **{name: _record(kind, values[name]) for name, kind in _TUPLES.items()},
        }
    except KeyError as error:
        raise InputError(f"the footer's result has no {error}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"the footer's result is damaged: {error}") from error


def _record(kind: type[_Record], values: Any) -> _Record:
    for name, expected in get_type_hints(kind).items():
        value = values[name]
        plain = list if expected == list[str] else expected
        if type(value) is not plain:
            raise TypeError(f"{name} is {value!r}, expected {plain.__name__}")
        if plain is list and not all(isinstance(item, str) for item in value):
            raise TypeError(f"{name} holds other than text")
    return kind(**values)


def _arrow(frame: pl.DataFrame) -> pa.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def _frame(name: str, table: pa.Table) -> pl.DataFrame:
    for column in TABLES[name]:
        if column not in table.column_names:
            raise InputError(f"table {name}: column {column} missing")
        found = table[column]
        if column in _TEXTS:
            fits = _is_text(found.type)
        else:
            fits = pa.types.is_integer(found.type) and not found.null_count
        if not fits:
            raise InputError(f"table {name}: column {column} holds other values")
    table.validate(full=True)
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
