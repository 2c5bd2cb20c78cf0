"""A trace file: opened, checked, and read back a row group at a time."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from traces.errors import InputError
from traces.schema import (
    FACTS_KEY,
    FORMAT_KEY,
    FORMAT_VERSION,
    KIND_KEY,
    PAGE_SIZE,
    PAGES,
    SIDE_TABLES,
    UNKNOWN,
    Facts,
)
from traces.table import (
    DAMAGE,
    check_seal,
    first_line,
    footer_table,
    open_parquet,
)

Columns = dict[str, npt.NDArray[Any]]
"""Column name → values; equally long."""

RUNS = "runs"
"""Key of a chunk: where its runs of one mapping begin."""

_Row = tuple[int, int]
"""(mapping, page number)"""


def run_starts(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Where runs of equal *values* begin."""
    cuts = np.flatnonzero(values[1:] != values[:-1]) + 1
    return np.concatenate(([0] if len(values) else [], cuts)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Trace:
    """An opened trace: its footer is read and checked, its pages are not.

    Make one with `Trace.open`.
    """

    path: Path
    facts: Facts
    processes: pl.DataFrame
    mappings: pl.DataFrame
    epochs: pl.DataFrame
    metadata: pq.FileMetaData
    spans: npt.NDArray[np.int32]
    """[row group] first and last epoch among its rows."""

    @classmethod
    def open(cls, path: Path) -> "Trace":
        """Raises InputError, naming the file, what was found and what was expected,
        for anything that is not a trace this version can read."""
        with open_parquet(path) as file:
            metadata = file.metadata
            schema = file.schema_arrow
        values = dict(metadata.metadata or {})
        _check_kind(path, values)
        _check_columns(path, schema)
        try:
            check_seal(values, required=False)
            facts = Facts.from_json(values.get(FACTS_KEY, b""))
            tables = {name: _side_table(values, name) for name in SIDE_TABLES}
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        if facts.page_size != PAGE_SIZE:
            raise InputError(
                f"{path}: pages of {facts.page_size} bytes, expected {PAGE_SIZE}"
            )
        spans = _spans(metadata, tables["epochs"].height)
        trace = cls(path, facts, **tables, metadata=metadata, spans=spans)
        trace._check_tables()
        return trace

    def rows(self, epoch: int = 0) -> int:
        """Pages stored for *epoch*."""
        return int(self.epochs["rows"][epoch])

    def chunks(self, columns: Sequence[str], epoch: int = 0) -> Iterator[Columns]:
        """The rows of *epoch*, a row group at a time, decoded ahead in threads.

        Where `mapping` is among *columns*, `runs` (int64) says where its runs begin.
        Row groups of other epochs are passed over; an epoch without rows may give no
        chunk at all. Raises InputError where the body is damaged or holds other than
        the footer says; with `mapping` among *columns* also for an unknown mapping,
        with `vpn` too for rows out of order.
        """
        wanted = [*columns, "epoch"] if self.epochs.height > 1 else list(columns)
        holds = (self.spans[:, 0] <= epoch) & (epoch <= self.spans[:, 1])
        groups = iter(np.flatnonzero(holds).tolist())
        workers = min(2, os.cpu_count() or 1)
        seen = 0
        last: _Row = (UNKNOWN, UNKNOWN)
        with ThreadPoolExecutor(workers) as pool:

            def submit(count: int) -> list[Future[Columns]]:
                return [
                    pool.submit(self._decode, group, wanted, epoch)
                    for group in islice(groups, count)
                ]

            ahead = submit(workers + 1)
            while ahead:
                chunk = ahead.pop(0).result()
                ahead += submit(1)
                rows = len(chunk[columns[0]])
                seen += rows
                if rows and "mapping" in chunk:
                    first = _row(chunk, 0)
                    if first < last or ("vpn" in chunk and first == last):
                        raise self._out_of_order(last, first)
                    last = _row(chunk, -1)
                yield chunk
        # What decoding held would else stay until the next epoch needs as much.
        pa.default_memory_pool().release_unused()
        if seen != self.rows(epoch):
            raise InputError(
                f"{self.path}: {seen} rows in epoch {epoch}, "
                f"expected {self.rows(epoch)} as its footer says"
            )

    def _decode(self, group: int, columns: list[str], epoch: int) -> Columns:
        # A ParquetFile of its own: one must not be shared between threads.
        try:
            with pq.ParquetFile(
                self.path, metadata=self.metadata, page_checksum_verification=True
            ) as file:
                table = file.read_row_group(group, columns, use_threads=False)
        except DAMAGE as error:
            text = f"{self.path}: row group {group}: {first_line(error)}"
            raise InputError(text) from error
        if any(column.null_count for column in table.columns):
            raise InputError(f"{self.path}: row group {group}: null values")
        chunk: Columns = {name: table[name].to_numpy() for name in columns}
        if self.epochs.height > 1:
            number = chunk.pop("epoch")
            if np.any(number[1:] < number[:-1]):
                raise InputError(
                    f"{self.path}: row group {group}: epochs out of order, "
                    "expected ascending"
                )
            keep = number == epoch
            chunk = {name: values[keep] for name, values in chunk.items()}
        self._check_order(chunk)
        return chunk

    def _check_order(self, chunk: Columns) -> None:
        """Whether the rows of *chunk* ascend and name known mappings; adds RUNS."""
        mapping = chunk.get("mapping")
        if mapping is None:
            return
        cuts = chunk[RUNS] = run_starts(mapping)
        numbers = mapping[cuts]
        strange = numbers[(numbers < 0) | (numbers >= self.mappings.height)]
        if len(strange):
            raise InputError(
                f"{self.path}: a page of mapping {strange[0]}, "
                f"expected 0 to {self.mappings.height - 1}"
            )
        falls = np.flatnonzero(np.diff(numbers) < 0)
        at = int(cuts[falls[0] + 1]) if len(falls) else None
        if at is None and "vpn" in chunk:
            rises = chunk["vpn"][1:] > chunk["vpn"][:-1]
            rises[cuts[1:] - 1] = True
            at = None if rises.all() else int(np.argmin(rises)) + 1
        if at is not None:
            raise self._out_of_order(_row(chunk, at - 1), _row(chunk, at))

    def _out_of_order(self, before: _Row, row: _Row) -> InputError:
        return InputError(
            f"{self.path}: rows out of order: mapping {row[0]} page {row[1]} after "
            f"mapping {before[0]} page {before[1]}, expected ascending"
        )

    def _check_tables(self) -> None:
        for name, table, key in (
            ("processes", self.processes, "process"),
            ("mappings", self.mappings, "mapping"),
            ("epochs", self.epochs, "epoch"),
        ):
            numbers = table[key].to_numpy()
            if not np.array_equal(numbers, np.arange(len(numbers))):
                raise InputError(
                    f"{self.path}: table {name}: column {key} does not count 0, 1, 2…"
                )
        times = self.epochs["t_ns"].to_numpy()
        if np.any(times[1:] <= times[:-1]):
            at = int(np.argmax(times[1:] <= times[:-1])) + 1
            raise InputError(
                f"{self.path}: epochs out of order: epoch {at} at {times[at]} ns after "
                f"epoch {at - 1} at {times[at - 1]} ns, expected later"
            )
        if self.epochs.height and self.epochs["kind"][0] != "complete":
            raise InputError(
                f"{self.path}: epoch 0 is {self.epochs['kind'][0]!r}, "
                "expected 'complete'"
            )
        if self.epochs.height == 0:
            raise InputError(f"{self.path}: no epoch, expected at least one")
        owners = self.mappings["process"].to_numpy()
        if len(owners) and not 0 <= owners.min() <= owners.max() < len(self.processes):
            raise InputError(
                f"{self.path}: a mapping of process {owners.max()}, "
                f"expected 0 to {len(self.processes) - 1}"
            )
        if np.any(np.diff(owners) < 0):
            raise InputError(f"{self.path}: table mappings: not sorted by process")
        stored = int(self.epochs["rows"].sum())
        if stored != self.metadata.num_rows:
            raise InputError(
                f"{self.path}: {self.metadata.num_rows} rows, expected {stored} "
                "as its table of epochs says"
            )


def joined(traces: Sequence[Trace]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The processes and mappings of all *traces*, numbered through."""
    processes, mappings = [], []
    process = mapping = 0
    for trace in traces:
        processes.append(trace.processes.with_columns(pl.col("process") + process))
        mappings.append(
            trace.mappings.with_columns(
                pl.col("process") + process, pl.col("mapping") + mapping
            )
        )
        process += trace.processes.height
        mapping += trace.mappings.height
    return pl.concat(processes), pl.concat(mappings)


def _spans(metadata: pq.FileMetaData, epochs: int) -> npt.NDArray[np.int32]:
    """First and last epoch of every row group, by its statistics; where there are none,
    all epochs."""
    spans = np.tile(np.array([0, epochs - 1], np.int32), (metadata.num_row_groups, 1))
    if epochs < 2:
        return spans
    column = metadata.schema.names.index("epoch")
    for group in range(metadata.num_row_groups):
        statistics = metadata.row_group(group).column(column).statistics
        if statistics is not None and statistics.has_min_max:
            spans[group] = statistics.min, statistics.max
    return spans


def _row(chunk: Columns, at: int) -> _Row:
    vpn = chunk.get("vpn")
    return int(chunk["mapping"][at]), UNKNOWN if vpn is None else int(vpn[at])


def _check_kind(path: Path, values: dict[bytes, bytes]) -> None:
    kind = values.get(KIND_KEY)
    if kind is None or FORMAT_KEY not in values:
        raise InputError(
            f"{path}: a Parquet file, but not a ksm-analyze trace: "
            f"its footer has no {KIND_KEY.decode()}"
        )
    if kind != b"trace":
        raise InputError(
            f"{path}: a ksm-analyze {kind.decode(errors='replace')}, expected a trace"
        )
    version = values[FORMAT_KEY].decode(errors="replace")
    if not version.isdecimal() or not 1 <= int(version) <= FORMAT_VERSION:
        raise InputError(
            f"{path}: trace format {version}, expected 1 to {FORMAT_VERSION}",
            hint="a newer ksm-analyze wrote it: update this one",
        )


def _check_columns(path: Path, schema: pa.Schema) -> None:
    for expected in PAGES:
        index = schema.get_field_index(expected.name)
        if index < 0:
            raise InputError(
                f"{path}: column {expected.name} missing, found "
                f"{', '.join(schema.names)}"
            )
        found = schema.field(index).type
        if _plain(found) != _plain(expected.type):
            raise InputError(
                f"{path}: column {expected.name} is {found}, expected {expected.type}"
            )


def _plain(kind: pa.DataType) -> pa.DataType:
    """Other writers know no dictionaries, or longer strings: the same to a reader."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.string() if pa.types.is_large_string(kind) else kind


def _side_table(values: dict[bytes, bytes], name: str) -> pl.DataFrame:
    table = footer_table(values, name)
    schema = SIDE_TABLES[name]
    for expected in schema:
        if expected.name not in table.column_names:
            raise InputError(f"table {name}: column {expected.name} missing")
        found = table.schema.field(expected.name).type
        if _plain(found) != _plain(expected.type):
            raise InputError(
                f"table {name}: column {expected.name} is {found}, "
                f"expected {expected.type}"
            )
    frame = pl.from_arrow(table.select(schema.names))
    assert isinstance(frame, pl.DataFrame)
    return frame
