"""A capture over time that is not a trace yet: its finished epochs, in FILE.partial/.

Mappings that appear later belong, in a trace, before others whose pages are written
already. So every epoch becomes a file of its own first, under provisional numbers, and
the trace is made of them at the end: now, or by `--recover` after the capture was
killed. An epoch is one file, with what it says of processes and mappings in its footer,
so that it is there as a whole or not at all.
"""

import contextlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from traces.errors import InputError, KsmAnalyzeError, OutputError
from traces.schema import (
    FACTS_KEY,
    KIND_KEY,
    MAPPINGS,
    PAGES,
    PROCESSES,
    ROW_GROUP_ROWS,
    UNKNOWN,
    Facts,
    Pages,
)
from traces.table import (
    DAMAGE,
    check_seal,
    first_line,
    footer_table,
    footer_values,
    open_parquet,
    replacing,
)
from traces.writer import PageFile, TraceWriter

_SCHEMA: Final = pa.schema([PAGES.field(name) for name in Pages._fields])
_ENDED: Final = pa.schema([("mapping", pa.int32())])
_EPOCH_KEY: Final = b"ksm_analyze.epoch"
_NAME: Final = re.compile(r"epoch-(\d{4,})\.parquet")
_SUMMED: Final = ("lost_pages", "reread_pages", "changed_pages")


def partial_folder(path: Path) -> Path:
    """Where the epochs of the trace *path* are kept until it is made."""
    return path.with_name(f"{path.name}.partial")


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochNews:
    """What an epoch says beside its rows; numbers are provisional."""

    t_ns: int
    duration_ns: int
    processes: Sequence[Mapping[str, Any]]
    """All that were seen, as rows of `schema.PROCESSES`."""
    mappings: Sequence[Mapping[str, Any]]
    """Rows of `schema.MAPPINGS`, of those that are new, larger than ever or have other
    flags."""
    ended: Sequence[int]
    """Mappings that were there before and are no more, though their process is."""
    facts: Facts
    """Of the capture up to this epoch."""


class EpochFile:
    """An epoch being written."""

    def __init__(self, file: PageFile) -> None:
        self._file = file

    def add_pages(self, pages: Pages) -> None:
        """Append rows, sorted by process, address of mapping, and vpn."""
        for at in range(0, len(pages.mapping), ROW_GROUP_ROWS):
            part = {
                name: column[at : at + ROW_GROUP_ROWS]
                for name, column in pages._asdict().items()
            }
            self._file.add(pa.table(part, schema=_SCHEMA))

    def finish(self, news: EpochNews) -> None:
        """Write what is pending, and *news*."""
        epoch = {"t_ns": news.t_ns, "duration_ns": news.duration_ns}
        values = {
            KIND_KEY.decode(): "epoch",
            _EPOCH_KEY.decode(): json.dumps(epoch),
            FACTS_KEY.decode(): news.facts.to_json(),
        }
        ended = [{"mapping": number} for number in news.ended]
        for name, rows, schema in (
            ("processes", news.processes, PROCESSES),
            ("mappings", news.mappings, MAPPINGS),
            ("ended", ended, _ENDED),
        ):
            values |= footer_values(name, pa.Table.from_pylist(rows, schema=schema))
        self._file.finish(values)


class Partial:
    """The folder FILE.partial/ of the trace *path*."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = partial_folder(path)

    def create(self) -> None:
        """Make the folder, for nobody else to enter; raises OutputError where it
        cannot be made, or is left from a capture before."""
        try:
            self.folder.mkdir(mode=0o700)
        except FileExistsError as error:
            raise OutputError(
                f"{self.folder}: holds what an interrupted capture has left",
                f"make a trace of it with --recover {self.path}, or remove it",
            ) from error
        except OSError as error:
            text = f"{self.folder}: cannot be made: {error.strerror}"
            raise OutputError(text) from error

    @contextlib.contextmanager
    def epoch(self, number: int) -> Iterator[EpochFile]:
        """Write epoch *number*: it is there once the block has succeeded, and only
        then. Raises OutputError where the disk is full."""
        with replacing(self.folder / f"epoch-{number:04}.parquet") as temporary:
            file = PageFile(temporary, _SCHEMA)
            try:
                yield EpochFile(file)
            except BaseException:
                # What made it fail is told; that it cannot be closed either is not.
                with contextlib.suppress(OSError):
                    file.close()
                raise

    def epochs(self) -> list[Path]:
        """The files of the finished epochs 0, 1, 2 …"""
        found = {
            int(match[1]): self.folder / match[0]
            for match in map(_NAME.fullmatch, _names(self.folder))
            if match
        }
        if missing := set(range(len(found))) - found.keys():
            raise InputError(f"{self.folder}: epoch {min(missing)} is missing")
        return [found[number] for number in range(len(found))]

    def join(self) -> None:
        """Make the trace of the finished epochs, then remove the folder.

        Raises InputError where there is none or one is damaged, and OutputError where
        the trace cannot be written; the folder then stays.
        """
        files = self.epochs()
        if not files:
            raise InputError(f"{self.folder}: holds no finished epoch")
        try:
            _join([_Footer.read(file) for file in files], self.path)
        except KsmAnalyzeError as error:
            error.hint = error.hint or f"what was captured is in {self.folder}"
            raise
        self.remove()

    def remove(self) -> None:
        """Remove the folder, as far as that goes."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from error


