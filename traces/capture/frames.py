"""Physical frames → opaque numbers, and what the kernel says about each frame.

Needs CAP_SYS_ADMIN (the frame numbers in pagemap) and root (/proc/kpageflags). A
physical address is never stored: frames and large folios are numbered in order of first
sight, which tells nothing about where they lie and compresses well.
"""

import os
import re
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from traces.schema import PAGE_SIZE

# Bits of include/uapi/linux/kernel-page-flags.h.
ANON: Final = 1 << 12
_COMPOUND_HEAD: Final = 1 << 15
_COMPOUND_TAIL: Final = 1 << 16
KSM: Final = 1 << 21
ZERO_PAGE: Final = 1 << 24

# Anonymous folios are at most one huge page: 512 frames, and aligned to their size.
_FOLIO_FRAMES: Final = 512
# Reading a few unwanted flags is cheaper than another call.
_GAP_FRAMES: Final = 32

Frames = npt.NDArray[np.int64]
Flags = npt.NDArray[np.uint64]


class FirstSight:
    """Numbers things in the order in which they are first seen."""

    def __init__(self) -> None:
        # Indexed by frame number, 0 is "not yet seen". Pages of it that are never
        # touched take no memory: four bytes per frame that is.
        self._numbers = np.zeros(1 << 20, np.int32)
        self._next = 0

    def number(
        self, things: Frames, own: npt.NDArray[np.bool_] | None = None
    ) -> Frames:
        """The number of each of *things*; those in *own* get a fresh one each."""
        self._reach(int(things.max(initial=0)))
        numbers = self._numbers[things].astype(np.int64) - 1
        if own is not None:
            numbers[own] = -1
        fresh = np.flatnonzero(numbers < 0)
        keys = things[fresh]
        single = np.zeros(len(fresh), bool) if own is None else own[fresh]
        shared = np.flatnonzero(~single)
        # Written from the last to the first, the earliest position stays.
        self._numbers[keys[shared[::-1]]] = shared[::-1] + 1
        first = single | (self._numbers[keys] == np.arange(1, len(fresh) + 1))
        count = np.cumsum(first) + self._next
        self._numbers[keys[first & ~single]] = count[first & ~single]
        self._next += int(np.count_nonzero(first))
        numbers[fresh] = np.where(single, count, self._numbers[keys]) - 1
        return numbers

    def fresh(self, count: int) -> Frames:
        """*count* numbers that nothing else gets."""
        first = self._next
        self._next += count
        return np.arange(first, self._next)

    def _reach(self, thing: int) -> None:
        size = len(self._numbers)
        if thing >= size:
            grown = np.zeros(max(2 * size, thing + 1), np.int32)
            grown[:size] = self._numbers
            self._numbers = grown


class FrameFacts(NamedTuple):
    """What /proc/kpageflags says of frames, one element each."""

    flags: Flags
    head: Frames
    """First frame of the large folio; -1 where the frame is a folio by itself."""


