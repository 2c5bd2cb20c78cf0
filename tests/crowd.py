"""A result of many processes, of which every one changes after every pass."""

from dataclasses import replace

import numpy as np
import polars as pl
from results import result

from analyzer.counters import KsmCounters, general_profit
from analyzer.grouping import grouped
from analyzer.result import Composition, End, ReplayResult, Savings, Sharing

WORKLOADS = 40


def crowd(processes: int, passes: int) -> ReplayResult:
    """Whose tables but for mappings and contents fit each other."""
    rng = np.random.default_rng(0)
    small = result([f"service-{at:02}" for at in range(WORKLOADS)], passes=1)
    pages = rng.integers(500, 40_000, processes)
    part = rng.normal(0.5, 0.02, (passes, processes)).clip(0.1, 0.9)
    zero = (pages // 8 * part).astype(np.int64)
    nonzero = (pages // 3 * part).astype(np.int64)
    at = np.arange(processes)
    one = small.processes.head(1)
    everyone = pl.concat([one] * processes).with_columns(
        process=pl.Series(at),
        pid=pl.Series(1000 + at),
        comm=pl.Series([f"worker-{number % 300}" for number in at]),
        workload=pl.Series([f"service-{number % WORKLOADS:02}" for number in at]),
        pages=pl.Series(pages),
        pages_captured=pl.Series(pages),
        ksm_rmap_items=pl.Series(pages),
        pages_saved_zero=pl.Series(zero[-1]),
        pages_saved_nonzero=pl.Series(nonzero[-1]),
    )
    steps = pl.DataFrame(
        {
            "full_scans": np.repeat(np.arange(1, passes + 1), processes),
            "process": np.tile(at, passes),
        }
    )
    offered = int(pages.sum())
    sums = list(zip(zero.sum(1).tolist(), nonzero.sum(1).tolist(), strict=True))
    parts = [Composition(n, z, n // 50, offered - n - z - n // 50) for z, n in sums]
    rows = [_counters(p, scan, offered) for scan, p in enumerate(parts, 1)]
    seconds = 10**9
    end = End(passes, 10 * seconds * passes, seconds * passes, later=False)
    whole = parts[-1]
    return replace(
        small,
        counters=rows[-1],
        end=end,
        savings=Savings(whole.saved_zero, whole.saved_nonzero, 0),
        sharing=Sharing(0, 0, whole.saved_nonzero),
        composition=whole,
        passes=pl.DataFrame(
            [
                {
                    "wakeups": scan,
                    **row._asdict(),
                    "time_ns": 10 * seconds * scan,
                    "cpu_ns": seconds * scan,
                }
                for scan, row in enumerate(rows, 1)
            ]
        ),
        compositions=pl.DataFrame(
            [{"full_scans": s, **p._asdict()} for s, p in enumerate(parts, 1)]
        ),
        process_savings=steps.with_columns(
            pages=pl.Series(np.tile(pages, passes)),
            pages_saved_zero=pl.Series(zero.ravel()),
            pages_saved_nonzero=pl.Series(nonzero.ravel()),
        ),
        process_passes=steps.with_columns(
            ksm_rmap_items=pl.Series(np.tile(pages, passes)),
            ksm_merging_pages=pl.Series(nonzero.ravel()),
            ksm_zero_pages=pl.Series(zero.ravel()),
            pages_unshared=pl.Series((zero // 2).ravel()),
            pages_volatile=pl.Series((zero // 3).ravel()),
            pages_split=pl.Series(np.zeros(passes * processes, np.int64)),
        ),
        processes=everyone,
        workloads=grouped(everyone, "workload", "processes", "pages"),
    )


def _counters(part: Composition, scan: int, pages: int) -> KsmCounters:
    return KsmCounters(
        pages_shared=part.kept,
        pages_sharing=part.saved_nonzero,
        pages_unshared=pages // 3,
        pages_volatile=pages // 20,
        pages_skipped=0,
        pages_scanned=pages * scan,
        full_scans=scan,
        ksm_zero_pages=part.saved_zero,
        stable_node_chains=0,
        stable_node_dups=0,
        rmap_items=pages,
        general_profit=general_profit(part.saved_nonzero, part.saved_zero, pages),
    )
