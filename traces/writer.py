"""Snapshots → a trace file, atomically."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from traces.schema import (
    EPOCHS,
    FACTS_KEY,
    FORMAT_KEY,
    FORMAT_VERSION,
    KIND_KEY,
    MAPPINGS,
    PAGES,
    PROCESSES,
    ROW_GROUP_ROWS,
    UNKNOWN,
    Facts,
    Pages,
)
from traces.table import footer_values, replacing, sealed

_DICTIONARIES = ["host", "comm", "workload", "mapping_name", "flags"]
_DELTAS = ["epoch", "pid", "mapping", "vpn", "frame", "folio"]


class TraceWriter:
    """Writes one trace; a context manager.

    Call `begin_epoch`, then for each process in the order ksmd would visit it
    `add_process` and `add_pages`, at last `finish`. Without `finish` no file
    appears under the final name, nor a part of one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._processes: list[dict[str, Any]] = []
        self._mappings: list[dict[str, Any]] = []
        self._epochs: list[dict[str, Any]] = []
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        temporary = self._stack.enter_context(replacing(self.path))
        # Adaptive page limits would cut zstd's window into pieces too small to find
        # repeats in; one page per row group stores a digest in 5.2 instead of 5.7 B.
        self._file = pq.ParquetWriter(
            temporary,
            PAGES,
            compression="zstd",
            compression_level=3,
            use_dictionary=_DICTIONARIES,
            column_encoding={
                **dict.fromkeys(_DELTAS, "DELTA_BINARY_PACKED"),
                "digest": "PLAIN",
                "nid": "PLAIN",
            },
            data_page_size=8 * ROW_GROUP_ROWS,
            max_rows_per_page=ROW_GROUP_ROWS,
            write_page_index=False,
            write_page_checksum=True,
        )
        self._finished = False
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._finished:
            self._stack.__exit__(kind, error, trace)
            return
        self._file.close()
        with self._stack:
            raise error or RuntimeError("the trace was left without finish()")

    def begin_epoch(self, t_ns: int, kind: str = "complete") -> None:
        """Start the snapshot taken *t_ns* nanoseconds after the first."""
        self._epochs.append(
            {
                "epoch": len(self._epochs),
                "t_ns": t_ns,
                "duration_ns": 0,
                "kind": kind,
                "rows": 0,
            }
        )

    def end_epoch(self, duration_ns: int) -> None:
        """Note how long taking the present snapshot lasted."""
        self._epochs[-1]["duration_ns"] = duration_ns

    def add_process(
        self, process: Mapping[str, Any], mappings: Sequence[Mapping[str, Any]]
    ) -> int:
        """Announce a process and its mappings, in ascending address order.

        Columns left out are filled with their unknown value; numbers and epochs are
        assigned here. Returns the number of the first mapping.
        """
        epoch = len(self._epochs) - 1
        number = len(self._processes)
        first = len(self._mappings)
        span = {"first_epoch": epoch, "last_epoch": epoch}
        self._processes.append(_row(PROCESSES, process, process=number, **span))
        for offset, mapping in enumerate(mappings):
            self._mappings.append(
                _row(MAPPINGS, mapping, mapping=first + offset, process=number, **span)
            )
        return first

    def amend_process(self, **columns: Any) -> None:
        """Set columns of the last process that are known only after reading it."""
        self._processes[-1].update(columns)

    def add_pages(self, pages: Pages) -> None:
        """Append rows of the present epoch, sorted by (mapping, vpn)."""
        rows = len(pages.mapping)
        self._epochs[-1]["rows"] += rows
        for at in range(0, rows, ROW_GROUP_ROWS):
            part = Pages._make(column[at : at + ROW_GROUP_ROWS] for column in pages)
            self._pending.append(self._table(part))
            self._pending_rows += len(part.mapping)
            if self._pending_rows >= ROW_GROUP_ROWS:
                self._flush(ROW_GROUP_ROWS)

    def finish(self, facts: Facts) -> None:
        """Write what is pending and the footer."""
        self._flush(1)
        values = {
            KIND_KEY.decode(): "trace",
            FORMAT_KEY.decode(): str(FORMAT_VERSION),
            FACTS_KEY.decode(): facts.to_json(),
        }
        tables = (
            ("processes", self._processes, PROCESSES),
            ("mappings", self._mappings, MAPPINGS),
            ("epochs", self._epochs, EPOCHS),
        )
        for name, rows, schema in tables:
            values |= footer_values(name, pa.Table.from_pylist(rows, schema=schema))
        self._file.add_key_value_metadata(sealed(values))
        self._file.close()
        self._finished = True

    def _flush(self, least: int) -> None:
        """Write whole row groups, and the rest too once *least* allows it."""
        while self._pending_rows >= least:
            table = pa.concat_tables(self._pending).unify_dictionaries()
            group = table.slice(0, ROW_GROUP_ROWS)
            self._file.write_table(
                group.combine_chunks(), row_group_size=ROW_GROUP_ROWS
            )
            rest = table.slice(ROW_GROUP_ROWS)
            self._pending = [rest] if rest.num_rows else []
            self._pending_rows = rest.num_rows

    def _table(self, pages: Pages) -> pa.Table:
        mapping = pages.mapping
        cuts = np.flatnonzero(np.diff(mapping)) + 1
        starts = np.concatenate(([0], cuts)).astype(np.int64)
        lengths = np.diff(np.append(starts, len(mapping)))
        used = [self._mappings[number] for number in mapping[starts].tolist()]
        owners = [self._processes[row["process"]] for row in used]
        names: dict[str, pa.Array] = {
            column: _repeated([row[column] for row in owners], lengths)
            for column in ("host", "comm", "workload")
        }
        pids = np.array([row["pid"] for row in owners], np.int32)
        columns = {
            "epoch": np.full(len(mapping), len(self._epochs) - 1, np.int32),
            **names,
            "pid": np.repeat(pids, lengths),
            "mapping_name": _repeated([row["name"] for row in used], lengths),
            **pages._asdict(),
        }
        return pa.table({name: columns[name] for name in PAGES.names}, schema=PAGES)


def _repeated(values: list[str], lengths: npt.NDArray[np.int64]) -> pa.Array:
    words = list(dict.fromkeys(values))
    place = {word: index for index, word in enumerate(words)}
    indices = np.array([place[value] for value in values], np.int32)
    return pa.DictionaryArray.from_arrays(
        pa.array(np.repeat(indices, lengths)), pa.array(words, pa.string())
    )


def _row(schema: pa.Schema, given: Mapping[str, Any], **numbers: int) -> dict[str, Any]:
    row = {field.name: _unknown(field.type) for field in schema}
    strange = given.keys() - row.keys()
    if strange:
        raise ValueError(f"no such column: {', '.join(sorted(strange))}")
    return row | dict(given) | numbers


def _unknown(kind: pa.DataType) -> object:
    if pa.types.is_string(kind):
        return ""
    return False if pa.types.is_boolean(kind) else UNKNOWN
