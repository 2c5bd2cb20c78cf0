"""The physical side of a piece of memory: which frame, folio and node each page has.

Known to root only. Anyone else's capture goes without, and says so.
"""

import mmap
from pathlib import Path
from typing import Final, NamedTuple

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

_MM: Final = Path("/sys/kernel/mm")
_HUGE_PAGE: Final = "hugepages-2048kB"

Entries = npt.NDArray[np.uint64]


class Found(NamedTuple):
    """What the kernel says of pages, an element each, and which are to be rows."""

    present: npt.NDArray[np.bool_]
    """False for pages that have gone since they were found."""
    eligible: npt.NDArray[np.bool_]
    """Anonymous and not the shared zero page, as far as can be told; True where the
    page has gone."""
    shared: npt.NDArray[np.bool_]
    """Other processes map it too, and it may be the shared zero page for all the
    kernel says."""
    ksm: npt.NDArray[np.bool_]
    pfn: npt.NDArray[np.int64]
    """The physical frame; -1 where it is unknown. For `Physical.number`."""
    head: npt.NDArray[np.int64]
    """The first frame of the large folio it is part of; -1 for none."""
    nid: npt.NDArray[np.int8]


class Physical:
    """Asks for frames and numbers them; a context manager.

    Every mapping of a page that ksmd had merged gets a frame number of its own; unless
    *own_frames*: then such a page has an unknown one, and may be given one of
    `fresh_frames` by whoever knows whether it had one before.
    """

    def __init__(self, *, own_frames: bool = True) -> None:
        self._own_frames = own_frames
        self._flags = _page_flags()
        self._zero_frame = _zero_frame()
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
        self.close()

    def close(self) -> None:
        """Give back the open file."""
        if self._flags is not None:
            self._flags.close()

    def fresh_frames(self, count: int) -> npt.NDArray[np.int64]:
        """*count* numbers of frames that nothing else has."""
        return self._frames.fresh(count)

    def find(self, entries: Entries) -> Found:
        """Look up pages by their pagemap *entries*."""
        count = len(entries)
        nothing = np.zeros(count, bool)
        present = (entries & np.uint64(PRESENT)) != 0
        shared = (entries & np.uint64(EXCLUSIVE)) == 0
        head = np.full(count, UNKNOWN, np.int64)
        if self._flags is None:
            nid = self._nodes.of(None, count)
            return Found(present, ~nothing, shared, nothing, head, head, nid)

        pfn = (entries & np.uint64(FRAME_MASK)).astype(np.int64)
        eligible = ~present | (pfn != self._zero_frame)
        asked = np.flatnonzero(present & eligible)
        facts = self._flags.of(pfn[asked], singly=_has_special_frames())
        eligible[asked[(facts.flags & np.uint64(ZERO_PAGE)) != 0]] = False
        # Neither of a file nor anonymous: freed since its entry was read.
        anonymous = (facts.flags & np.uint64(ANON | ZERO_PAGE)) != 0
        present[asked[~anonymous]] = False
        ksm = nothing.copy()
        ksm[asked] = (facts.flags & np.uint64(KSM)) != 0
        head[asked] = np.where(anonymous, facts.head, UNKNOWN)
        nid = self._nodes.of(pfn, count)
        return Found(present, eligible, nothing, ksm, pfn, head, nid)

    def number(
        self, found: Found, rows: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """The frames and folios of some *rows* of *found*, those that are stored.

        Only they get numbers, so that there are no more of these than rows.
        """
        pfn, ksm, head = found.pfn[rows], found.ksm[rows], found.head[rows]
        folio = np.full(len(rows), UNKNOWN, np.int32)
        if self._flags is None:
            return pfn, folio
        large = head >= 0
        folio[large] = self._folios.number(head[large])
        # A replay starts as after run=2, where every mapping of a page that ksmd had
        # merged has a copy of its own.
        if self._own_frames:
            return self._frames.number(pfn, ksm), folio
        frame = np.full(len(rows), UNKNOWN, np.int64)
        frame[~ksm] = self._frames.number(pfn[~ksm])
        return frame, folio


def _page_flags() -> PageFlags | None:
    """None unless the kernel shows us frame numbers and their flags."""
    if not _own_frame(written=True):
        return None
    try:
        return PageFlags()
    except OSError:
        return None


def _zero_frame() -> int:
    """The frame of the shared zero page: what a page that was only read maps."""
    return _own_frame(written=False)


def _own_frame(*, written: bool) -> int:
    """The frame of a page of ours; 0 where we may not know."""
    area = mmap.mmap(-1, PAGE_SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    page = np.frombuffer(area, np.uint8)
    if written:
        page[0] = 1
    page.max()
    vpn = np.array([page.ctypes.data // PAGE_SIZE])
    try:
        with PageMap("self") as pagemap:
            return int(pagemap.entries(vpn)[0]) & FRAME_MASK
    except OSError:
        # A program that has dropped privileges may not look into itself.
        return 0


def _has_special_frames() -> bool:
    """Whether the host has KSM pages, or large anonymous folios other than huge pages,
    or does not say."""
    try:
        if int((_MM / "ksm/pages_shared").read_text()):
            return True
        # Sizes that only shared memory can have do not count anonymous folios.
        counts = {
            file.parts[-3]: int(file.read_text())
            for file in _MM.glob("transparent_hugepage/hugepages-*/stats/nr_anon")
        }
        others = [count for size, count in counts.items() if size != _HUGE_PAGE]
        return _HUGE_PAGE not in counts or any(others)
    except (OSError, ValueError):
        return True
