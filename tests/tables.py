"""Tables of page digests as their users write them, and traces read back as facts."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from traces.dumps.conversion import Conversion, Converted, Named, Settings
from traces.dumps.layout import Layout
from traces.schema import PageFlag, Pages
from traces.trace import Trace

Row = Mapping[str, Any]


def write_csv(path: Path, rows: Sequence[Row], delimiter: str = ",") -> Path:
    """With a header; None is an empty field."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_json(path: Path, rows: Sequence[Row]) -> Path:
    """An object per line."""
    path.write_text("".join(json.dumps(dict(row)) + "\n" for row in rows))
    return path


def write_parquet(path: Path, rows: Sequence[Row], schema: Any = None) -> Path:
    """Types are Arrow's own choice, without *schema*."""
    pq.write_table(pa.Table.from_pylist([dict(r) for r in rows], schema), path)
    return path


def text_of(rows: Sequence[Row]) -> str:
    """*rows* as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def converted(
    path: Path, form: str | None = None, seed: int = 0, **layout: Any
) -> tuple[Trace, Converted]:
    """The trace of a table."""
    out = path.with_name(f"{path.name}.trace")
    settings = Settings(seed=seed, form=form, layout=Layout(**layout))
    conversion = Conversion([Named(path)], settings)
    for _ in conversion.write(out):
        pass
    return Trace.open(out), conversion.converted[0]


def epochs(trace: Trace) -> Iterator[dict[tuple[Any, ...], dict[str, int]]]:
    """What is there in each epoch, as docs/trace-format.md defines it: (host,
    container, pid, comm, vpn) → what its row says, with the mapping's number."""
    owners = trace.processes.rows(named=True)
    mappings = trace.mappings.rows(named=True)
    there: dict[tuple[int, int], dict[str, int]] = {}
    for epoch in range(trace.epochs.height):
        ended = {m["mapping"] for m in mappings if m["last_epoch"] < epoch}
        there = {key: row for key, row in there.items() if key[0] not in ended}
        for chunk in trace.chunks(Pages._fields, epoch):
            columns = [chunk[name].tolist() for name in Pages._fields]
            for values in zip(*columns, strict=True):
                row = dict(zip(Pages._fields, values, strict=True))
                key = row["mapping"], row["vpn"]
                mapping = mappings[row["mapping"]]
                start, size = mapping["start_vpn"], mapping["pages"]
                assert start <= row["vpn"] < start + size
                assert mapping["first_epoch"] <= epoch <= mapping["last_epoch"]
                if row["flags"] & PageFlag.ABSENT:
                    del there[key]
                else:
                    assert there.get(key) != row, "said again, though nothing is new"
                    there[key] = row
        told = {}
        for (number, vpn), row in there.items():
            owner = owners[mappings[number]["process"]]
            name = tuple(owner[c] for c in ("host", "container", "pid", "comm"))
            assert (*name, vpn) not in told
            told[*name, vpn] = row
        yield told
