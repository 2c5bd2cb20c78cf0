"""A machine in time: processes with pages, and the ksmd that scans them.

Keeps ksmd's list of processes and its cursor, and turns what processes do (mmap,
writes, fork, exit, madvise …) into changes of the engine's arrays. Names are the
caller's; pages are numbers; contents are any integers, 0 being the zero page.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from analyzer.address_space import Area, Process
from analyzer.counters import KsmCounters, ksm_stat
from analyzer.engine import events, slots, totals, unstable
from analyzer.engine.scan import scan
from analyzer.engine.sightings import Sightings
from analyzer.engine.slots import NONE, Settings, State
from analyzer.engine.stable import dissolve, forget, leave, sweep
from analyzer.engine.store import Slots, Store, Vpns
from analyzer.knobs import KsmKnobs
from analyzer.profile import Profile
from analyzer.totals import counters_of

HUGE_PAGES: Final = 512
"""Base pages of a transparent huge page."""

_ENDLESS: Final = 1 << 62
_ZERO: Final = 0


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
        self._idle = False
        self._route: _Route | None = None
        self._store = Store(ordered)
        self.sightings = Sightings(self._store)

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
        remapped = process.inside(start, n)
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
        self._unmap(process, process.inside(start, n))
        process.read_only -= set(range(start, start + n))

    def munmap(self, proc: str, start: int, n: int) -> None:
        self.discard(proc, start, n)
        process = self.processes[proc]
        process.cut(start, n)
        process.areas = [
            area for area in process.areas if not start <= area.start < start + n
        ]

    def merge(self, proc: str, start: int, n: int) -> None:
        """MADV_MERGEABLE."""
        process = self.processes[proc]
        self._offer(process, start, n, True)
        self._enter(process)

    def unmerge(self, proc: str, start: int, n: int) -> None:
        """MADV_UNMERGEABLE: un-merges at once (unmerge_ksm_pages)."""
        process = self.processes[proc]
        self._unmerge(process.inside(start, n))
        self._offer(process, start, n, False)

    def prctl(self, proc: str, on: bool) -> None:
        """PR_SET_MEMORY_MERGE; nothing where it is set so already, or unknown."""
        process = self.processes[proc]
        if on == process.merge_any or not self.profile.merge_any:
            return
        process.merge_any = on
        for area in list(process.areas):
            if on:
                self._offer(process, area.start, area.end - area.start, True)
            elif area.mergeable:
                self.unmerge(proc, area.start, area.end - area.start)
        if on:
            # Last, as a ksmd that this wakes waits for the mmap_lock held until then.
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
        made.slots = self._store.new_slots(len(made.vpns))
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
                self._state.totals[totals.ITEMS] -= 1
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
        state.totals[totals.CHAINS] -= np.count_nonzero(empty)
        state.trees[:, slots.UNSTABLE_SCAN] = NONE
        state.totals[totals.FULL_SCANS] = 0
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
        return counters_of(self._state.totals.tolist())

    def process(self, proc: str) -> dict[str, int]:
        """The figures of /proc/PID/ksm_stat."""
        return ksm_stat(*self._figures(self.processes[proc]))

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
                self._store.make_frames(1)
                (number,) = self._numbers([content])
                events.fault(self._state, slot, number, False)
                if folio >= 0:
                    self._store.put_in_folios(
                        np.array([slot]), np.array([folio], np.int32)
                    )
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
        self._store.make_frames(len(wanted))
        forked_from = self.processes.get(parent) if parent is not None else None
        none = np.full(len(vpns), NONE, np.int32)
        self.sightings.adopt(
            wanted,
            contents,
            frames,
            none if forked_from is None else forked_from.find(vpns),
            self._settings(),
            self.cursor is not None,
            self.profile.fork_copies_counters,
        )
        where = self._state.where
        where[wanted[offered]] &= ~np.uint16(slots.UNOFFERED)
        where[wanted[~offered]] |= np.uint16(slots.UNOFFERED)
        large = np.flatnonzero(folios >= 0)
        if len(large):
            self._store.put_in_folios(wanted[large], folios[large])
            self._state.folio_locked[folios[large][locked[large]]] = True

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
        self._store.make_trees(contents)

    def pages(self, proc: str) -> tuple[Vpns, Slots]:
        """The pages a process has, and their slots."""
        process = self.processes[proc]
        present = (self._state.where[process.slots] & slots.ABSENT) == 0
        return process.vpns[present], process.slots[present]

    def tally(self, procs: Sequence[str]) -> npt.NDArray[np.int64]:
        """int64[procs, 5]: rmap_items, merging, zero, unshared and volatile pages of
        each."""
        state = self.state
        route = np.concatenate(
            [self.processes[proc].slots for proc in procs] or [np.empty(0, np.int32)]
        )
        sizes = [len(self.processes[proc].slots) for proc in procs]
        figures = np.zeros((len(procs), 6), np.int64)
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

    def scan_for(self, wakeups: int) -> tuple[int, bool]:
        """Wake up *wakeups* times, or until a full scan has ended.

        Returns how often it woke up, and whether a scan ended. Where one wake-up ends
        and the next begins makes no difference while nothing else happens.
        """
        each = self.knobs.pages_to_scan
        before = int(self._state.totals[totals.SCANNED])
        ended = self._walk(wakeups * each)
        scanned = int(self._state.totals[totals.SCANNED]) - before
        return (scanned // each + 1, True) if ended else (wakeups, False)

    # Below: how.

    @property
    def _state(self) -> State:
        return self._store.state

    def _walk(self, budget: int) -> bool:
        if not self.list:
            self._idle = True
            return True
        route = self._planned()
        first = self._position(route)
        if self.ordered and self.cursor is None:
            unstable.clear(self._store.for_scan(self.cursor is not None).tree)
        done, left = scan(
            self._store.for_scan(self.cursor is not None),
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
            self._state.totals[totals.FULL_SCANS] += 1
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
        numbers = self._numbers(contents)
        self._store.make_frames(len(wanted))
        process.read_only -= set(vpns)
        events.write(
            self._state, wanted, numbers, self._settings(), self.cursor is not None
        )

    def _unmap(self, process: Process, wanted: Slots) -> None:
        events.unmap(self._state, wanted, self._settings())
        self._forget(process)

    def _unmerge(self, wanted: Slots) -> None:
        self._store.make_frames(len(wanted))
        events.unmerge(
            self._state, wanted, _ZERO, self._settings(), self.cursor is not None
        )

    def _forget(self, process: Process) -> None:
        """Drop the pages that are gone and have no item."""
        where = self._state.where[process.slots]
        kept = ((where & slots.ABSENT) == 0) | ((where & slots.HAS_ITEM) != 0)
        process.keep(kept)

    def _offer(self, process: Process, start: int, n: int, on: bool) -> None:
        process.cut(start, n)
        for area in process.areas:
            if start <= area.start < start + n:
                area.mergeable = on
        wanted = process.inside(start, n)
        if on:
            self._state.where[wanted] &= ~np.uint16(slots.UNOFFERED)
        else:
            self._state.where[wanted] |= np.uint16(slots.UNOFFERED)

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
        self._store.make_frames(HUGE_PAGES)
        zeros = np.zeros(HUGE_PAGES, np.int32)
        in_scan = self.cursor is not None
        events.write(self._state, wanted, zeros, self._settings(), in_scan)
        folio = np.full(HUGE_PAGES, len(self._state.folio_split), np.int32)
        self._store.put_in_folios(wanted, folio)

    def _slots_of(self, process: Process, vpns: Vpns) -> Slots:
        """The slots of ascending *vpns*, made where there are none."""
        found = process.find(vpns)
        missing = np.unique(vpns[found == NONE])
        if not len(missing):
            return found
        made = self._store.new_slots(len(missing))
        hidden = made[~process.offered(missing)]
        self._state.where[hidden] |= np.uint16(slots.UNOFFERED)
        process.insert(missing, made)
        return process.find(vpns)

    def _numbers(self, contents: Sequence[int]) -> Slots:
        """Content numbers, and room for them."""
        known = self._contents
        numbers = [known.setdefault(content, len(known)) for content in contents]
        self._store.make_trees(len(known))
        self._store.note_order(list(known))
        return np.array(numbers, np.int32)

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
