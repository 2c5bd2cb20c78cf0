"""The ideal in full, as each contender has to deliver it."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Answer:
    """Counts of rows; contents do not count the zero page."""

    totals: npt.NDArray[np.int64]
    """Distinct contents, those found in several rows, the rows that hold them."""
    histogram: npt.NDArray[np.int64]
    """[40] contents found in 2^k to 2^(k+1) - 1 rows, from two rows on."""
    process: npt.NDArray[np.int64]
    """[processes, 5] rows, zero, distinct contents, merging, shared with others."""
    share: npt.NDArray[np.float64]
    """[processes] the sum of 1 - 1/n over its rows, n rows having that content."""
    kind: npt.NDArray[np.int64]
    """[kinds, 4] rows, zero, merging, shared between processes."""
    workload: npt.NDArray[np.int64]
    """[workloads] distinct contents."""

    def check(self, other: "Answer") -> None:
        """Raises AssertionError unless *other* is the same in every figure."""
        for field in fields(self):
            mine: Any = getattr(self, field.name)
            theirs: Any = getattr(other, field.name)
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, err_msg=field.name)
