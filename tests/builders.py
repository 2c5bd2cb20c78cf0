"""Traces that one can read in a test: a letter is a content, 'Z' is the zero page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash

from traces.schema import Facts, PageFlag, Pages
from traces.writer import TraceWriter

ZERO_DIGEST = np.uint64(xxhash.xxh3_64_intdigest(bytes(4096))).view(np.int64)


def digest(content: str | int) -> int:
    """The stored digest of a letter or a content number; 'Z' and 0 are zero."""
    if content in ("Z", 0):
        return int(ZERO_DIGEST)
    word = f"content {content}".encode()
    return int(np.uint64(xxhash.xxh3_64_intdigest(word)).view(np.int64))


@dataclass(frozen=True)
class Proc:
    """A process of one anonymous mapping, for `trace_file`."""

    contents: str | Sequence[int]
    pid: int = 1
    comm: str = "a"
    workload: str = "w"
    frames: Sequence[int] | None = None
    folios: Sequence[int] | None = None
    vpns: Sequence[int] | None = None
    mergeable: bool = True
    fills: str = ""
    nid: int = 0
    ppid: int = -1
    vm: str = ""
    flags: Sequence[int] | None = None
    """Beside FILL, which follows from *fills*."""


FACTS = Facts(
    host="host",
    kernel="6.18.0",
    captured_at="2026-01-01T00:00:00+00:00",
    source="synthetic",
    tool="tests",
    zero_digest=int(ZERO_DIGEST),
    seed_id="0",
)


def trace_file(
    path: Path, *procs: Proc, facts: Facts = FACTS, extra: Mapping[str, int] = {}
) -> Path:
    """Write a trace of *procs*, in that order; *extra* are process columns."""
    with TraceWriter(path) as writer:
        writer.begin_epoch(0)
        next_frame = 0
        for proc in procs:
            count = len(proc.contents)
            first = writer.add_process(
                {
                    "host": facts.host,
                    "pid": proc.pid,
                    "ppid": proc.ppid,
                    "vm": proc.vm,
                    "comm": proc.comm,
                    "workload": proc.workload,
                    **extra,
                },
                [
                    {
                        "start_vpn": 0,
                        "pages": max([count, *(vpn + 1 for vpn in proc.vpns or ())]),
                        "perms": "rw-p",
                        "kind": "anon",
                        "name": "",
                        "mergeable": proc.mergeable,
                    }
                ],
            )
            frames = proc.frames
            if frames is None:
                frames = range(next_frame, next_frame + count)
            next_frame = max([next_frame, *(frame + 1 for frame in frames)])
            writer.add_pages(
                Pages(
                    mapping=np.full(count, first, np.int32),
                    vpn=np.array(proc.vpns or range(count), np.int64),
                    digest=np.array([digest(c) for c in proc.contents], np.int64),
                    frame=np.array(frames, np.int64),
                    folio=np.array(proc.folios or [-1] * count, np.int32),
                    nid=np.full(count, proc.nid, np.int8),
                    flags=np.array(
                        [
                            flags | (PageFlag.FILL if str(c) in proc.fills else 0)
                            for c, flags in zip(
                                proc.contents, proc.flags or [0] * count, strict=True
                            )
                        ],
                        np.uint16,
                    ),
                )
            )
        writer.finish(facts)
    return path
