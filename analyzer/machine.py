"""A machine in time: processes with pages, and the ksmd that scans them.

Keeps ksmd's list of processes and its cursor, and turns what processes do (mmap,
writes, fork, exit, madvise …) into changes of the engine's arrays. Names are the
caller's; pages are numbers; contents are any integers, 0 being the zero page.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from analyzer.counters import KsmCounters, general_profit, process_profit
from analyzer.engine import events, redblack, slots, unstable
from analyzer.engine.scan import scan
from analyzer.engine.slots import NONE, Settings, State
from analyzer.engine.stable import dissolve, forget, leave, sweep
from analyzer.knobs import KsmKnobs
from analyzer.profile import Profile

HUGE_PAGES: Final = 512
"""Base pages of a transparent huge page."""

_ENDLESS: Final = 1 << 62
_ZERO: Final = 0

_T = TypeVar("_T", bound=np.generic)

Slots = npt.NDArray[np.int32]
Vpns = npt.NDArray[np.int64]


@dataclass(slots=True)
class Area:
    """A mapping: pages *start* to *end* of one process."""

    start: int
    end: int
    mergeable: bool
    huge: bool


@dataclass(slots=True, eq=False)
class Process:
    """One address space, and what ksmd's list knows of it."""

    name: str
    areas: list[Area] = field(default_factory=list)
    vpns: Vpns = field(default_factory=lambda: np.empty(0, np.int64))
    slots: Slots = field(default_factory=lambda: np.empty(0, np.int32))
    """[page] parallel to vpns, ascending; pages that are gone stay while they have
    an item."""
    read_only: set[int] = field(default_factory=set)
    """Pages that map the shared zero page because they were only read."""
    listed: bool = False
    exited: bool = False
    merge_any: bool = False
    start: tuple[int, int, int] = (0, 0, 0)
    """rmap_items, merging and zero pages a fork before 6.18 began to count from."""

    @property
    def mergeable(self) -> bool:
        return any(area.mergeable for area in self.areas)


@dataclass(frozen=True, slots=True)
class _Route:
    """ksmd's list laid out as one sequence of slots."""

    processes: list[Process]
    parts: list[Slots]
    sequence: Slots
    ends: npt.NDArray[np.int64]

    def holds(self, processes: list[Process]) -> bool:
        """Whether nothing came or went; arrays of pages are replaced, not changed."""
        return self.processes == processes and all(
            process.slots is part
            for process, part in zip(processes, self.parts, strict=True)
        )


