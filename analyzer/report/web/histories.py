"""What processes and workloads had saved after every pass, as far as a result tells."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from analyzer.counters import RMAP_ITEM_SIZE
from analyzer.moment import figures
from analyzer.report.rows import rows
from analyzer.report.web.table import Histories
from analyzer.result import TABLES, ReplayResult
from traces.schema import PAGE_SIZE

_TOLD: Final = [
    name
    for table in ("process_savings", "process_passes")
    for name in TABLES[table][2:]
]
"""What a result has of every pass and process."""


def of_processes(result: ReplayResult, at: Sequence[int]) -> Histories:
    """Column → int64[moments, rows], the rows of the table of processes."""
    order = rows(result, "process")["process"].to_numpy()
    return {name: series[:, order] for name, series in _known(result, at).items()}


def of_workloads(result: ReplayResult, at: Sequence[int]) -> Histories:
    """The same of the table of workloads, whose rows are sums."""
    names = rows(result, "workload")["workload"]
    place = {name: row for row, name in enumerate(names)}
    owner = np.array([place[name] for name in result.processes["workload"]], np.int64)
    return {
        name: _summed(series, owner, len(names))
        for name, series in _known(result, at).items()
    }


def _known(result: ReplayResult, at: Sequence[int]) -> dict[str, npt.NDArray[np.int64]]:
    """Column → int64[moments, processes]"""
    known = {name: figures(result, name, at) for name in _TOLD}
    saved = known["pages_saved_zero"] + known["pages_saved_nonzero"]
    net = saved * PAGE_SIZE - known["ksm_rmap_items"] * RMAP_ITEM_SIZE
    return {**known, "pages_saved": saved, "net_saved": net}


def _summed(
    series: npt.NDArray[np.int64], owner: npt.NDArray[np.int64], owners: int
) -> npt.NDArray[np.int64]:
    """int64[moments, processes] added up by their owners."""
    sums = np.zeros((owners, len(series)), np.int64)
    np.add.at(sums, owner, series.T)
    return sums.T
