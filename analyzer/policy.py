"""Who is offered to ksmd."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import polars as pl


class Offer(StrEnum):
    """The two ways a page comes to be offered."""

    ALL = "all"
    """As if every process had called prctl(PR_SET_MEMORY_MERGE), its main stack
    included: every compatible mapping, present and future."""
    CAPTURED = "captured"
    """Only mappings whose VmFlags held `mg` when they were captured."""


@dataclass(frozen=True, slots=True)
class MergePolicy:
    """Which mappings' pages are offered to ksmd."""

    offer: Offer = Offer.ALL

    def offered(self, mappings: pl.DataFrame) -> npt.NDArray[np.bool_]:
        """One bool per row of *mappings*. A trace holds compatible mappings only."""
        if self.offer is Offer.ALL:
            return np.ones(mappings.height, np.bool_)
        return mappings["mergeable"].to_numpy().astype(np.bool_)

    def __str__(self) -> str:
        return self.offer.value
