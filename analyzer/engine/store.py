"""The arrays of a simulated machine, growing as processes need them."""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from analyzer.engine import redblack, slots, totals, unstable
from analyzer.engine.slots import NONE, State

_T = TypeVar("_T", bound=np.generic)

Slots = npt.NDArray[np.int32]
Vpns = npt.NDArray[np.int64]


class Store:
    """Owns the `State`; arrays are replaced as they grow, so ask for it anew.

    *ordered* says that contents sort as bytes do, and trees are to be walked.
    """

    def __init__(self, ordered: bool) -> None:
        self.ordered = ordered
        self.used_slots = 0
        self.state = _empty_state()

    def new_slots(self, count: int) -> Slots:
        """Slots without a page, in ascending order."""
        first = self.used_slots
        self.used_slots += count
        state = self.state
        if self.used_slots > len(state.where):
            size = max(2 * len(state.where), self.used_slots)
            self.state = state = state._replace(
                where=_grown(state.where, size),
                frame=_grown(state.frame, size),
                checksum=_grown(state.checksum, size),
                age=_grown(state.age, size),
                skips=_grown(state.skips, size),
                left=_grown(state.left, size),
            )
        made = np.arange(first, self.used_slots, dtype=np.int32)
        state.where[made] = slots.ABSENT
        state.checksum[made] = slots.NEVER_SEEN
        return made

    def make_frames(self, count: int) -> None:
        """Room for *count* more frames."""
        state = self.state
        wanted = int(state.totals[totals.FRAMES_USED]) + count
        if wanted > len(state.content):
            size = max(2 * len(state.content), wanted)
            folio = state.folio
            if len(folio):
                folio = np.concatenate(
                    [folio, np.full(size - len(folio), NONE, np.int32)]
                )
            self.state = state._replace(
                content=_grown(state.content, size),
                node=_grown(state.node, size),
                extra=_grown(state.extra, size),
                born=_grown(state.born, size),
                folio=folio,
            )

    def make_trees(self, contents: int) -> None:
        """Room for content numbers below *contents*."""
        state = self.state
        if contents > len(state.trees):
            # A row is large and a content seldom comes back: grow by a quarter.
            size = max(len(state.trees) * 5 // 4, contents)
            trees = np.zeros((size, slots.TREE_COLUMNS), np.int32)
            trees[:, [slots.HEAD, slots.UNSTABLE_SLOT, slots.UNSTABLE_SCAN]] = NONE
            trees[: len(state.trees)] = state.trees
            self.state = state._replace(trees=trees, pruned=_grown(state.pruned, size))

    def note_order(self, contents: list[int]) -> None:
        """Contents in order of their numbers, where they sort as bytes do."""
        known = len(self.state.order)
        if self.ordered and known < len(contents):
            order = np.concatenate(
                [self.state.order, np.array(contents[known:], np.int64)]
            )
            stable = np.zeros((len(order) + 1, redblack.COLUMNS), np.int32)
            stable[: len(self.state.stable)] = self.state.stable
            self.state = self.state._replace(order=order, stable=stable)

    def put_in_folios(self, wanted: Slots, folios: Slots) -> None:
        """The frames that *wanted* slots map alone become parts of *folios*."""
        state = self.state
        if not len(state.folio):
            none = np.full(len(state.content), NONE, np.int32)
            state = state._replace(folio=none)
        new = int(folios.max()) + 1 - len(state.folio_split)
        if new > 0:
            state = state._replace(
                folio_split=np.append(state.folio_split, np.zeros(new, bool)),
                folio_locked=np.append(state.folio_locked, np.zeros(new, bool)),
                folio_start=np.append(
                    state.folio_start, np.full(new, state.folio_start[-1])
                ),
            )
        own = (state.where[wanted] & slots.PAGELESS) == 0
        own &= state.node[state.frame[wanted]] == 0
        state.folio[state.frame[wanted[own]]] = folios[own]
        state.where[wanted[own]] |= np.uint16(slots.IN_FOLIO)
        self.state = state

    def for_scan(self, in_scan: bool) -> State:
        """The arrays, with room for whatever one scan can make."""
        state = self.state
        # Every slot may become the second of a pair; it may get a copy of its page
        # where folios split, or where pages came up while a scan went on.
        copies = len(state.folio_split) or in_scan
        self.make_frames(self.used_slots if copies else 0)
        wanted = int(state.totals[slots.NODES_USED]) + self.used_slots
        if wanted > len(state.nodes):
            nodes = np.zeros((2 * wanted, slots.NODE_COLUMNS), np.int32)
            nodes[: len(state.nodes)] = state.nodes
            self.state = self.state._replace(nodes=nodes)
        if self.ordered and self.used_slots >= len(state.tree):
            tree = np.zeros((2 * self.used_slots + 1, unstable.COLUMNS), np.int32)
            tree[: len(state.tree)] = state.tree
            self.state = self.state._replace(tree=tree)
        self.state = self._with_folio_slots(self.state)
        return self.state

    def _with_folio_slots(self, state: State) -> State:
        """The slots of every folio not yet split, found anew: forks add some."""
        if not len(state.folio_split) or state.folio_split.all():
            return state
        used = np.flatnonzero(
            (state.where[: self.used_slots] & (slots.IN_FOLIO | slots.ABSENT))
            == slots.IN_FOLIO
        )
        folio = state.folio[state.frame[used]]
        used, folio = used[folio >= 0], folio[folio >= 0]
        order = np.argsort(folio, kind="stable")
        sizes = np.bincount(folio, minlength=len(state.folio_split))
        return state._replace(
            folio_slots=used[order].astype(np.int32),
            folio_start=np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
        )


def _grown(values: npt.NDArray[_T], size: int) -> npt.NDArray[_T]:
    grown: npt.NDArray[_T] = np.zeros(size, values.dtype)
    grown[: len(values)] = values
    return grown


def _empty_state() -> State:
    def zeros(dtype: type) -> npt.NDArray[Any]:
        return np.zeros(64, dtype)

    trees = np.zeros((64, slots.TREE_COLUMNS), np.int32)
    trees[:, [slots.HEAD, slots.UNSTABLE_SLOT, slots.UNSTABLE_SCAN]] = NONE
    return State(
        where=zeros(np.uint16),
        frame=zeros(np.int32),
        checksum=zeros(np.int32),
        age=zeros(np.uint8),
        skips=zeros(np.uint8),
        left=zeros(np.int32),
        content=zeros(np.int32),
        node=zeros(np.int32),
        extra=zeros(np.int32),
        born=zeros(np.int32),
        folio=np.empty(0, np.int32),
        folio_split=np.empty(0, np.bool_),
        folio_locked=np.empty(0, np.bool_),
        folio_start=np.zeros(1, np.int64),
        folio_slots=np.empty(0, np.int32),
        trees=trees,
        pruned=zeros(np.int64),
        nodes=np.zeros((64, slots.NODE_COLUMNS), np.int32),
        totals=np.zeros(slots.TOTALS, np.int64),
        order=np.empty(0, np.int64),
        tree=np.empty((0, unstable.COLUMNS), np.int32),
        stable=np.empty((0, redblack.COLUMNS), np.int32),
    )
