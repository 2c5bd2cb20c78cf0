"""Where every page of the captures ended, for those who work out what it is worth."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analyzer.counters import KsmCounters
from analyzer.host import Host
from analyzer.knobs import KsmKnobs
from analyzer.result import End


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where every row of the captures ended."""

    host: Host
    knobs: KsmKnobs
    profile: str
    costs: str
    policy: str
    settled: bool
    counters: KsmCounters
    end: End
    offered: npt.NDArray[np.bool_]
    """[segment]"""
    where: npt.NDArray[np.uint8]
    """[row] the bits of engine.state; 0 for rows that were not offered."""
    after: npt.NDArray[np.int32]
    """[row] the frame it maps now."""
    content: npt.NDArray[np.int32]
    """[frame]"""
    contents: int
    zero_contents: int
