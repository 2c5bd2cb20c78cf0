"""Tables in files, as polars frames of text, some rows at a time.

CSV and NDJSON are read forwards in blocks of whole lines, decompressed on the way: one
line is one row, so that a row can be told by its number. Every value stays the text it
was, as a digest such as 12e4 is no number.
"""

import contextlib
import csv
import json
import os
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from traces.dumps.hashes import hash_called
from traces.dumps.layout import COLUMNS, Layout
from traces.dumps.source import Source
from traces.errors import InputError
from traces.schema import KIND_KEY
from traces.table import DAMAGE, first_line

PARQUET: Final = b"PAR1"

_BLOCK: Final = 1 << 22
_LONGEST: Final = 1 << 20
_BATCH_ROWS: Final = 1 << 16
_BOM: Final = b"\xef\xbb\xbf"
_SHOWN: Final = 60
_BUFFER: Final = 1 << 20
_AREAS: Final = frozenset({"vma_start", "vma_end"})
_NOT_JSON: Final = (ValueError, RecursionError)
_RFC3339: Final = "%Y-%m-%dT%H:%M:%S%.9fZ"
_UNENDED: Final = "its last line has no end, and was left out"


class Batch(NamedTuple):
    """Some rows."""

    frame: pl.DataFrame
    """Strings under names of `COLUMNS`, null where there is nothing."""
    first: int
    """The number of the first, as `unit` counts."""


class Records(Protocol):
    """A table, opened: its columns are known, its rows are not read."""

    columns: Sequence[str]
    """Those of `COLUMNS` that it has."""
    unit: str
    """What is numbered: `line` or `row`."""
    numeric: bool
    """Whether its digests are numbers, not hexadecimal."""
    damage: str
    """Why it ends early; empty where it does not, or has not been read."""

    def batches(self) -> Iterator[Batch]:
        """All rows, in order. Raises InputError for one that cannot be read at all."""


def opened_records(source: Source, layout: Layout) -> Records:
    """The table in *source*: Parquet, NDJSON or CSV.

    Raises InputError where it is none, or has no column of digests.
    """
    head = source.peek()
    if not head:
        raise InputError(f"{source.path}: is empty, expected a table of pages")
    if head.startswith(PARQUET):
        return Parquet(source, layout)
    if is_object(head):
        return NdJson(source, layout)
    return Csv(source, layout)


def is_table(head: bytes) -> bool:
    """Whether *head* begins a table: Parquet, lines of JSON with a column of ours, or
    CSV whose header names one, or a hash."""
    if head.startswith(PARQUET):
        return True
    line = head.removeprefix(_BOM).partition(b"\n")[0]
    try:
        text = line.decode().strip()
        names = list(json.loads(text)) if is_object(head) else text.split(",")
    except _NOT_JSON:
        return False
    told = [name.strip(' "') for name in map(str, names)]
    return any(name in COLUMNS or hash_called(name) for name in told)


def is_object(head: bytes) -> bool:
    """Whether *head* begins a JSON object."""
    return head.removeprefix(_BOM).lstrip(b" \t").startswith(b"{")


class Csv:
    """Comma-separated values, RFC 4180 but for line ends within quotes."""

    unit = "line"
    numeric = False

    def __init__(self, source: Source, layout: Layout) -> None:
        self._source, self._layout = source, layout
        self.damage = ""
        line = source.peek().removeprefix(_BOM).partition(b"\n")[0]
        try:
            names = next(csv.reader([line.decode()], delimiter=layout.delimiter), [])
        except (ValueError, csv.Error):
            raise InputError(
                f"{source.path}: begins with {line[:8]!r}, expected a line of CSV"
            ) from None
        if not layout.header:
            names = [str(at + 1) for at in range(len(names))]
        self._width = len(names)
        self._places = _chosen(source, [name.strip() for name in names], layout)
        self.columns: Sequence[str] = list(self._places)

    def batches(self) -> Iterator[Batch]:
        """Blocks of lines, without the header."""
        lines = _Lines(self._source)
        first = 1
        for block in lines.blocks():
            if first == 1 and self._layout.header:
                block, first = block.partition(b"\n")[2], 2
            if not block:
                continue
            count = block.count(b"\n")
            frame = self._frame(block)
            if frame is None:
                raise _unreadable(
                    self._source, block, first, self._frame,
                    f"a line of CSV with {self._width} fields",
                )  # fmt: skip
            yield Batch(frame, first)
            first += count
        self.damage = lines.damage

    def _frame(self, block: bytes) -> pl.DataFrame | None:
        """None where a line is not a row of the table."""
        try:
            frame = pl.read_csv(
                block,
                has_header=False,
                infer_schema=False,
                schema={str(at): pl.String for at in range(self._width)},
                separator=self._layout.delimiter,
            )
            if not self._is_rectangular(block):
                return None
        except (pl.exceptions.PolarsError, csv.Error, ValueError):
            return None
        if frame.height != block.count(b"\n"):
            return None
        return frame.select(
            pl.col(str(place)).alias(name) for name, place in self._places.items()
        )

    def _is_rectangular(self, block: bytes) -> bool:
        """Whether every line has as many fields: polars fills up short ones."""
        if b'"' not in block:
            separators = block.count(self._layout.delimiter.encode())
            return separators == (self._width - 1) * block.count(b"\n")
        rows = csv.reader(
            block.decode().split("\n")[:-1],
            delimiter=self._layout.delimiter,
            strict=True,
        )
        return all(len(row) == self._width for row in rows)


