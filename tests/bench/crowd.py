"""A host with very many small processes: what a screen has most rows of."""

from pathlib import Path
from typing import Final

import numpy as np

from traces.schema import UNKNOWN, Facts, Pages
from traces.synthetic import ZERO_DIGEST, digests
from traces.writer import TraceWriter

MEMBERS: Final = 40
"""Processes of a workload."""
MAPPINGS: Final = 3
"""Of a process."""

_ZERO: Final = 0.25
_SHARED: Final = 0.28
_SHARES: Final = 3
"""Pages that hold one shared content, on average."""
_TOGETHER: Final = 200
"""Processes dealt at once."""


def write_crowd(
    path: Path, pages: int, processes: int, stays_ns: int | None = None
) -> None:
    """A trace of *processes* equally large processes, *pages* pages together: a
    quarter zero, 28 % found elsewhere too, the others in one place only.

    With *stays_ns* there is an epoch so much later, when all are gone: until then
    they are scanned and scanned again.
    """
    rng = np.random.default_rng(0)
    each = pages // processes // MAPPINGS
    with TraceWriter(path) as writer:
        writer.begin_epoch(0)
        for first in range(0, processes, _TOGETHER):
            last = min(first + _TOGETHER, processes)
            mapping = [_announce(writer, number, each) for number in range(first, last)]
            rows = (last - first) * MAPPINGS * each
            writer.add_pages(_pages(rng, mapping[0], each, rows, pages))
        if stays_ns is not None:
            writer.begin_epoch(stays_ns)
        writer.finish(
            Facts(
                host="crowd",
                kernel="synthetic",
                captured_at="2026-01-01T00:00:00+00:00",
                source="synthetic",
                tool="tests",
                zero_digest=ZERO_DIGEST,
                seed_id="0",
            )
        )


def _announce(writer: TraceWriter, number: int, each: int) -> int:
    workload = f"workload-{number // MEMBERS:03}"
    process = {
        "host": "crowd",
        "pid": 1000 + number,
        "ppid": 1,
        "start_ticks": number,
        "comm": f"worker-{number % 7}",
        "user": f"user-{number % 11}",
        "workload": workload,
        "cgroup": f"/crowd.slice/{workload}",
    }
    mappings = [
        {
            "start_vpn": 0x10000 + at * 2 * each,
            "pages": each,
            "perms": "rw-p",
            "kind": "heap" if at == 0 else "anon",
            "name": "[heap]" if at == 0 else "",
        }
        for at in range(MAPPINGS)
    ]
    return writer.add_process(process, mappings)


def _pages(
    rng: np.random.Generator, mapping: int, each: int, rows: int, pages: int
) -> Pages:
    drawn = rng.random(rows)
    contents = rng.integers(1 << 40, 1 << 62, rows).astype(np.uint64)
    shared = drawn < _ZERO + _SHARED
    pool = max(int(pages * _SHARED) // _SHARES, 1)
    contents[shared] = rng.integers(1, pool + 1, int(shared.sum()))
    contents[drawn < _ZERO] = 0
    count = rows // each
    number = np.repeat(np.arange(count, dtype=np.int32), each)
    place = np.tile(np.arange(each), count)
    return Pages(
        mapping=number + np.int32(mapping),
        vpn=0x10000 + number % MAPPINGS * 2 * each + place,
        digest=digests(contents),
        frame=np.full(rows, UNKNOWN, np.int64),
        folio=np.full(rows, UNKNOWN, np.int32),
        nid=np.full(rows, UNKNOWN, np.int8),
        flags=np.zeros(rows, np.uint16),
    )
