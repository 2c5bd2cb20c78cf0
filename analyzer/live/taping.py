"""A recording of what a real ksmd did (docs/recording-format.md): its pages at the
start, and every figure after each full scan."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from analyzer.counters import RMAP_ITEM_SIZE
from analyzer.host import Host
from traces.schema import PAGE_SIZE, UNKNOWN

Figures = Mapping[str, int]
Said = tuple[Figures, Sequence[Figures]]
"""What the kernel said: of the machine, and of each process in order."""


def recording(
    kernel: str, knobs: Figures, snapshot: list[dict[str, Any]], said: Sequence[Said]
) -> dict[str, Any]:
    """The document: a snapshot, and one full scan for each of *said*.

    *knobs* hold no pages_to_scan: every wake-up goes through the whole list.
    """
    names = [process["proc"] for process in snapshot]
    observed = [
        {
            "global": dict(machine),
            "procs": dict(zip(names, map(dict, processes), strict=True)),
        }
        for machine, processes in said
    ]
    note = "contents are numbered as they were first seen, not in the order of bytes"
    return {
        "name": "live",
        "description": "recorded by ksm-analyze verify --live",
        "kernel": kernel,
        "page_size": PAGE_SIZE,
        "rmap_item_size": RMAP_ITEM_SIZE,
        "knobs": dict(knobs),
        "contents_sorted": False,
        "steps": [
            {"op": "snapshot", "note": note, "procs": snapshot},
            {"op": "scan", "n": len(observed), "observed": observed},
        ],
    }


def snapshot(
    host: Host, vpn: npt.NDArray[np.int64], offered: npt.NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """The *offered* rows of *host* as the snapshot's processes."""
    content = _numbered(host.digest, host.zero)
    process = np.repeat(host.segment_process, np.diff(host.start))
    listed = []
    for number in range(host.processes.height):
        rows = np.flatnonzero((process == number) & offered)
        row = {
            "proc": f"P{number}",
            "vpn": np.diff(vpn[rows], prepend=0).tolist(),
            "phys": host.frame[rows].tolist(),
            "content": content[rows].tolist(),
        }
        if host.folio is not None:
            row["folio"] = host.folio[rows].tolist()
        listed.append(row)
    return listed


def _numbered(digest: npt.NDArray[np.uint64], zero: np.uint64) -> npt.NDArray[np.int64]:
    """Equal digests → equal numbers, from 1 as first seen; the zero page is 0."""
    kinds, first, which = np.unique(digest, return_index=True, return_inverse=True)
    numbers = np.full(len(kinds), UNKNOWN, np.int64)
    numbers[np.argsort(first)] = np.arange(1, len(kinds) + 1)
    numbers[kinds == zero] = 0
    return numbers[which]
