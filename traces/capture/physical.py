"""The physical side of a piece of memory: which frame, folio and node each page has.

Known to root only. Anyone else's capture goes without, and says so.
"""

import ctypes
import mmap
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from traces.capture.frames import (
    ANON,
    KSM,
    ZERO_PAGE,
    FirstSight,
    Nodes,
    PageFlags,
)
from traces.capture.pagemap import EXCLUSIVE, FRAME_MASK, PRESENT, PageMap
from traces.schema import PAGE_SIZE, UNKNOWN

Entries = npt.NDArray[np.uint64]


class Found(NamedTuple):
    """What the kernel says of pages, an element each: columns of the trace's rows,
    and which of the pages are to be rows."""

    present: npt.NDArray[np.bool_]
    """False for pages that have gone since they were found."""
    eligible: npt.NDArray[np.bool_]
    """Anonymous and not the shared zero page, as far as can be told."""
    shared: npt.NDArray[np.bool_]
    """Other processes map it too, and it may be the shared zero page for all the
    kernel says."""
    ksm: npt.NDArray[np.bool_]
    frame: npt.NDArray[np.int64]
    folio: npt.NDArray[np.int32]
    nid: npt.NDArray[np.int8]


class Physical:
    """Asks for frames and numbers them; a context manager."""

    def __init__(self) -> None:
        self._flags = _page_flags()
        self._nodes = Nodes()
        self._frames = FirstSight()
        self._folios = FirstSight()

    @property
    def known(self) -> bool:
        """Whether frames can be told apart."""
        return self._flags is not None

    def __enter__(self) -> "Physical":
        return self

    def __exit__(self, *_: object) -> None:
        if self._flags is not None:
            self._flags.close()

    def find(self, entries: Entries | None, count: int) -> Found:
        """Look up and number *count* pages by their pagemap *entries*, if read."""
        nothing = np.zeros(count, bool)
        present, shared = ~nothing, nothing
        if entries is not None:
            present = (entries & np.uint64(PRESENT)) != 0
            shared = (entries & np.uint64(EXCLUSIVE)) == 0
        folio = np.full(count, UNKNOWN, np.int32)
        if entries is None or self._flags is None:
            frame = np.full(count, UNKNOWN, np.int64)
            nid = self._nodes.of(None, count)
            return Found(present, ~nothing, shared, nothing, frame, folio, nid)

        pfn = (entries & np.uint64(FRAME_MASK)).astype(np.int64)
        facts = self._flags.of(pfn)
        eligible = (facts.flags & np.uint64(ANON | ZERO_PAGE)) == np.uint64(ANON)
        ksm = (facts.flags & np.uint64(KSM)) != 0
        rows = np.flatnonzero(present & eligible)
        # A replay starts as after run=2, where every mapping of a page that ksmd had
        # merged has a copy of its own.
        frame = np.full(count, UNKNOWN, np.int64)
        frame[rows] = self._frames.number(pfn[rows], ksm[rows])
        large = rows[facts.head[rows] >= 0]
        folio[large] = self._folios.number(facts.head[large])
        nid = self._nodes.of(pfn, count)
        return Found(present, eligible, nothing, ksm, frame, folio, nid)


def _page_flags() -> PageFlags | None:
    """None unless the kernel shows us frame numbers and their flags."""
    probe = mmap.mmap(-1, PAGE_SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    probe[0] = 1
    address = ctypes.addressof(ctypes.c_char.from_buffer(probe))
    with PageMap("self") as pagemap:
        entry = pagemap.entries(np.array([address // PAGE_SIZE]))[0]
    if not int(entry) & FRAME_MASK:
        return None
    try:
        return PageFlags()
    except OSError:
        return None
