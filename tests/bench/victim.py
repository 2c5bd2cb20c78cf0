"""A process to be captured, whose memory is known: run as a program.

`python victim.py PAGES` lays out PAGES pages of 4 KiB in runs of 16, says where they
are in one line of JSON on stdout, and stays until its stdin is closed.
"""

import json
import mmap
import sys
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

RUN: Final = 16
_PAGE: Final = 4096


class Kind(IntEnum):
    """What a run of pages is."""

    HOLE = 0
    """Never touched."""
    TOUCHED = 1
    """Only read: maps the kernel's zero page."""
    ZERO = 2
    """Written with zeros."""
    DATA = 3


_SHARES: Final = {Kind.HOLE: 0.09, Kind.TOUCHED: 0.05, Kind.ZERO: 0.35, Kind.DATA: 0.51}


@dataclass(frozen=True)
class Layout:
    """Which run is what; follows from the number of pages alone."""

    kind: npt.NDArray[np.int64]
    """[run]"""

    @classmethod
    def of(cls, pages: int) -> "Layout":
        """The layout of *pages* pages."""
        rng = np.random.default_rng(1)
        drawn = rng.choice(list(_SHARES), pages // RUN, p=list(_SHARES.values()))
        return cls(drawn.astype(np.int64))

    def written(self) -> npt.NDArray[np.int64]:
        """Numbers of the pages that hold something, zeros among them."""
        runs = np.flatnonzero(self.kind >= Kind.ZERO)
        return (runs[:, None] * RUN + np.arange(RUN)).ravel()


def content(run: int) -> npt.NDArray[np.uint64]:
    """The words of a DATA run."""
    return np.random.default_rng(run).integers(1, 1 << 63, RUN * 512, np.uint64)


def main(pages: int) -> None:
    """Lay out, tell, wait."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    memory = mmap.mmap(-1, pages * _PAGE, flags=flags)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    words = np.frombuffer(memory, np.uint64).reshape(-1, RUN * 512)
    touched = 0
    for run, kind in enumerate(Layout.of(pages).kind.tolist()):
        if kind == Kind.TOUCHED:
            touched += int(words[run, ::512].sum())
        elif kind == Kind.ZERO:
            words[run, ::512] = 0
        elif kind == Kind.DATA:
            words[run] = content(run)
    print(json.dumps({"address": words.ctypes.data, "touched": touched}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]))
