"""Where every page of a finished replay is, one page at a time."""

from pathlib import Path
from typing import Any

from analyzer.engine.state import GONE, IN_STABLE
from analyzer.knobs import KsmKnobs
from analyzer.outcome import Outcome
from analyzer.replay import Staged


def finished(trace: Path, knobs_: KsmKnobs, **more: Any) -> Staged:
    """A detailed replay, run to its end."""
    staged = Staged([trace], knobs_, detail=True, **more)
    for _ in staged:
        pass
    return staged


def rows_of(outcome: Outcome) -> list[dict[str, Any]]:
    """What is known of every page, spelled out."""
    host = outcome.host
    names = host.processes["workload"].to_list()
    rows = []
    kinds = host.mappings["kind"].to_list()
    for segment, process in enumerate(host.segment_process.tolist()):
        mapping = int(host.mapping[segment])
        for row in range(host.start[segment], host.start[segment + 1]):
            gone = bool(outcome.where[row] & GONE)
            rows.append(
                {
                    "process": process,
                    "workload": names[process],
                    "kind": kinds[mapping],
                    "offered": bool(outcome.offered[segment]),
                    "digest": int(host.digest[row : row + 1].view("i8")[0]),
                    "zero": host.digest[row] == host.zero,
                    "before": int(host.frame[row]),
                    "after": None if gone else int(outcome.after[row]),
                    "merged": bool(outcome.where[row] & IN_STABLE),
                }
            )
    return rows