class PageFlags:
    """An open /proc/kpageflags. Raises OSError where it may not be read."""

    def __init__(self) -> None:
        self._file = os.open("/proc/kpageflags", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._file)

    def of(self, frames: Frames, *, singly: bool) -> FrameFacts:
        """Flags and folio heads of *frames*, in any order.

        Flags are the dearest thing to ask the kernel for. Where the host is known to
        have no KSM pages and no large folios but huge pages, not each frame need be
        asked about (*singly*): the first one of every aligned block of 512 tells
        whether the block is a huge page or the huge zero page, and the others are
        taken to be anonymous.
        """
        if not len(frames):
            return FrameFacts(np.empty(0, np.uint64), np.empty(0, np.int64))
        return self._each(frames) if singly else self._by_block(frames)

    def _by_block(self, frames: Frames) -> FrameFacts:
        blocks = frames // _FOLIO_FRAMES
        firsts = np.zeros(int(blocks.max()) + 1, np.uint64)
        touched = np.zeros(len(firsts), bool)
        touched[blocks] = True
        for block in np.flatnonzero(touched).tolist():
            self._fill(firsts[block : block + 1], block * _FOLIO_FRAMES)
        huge = np.uint64(_COMPOUND_HEAD | ANON)
        is_huge = ((firsts & huge) == huge)[blocks]
        zero = (firsts & np.uint64(_COMPOUND_HEAD | ZERO_PAGE))[blocks]
        is_zero = zero == np.uint64(_COMPOUND_HEAD | ZERO_PAGE)
        return FrameFacts(
            np.where(is_zero, np.uint64(ZERO_PAGE), np.uint64(ANON)),
            np.where(is_huge & ~is_zero, blocks * _FOLIO_FRAMES, -1),
        )

    def _each(self, frames: Frames) -> FrameFacts:
        order = np.argsort(frames, kind="stable")
        ascending = frames[order]
        cuts = np.flatnonzero(np.diff(ascending) > _GAP_FRAMES) + 1
        first, last = np.append(0, cuts), np.append(cuts, len(frames)) - 1
        starts, sizes = ascending[first], ascending[last] - ascending[first] + 1
        offsets = np.cumsum(sizes) - sizes
        flags = np.zeros(sizes.sum(), np.uint64)
        for start, size, at in zip(
            starts.tolist(), sizes.tolist(), offsets.tolist(), strict=True
        ):
            self._fill(flags[at : at + size], start)
        heads = self._heads(flags, starts, sizes, offsets)
        places = ascending + np.repeat(offsets - starts, last - first + 1)
        facts = FrameFacts(
            np.empty_like(flags, shape=len(frames)), np.empty_like(frames)
        )
        facts.flags[order] = flags[places]
        facts.head[order] = heads[places]
        return facts

    def _heads(
        self, flags: Flags, starts: Frames, sizes: Frames, offsets: Frames
    ) -> Frames:
        """The folio head of every frame in ranges of *flags*; -1 for small folios."""
        large = (flags & np.uint64(_COMPOUND_HEAD | _COMPOUND_TAIL)) != 0
        if not large.any():
            return np.full(len(flags), -1, np.int64)
        frames = np.arange(len(flags)) + np.repeat(starts - offsets, sizes)
        is_head = (flags & np.uint64(_COMPOUND_HEAD)) != 0
        heads = np.where(is_head, frames, -1)
        cut_off = (flags[offsets] & np.uint64(_COMPOUND_TAIL)) != 0
        for start, at in zip(
            starts[cut_off].tolist(), offsets[cut_off].tolist(), strict=True
        ):
            heads[at] = self._head_before(start)
        # A tail belongs to the last head before it, heads ascending with the frames.
        return np.where(large, np.maximum.accumulate(heads), -1)

    def _head_before(self, tail: int) -> int:
        """The head of the folio that frame *tail* is a tail of."""
        start = tail // _FOLIO_FRAMES * _FOLIO_FRAMES
        before = np.zeros(tail - start, np.uint64)
        self._fill(before, start)
        heads = np.flatnonzero(before & np.uint64(_COMPOUND_HEAD))
        return start + int(heads[-1]) if len(heads) else -1

    def _fill(self, flags: Flags, start: int) -> None:
        """Read the flags of as many frames as *flags* has room for."""
        view = flags.data.cast("B")
        done = 0
        while done < len(view):
            got = os.preadv(self._file, [view[done:]], start * 8 + done)
            if got == 0:
                break
            done += got


class Nodes:
    """Which NUMA node a frame belongs to."""

    def __init__(self, system: Path = Path("/sys/devices/system")) -> None:
        self._single = 0
        self._block = 1
        self._nodes = np.empty(0, np.int8)
        folders = [
            folder
            for folder in system.glob("node/node*")
            if re.fullmatch(r"node\d+", folder.name)
        ]
        if len(folders) > 1:
            self._single = -1
            self._learn(system, folders)

    def of(self, frames: Frames | None, count: int) -> npt.NDArray[np.int8]:
        """The node of each of *count* *frames*; -1 where it is unknown."""
        if frames is None or not len(self._nodes):
            return np.full(count, self._single, np.int8)
        blocks = frames // self._block
        known = (blocks >= 0) & (blocks < len(self._nodes))
        nodes = self._nodes[np.where(known, blocks, 0)]
        return np.where(known, nodes, np.int8(-1))

    def _learn(self, system: Path, folders: list[Path]) -> None:
        try:
            size = int((system / "memory/block_size_bytes").read_text(), 16)
        except (OSError, ValueError):
            return
        owners = {
            int(block.name.removeprefix("memory")): int(folder.name[4:])
            for folder in folders
            for block in folder.glob("memory[0-9]*")
        }
        self._block = size // PAGE_SIZE
        self._nodes = np.full(max(owners, default=-1) + 1, -1, np.int8)
        for block, node in owners.items():
            self._nodes[block] = node
