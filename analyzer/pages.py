"""The state of every page at a replay's end, in a file beside its result.

A Parquet file of the columns `mapping`, `vpn` and `state`, sorted, from which the
pages of one mapping are read without the others.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from analyzer.engine import state
from traces.errors import InputError
from traces.schema import FORMAT_KEY, KIND_KEY
from traces.table import (
    DAMAGE,
    check_seal,
    first_line,
    open_parquet,
    replacing,
    sealed,
)

if TYPE_CHECKING:
    from analyzer.host import Host
    from analyzer.outcome import Outcome

PAGES_FORMAT: Final = 1
"""Raised whenever an older reader would misread a newer file."""

_ROWS: Final = 1 << 19
"""Of a row group."""

_SCHEMA: Final = pa.schema(
    [
        pa.field("mapping", pa.int32(), nullable=False),
        pa.field("vpn", pa.int64(), nullable=False),
        pa.field("state", pa.uint8(), nullable=False),
    ]
)


class PageState(IntEnum):
    """What became of a page."""

    NOT_OFFERED = state.PAGE_NOT_OFFERED
    UNSCANNED = state.PAGE_UNSCANNED
    """Not seen by ksmd."""
    VOLATILE = state.PAGE_VOLATILE
    """In neither tree: seen once, changed or skipped."""
    UNSHARED = state.PAGE_UNSHARED
    """In the unstable tree."""
    KEPT = state.PAGE_KEPT
    """The first of the pages that share a KSM page."""
    SAVED = state.PAGE_SAVED
    """Another of them."""
    ZERO = state.PAGE_ZERO
    """Merged, and full of zeros, or on the shared zero page."""


def write_pages(path: Path, outcome: "Outcome") -> None:
    """Write the states of all pages of *outcome*, atomically (mode 0600).

    Raises OutputError where that is impossible, InputError where a trace whose page
    numbers are read again has changed.
    """
    values = {KIND_KEY.decode(): "pages", FORMAT_KEY.decode(): str(PAGES_FORMAT)}
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(
            temporary,
            _SCHEMA,
            compression="zstd",
            compression_level=1,
            use_dictionary=["mapping", "state"],
            column_encoding={"vpn": "DELTA_BINARY_PACKED"},
            store_schema=False,
            write_page_checksum=True,
        ) as file,
    ):
        for rows in _tables(outcome):
            file.write_table(rows, row_group_size=_ROWS)
        file.add_key_value_metadata(sealed(values))


def _tables(outcome: "Outcome") -> Iterator[pa.Table]:
    """At most a row group each."""
    # Whoever only reads such a file needs no compiler.
    from analyzer.engine.page_states import page_states

    host = outcome.host
    states = page_states(
        host.start, outcome.offered, outcome.after, outcome.where, host.zero_rows(),
        len(outcome.content) or 1,
    )  # fmt: skip
    at = 0
    for vpns in outcome.vpns():
        for lo in range(0, len(vpns), _ROWS):
            part = vpns[lo : lo + _ROWS]
            rows = slice(at, at + len(part))
            at += len(part)
            columns = [_mapping_of(host, rows), part, states[rows]]
            yield pa.Table.from_arrays([pa.array(c) for c in columns], schema=_SCHEMA)


def _mapping_of(host: "Host", rows: slice) -> npt.NDArray[np.int32]:
    """int32: the mapping of each of *rows*."""
    first = np.searchsorted(host.start, rows.start, side="right") - 1
    last = np.searchsorted(host.start, rows.stop, side="left")
    bounds = np.clip(host.start[first : last + 1], rows.start, rows.stop)
    mapping: npt.NDArray[np.int32] = host.mapping[first:last]
    return np.repeat(mapping, np.diff(bounds))


@dataclass(frozen=True, slots=True)
class PageStates:
    """A file of `write_pages`, opened: its footer is read, its pages are not.

    Make one with `PageStates.open`.
    """

    path: Path
    metadata: pq.FileMetaData
    spans: npt.NDArray[np.int32]
    """[row group, 2] its first and last mapping."""

    @classmethod
    def open(cls, path: Path) -> "PageStates":
        """Raises InputError for anything else, naming what was found and expected."""
        with open_parquet(path) as file:
            metadata = file.metadata
        values = dict(metadata.metadata or {})
        kind, version = values.get(KIND_KEY), values.get(FORMAT_KEY)
        if (kind, version) != (b"pages", str(PAGES_FORMAT).encode()):
            raise InputError(f"{path}: no file of page states, format {PAGES_FORMAT}")
        try:
            check_seal(values, required=True)
            groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
            found = [group.column(0).statistics for group in groups]
            spans = np.array([(s.min, s.max) for s in found], np.int32).reshape(-1, 2)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except (*DAMAGE, AttributeError) as error:
            raise InputError(f"{path}: damaged: {first_line(error)}") from error
        return cls(path, metadata, spans)

    def of(self, mapping: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """(page numbers, ascending; their `PageState`s) of *mapping*.

        Raises InputError where the file is damaged.
        """
        holds = (self.spans[:, 0] <= mapping) & (mapping <= self.spans[:, 1])
        groups = np.flatnonzero(holds).tolist()
        try:
            with pq.ParquetFile(
                self.path, metadata=self.metadata, page_checksum_verification=True
            ) as file:
                rows = file.read_row_groups(groups, use_threads=False)
            of, vpns, states = (rows[name].to_numpy() for name in _SCHEMA.names)
        except DAMAGE as error:
            text = f"{self.path}: damaged: {first_line(error)}"
            raise InputError(text) from error
        lo, hi = np.searchsorted(of, [mapping, mapping + 1])
        return vpns[lo:hi], states[lo:hi]
