"""The ideal: ours, the C reference and dataframes, on the same digests in memory."""

from collections.abc import Callable
from typing import Any

import numpy as np
from bench.answer import Answer
from bench.host import Host
from bench.measure import Ledger
from bench.native import CSteady
from bench.peers import duckdb_ideal, polars_ideal

from analyzer.engine.steady import Segments, steady


def our_ideal(host: Host) -> Answer:
    """The engine's answer, in the shape all contenders give it."""
    segments = Segments(
        host.segment_row, host.segment_process, host.segment_kind, host.workload
    )
    found = steady(host.digest, host.zero, segments)
    return Answer(
        totals=np.array([found.distinct, found.shared, found.merging]),
        histogram=found.histogram,
        process=found.process,
        share=found.share,
        kind=found.kind[: host.kinds],
        workload=found.workload_distinct,
    )


def test_ours_against_c_and_dataframes(
    host: Host, ledger: Ledger, built: Callable[..., Any]
) -> None:
    frame = host.frame()
    contenders: dict[str, Callable[[], Answer]] = {
        "ksm-analyze": lambda: our_ideal(host),
        "polars, streaming": lambda: polars_ideal(frame, host, "streaming"),
        "polars, in memory": lambda: polars_ideal(frame, host, "in-memory"),
    }
    if duckdb := duckdb_ideal(frame, host):
        contenders["duckdb"] = duckdb
    contenders["C"] = lambda: c_steady(host)
    answer = our_ideal(host)
    for name in contenders.keys() - {"ksm-analyze", "C"}:
        answer.check(contenders[name]())
    c_steady = built(CSteady)
    answer.check(c_steady(host))
    took = ledger.race("ideal in memory", contenders, rounds=5)
    # Dataframes leave other caches and clock rates behind than a kernel of C does.
    pair = {name: contenders[name] for name in ("C", "ksm-analyze")}
    close = ledger.race("ideal in memory, in a pair", pair, rounds=15)
    ours = close["ksm-analyze"]
    ledger.at_most("ideal: CPU of ksm-analyze / C", ours.ratio(close["C"]), 1.15)
    best = min(
        took[name].ratio(took["ksm-analyze"]) for name in took if "polars" in name
    )
    ledger.at_least("ideal: CPU of the better polars / ksm-analyze", best, 8)
