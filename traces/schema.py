"""The trace format: what a row of each table is, and the names of its footer keys.

A trace is one Parquet file. Its rows are pages (`PAGES`); three small tables
(`PROCESSES`, `MAPPINGS`, `EPOCHS`) and the capture's `Facts` travel in the footer.
docs/trace-format.md tells the same to people who write traces themselves.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import IntFlag
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from traces.errors import InputError
from traces.page import PAGE_SIZE as PAGE_SIZE

FORMAT_VERSION: Final = 1
"""Raised whenever an older reader would misread a newer file."""

ROW_GROUP_ROWS: Final = 1 << 20
"""Rows of a row group: the unit in which traces are written and streamed."""

KIND_KEY: Final = b"ksm_analyze.kind"
"""Footer key: `trace` or `result`."""
FORMAT_KEY: Final = b"ksm_analyze.format"
"""Footer key: the format version, in decimal."""
FACTS_KEY: Final = b"ksm_analyze.facts"
"""Footer key: `Facts` as JSON."""
TABLE_KEY: Final = "ksm_analyze.table.{name}.{part}"
"""Footer keys of the side tables: Arrow IPC, zstd, base64, in parts."""

UNKNOWN: Final = -1
"""What an integer column holds where the source could not tell."""


class PageFlag(IntFlag):
    """Bits of the `flags` column."""

    ABSENT = 1
    """Gone since the epoch before (later epochs only)."""
    PRESENCE_UNKNOWN = 2
    """The source cannot tell a present page from one never touched: on zero pages only,
    as a page with content is surely there."""
    ANON_UNKNOWN = 4
    """The source cannot tell an anonymous page from a page of the file cache."""
    KSM = 8
    """Already merged by ksmd when captured; its frame is counted as its own."""
    FILL = 16
    """All 4096 bytes are equal, and not zero."""


UNCERTAIN: Final = PageFlag.PRESENCE_UNKNOWN | PageFlag.ANON_UNKNOWN
"""Either makes a row one that may not count."""


class Pages(NamedTuple):
    """The columns the replay reads, as equally long numpy arrays."""

    mapping: npt.NDArray[np.int32]
    vpn: npt.NDArray[np.int64]
    digest: npt.NDArray[np.int64]
    frame: npt.NDArray[np.int64]
    folio: npt.NDArray[np.int32]
    nid: npt.NDArray[np.int8]
    flags: npt.NDArray[np.uint16]


_NAME: Final = pa.dictionary(pa.int32(), pa.string())

PAGES: Final = pa.schema(
    [
        ("epoch", pa.int32()),
        ("host", _NAME),
        ("pid", pa.int32()),
        ("comm", _NAME),
        ("workload", _NAME),
        ("mapping_name", _NAME),
        ("mapping", pa.int32()),
        ("vpn", pa.int64()),
        ("digest", pa.int64()),
        ("frame", pa.int64()),
        ("folio", pa.int32()),
        ("nid", pa.int8()),
        ("flags", pa.uint16()),
    ]
)

PROCESSES: Final = pa.schema(
    [
        ("process", pa.int32()),
        ("host", pa.string()),
        ("pid", pa.int32()),
        ("ppid", pa.int32()),
        ("start_ticks", pa.int64()),
        ("comm", pa.string()),
        ("exe", pa.string()),
        ("cmdline", pa.string()),
        ("uid", pa.int32()),
        ("user", pa.string()),
        ("cgroup", pa.string()),
        ("unit", pa.string()),
        ("container", pa.string()),
        ("pod", pa.string()),
        ("vm", pa.string()),
        ("workload", pa.string()),
        ("merge_any", pa.bool_()),
        ("registration", pa.int32()),
        ("ksm_zero_pages", pa.int64()),
        ("swapped_pages", pa.int64()),
        ("hugetlb_pages", pa.int64()),
        ("lost_pages", pa.int64()),
        ("reread_pages", pa.int64()),
        ("changed_pages", pa.int64()),
        ("first_epoch", pa.int32()),
        ("last_epoch", pa.int32()),
    ]
)

MAPPINGS: Final = pa.schema(
    [
        ("mapping", pa.int32()),
        ("process", pa.int32()),
        ("start_vpn", pa.int64()),
        ("pages", pa.int64()),
        ("perms", pa.string()),
        ("kind", pa.string()),
        ("name", pa.string()),
        ("vm_flags", pa.string()),
        ("mergeable", pa.bool_()),
        ("first_epoch", pa.int32()),
        ("last_epoch", pa.int32()),
    ]
)

EPOCHS: Final = pa.schema(
    [
        ("epoch", pa.int32()),
        ("t_ns", pa.int64()),
        ("duration_ns", pa.int64()),
        ("kind", pa.string()),
        ("rows", pa.int64()),
    ]
)

SIDE_TABLES: Final[Mapping[str, pa.Schema]] = {
    "processes": PROCESSES,
    "mappings": MAPPINGS,
    "epochs": EPOCHS,
}


OF_THE_REST: Final = "what is told is of the rest"
"""How the limit ends that a truncated dump leaves in its trace, and in results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is true of a capture as a whole; JSON in the footer."""

    host: str
    kernel: str
    """`uname -r` of the captured machine."""
    captured_at: str
    """ISO 8601, UTC, when the first epoch began."""
    source: str
    """`live`, `synthetic`, or the dump format it was converted from."""
    tool: str
    """Program and version that wrote the file."""
    zero_digest: int
    """Digest (signed, as stored) of 4096 zero bytes under this trace's seed."""
    seed_id: str
    """Equal seeds have equal ids; the id does not tell the seed."""
    digest: str = "xxh3-64"
    page_size: int = PAGE_SIZE
    label_by: str = "auto"
    """What `workload` was taken from."""
    ksm: dict[str, str] = field(default_factory=dict)
    """Files of /sys/kernel/mm/ksm when captured."""
    meminfo: dict[str, int] = field(default_factory=dict)
    """/proc/meminfo when captured, in bytes."""
    skipped: dict[str, int] = field(default_factory=dict)
    """What was left out: reason → count, the unit is part of the reason."""
    limits: list[str] = field(default_factory=list)
    """What this capture cannot tell, in sentences."""
    uncertain_pages: int = 0
    """Rows of all epochs with a flag of `UNCERTAIN`; at 0 nobody looks for any. The
    writer counts them."""

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Facts":
        """Ignores unknown keys, so that a reader survives additions.

        Raises InputError where a required key is missing or the text is no object.
        """
        try:
            values = json.loads(text)
            known = {f.name for f in fields(cls)}
            return cls(**{k: v for k, v in values.items() if k in known})
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(f"capture facts are damaged: {error}") from error