class NdJson:
    """JSON, an object per line."""

    unit = "line"

    def __init__(self, source: Source, layout: Layout) -> None:
        self._source = source
        self.damage = ""
        line = source.peek().removeprefix(_BOM).partition(b"\n")[0]
        try:
            found = json.loads(line)
        except _NOT_JSON:
            raise InputError(
                f"{source.path}: line 1: {line[:_SHOWN]!r}, expected a JSON object"
            ) from None
        self.columns: Sequence[str] = list(_chosen(source, list(found), layout))
        self._names = {layout.name(column): column for column in COLUMNS}
        number = found[layout.name("digest")]
        self.numeric = isinstance(number, int) and not isinstance(number, bool)

    def batches(self) -> Iterator[Batch]:
        """Blocks of lines."""
        lines = _Lines(self._source)
        first = 1
        for block in lines.blocks(_is_whole):
            frame = self._frame(block)
            if frame is None:
                raise _unreadable(
                    self._source, block, first, self._frame, "a JSON object"
                )
            self._check_new(frame, first)
            yield Batch(frame.select(self.columns), first)
            first += frame.height
        self.damage = lines.damage

    def _frame(self, block: bytes) -> pl.DataFrame | None:
        """None where a line is no object."""
        try:
            frame = pl.read_ndjson(block, schema=dict.fromkeys(self._names, pl.String))
        except (pl.exceptions.PolarsError, ValueError):
            return None
        return frame.rename(self._names) if frame.height == _filled(block) else None

    def _check_new(self, frame: pl.DataFrame, first: int) -> None:
        for name in frame.columns:
            told = frame[name].is_not_null()
            if name not in self.columns and told.any():
                raise InputError(
                    f"{self._source.path}: line {first + int(told.arg_max() or 0)}: "
                    f"has {name}, which line 1 has not",
                    hint=f'line 1 may say "{name}": null',
                )


class Parquet:
    """A user's own Parquet file."""

    unit = "row"

    def __init__(self, source: Source, layout: Layout) -> None:
        self._source = source
        self.damage = ""
        with self._opened() as file:
            schema, metadata = file.schema_arrow, file.metadata
        self._rows = metadata.num_rows
        kind = (metadata.metadata or {}).get(KIND_KEY)
        if kind is not None:
            what = "a trace already" if kind == b"trace" else "a saved result"
            raise InputError(
                f"{source.path}: is {what}, expected a table of pages",
                hint="replay and the other commands take it as it is",
            )
        places = _chosen(source, schema.names, layout)
        self.columns: Sequence[str] = list(places)
        self._names = {schema.names[place]: name for name, place in places.items()}
        digest = schema.field(places["digest"]).type
        self.numeric = pa.types.is_integer(digest) or pa.types.is_decimal(digest)

    def batches(self) -> Iterator[Batch]:
        """Parts of row groups."""
        first = 1
        with self._opened() as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=list(self._names)):
                # Bytes that are no text would end the process, not the conversion.
                batch.validate(full=True)
                frame = self._text(batch)
                self._source.at = self._source.size * first // max(self._rows, 1)
                yield Batch(frame, first)
                first += frame.height

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        """The file as pyarrow reads it; raises InputError for what it stumbles over."""
        try:
            with (
                os.fdopen(os.dup(self._source.file()), "rb") as plain,
                # Buffered: else a row group's columns are read as a whole.
                pq.ParquetFile(
                    plain, buffer_size=_BUFFER, page_checksum_verification=True
                ) as file,
            ):
                yield file
        except DAMAGE as error:
            raise InputError(f"{self._source.path}: {first_line(error)}") from error

    def _text(self, batch: pa.RecordBatch) -> pl.DataFrame:
        columns = []
        for theirs, name in self._names.items():
            column = pl.Series(name, pa.chunked_array([batch.column(theirs)]))
            kind = column.dtype
            try:
                if kind == pl.Binary and name == "digest":
                    column = column.bin.encode("hex")
                elif isinstance(kind, pl.Datetime):
                    if kind.time_zone:
                        column = column.dt.convert_time_zone("UTC")
                    column = column.dt.to_string(_RFC3339)
                columns.append(column.cast(pl.String))
            except pl.exceptions.PolarsError as error:
                raise InputError(
                    f"{self._source.path}: column {theirs} is "
                    f"{batch.column(theirs).type}, expected text or whole numbers"
                ) from error
        return pl.DataFrame(columns)


