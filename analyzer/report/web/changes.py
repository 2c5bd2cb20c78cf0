"""How a row's figures came about, short: most rows of a replay settle soon.

A series is told from its last value backwards, a step for every moment: by how much
the value was more. Of moments that were the same only their number is told, in a list
of its own; those before the first step are left out.
"""

import json
from typing import Any

import numpy as np
import numpy.typing as npt

Changes = list[int | list[int]]


def changes(series: npt.NDArray[np.int64]) -> Changes:
    """int64[moments] → the steps; none where nothing ever changed."""
    steps = np.diff(series[::-1])
    places = np.flatnonzero(steps)
    told: Changes = []
    for same, step in zip(
        np.diff(places, prepend=-1).tolist(), steps[places].tolist(), strict=True
    ):
        told += [[same - 1], step] if same > 1 else [step]
    return told


def length(told: Any) -> int:
    """The characters of *told* as JSON."""
    return len(json.dumps(told, separators=(",", ":")))
