"""What captures showed of each page last: the memory of an adoption."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from analyzer.engine import events
from analyzer.engine.slots import NONE, Settings
from analyzer.engine.store import Slots, Store, Vpns

_T = TypeVar("_T", bound=np.generic)


class Sightings:
    """The captured frames of a store's slots; see `events.adopt`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.captured: Vpns = np.empty(0, np.int64)
        """int64[slot]: the frame each page was last captured in, -1 for unknown."""
        self._holder: Slots = np.empty(0, np.int32)
        self._head: Slots = np.empty(0, np.int32)
        self._link: Slots = np.empty(0, np.int32)
        self._origin: Vpns = np.empty(0, np.int64)

    @property
    def origin(self) -> Vpns:
        """int64[frame]: the captured frame each stands for, or -1."""
        frames = len(self._store.state.content)
        self._origin = _grown(self._origin, frames)
        return self._origin

    def adopt(
        self,
        wanted: Slots,
        contents: Slots,
        frames: Vpns,
        parents: Slots,
        settings: Settings,
        in_scan: bool,
        inherit_counts: bool,
    ) -> None:
        """Let slots be what a capture shows."""
        self._cover(int(frames.max()) + 1)
        events.adopt(
            self._store.state,
            wanted,
            contents,
            frames,
            parents,
            self.captured,
            self._holder,
            self._head,
            self._link,
            self.origin,
            settings,
            in_scan,
            inherit_counts,
        )

    def index_frames(self) -> None:
        """Note who shares which captured frame; before the pages of an epoch."""
        self._cover(len(self._holder))
        events.index_frames(
            self._store.state.where,
            self.captured,
            min(self._store.used_slots, len(self.captured)),
            self._head,
            self._link,
        )

    def _cover(self, frames: int) -> None:
        slots = len(self._store.state.where)
        self.captured = _grown(self.captured, slots)
        self._link = _grown(self._link, slots)
        if frames > len(self._holder):
            size = max(frames, 2 * len(self._holder))
            self._holder = _grown(self._holder, size)
            self._head = _grown(self._head, size)


def _grown(values: npt.NDArray[_T], size: int) -> npt.NDArray[_T]:
    if size <= len(values):
        return values
    grown: npt.NDArray[_T] = np.full(size, NONE, values.dtype)
    grown[: len(values)] = values
    return grown