class Machine:
    """Processes and ksmd under *knobs*, as the kernel of *profile* behaves."""

    def __init__(
        self, knobs: KsmKnobs, profile: Profile, ordered: bool = False
    ) -> None:
        """*ordered* says that contents sort as the bytes of their pages do; then both
        trees are walked as the kernel walks them."""
        self.knobs, self.profile, self.ordered = knobs, profile, ordered
        self.processes: dict[str, Process] = {}
        self.list: list[Process] = []
        """ksmd's list of processes (ksm_mm_head), in order."""
        self.cursor: tuple[Process, int] | None = None
        """Where the present scan goes on: process and page; None between scans."""
        self.now = 0
        """Milliseconds."""
        self.zero_contents = 1
        """Content numbers below it are zero: one for each NUMA node whose pages do
        not merge with those of others."""
        self._contents: dict[int, int] = {0: _ZERO}
        self._loaded: dict[int, int] = {}
        self._used_slots = 0
        self._idle = False
        self._route: _Route | None = None
        self._captured: Vpns = np.empty(0, np.int64)
        self._holder: Slots = np.empty(0, np.int32)
        self._head: Slots = np.empty(0, np.int32)
        self._link: Slots = np.empty(0, np.int32)
        self._origin: Vpns = np.empty(0, np.int64)
        self._state = _empty_state()

    # What processes do.

    def spawn(self, proc: str) -> None:
        """A process without memory."""
        self.processes[proc] = Process(proc)

    def mmap(self, proc: str, start: int, n: int, mergeable: bool, huge: bool) -> None:
        """Map *n* pages, none of them touched; *mergeable* as by MADV_MERGEABLE."""
        process = self.processes[proc]
        offered = mergeable or process.merge_any
        process.areas.append(Area(start, start + n, offered, huge))
        # Slots whose items outlived an earlier area belong to this one now.
        remapped = self._inside(process, start, n)
        self._state.where[remapped] &= ~np.uint16(slots.UNOFFERED)
        if offered:
            self._enter(process)
        else:
            self._state.where[remapped] |= np.uint16(slots.UNOFFERED)

    def write(self, proc: str, start: int, contents: Sequence[int | None]) -> None:
        """Fill pages from *start* on; None leaves a page untouched."""
        process = self.processes[proc]
        written = [
            (start + at, content)
            for at, content in enumerate(contents)
            if content is not None
        ]
        self._fault_huge_pages(process, [vpn for vpn, _ in written])
        self._write(process, [v for v, _ in written], [c for _, c in written])

    def read(self, proc: str, start: int, n: int) -> None:
        """Read pages: those without one come to map the shared zero page."""
        process = self.processes[proc]
        present = set(self._present(process).tolist())
        process.read_only |= set(range(start, start + n)) - present

    def discard(self, proc: str, start: int, n: int) -> None:
        """MADV_DONTNEED."""
        process = self.processes[proc]
        self._unmap(process, self._inside(process, start, n))
        process.read_only -= set(range(start, start + n))

    def munmap(self, proc: str, start: int, n: int) -> None:
        self.discard(proc, start, n)
        process = self.processes[proc]
        self._cut(process, start, n)
        process.areas = [
            area for area in process.areas if not start <= area.start < start + n
        ]

    def merge(self, proc: str, start: int, n: int) -> None:
        """MADV_MERGEABLE."""
        self._offer(self.processes[proc], start, n, True)

    def unmerge(self, proc: str, start: int, n: int) -> None:
        """MADV_UNMERGEABLE: un-merges at once (unmerge_ksm_pages)."""
        process = self.processes[proc]
        self._unmerge(self._inside(process, start, n))
        self._offer(process, start, n, False)

    def prctl(self, proc: str, on: bool) -> None:
        """PR_SET_MEMORY_MERGE; nothing where it is set so already, or unknown."""
        process = self.processes[proc]
        if on == process.merge_any or not self.profile.merge_any:
            return
        process.merge_any = on
        for area in list(process.areas):
            if on:
                self.merge(proc, area.start, area.end - area.start)
            elif area.mergeable:
                self.unmerge(proc, area.start, area.end - area.start)
        if on:
            self._enter(process)

    def fork(self, proc: str, child: str) -> None:
        """The child shares all pages, and ksmd's interest in them (__ksm_enter)."""
        parent = self.processes[proc]
        made = Process(
            child,
            areas=[replace(area) for area in parent.areas],
            read_only=set(parent.read_only),
            merge_any=parent.merge_any,
        )
        self.processes[child] = made
        if self.profile.fork_copies_counters:
            items, merging, _ = self._figures(parent)
            made.start = items, merging, parent.start[2]
        where = self._state.where[parent.slots]
        kept = (where & slots.ABSENT) == 0
        made.vpns = parent.vpns[kept].copy()
        made.slots = self._new_slots(len(made.vpns))
        events.share(
            self._state,
            parent.slots[kept],
            made.slots,
            self.profile.fork_copies_counters,
        )
        self._state.where[made.slots] |= where[kept] & slots.UNOFFERED
        if parent.listed:
            self._enter(made)

    def exit(self, proc: str) -> None:
        """The address space goes; its items stay until ksmd comes by (__ksm_exit)."""
        process = self.processes.pop(proc)
        self._unmap(process, process.slots)
        process.exited = True
        process.areas = []
        if not process.listed:
            return
        if self.cursor and self.cursor[0] is process:
            self.cursor = process, 0
            return
        self.list.remove(process)
        process.listed = bool(np.any(self._state.where[process.slots] & slots.HAS_ITEM))
        if process.listed:
            behind = self.list.index(self.cursor[0]) + 1 if self.cursor else 0
            self.list.insert(behind, process)

    # What the administrator does.

    def set_knob(self, name: str, value: int) -> None:
        """Write a file of /sys/kernel/mm/ksm.

        Raises UsageError for a knob or value that does not exist.
        """
        files = {key: str(held) for key, held in self.knobs.as_files().items()}
        self.knobs = KsmKnobs.from_files(files | {name: str(value)})

    def sleep(self, ms: int) -> None:
        """Let time pass."""
        self.now += ms

    def pause(self) -> None:
        """run=0, and 1 again at the next scan: everything stays."""
        self._idle = False

    def unmerge_all(self) -> None:
        """run=2: un-merge all, forget all items, keep who is registered."""
        state, settings = self._state, self._settings()
        for process in list(self.list):
            if not process.exited and process.mergeable:
                # A page may have become a KSM page through a relative's area only.
                where = state.where[process.slots]
                self._unmerge(process.slots[(where & slots.UNOFFERED) == 0])
            for slot in process.slots[
                (state.where[process.slots] & slots.HAS_ITEM) != 0
            ].tolist():
                leave(self._state, slot, settings)
                self._state.where[slot] &= ~np.uint16(slots.HAS_ITEM)
                self._state.checksum[slot] = slots.NEVER_SEEN
                self._state.age[slot] = self._state.skips[slot] = 0
                self._state.totals[slots.ITEMS] -= 1
            if process.exited:
                self.list.remove(process)
                process.listed = False
        state = self._state
        for node in range(int(state.totals[slots.NODES_USED])):
            if (
                not state.nodes[node, slots.DISSOLVED]
                and not state.nodes[node, slots.MAPS]
            ):
                dissolve(state, node)
        empty = (state.trees[:, slots.CHAIN] == 1) & (
            state.trees[:, slots.HEAD] == NONE
        )
        state.trees[empty, slots.CHAIN] = 0
        for content in np.flatnonzero(empty).tolist():
            forget(state, content)
        state.totals[slots.CHAINS] -= np.count_nonzero(empty)
        state.trees[:, slots.UNSTABLE_SCAN] = NONE
        state.totals[slots.FULL_SCANS] = 0
        state.tree[:] = 0
        # Scans are numbered from the beginning again.
        state.born[:] = 0
        self.cursor = None
        self._idle = False

    # What ksmd does.

    def wake_up(self) -> bool:
        """One wake-up (ksm_do_scan); True when it ended a full scan."""
        return self._walk(self.knobs.pages_to_scan)

    def full_scan(self) -> None:
        """Scan to the end of the list."""
        while not self._walk(_ENDLESS):
            pass

    def counters(self) -> KsmCounters:
        """The kernel's global figures as they stand."""
        totals = self._state.totals.tolist()
        shared, sharing = totals[slots.SHARED], totals[slots.SHARING]
        unshared, items = totals[slots.UNSHARED], totals[slots.ITEMS]
        zero = totals[slots.ZERO_PAGES]
        return KsmCounters(
            pages_shared=shared,
            pages_sharing=sharing,
            pages_unshared=unshared,
            pages_volatile=max(items - shared - sharing - unshared, 0),
            pages_skipped=totals[slots.SKIPPED],
            pages_scanned=totals[slots.SCANNED],
            full_scans=totals[slots.FULL_SCANS],
            ksm_zero_pages=zero,
            stable_node_chains=totals[slots.CHAINS],
            stable_node_dups=totals[slots.DUPS],
            rmap_items=items,
            general_profit=general_profit(sharing, zero, items),
        )

    def process(self, proc: str) -> dict[str, int]:
        """The figures of /proc/PID/ksm_stat."""
        items, merging, zero = self._figures(self.processes[proc])
        return {
            "ksm_rmap_items": items,
            "ksm_zero_pages": zero,
            "ksm_merging_pages": merging,
            "ksm_process_profit": process_profit(merging, zero, items),
        }

    def load(
        self,
        proc: str,
        vpns: Sequence[int],
        frames: Sequence[int],
        contents: Sequence[int],
        folios: Sequence[int],
    ) -> None:
        """A process as it was captured, all its pages mergeable.

        Equal *frames* are one physical page, over all processes loaded; *folios* are
        large folios, -1 for none.
        """
        self.spawn(proc)
        self.mmap(proc, min(vpns, default=0), max(vpns, default=0) + 1, True, False)
        process = self.processes[proc]
        wanted = self._slots_of(process, np.array(vpns, np.int64))
        for slot, frame, content, folio in zip(
            wanted.tolist(), frames, contents, folios, strict=True
        ):
            known = self._loaded.get(frame)
            if known is None:
                self._loaded[frame] = slot
                self._ensure_frames(1)
                number = self._number(content)
                self._ensure_contents()
                events.fault(self._state, slot, number, False)
                if folio >= 0:
                    self._put_in_folio(np.array([slot]), folio)
            else:
                events.share(self._state, np.array([known]), np.array([slot]), True)

    def adopt(
        self,
        proc: str,
        vpns: Vpns,
        contents: Slots,
        frames: Vpns,
        folios: Slots,
        offered: npt.NDArray[np.bool_],
        locked: npt.NDArray[np.bool_],
        parent: str | None = None,
    ) -> None:
        """Let ascending pages of a process be what a capture shows.

        *contents* are numbers of `engine.numbering`, the highest told to `reserve`
        before; *frames* captured frames or -1; *offered* says which pages lie in
        mergeable areas, *locked* which in mlocked ones; *parent* is who forked the
        process, while it lives. See `events.adopt`.
        """
        process = self.processes[proc]
        if not len(vpns):
            return
        wanted = self._slots_of(process, vpns)
        self._ensure_frames(len(wanted))
        self._ensure_captured(int(frames.max()) + 1)
        self._covered(len(self._state.content))
        events.adopt(
            self._state,
            wanted,
            contents,
            frames,
            self._same_pages(parent, vpns),
            self._captured,
            self._holder,
            self._head,
            self._link,
            self._origin,
            self._settings(),
            self.cursor is not None,
            self.profile.fork_copies_counters,
        )
        where = self._state.where
        where[wanted[offered]] &= ~np.uint16(slots.UNOFFERED)
        where[wanted[~offered]] |= np.uint16(slots.UNOFFERED)
        large = np.flatnonzero(folios >= 0)
        if len(large):
            self._put_in_folios(wanted[large], folios[large])
            self._state.folio_locked[folios[large][locked[large]]] = True

    def _same_pages(self, proc: str | None, vpns: Vpns) -> Slots:
        """The slots of *vpns* in another process; NONE where it has no such page."""
        found = np.full(len(vpns), NONE, np.int32)
        process = self.processes.get(proc) if proc is not None else None
        if process is not None and len(process.vpns):
            places = np.searchsorted(process.vpns, vpns)
            places[places == len(process.vpns)] = 0
            same = process.vpns[places] == vpns
            found[same] = process.slots[places[same]]
        return found

    def index_frames(self) -> None:
        """Note who shares which captured frame; before the pages of an epoch."""
        self._ensure_captured(len(self._holder))
        events.index_frames(
            self._state.where,
            self._captured,
            min(self._used_slots, len(self._captured)),
            self._head,
            self._link,
        )

    def leave_out(self, proc: str, vpns: Vpns) -> None:
        """Pages of a process that a capture no longer shows."""
        process = self.processes[proc]
        gone = np.isin(process.vpns, vpns, assume_unique=True)
        self._unmap(process, process.slots[gone])

    def register(self, proc: str) -> None:
        """Put a process on ksmd's list, as one mergeable whole."""
        process = self.processes[proc]
        process.areas = [Area(0, 1 << 62, True, False)]
        self._enter(process)

    def reserve(self, contents: int) -> None:
        """Make room for content numbers below *contents*."""
        self._ensure_trees(contents)

    def pages(self, proc: str) -> tuple[Vpns, Slots]:
        """The pages a process has, and their slots."""
        process = self.processes[proc]
        present = (self._state.where[process.slots] & slots.ABSENT) == 0
        return process.vpns[present], process.slots[present]

    def tally(self, procs: Sequence[str]) -> npt.NDArray[np.int64]:
        """int64[procs, 4]: rmap_items, merging, zero and unshared pages of each."""
        state = self.state
        route = np.concatenate(
            [self.processes[proc].slots for proc in procs] or [np.empty(0, np.int32)]
        )
        sizes = [len(self.processes[proc].slots) for proc in procs]
        figures = np.zeros((len(procs), 4), np.int64)
        events.tally(state.where, route, np.cumsum([0, *sizes]), figures)
        for row, proc in zip(figures, procs, strict=True):
            row[:3] += self.processes[proc].start
        if not self.profile.count_zero_pages:
            figures[:, 2] = 0
        return figures

    @property
    def state(self) -> State:
        """The arrays as they stand; to be read only."""
        if self._state.totals[slots.UNSWEPT]:
            sweep(self._state, self.profile.stable_resets)
        return self._state

    @property
    def captured(self) -> Vpns:
        """int64[slot]: the frame each page was last captured in, -1 for unknown."""
        return self._captured

    @property
    def origin(self) -> Vpns:
        """int64[frame]: the captured frame each stands for, or -1."""
        return self._covered(len(self._state.content))

    def scan_for(self, wakeups: int) -> tuple[int, bool]:
        """Wake up *wakeups* times, or until a full scan has ended.

        Returns how often it woke up, and whether a scan ended. Where one wake-up ends
        and the next begins makes no difference while nothing else happens.
        """
        each = self.knobs.pages_to_scan
        before = int(self._state.totals[slots.SCANNED])
        ended = self._walk(wakeups * each)
        scanned = int(self._state.totals[slots.SCANNED]) - before
        return (scanned // each + 1, True) if ended else (wakeups, False)

    # Below: how.

    def _walk(self, budget: int) -> bool:
        if not self.list:
            self._idle = True
            return True
        route = self._planned()
        first = self._position(route)
        if self.ordered and self.cursor is None:
            unstable.clear(self._room().tree)
        done, left = scan(
            self._room(),
            route.sequence,
            first,
            len(route.sequence),
            budget,
            self.now,
            self._settings(),
        )
        begun = route.processes.index(self.cursor[0]) if self.cursor else 0
        entered = self.cursor[1] if self.cursor else 0
        if left > 0:
            self._passed(route.processes[begun:], entered)
            self.cursor = None
            self._state.totals[slots.FULL_SCANS] += 1
        else:
            at = int(np.searchsorted(route.ends, done - 1, side="right"))
            self._passed(route.processes[begun:at], entered)
            under = route.processes[at]
            page = done - 1 - int(route.ends[at]) + len(under.slots)
            self.cursor = under, int(under.vpns[page]) + 1
        self._idle = not self.list
        ended: bool = left > 0
        return ended

    def _planned(self) -> "_Route":
        """The way ksmd takes; it stays until a process comes, goes or changes."""
        route = self._route
        if route is None or not route.holds(self.list):
            sequences = [process.slots for process in self.list]
            route = self._route = _Route(
                processes=list(self.list),
                parts=sequences,
                sequence=np.concatenate(sequences),
                ends=np.cumsum([len(part) for part in sequences]),
            )
        return route

    def _position(self, route: "_Route") -> int:
        """Where in *route* the cursor stands."""
        if self.cursor is None:
            return 0
        process, vpn = self.cursor
        end = int(route.ends[route.processes.index(process)])
        return end - len(process.vpns) + int(np.searchsorted(process.vpns, vpn))

    def _passed(self, walked: Iterable[Process], first_vpn: int) -> None:
        """Drop from the list whoever ksmd found without mergeable memory.

        A process whose areas went while the cursor was inside it stays one scan more.
        """
        for nth, process in enumerate(walked):
            if process.exited or not (process.mergeable or (nth == 0 and first_vpn)):
                self.list.remove(process)
                process.listed = False

    def _enter(self, process: Process) -> None:
        """__ksm_enter(): before the cursor, so that it is visited last."""
        if process.listed:
            return
        process.listed = True
        found_empty = self._idle and not self.list
        place = self.list.index(self.cursor[0]) if self.cursor else len(self.list)
        self.list.insert(place, process)
        if found_empty:
            # ksmd was waiting for a first process: it scans at once.
            self._walk(self.knobs.pages_to_scan)

    def _write(
        self, process: Process, vpns: Sequence[int], contents: Sequence[int]
    ) -> None:
        wanted = self._slots_of(process, np.array(vpns, np.int64))
        numbers = np.array([self._number(content) for content in contents], np.int32)
        self._ensure_contents()
        self._ensure_frames(len(wanted))
        process.read_only -= set(vpns)
        events.write(
            self._state, wanted, numbers, self._settings(), self.cursor is not None
        )

    def _unmap(self, process: Process, wanted: Slots) -> None:
        events.unmap(self._state, wanted, self._settings())
        self._forget(process)

    def _unmerge(self, wanted: Slots) -> None:
        self._ensure_frames(len(wanted))
        events.unmerge(
            self._state, wanted, _ZERO, self._settings(), self.cursor is not None
        )

    def _forget(self, process: Process) -> None:
        """Drop the pages that are gone and have no item."""
        where = self._state.where[process.slots]
        kept = ((where & slots.ABSENT) == 0) | ((where & slots.HAS_ITEM) != 0)
        process.vpns, process.slots = process.vpns[kept], process.slots[kept]

    def _offer(self, process: Process, start: int, n: int, on: bool) -> None:
        self._cut(process, start, n)
        for area in process.areas:
            if start <= area.start < start + n:
                area.mergeable = on
        wanted = self._inside(process, start, n)
        if on:
            self._state.where[wanted] &= ~np.uint16(slots.UNOFFERED)
            self._enter(process)
        else:
            self._state.where[wanted] |= np.uint16(slots.UNOFFERED)

    def _cut(self, process: Process, start: int, n: int) -> None:
        """Let areas begin and end at the bounds of a range."""
        for bound in (start, start + n):
            for area in list(process.areas):
                if area.start < bound < area.end:
                    process.areas.append(replace(area, start=bound))
                    area.end = bound

    def _inside(self, process: Process, start: int, n: int) -> Slots:
        lo, hi = np.searchsorted(process.vpns, [start, start + n])
        return process.slots[lo:hi]

    def _present(self, process: Process) -> Vpns:
        where = self._state.where[process.slots]
        present: Vpns = process.vpns[(where & slots.ABSENT) == 0]
        return present

    def _fault_huge_pages(self, process: Process, vpns: Sequence[int]) -> None:
        """The first write into an empty block of a huge area makes all of it present,
        full of zeros."""
        for vpn in vpns:
            area = next((a for a in process.areas if a.start <= vpn < a.end), None)
            if area is None or not area.huge:
                continue
            first = vpn - vpn % HUGE_PAGES
            taken = self._present(process)
            lo, hi = np.searchsorted(taken, [first, first + HUGE_PAGES])
            if lo == hi and not process.read_only & set(range(first, first + 512)):
                self._fault_huge(process, first)

    def _fault_huge(self, process: Process, first: int) -> None:
        pages = np.arange(first, first + HUGE_PAGES)
        wanted = self._slots_of(process, pages)
        self._ensure_frames(HUGE_PAGES)
        zeros = np.zeros(HUGE_PAGES, np.int32)
        in_scan = self.cursor is not None
        events.write(self._state, wanted, zeros, self._settings(), in_scan)
        self._put_in_folio(wanted, len(self._state.folio_split))

    def _put_in_folio(self, wanted: Slots, folio: int) -> None:
        self._put_in_folios(wanted, np.full(len(wanted), folio, np.int32))

    def _put_in_folios(self, wanted: Slots, folios: Slots) -> None:
        state = self._state
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
        self._state = state

    def _folio_slots(self, state: State) -> State:
        """The slots of every folio not yet split, found anew: forks add some."""
        if not len(state.folio_split) or state.folio_split.all():
            return state
        used = np.flatnonzero(
            (state.where[: self._used_slots] & (slots.IN_FOLIO | slots.ABSENT))
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

    def _slots_of(self, process: Process, vpns: Vpns) -> Slots:
        """The slots of ascending *vpns*, made where there are none."""
        places = np.searchsorted(process.vpns, vpns)
        known = places < len(process.vpns)
        known[known] = process.vpns[places[known]] == vpns[known]
        if known.all():
            return process.slots[places]
        missing = np.unique(vpns[~known])
        if len(missing):
            made = self._new_slots(len(missing))
            offered = np.zeros(len(missing), bool)
            for area in process.areas:
                if area.mergeable:
                    offered |= (area.start <= missing) & (missing < area.end)
            self._state.where[made[~offered]] |= np.uint16(slots.UNOFFERED)
            places = np.searchsorted(process.vpns, missing)
            process.vpns = np.insert(process.vpns, places, missing)
            process.slots = np.insert(process.slots, places, made)
        return process.slots[np.searchsorted(process.vpns, vpns)]

    def _new_slots(self, count: int) -> Slots:
        first = self._used_slots
        self._used_slots += count
        state = self._state
        if self._used_slots > len(state.where):
            size = max(2 * len(state.where), self._used_slots)
            self._state = state = state._replace(
                where=_grown(state.where, size),
                frame=_grown(state.frame, size),
                checksum=_grown(state.checksum, size),
                age=_grown(state.age, size),
                skips=_grown(state.skips, size),
                left=_grown(state.left, size),
            )
        made = np.arange(first, self._used_slots, dtype=np.int32)
        state.where[made] = slots.ABSENT
        state.checksum[made] = slots.NEVER_SEEN
        return made

    def _ensure_frames(self, count: int) -> None:
        state = self._state
        wanted = int(state.totals[slots.FRAMES_USED]) + count
        if wanted > len(state.content):
            size = max(2 * len(state.content), wanted)
            folio = state.folio
            if len(folio):
                folio = np.concatenate(
                    [folio, np.full(size - len(folio), NONE, np.int32)]
                )
            self._state = state._replace(
                content=_grown(state.content, size),
                node=_grown(state.node, size),
                extra=_grown(state.extra, size),
                born=_grown(state.born, size),
                folio=folio,
            )

    def _ensure_contents(self) -> None:
        self._ensure_trees(len(self._contents))
        known = len(self._state.order)
        if self.ordered and known < len(self._contents):
            new = np.array(list(self._contents)[known:], np.int64)
            order = np.concatenate([self._state.order, new])
            stable = np.zeros((len(order) + 1, redblack.COLUMNS), np.int32)
            stable[: len(self._state.stable)] = self._state.stable
            self._state = self._state._replace(order=order, stable=stable)

    def _ensure_captured(self, frames: int) -> None:
        slots_now = len(self._state.where)
        if slots_now > len(self._captured):
            captured = np.full(slots_now, NONE, np.int64)
            captured[: len(self._captured)] = self._captured
            link = np.full(slots_now, NONE, np.int32)
            link[: len(self._link)] = self._link
            self._captured, self._link = captured, link
        if frames > len(self._holder):
            holder = np.full(max(frames, 2 * len(self._holder)), NONE, np.int32)
            holder[: len(self._holder)] = self._holder
            head = np.full(len(holder), NONE, np.int32)
            head[: len(self._head)] = self._head
            self._holder, self._head = holder, head

    def _covered(self, frames: int) -> Vpns:
        if frames > len(self._origin):
            origin = np.full(frames, NONE, np.int64)
            origin[: len(self._origin)] = self._origin
            self._origin = origin
        return self._origin

    def _ensure_trees(self, contents: int) -> None:
        state = self._state
        if contents > len(state.trees):
            # A row is large and a content seldom comes back: grow by a quarter.
            size = max(len(state.trees) * 5 // 4, contents)
            trees = np.zeros((size, slots.TREE_COLUMNS), np.int32)
            trees[:, [slots.HEAD, slots.UNSTABLE_SLOT, slots.UNSTABLE_SCAN]] = NONE
            trees[: len(state.trees)] = state.trees
            self._state = state._replace(trees=trees, pruned=_grown(state.pruned, size))

    def _room(self) -> State:
        """The arrays, with room for whatever one scan can make."""
        state = self._state
        # Every slot may become the second of a pair; it may get a copy of its page
        # where folios split, or where pages came up while a scan went on.
        copies = len(state.folio_split) or self.cursor is not None
        self._ensure_frames(self._used_slots if copies else 0)
        wanted = int(state.totals[slots.NODES_USED]) + self._used_slots
        if wanted > len(state.nodes):
            nodes = np.zeros((2 * wanted, slots.NODE_COLUMNS), np.int32)
            nodes[: len(state.nodes)] = state.nodes
            self._state = self._state._replace(nodes=nodes)
        if self.ordered and self._used_slots >= len(state.tree):
            tree = np.zeros((2 * self._used_slots + 1, unstable.COLUMNS), np.int32)
            tree[: len(state.tree)] = state.tree
            self._state = self._state._replace(tree=tree)
        self._state = self._folio_slots(self._state)
        return self._state

    def _settings(self) -> Settings:
        knobs, profile = self.knobs, self.profile
        return Settings(
            max_page_sharing=knobs.max_page_sharing,
            use_zero_pages=knobs.use_zero_pages,
            smart_scan=knobs.smart_scan and profile.smart_scan,
            prune_ms=knobs.stable_node_chains_prune_millisecs,
            zero_contents=self.zero_contents,
            stable_first=profile.stable_first,
            count_zero_pages=profile.count_zero_pages,
            split_zero=profile.split_zero,
            old_chains=profile.old_chains,
            stable_resets=profile.stable_resets,
        )

    def _number(self, content: int) -> int:
        return self._contents.setdefault(content, len(self._contents))

    def _figures(self, process: Process) -> tuple[int, int, int]:
        """rmap_items, merging and zero pages as /proc shows them."""
        if self._state.totals[slots.UNSWEPT]:
            sweep(self._state, self.profile.stable_resets)
        where = self._state.where[process.slots]
        items, merging, zero = (
            int(np.count_nonzero(where & bit))
            for bit in (slots.HAS_ITEM, slots.IN_STABLE, slots.KSM_ZERO)
        )
        if not self.profile.count_zero_pages:
            zero = 0
        before = process.start
        return items + before[0], merging + before[1], zero + before[2]


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
