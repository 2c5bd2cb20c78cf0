"""Snapshots → a trace file, atomically."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

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
    UNCERTAIN,
    UNKNOWN,
    Facts,
    Pages,
)
from traces.table import footer_values, replacing, sealed

_DICTIONARIES: Final = ["host", "comm", "workload", "mapping_name", "flags"]
_DELTAS: Final = ["epoch", "pid", "mapping", "vpn", "frame", "folio"]

SMALL_EPOCH_ROWS: Final = 40_000
"""Epochs of fewer rows share a row group, until it has as many: smaller groups take
more room per row, larger ones make the reader of one epoch decode too many others."""


class PageFile:
    """Rows of pages on their way into Parquet, gathered into row groups.

    *schema* is `PAGES` or some of its columns.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._pending: list[pa.Table] = []
        self.pending = 0
        """Rows that wait for their row group to be full."""
        # Adaptive page limits would cut zstd's window into pieces too small to find
        # repeats in; one page per row group stores a digest in 5.2 instead of 5.7 B.
        self._file = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            compression_level=3,
            use_dictionary=[n for n in _DICTIONARIES if n in schema.names],
            column_encoding={
                **dict.fromkeys(
                    [n for n in _DELTAS if n in schema.names], "DELTA_BINARY_PACKED"
                ),
                "digest": "PLAIN",
                "nid": "PLAIN",
            },
            data_page_size=8 * ROW_GROUP_ROWS,
            max_rows_per_page=ROW_GROUP_ROWS,
            write_page_index=False,
            write_page_checksum=True,
        )

    def add(self, rows: pa.Table) -> None:
        """Append at most a row group of *rows*."""
        self._pending.append(rows)
        self.pending += rows.num_rows
        if self.pending >= ROW_GROUP_ROWS:
            self._flush(ROW_GROUP_ROWS)

    def cut(self, rows: int) -> None:
        """End a row group after the first *rows* of those that wait, if any do."""
        if not rows:
            return
        table = pa.concat_tables(self._pending)
        self._pending, self.pending = [table.slice(0, rows)], rows
        self._flush(1)
        if rest := table.num_rows - rows:
            self._pending, self.pending = [table.slice(rows)], rest

    def finish(self, footer: Mapping[str, str]) -> None:
        """Write what is pending, and *footer* with its seal."""
        self._flush(1)
        self._file.add_key_value_metadata(sealed(footer))
        self._file.close()

    def close(self) -> None:
        """Close the file, finished or not."""
        self._file.close()

    def _flush(self, least: int) -> None:
        """Write whole row groups, and the rest too once *least* allows it."""
        while self.pending >= least:
            table = pa.concat_tables(self._pending).unify_dictionaries()
            group = table.slice(0, ROW_GROUP_ROWS)
            self._file.write_table(
                group.combine_chunks(), row_group_size=ROW_GROUP_ROWS
            )
            rest = table.slice(ROW_GROUP_ROWS)
            self._pending = [rest] if rest.num_rows else []
            self.pending = rest.num_rows


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
        self._earlier_rows = 0
        """Rows of epochs before the present one that wait for their row group."""
        self._uncertain = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(replacing(self.path))
            self._file = PageFile(temporary, PAGES)
            self._stack = stack.pop_all()
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
        with self._stack:
            # What made it fail is told; that it cannot be closed either is not.
            with suppress(OSError):
                self._file.close()
            raise error or RuntimeError("the trace was left without finish()")

    def begin_epoch(self, t_ns: int, kind: str = "complete") -> None:
        """Start the snapshot taken *t_ns* nanoseconds after the first."""
        if self._file.pending >= SMALL_EPOCH_ROWS:
            self._file.cut(self._file.pending)
        self._earlier_rows = self._file.pending
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
        self._processes.append(row_of(PROCESSES, process, process=number, **span))
        for offset, mapping in enumerate(mappings):
            self._mappings.append(
                row_of(
                    MAPPINGS, mapping, mapping=first + offset, process=number, **span
                )
            )
        return first

    def announce(
        self,
        processes: Sequence[Mapping[str, Any]],
        mappings: Sequence[Mapping[str, Any]],
    ) -> None:
        """Announce all there are at once, numbered and with their epochs, where they
        are known beforehand."""
        self._processes = [dict(row) for row in processes]
        self._mappings = [dict(row) for row in mappings]

    def amend_process(self, **columns: Any) -> None:
        """Set columns of the last process that are known only after reading it."""
        self._processes[-1].update(columns)

    def add_pages(self, pages: Pages) -> None:
        """Append rows of the present epoch, sorted by (mapping, vpn)."""
        rows = len(pages.mapping)
        self._epochs[-1]["rows"] += rows
        self._uncertain += int(np.count_nonzero(pages.flags & UNCERTAIN))
        if self._epochs[-1]["rows"] >= SMALL_EPOCH_ROWS:
            self._file.cut(self._earlier_rows)
            self._earlier_rows = 0
        for at in range(0, rows, ROW_GROUP_ROWS):
            part = Pages._make(column[at : at + ROW_GROUP_ROWS] for column in pages)
            self._file.add(self._table(part))

    def finish(self, facts: Facts) -> None:
        """Write what is pending and the footer: *facts*, and how many of the rows are
        uncertain."""
        facts = replace(facts, uncertain_pages=self._uncertain)
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
        self._file.finish(values)
        self._finished = True

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


def row_of(
    schema: pa.Schema, given: Mapping[str, Any], **numbers: int
) -> dict[str, Any]:
    """A row of a side table: *given* and *numbers*, and what is left out unknown."""
    row = {field.name: _unknown(field.type) for field in schema}
    strange = given.keys() - row.keys()
    if strange:
        raise ValueError(f"no such column: {', '.join(sorted(strange))}")
    return row | dict(given) | numbers


def _unknown(kind: pa.DataType) -> object:
    if pa.types.is_string(kind):
        return ""
    return False if pa.types.is_boolean(kind) else UNKNOWN