class _Lines:
    """The lines of a source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.damage = ""
        """Why the last ones are missing."""

    def blocks(self, whole: Callable[[bytes], bool] | None = None) -> Iterator[bytes]:
        """Blocks of whole lines, each with its end. A last line without one may be
        cut, unless it is *whole*."""
        rest = b""
        begun = False
        while data := self._source.read(_BLOCK):
            if not begun:
                data, begun = data.removeprefix(_BOM), True
            head, end, tail = data.rpartition(b"\n")
            if end:
                yield rest + head + end
                rest = b""
            rest += tail
            if len(rest) > _LONGEST:
                raise InputError(
                    f"{self._source.path}: a line longer than {_LONGEST} bytes, "
                    "expected a page per line"
                )
        self.damage = self._source.cut
        if rest and whole and whole(rest):
            yield rest + b"\n"
        elif rest and not self.damage:
            self.damage = _UNENDED


def _is_whole(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except _NOT_JSON:
        return False


def _filled(block: bytes) -> int:
    """Lines of *block*; 0, which no frame has, where one is empty."""
    empty = block.startswith((b"\n", b"\r\n")) or re.search(rb"\n\r?\n", block)
    return 0 if empty else block.count(b"\n")


def _unreadable(
    source: Source,
    block: bytes,
    first: int,
    parse: Callable[[bytes], pl.DataFrame | None],
    expected: str,
) -> InputError:
    """The error of the first line of *block* that *parse* fails at."""
    lines = [line + b"\n" for line in block.split(b"\n")[:-1]]

    def fails(count: int) -> bool:
        return parse(b"".join(lines[:count])) is None

    at = bisect_left(range(1, len(lines)), True, key=fails)
    line = lines[at].rstrip(b"\r\n")
    shown = line[:_SHOWN].decode(errors="backslashreplace")
    found = f"{shown!r}{'…' if len(line) > _SHOWN else ''}" if line else "empty"
    return InputError(f"{source.path}: line {first + at}: {found}, expected {expected}")


def _chosen(source: Source, names: Sequence[str], layout: Layout) -> Mapping[str, int]:
    """Which of *names* holds each of `COLUMNS`, as places among them."""
    places = {}
    for column in COLUMNS:
        name = layout.name(column)
        count = names.count(name)
        if count == 1:
            places[column] = names.index(name)
        elif count:
            raise InputError(f"{source.path}: {count} columns {name}, expected one")
        elif column == "digest" or column in layout.columns:
            raise InputError(
                f"{source.path}: column {name} missing (found {', '.join(names)})",
                hint=_hint(source, names) if column == "digest" else None,
            )
    if "addr" not in places and (told := _AREAS & places.keys()):
        raise InputError(
            f"{source.path}: column {layout.name(min(told))}, but no "
            f"{layout.name('addr')}, which tells what of the mapping a page is"
        )
    return places


def _hint(source: Source, names: Sequence[str]) -> str:
    likely = [name for name in names if hash_called(name)]
    return (
        f"ksm-analyze convert --map digest={likely[0] if likely else 'NAME'} "
        f"{source.path.name}"
    )