class _Footer(NamedTuple):
    """What the file of an epoch says beside its rows."""

    path: Path
    t_ns: int
    duration_ns: int
    facts: Facts
    processes: pl.DataFrame
    mappings: pl.DataFrame
    ended: pl.DataFrame

    @classmethod
    def read(cls, path: Path) -> "_Footer":
        with open_parquet(path) as file:
            values = dict(file.metadata.metadata or {})
        try:
            check_seal(values, required=True)
            return cls(
                path,
                **json.loads(values[_EPOCH_KEY]),
                facts=Facts.from_json(values[FACTS_KEY]),
                processes=_table(values, "processes"),
                mappings=_table(values, "mappings"),
                ended=_table(values, "ended"),
            )
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except (KeyError, ValueError) as error:
            raise InputError(f"{path}: is no epoch of a capture") from error


def _table(values: Mapping[bytes, bytes], name: str) -> pl.DataFrame:
    frame = pl.from_arrow(footer_table(values, name))
    assert isinstance(frame, pl.DataFrame)
    return frame


def _join(epochs: Sequence[_Footer], path: Path) -> None:
    processes, process_of = _processes(epochs)
    mappings, mapping_of = _mappings(epochs, processes, process_of)
    with TraceWriter(path) as writer:
        writer.announce(processes.to_dicts(), mappings.to_dicts())
        for number, epoch in enumerate(epochs):
            writer.begin_epoch(epoch.t_ns, "delta" if number else "complete")
            for pages in _rows(epoch.path):
                writer.add_pages(pages._replace(mapping=mapping_of[pages.mapping]))
            writer.end_epoch(epoch.duration_ns)
        writer.finish(epochs[-1].facts)


def _processes(
    epochs: Sequence[_Footer],
) -> tuple[pl.DataFrame, npt.NDArray[np.int32]]:
    """All processes in scan order, and the number of each by its provisional one."""
    seen = pl.concat(
        epoch.processes.with_columns(
            pl.lit(number, pl.Int32).alias(column)
            for column in ("first_epoch", "last_epoch")
        )
        for number, epoch in enumerate(epochs)
    )
    merged = (
        seen.group_by("process", maintain_order=True)
        .agg(
            pl.col("first_epoch").min(),
            pl.col(_SUMMED).sum(),
            pl.exclude("first_epoch", *_SUMMED).last(),
        )
        .sort("start_ticks", "pid", "process")
        .select(PROCESSES.names)
    )
    return _counted(merged, "process")


def _mappings(
    epochs: Sequence[_Footer],
    processes: pl.DataFrame,
    process_of: npt.NDArray[np.int32],
) -> tuple[pl.DataFrame, npt.NDArray[np.int32]]:
    """All mappings by process and address, and their numbers likewise."""
    told = pl.concat(
        epoch.mappings.with_columns(pl.lit(number, pl.Int32).alias("first_epoch"))
        for number, epoch in enumerate(epochs)
    )
    owners = process_of[told["process"].to_numpy()]
    ended = pl.concat(
        epoch.ended.with_columns(pl.lit(number - 1, pl.Int32).alias("ended"))
        for number, epoch in enumerate(epochs)
    )
    exited = processes.select("process", pl.col("last_epoch").alias("exited"))
    merged = (
        told.with_columns(pl.Series("process", owners))
        .group_by("mapping", maintain_order=True)
        .agg(
            pl.col("first_epoch").min(),
            pl.col("pages").max(),
            pl.exclude("first_epoch", "pages").last(),
        )
        .drop("last_epoch")
        .join(exited, on="process", how="left", maintain_order="left")
        .join(ended, on="mapping", how="left", maintain_order="left")
        .with_columns(pl.min_horizontal("ended", "exited").alias("last_epoch"))
        .sort("process", "start_vpn", "first_epoch", "mapping")
        .select(MAPPINGS.names)
    )
    return _counted(merged, "mapping")


def _counted(
    table: pl.DataFrame, column: str
) -> tuple[pl.DataFrame, npt.NDArray[np.int32]]:
    """*table* with its rows numbered in *column*, and the numbers by those before."""
    before = table[column].to_numpy()
    number_of = np.full(int(before.max(initial=UNKNOWN)) + 1, UNKNOWN, np.int32)
    number_of[before] = np.arange(len(before), dtype=np.int32)
    numbers = pl.Series(column, np.arange(len(before), dtype=np.int32))
    return table.with_columns(numbers), number_of


def _rows(path: Path) -> Iterator[Pages]:
    """The rows of an epoch's file, a row group at a time."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for group in range(file.metadata.num_row_groups):
                table = file.read_row_group(group, list(Pages._fields))
                yield Pages._make(table[name].to_numpy() for name in Pages._fields)
    except DAMAGE as error:
        raise InputError(f"{path}: {first_line(error)}") from error
