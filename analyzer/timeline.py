"""Traces replayed on the machine, through simulated time.

An epoch becomes what it shows: writes, discards, forks and exits at its moment;
between two epochs ksmd wakes, scans and sleeps. One epoch is held at a time.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from analyzer.clock import NS_PER_MS, sleep_ns, work_ns
from analyzer.costs import Costs
from analyzer.counters import KsmCounters
from analyzer.engine import slots, totals
from analyzer.engine.numbering import Numbering
from analyzer.engine.place import place_frames
from analyzer.families import SupposedFrames, sharers
from analyzer.host import ENGINE_COLUMNS, Host, joined_chunks, sized
from analyzer.knobs import KsmKnobs
from analyzer.machine import Machine
from analyzer.outcome import Outcome
from analyzer.pace import Pace
from analyzer.policy import MergePolicy, Uncertain
from analyzer.profile import Profile
from analyzer.result import End, Pass, Stage
from analyzer.uncertain import Sighted
from traces.schema import UNKNOWN, PageFlag
from traces.trace import Columns, Trace, joined, run_starts

_VPN_BITS = 45
"""A page number of five-level paging; with a process number it makes one key."""


_NODES = 64
"""NUMA nodes told apart where they do not merge; any above count as the last."""

_APART = np.uint64(0x9E3779B97F4A7C15)
_NEVER = 1 << 62
_SETTLED_AFTER = 2
"""Scans that processed every unmerged page and changed nothing, before it is over."""


class _Seen(NamedTuple):
    """What a chunk shows of one process, in the order of `Machine.adopt`."""

    process: int
    gone: npt.NDArray[np.int64]
    """Pages that are no longer there."""
    vpns: npt.NDArray[np.int64]
    contents: npt.NDArray[np.int32]
    frames: npt.NDArray[np.int64]
    folios: npt.NDArray[np.int32]
    offered: npt.NDArray[np.bool_]
    locked: npt.NDArray[np.bool_]


class Timeline:
    """Captures joined into one host, and the machine they are replayed on.

    Several traces have one epoch each, one trace may have many.
    """

    def __init__(
        self,
        traces: Sequence[Trace],
        knobs: KsmKnobs,
        policy: MergePolicy,
        profile: Profile,
        costs: Costs,
    ) -> None:
        self.traces, self.policy, self.costs = traces, policy, costs
        self.processes, self.mappings = joined(traces)
        self.epochs = traces[0].epochs
        self.machine = Machine(knobs, profile)
        locked = self.mappings["vm_flags"].str.split(" ").list.contains("lo")
        self._locked: npt.NDArray[np.bool_] = locked.to_numpy()
        self.wakeups = 0
        self.time_ns = 0
        self.cpu_ns = 0
        self.settled = False
        self._knobs = knobs
        self._pace = Pace(knobs)
        self._scan_began = (0, 0)
        self.machine.knobs = self._pace.applied(knobs)
        self._epoch = 0
        self._later = False
        """Whether anything happened since the last full scan."""
        self._zero = np.int64(traces[0].facts.zero_digest)
        self._numbering = Numbering(self._zero.view(np.uint64))
        self._nodes_apart = not knobs.merge_across_nodes
        self._node_of = np.zeros(0, np.uint64)
        if self._nodes_apart:
            nodes = np.arange(_NODES, dtype=np.uint64)
            zeros = np.full(_NODES, self._zero.view(np.uint64))
            self._number(zeros, nodes)
            self.machine.zero_contents = _NODES
        self._offered = policy.offered(
            sized(policy, traces, self.processes, self.mappings), self.mappings
        )
        self._owner: npt.NDArray[np.int32] = self.mappings["process"].to_numpy()
        self._fills: set[int] = set()
        self._alive: set[int] = set()
        self._parents: dict[int, str] = {}
        """Process → the one that forked it."""
        self._forked: set[int] = set()
        """Processes older than this epoch that forked in it."""
        self._later_seen: list[_Seen] = []
        self._uncertain = Sighted()
        self._supposed = SupposedFrames(self.processes, self.mappings)
        self._known_frames = sum(trace.metadata.num_rows for trace in traces)
        """Supposed frames are numbered from here on."""

    def passes(self, limit: int | None) -> Iterator[Pass]:
        """Replay all epochs; yields after every full scan, at most *limit* times."""
        return (step for step in self.steps(limit) if isinstance(step, Pass))

    def steps(self, limit: int | None) -> Iterator[Stage | Pass]:
        """As `passes`, telling of every epoch too before it is taken over.

        After the last epoch its state lasts as long as epochs lie apart on average.
        Ends at the moment of the last full scan where *limit* ends it.
        """
        if self.epochs.height == 1:
            yield from self._until_settled(limit)
            return
        times = self.epochs["t_ns"].to_list()
        step = (times[-1] - times[0]) // max(len(times) - 1, 1)
        ends = [*times[1:], times[-1] + step]
        done = 0
        for epoch, end in enumerate(ends):
            yield Stage("epoch", epoch, len(ends))
            self._take_over(epoch)
            while self.time_ns < end:
                if not self._scan_until(end):
                    continue
                done += 1
                yield self._pass()
                if done == limit:
                    return

    def _until_settled(self, limit: int | None) -> Iterator[Stage | Pass]:
        yield Stage("epoch")
        self._take_over(0)
        counted = self.machine.state.totals
        quiet = done = 0
        while not self.settled and (limit is None or done < limit):
            changes, skipped = counted[totals.CHANGES], counted[totals.SKIPPED]
            while not self._scan_until(_NEVER):
                pass
            done += 1
            if counted[totals.CHANGES] != changes:
                quiet = 0
            elif counted[totals.SKIPPED] == skipped:
                quiet += 1
            self.settled = quiet >= _SETTLED_AFTER
            yield self._pass()

    def _pass(self) -> Pass:
        self._later = False
        return Pass(self.wakeups, self.counters(), self.time_ns, self.cpu_ns)

    def changes(self) -> tuple[int, int]:
        """Equal as long as no page comes to map another frame."""
        return int(self.machine.state.totals[totals.CHANGES]), self._epoch

    def counters(self) -> KsmCounters:
        """The kernel's figures as they stand."""
        return self.machine.counters()

    def per_process(self) -> npt.NDArray[np.int64]:
        """int64[processes, 6]: rmap_items, merging, zero, unshared, volatile and split
        pages; see `kernel.tally`."""
        figures = np.zeros((self.processes.height, 6), np.int64)
        alive = sorted(self._alive)
        figures[alive] = self.machine.tally([str(process) for process in alive])
        return figures

    def _scan_until(self, end: int) -> bool:
        """Scan until a full scan or the time *end*; whether a scan ended."""
        self._later = True
        machine, knobs = self.machine, self.machine.knobs
        sleep = sleep_ns(knobs.sleep_millisecs)
        before = machine.state.totals.copy()
        # A long way is gone in parts, as the cost of what lies ahead is a guess.
        guess = sleep + round(knobs.pages_to_scan * self.costs.search)
        wakeups, ended = machine.scan_for(max((end - self.time_ns) // guess, 1))
        grown = machine.state.totals - before
        merged = grown[[totals.SHARED, totals.SHARING, totals.ZERO_PAGES]].sum()
        work = work_ns(
            self.costs,
            scanned=int(grown[totals.SCANNED]),
            gated=int(grown[slots.GATED]),
            steady=int(grown[slots.STEADY]),
            merged=max(int(merged), 0),
        )
        self.wakeups += wakeups
        self.cpu_ns += work
        self.time_ns += wakeups * sleep + work
        machine.now = self.time_ns // NS_PER_MS
        if ended:
            time, cpu = self._scan_began
            self._pace.after_scan(self.time_ns - time, self.cpu_ns - cpu)
            machine.knobs = self._pace.applied(self._knobs)
            self._scan_began = self.time_ns, self.cpu_ns
        return ended

    def _take_over(self, epoch: int) -> None:
        """Let the machine be what *epoch* shows."""
        self._epoch = epoch
        self._later = True
        self._begin_processes(epoch)
        self.machine.sightings.index_frames()
        parts = joined_chunks(self.traces, ENGINE_COLUMNS, self.policy.uncertain, epoch)
        for _, base, chunk, unsure in parts:
            chunk["mapping"] = chunk["mapping"] + np.int32(base.mapping)
            for name, offset in (("frame", base.frame), ("folio", base.folio)):
                known = chunk[name] >= 0
                chunk[name] = np.where(known, chunk[name] + offset, UNKNOWN)
            chunk["folio"] = chunk["folio"].astype(np.int32)
            rows, numbers = self._supposed.of(chunk)
            chunk["frame"][rows] = numbers.astype(np.int64) + self._known_frames
            self._uncertain.see(chunk, unsure)
            self._take_chunk(chunk)
        self._take_later()
        self._end_processes(epoch)

    def _begin_processes(self, epoch: int) -> None:
        processes = self.processes
        born = processes.filter(processes["first_epoch"] == epoch)
        by_pid = self._alive_by_pid()
        self._forked.clear()
        for process, host, pid, ppid in born.select(
            "process", "host", "pid", "ppid"
        ).iter_rows():
            parent = by_pid.get((host, ppid))
            if parent is not None:
                self._parents[process] = str(parent)
                self._forked.add(parent)
            self.machine.spawn(str(process))
            self._alive.add(process)
            by_pid[host, pid] = process
            mine = self._owner == process
            if self._offered[mine].any():
                self.machine.register(str(process))
        self._forked -= set(born["process"].to_list())
        self._end_mappings(epoch)

    def _end_processes(self, epoch: int) -> None:
        """Who is seen no more; after the pages of their last children, which still
        have what they had."""
        processes = self.processes
        ended = processes["process"].filter(processes["last_epoch"] == epoch - 1)
        for process in ended.to_list():
            self.machine.exit(str(process))
            self._alive.discard(process)

    def _alive_by_pid(self) -> dict[tuple[str, int], int]:
        alive = self.processes[sorted(self._alive)]
        return {
            (host, pid): process
            for process, host, pid in alive.select("process", "host", "pid").iter_rows()
        }

    def _end_mappings(self, epoch: int) -> None:
        """Of those who live on: who ends keeps its pages for its last children."""
        lives_on = self.processes["last_epoch"].to_numpy() >= epoch
        gone = self.mappings.filter(pl.col("last_epoch") == epoch - 1)
        for process, start, pages in gone.select(
            "process", "start_vpn", "pages"
        ).iter_rows():
            if process in self._alive and lives_on[process]:
                self.machine.discard(str(process), start, pages)

    def _take_chunk(self, chunk: Columns) -> None:
        owner = self._owner[chunk["mapping"]]
        absent = (chunk["flags"] & PageFlag.ABSENT) != 0
        numbers = np.zeros(len(owner), np.int32)
        node = np.clip(chunk["nid"][~absent], 0, _NODES - 1).astype(np.uint64)
        digests = chunk["digest"][~absent].view(np.uint64)
        numbers[~absent] = self._number(digests, node)
        self.machine.reserve(len(self._numbering))
        filled = (chunk["flags"] & PageFlag.FILL) != 0
        self._fills.update(numbers[filled].tolist())
        bounds = [*run_starts(owner).tolist(), len(owner)]
        for lo, hi in pairwise(bounds):
            gone = absent[lo:hi]
            here = np.flatnonzero(~gone) + lo
            order = here[np.argsort(chunk["vpn"][here], kind="stable")]
            seen = _Seen(
                process=int(owner[lo]),
                gone=chunk["vpn"][lo:hi][gone],
                vpns=chunk["vpn"][order],
                contents=numbers[order],
                frames=chunk["frame"][order],
                folios=chunk["folio"][order],
                offered=self._offered[chunk["mapping"][order]],
                locked=self._locked[chunk["mapping"][order]],
            )
            if seen.process in self._forked:
                self._later_seen.append(seen)
            else:
                self._take(seen)

    def _take(self, seen: "_Seen") -> None:
        name = str(seen.process)
        if len(seen.gone):
            self.machine.leave_out(name, seen.gone)
        parent = self._parents.get(seen.process)
        self.machine.adopt(name, *seen[2:], parent)

    def _take_later(self) -> None:
        """The pages of those who forked: a child still has what its parent had when
        it was born, whatever the parent has written since."""
        for seen in self._later_seen:
            self._take(seen)
        self._later_seen.clear()

    def _number(
        self, digests: npt.NDArray[np.uint64], node: npt.NDArray[np.uint64]
    ) -> npt.NDArray[np.int32]:
        """int32: content numbers; where nodes do not merge, equal bytes on two nodes
        are two contents."""
        if not self._nodes_apart:
            return self._numbering.numbers(digests)
        numbers = self._numbering.numbers(digests ^ node * _APART)
        grown = np.zeros(len(self._numbering), np.uint64)
        grown[: len(self._node_of)] = self._node_of
        grown[numbers] = node
        self._node_of = grown
        return numbers

    def _digests(self) -> npt.NDArray[np.uint64]:
        """uint64: the digest of each content number."""
        digests = self._numbering.digests
        return digests ^ self._node_of * _APART if self._nodes_apart else digests

    def outcome(self) -> Outcome:
        """Where every page of the epoch reached is now."""
        parts = [
            (process, *self.machine.pages(str(process)))
            for process in sorted(self._alive)
        ]
        state = self.machine.state
        process = np.concatenate(
            [np.full(len(vpns), number) for number, vpns, _ in parts]
            or [np.empty(0, int)]
        ).astype(np.int32)
        vpns = np.concatenate([vpns for _, vpns, _ in parts] or [np.empty(0, np.int64)])
        mine = np.concatenate([own for _, _, own in parts] or [np.empty(0, np.int32)])
        mapping = self._mapping_of(process, vpns)
        where = state.where[mine]
        broken = (where & slots.BROKEN) != 0
        where = np.where(broken, where & ~np.uint16(slots.IN_STABLE), where)
        captured = self.machine.sightings.captured[mine]
        before, after, content = place_frames(
            captured,
            state.frame[mine],
            where,
            state.content[: int(state.totals[totals.FRAMES_USED])],
            self.machine.sightings.origin,
            self.machine.zero_contents,
        )
        numbers = np.where(
            where & slots.ZERO_MAPPED, 0, state.content[state.frame[mine]]
        )
        digests = self._digests()
        fills = np.zeros(len(self._numbering), np.bool_)
        fills[list(self._fills)] = True
        cuts = run_starts(mapping)
        uncertain = self._uncertain.rows(
            self._lasting(), self.policy.uncertain is Uncertain.KEEP_OUT
        )
        host = Host(
            traces=self.traces,
            processes=self.processes,
            mappings=self.mappings,
            zero=self._zero.view(np.uint64),
            digest=digests[numbers],
            frame=before,
            frames=len(content),
            folio=None,
            nid=None,
            fill=fills[numbers],
            start=np.append(cuts, len(mapping)),
            mapping=mapping[cuts],
            uncertain=uncertain,
            supposed=self._shared(captured),
            strangers=self._supposed.strangers(),
        )
        return Outcome(
            host=host,
            knobs=self._knobs,
            policy=str(self.policy),
            profile=self.machine.profile.name,
            costs=self.costs.source,
            settled=self.settled,
            counters=self.counters(),
            end=End(self.wakeups, self.time_ns, self.cpu_ns, self._later),
            offered=self._offered[host.mapping],
            uncertain=uncertain.within(self._offered),
            where=(where & 0xFF & ~np.uint16(slots.BROKEN)).astype(np.uint8),
            after=after,
            content=content,
            contents=len(self._numbering),
            zero_contents=self.machine.zero_contents,
            vpns=lambda: iter([vpns]),
        )

    def _shared(self, captured: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_] | None:
        """bool: those in a supposed frame that have company there; None for none."""
        rows = np.flatnonzero(captured >= self._known_frames)
        company = sharers((captured[rows] - self._known_frames).astype(np.int32))
        if not company.any():
            return None
        shared = np.zeros(len(captured), np.bool_)
        shared[rows[company]] = True
        return shared

    def _lasting(self) -> npt.NDArray[np.bool_]:
        """bool[mappings]: there in the epoch reached."""
        lasted = pl.lit(self._epoch).is_between("first_epoch", "last_epoch")
        there: npt.NDArray[np.bool_] = (
            self.mappings.select(lasted.alias("there")).to_series().to_numpy()
        )
        return there

    def _mapping_of(
        self, process: npt.NDArray[np.int32], vpns: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int32]:
        """int32: the mapping each page lies in, in the epoch reached."""
        table = self.mappings.filter(pl.Series(self._lasting()))
        starts = table.select("process", "start_vpn").rows()
        keys = np.array([(p << _VPN_BITS) + s for p, s in starts], np.int64)
        order = np.argsort(keys, kind="stable")
        wanted = (process.astype(np.int64) << _VPN_BITS) + vpns
        at = np.searchsorted(keys[order], wanted, side="right") - 1
        numbers: npt.NDArray[np.int32] = table["mapping"].to_numpy()
        return numbers[order][at]
