"""How a replay went on, as columns of whole numbers: what the scrubber chooses from."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from analyzer.counters import RMAP_ITEM_SIZE
from analyzer.moment import course, moments
from analyzer.result import Composition, ReplayResult
from analyzer.worth import pass_of

MOST: Final = 500
"""Moments of one report: of more full scans, as many spread evenly."""

STATES: Final[Mapping[str, str]] = {
    "saved_nonzero": "saved, non-zero",
    "saved_zero": "saved, zero",
    "kept": "kept or forked",
    "volatile": "volatile",
    "unshared": "unshared",
    "unscanned": "not scanned",
}
"""Pages by state, from the bottom of the chart to its top."""

PARTS: Final[Mapping[str, str]] = {
    "saved_nonzero": "saved, non-zero",
    "saved_zero": "saved, zero",
    "kept": "kept copies",
    "unmerged": "unmerged",
}
"""Frames by what became of them: `Composition`."""

_COUNTERS: Final = ("pages_sharing", "pages_shared", "general_profit", "rmap_items")


class Course:
    """Some moments of a result, the last being its end."""

    def __init__(self, result: ReplayResult) -> None:
        self.at = _spread(result)
        """Their places among the moments of `analyzer.moment`."""
        self.columns = _columns(result, self.at)
        """Name → a value for each of them."""

    def __len__(self) -> int:
        return len(self.at)

    def row(self, at: int) -> dict[str, Any]:
        """Column → value at one of them."""
        return {name: values[at] for name, values in self.columns.items()}


def _spread(result: ReplayResult) -> list[int]:
    last = moments(result) - 1
    if last < MOST:
        return list(range(last + 1))
    steps = {round(step * last / (MOST - 1)) for step in range(MOST)}
    enough = pass_of(result)
    return sorted(steps | ({enough - 1} if enough is not None else set()))


def _columns(result: ReplayResult, at: Sequence[int]) -> dict[str, list[Any]]:
    frame = course(result)[list(at)]
    parts = _compositions(result, at)
    times = list(zip(frame["cpu_ns"], frame["time_ns"], strict=True))
    return {
        "full_scans": frame["full_scans"].to_list(),
        **{f"state_{name}": frame[name].to_list() for name in STATES},
        **{f"part_{name}": [getattr(row, name) for row in parts] for name in PARTS},
        "offered": [sum(row) for row in parts],
        "saved": [row.saved_zero + row.saved_nonzero for row in parts],
        **{name: frame[name].to_list() for name in _COUNTERS},
        "rmap_bytes": [items * RMAP_ITEM_SIZE for items in frame["rmap_items"]],
        "cpu_share": [cpu / time if time else 0.0 for cpu, time in times],
        "cpu_milliseconds": [cpu // 1_000_000 for cpu, _ in times],
        "milliseconds": [time // 1_000_000 for _, time in times],
    }


def _compositions(result: ReplayResult, at: Sequence[int]) -> list[Composition]:
    last = moments(result) - 1
    rows = result.compositions.select(Composition._fields)
    return [
        result.composition if moment == last else Composition(*rows.row(moment))
        for moment in at
    ]
