"""The engine behind the reference's interface: Pages in, KsmCounters out.

So a test can let both walk side by side, wake-up by wake-up. Nothing is read from a
trace on the way; tests of the whole replay do that.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

import numba
import numpy as np
from reference import ZERO, Page

from analyzer.counters import KsmCounters, ksm_stat
from analyzer.engine import kernel, state
from analyzer.knobs import KsmKnobs
from analyzer.totals import counters_of


class Engine:
    """The compiled ksmd over *processes*, which are listed in order of registration."""

    def __init__(
        self, processes: Sequence[Sequence[Page]], knobs: KsmKnobs | None = None
    ) -> None:
        self.knobs = knobs or KsmKnobs()
        pages = [page for process in processes for page in sorted(process)]
        self.starts = np.cumsum([0, *map(len, processes)])
        first_of_frame = {page.frame: page for page in reversed(pages)}
        number = {frame: at for at, frame in enumerate(first_of_frame)}
        frames = [number[page.frame] for page in pages]
        contents = self._contents(pages)
        folios = _numbered(page.folio for page in first_of_frame.values())
        self.state = state.new_state(
            np.array(frames, np.int32),
            np.array(
                [contents[self._key(page)] for page in first_of_frame.values()],
                np.int32,
            ),
            np.array(
                [folios.get(page.folio, -1) for page in first_of_frame.values()],
                np.int32,
            )
            if folios
            else None,
        )
        if numba.config.DISABLE_JIT:
            self.state = _python_integers(self.state)

    def wake_up(self) -> bool:
        return bool(
            kernel.wake_up(
                self.state,
                self.knobs.pages_to_scan,
                self.knobs.max_page_sharing,
                self.knobs.use_zero_pages,
                self.knobs.smart_scan,
                self.zero_contents,
            )
        )

    def full_scan(self) -> int:
        wakeups = 1
        while not self.wake_up():
            wakeups += 1
        return wakeups

    def counters(self) -> KsmCounters:
        return counters_of(self.state.totals.tolist())

    def process(self, number: int) -> dict[str, int]:
        return ksm_stat(*self._figures(number)[:3])

    def unmerged(self, number: int) -> tuple[int, int]:
        """A process's items in the unstable tree, and those in no tree at all."""
        unshared, volatile = self._figures(number)[3:5]
        return unshared, volatile

    def _figures(self, number: int) -> list[int]:
        figures = np.zeros((len(self.starts) - 1, 6), np.int64)
        kernel.tally(self.state.where, self.starts, figures)
        found: list[int] = figures[number].tolist()
        return found

    def _key(self, page: Page) -> tuple[bool, Hashable, int]:
        """Zero contents sort first; each NUMA node has its own where nodes do not
        merge with each other."""
        nid = 0 if self.knobs.merge_across_nodes else page.nid
        return page.content != ZERO, page.content, nid

    def _contents(self, pages: list[Page]) -> dict[Hashable, int]:
        """Content numbers as the engine wants them: zero ones from 0 on, and those
        that occur once negative."""
        copies = Counter(self._key(page) for page in pages)
        zero = sorted(key for key in copies if not key[0])
        self.zero_contents = len(zero)
        repeated = [key for key, n in copies.items() if key[0] and n > 1]
        single = [key for key, n in copies.items() if key[0] and n == 1]
        numbers = {key: at for at, key in enumerate([*zero, *repeated])}
        return numbers | {key: -1 - at for at, key in enumerate(single)}


def _numbered(names: Iterable[Hashable]) -> dict[Hashable, int]:
    distinct = dict.fromkeys(name for name in names if name is not None)
    return {name: number for number, name in enumerate(distinct)}


def _python_integers(arrays: state.State) -> state.State:
    """The same arrays for the uncompiled engine: numpy's small integers wrap around,
    and its booleans add up to a boolean, where compiled code widens both."""
    wide = {name: a.astype(np.int64) for name, a in arrays._asdict().items()}
    return state.State(**wide | {"trees": arrays.trees.astype(object)})
