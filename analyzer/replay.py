"""The conductor: captures, knobs and a policy in, passes and a result out."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from analyzer.clock import sleep_ns, work_ns
from analyzer.contents import Within
from analyzer.costs import Costs
from analyzer.counters import KsmCounters
from analyzer.engine.contents import content_numbers
from analyzer.engine.kernel import full_scan, tally
from analyzer.engine.state import (
    IN_STABLE,
    SPLIT_ZERO,
    State,
    new_state,
)
from analyzer.engine.steady import ZERO, steady
from analyzer.engine.totals import (
    CHANGES,
    FULL_SCANS,
    SCANNED,
    SHARED,
    SHARING,
    SKIPPED,
    ZERO_PAGES,
)
from analyzer.host import (
    Host,
    captured_vpns,
    load,
    load_digests,
    open_traces,
    sized,
    uncertain_pages,
)
from analyzer.knobs import KsmKnobs
from analyzer.outcome import Outcome
from analyzer.pace import Pace
from analyzer.policy import MergePolicy
from analyzer.profile import PROFILES, Profile, chosen_profile
from analyzer.result import End, Pass, ReplayResult, Stage, TraceInfo
from analyzer.savings import Scales, Tallies, result_of
from analyzer.timeline import Timeline
from analyzer.totals import counters_of
from traces.errors import NotComparableError
from traces.schema import UNKNOWN
from traces.trace import Trace, joined

_SETTLED_AFTER = 2
"""Scans that processed every unmerged page and changed nothing, before it is over."""


class Survey(NamedTuple):
    """What is in captures, without a replay."""

    info: TraceInfo
    zero_pages: int
    """Rows whose content is zero."""
    distinct_contents: int
    """The zero page included."""
    uncertain_zero_pages: int
    """Of the zero pages, those that may never have been touched."""
    uncertain_pages: int
    """Pages that may be of the file cache."""


def replay(
    paths: Sequence[Path],
    knobs: KsmKnobs = KsmKnobs(),
    policy: MergePolicy = MergePolicy(),
    passes: int | None = None,
    kernel: str | None = None,
) -> Iterator[Pass]:
    """Replay captures as one host; yields after every full scan.

    Stops after *passes*, or when every page still unmerged has been processed twice
    since the last merge; a trace of several epochs ends when its time does. *kernel*
    is a release or `host`; without it the captured one's ksmd is simulated. Raises
    InputError or NotComparableError for captures that cannot be read or joined, and
    for a kernel that is not known.
    """
    return _started(open_traces(paths), knobs, policy, kernel).passes(passes)


def run(
    paths: Sequence[Path],
    knobs: KsmKnobs = KsmKnobs(),
    policy: MergePolicy = MergePolicy(),
    passes: int | None = None,
    contents: int = 20,
    kernel: str | None = None,
    detail: bool = False,
) -> ReplayResult:
    """`replay` to its end, and what it is worth; *contents* rows of contents.

    *detail* adds what is not printed, but saved: the tables that docs/savings.md
    calls so.

    >>> from pathlib import Path
    >>> result = run([Path("trace.parquet")])  # doctest: +SKIP
    >>> result.savings.pages_saved_nonzero  # doctest: +SKIP
    """
    staged = Staged(paths, knobs, policy, passes, contents, kernel, detail)
    for _ in staged:
        pass
    return staged.result()


class Staged:
    """A replay to be iterated over, and asked in between what it is worth so far.

    Yields a `Stage` as each begins and a `Pass` after every full scan; whoever
    stops listening stops it. The arguments are those of `run`; *within* asks for
    the contents found in some pages of one mapping only.

    >>> from pathlib import Path
    >>> staged = Staged([Path("trace.parquet")], detail=True)
    >>> for step in staged:  # doctest: +SKIP
    ...     print(step)
    >>> result = staged.result()  # doctest: +SKIP
    """

    def __init__(
        self,
        paths: Sequence[Path],
        knobs: KsmKnobs = KsmKnobs(),
        policy: MergePolicy = MergePolicy(),
        passes: int | None = None,
        contents: int = 20,
        kernel: str | None = None,
        detail: bool = False,
        within: Within | None = None,
    ) -> None:
        self._paths, self._knobs, self._policy = paths, knobs, policy
        self._limit, self._contents, self._kernel = passes, contents, kernel
        self._detail, self._within = detail, within
        self._traces: list[Trace] = []
        self._idle: list[str] = []
        self._tallies = Tallies(0)
        self._ksmd: Run | Timeline | None = None
        self._outcome: Outcome | None = None
        self._result: ReplayResult | None = None

    def __iter__(self) -> Iterator[Stage | Pass]:
        """The replay from its start. Raises as `replay` does."""
        yield Stage("read")
        traces = self._traces = open_traces(self._paths)
        profile = chosen_profile(self._kernel, traces[0].facts.kernel)
        host = _host(traces, self._policy, profile)
        if host is not None:
            yield Stage("number")
        ksmd = _ksmd(traces, host, self._knobs, self._policy, profile)
        self._ksmd = ksmd
        self._idle = _idle(traces, self._policy)
        self._tallies = Tallies(sum(trace.processes.height for trace in traces))
        yield from self._scans(ksmd)
        yield Stage("weigh")
        self._outcome = ksmd.outcome()
        # Its other arrays are large, and nobody needs them any more.
        del ksmd
        self._ksmd = None
        self._result = self._worth(self._outcome)

    def result(self) -> ReplayResult:
        """What the replay is worth: at its end, or between two passes as if it had
        been told to stop there. Not before the first pass."""
        if self._result is not None:
            return self._result
        return self._worth(self.outcome())

    def outcome(self) -> Outcome:
        """Where every page is: at the replay's end, or between two passes; then only
        until it goes on."""
        if self._outcome is not None:
            return self._outcome
        assert self._ksmd is not None, "the replay has not begun"
        return self._ksmd.outcome()

    def _scans(self, ksmd: "Run | Timeline") -> Iterator[Stage | Pass]:
        scales, worth, changes = Scales(), None, None
        for step in ksmd.steps(self._limit):
            if isinstance(step, Pass):
                if self._detail and changes != (changes := ksmd.changes()):
                    worth = scales.worth(ksmd.outcome())
                self._tallies.add(step, ksmd.per_process(), worth)
            yield step

    def _worth(self, outcome: Outcome) -> ReplayResult:
        about = info(self._traces, outcome.host)
        about.limits.extend([*_copies(outcome), *self._idle])
        return result_of(
            outcome,
            self._tallies,
            about,
            self._contents,
            self._detail,
            self._within,
        )


def _started(
    traces: Sequence[Trace], knobs: KsmKnobs, policy: MergePolicy, kernel: str | None
) -> "Run | Timeline":
    profile = chosen_profile(kernel, traces[0].facts.kernel)
    host = _host(traces, policy, profile)
    return _ksmd(traces, host, knobs, policy, profile)


def _host(
    traces: Sequence[Trace], policy: MergePolicy, profile: Profile
) -> Host | None:
    """All pages, where they can be replayed as a snapshot that only stands there."""
    still = all(trace.epochs.height == 1 for trace in traces)
    if still and profile.plain_snapshot:
        return load(traces, policy.uncertain)
    if not still and len(traces) > 1:
        raise NotComparableError(
            "captures of several epochs cannot be joined: their clocks differ",
            hint="replay them one by one",
        )
    return None


def _ksmd(
    traces: Sequence[Trace],
    host: Host | None,
    knobs: KsmKnobs,
    policy: MergePolicy,
    profile: Profile,
) -> "Run | Timeline":
    costs = Costs.load()
    if host is not None:
        return Run(host, knobs, policy, profile, costs)
    return Timeline(traces, knobs, policy, profile, costs)


def _idle(traces: Sequence[Trace], policy: MergePolicy) -> list[str]:
    """What was asked for, and fits nothing."""
    processes, mappings = joined(traces)
    return policy.idle(sized(policy, traces, processes, mappings), mappings)


def survey(paths: Sequence[Path]) -> Survey:
    """Count the pages and contents of captures, as one host, uncertain ones too."""
    traces = open_traces(paths)
    found = steady(*load_digests(traces))
    zero = int(found.process[:, ZERO].sum())
    contents = found.distinct + (zero > 0)
    return Survey(info(traces), zero, contents, *uncertain_pages(traces))


def info(traces: Sequence[Trace], host: Host | None = None) -> TraceInfo:
    """What a result keeps of its captures; *host* adds what reading them showed."""
    processes, _ = joined(traces)
    facts = [trace.facts for trace in traces]
    return TraceInfo(
        path=" ".join(str(trace.path) for trace in traces),
        pages=sum(trace.rows() for trace in traces),
        frames=UNKNOWN,
        processes=processes.height,
        workloads=processes["workload"].n_unique(),
        epochs=max(trace.epochs.height for trace in traces),
        captured_at=min(fact.captured_at for fact in facts),
        kernel=" ".join(dict.fromkeys(fact.kernel for fact in facts)),
        limits=_limits(traces, host),
    )


def _limits(traces: Sequence[Trace], host: Host | None) -> list[str]:
    limits = [text for trace in traces for text in trace.facts.limits]
    if all(trace.epochs.height == 1 for trace in traces):
        limits.append(
            "one snapshot cannot tell pages that change from pages that stay: savings "
            "are those of memory that nobody writes to"
        )
    if host is not None and host.folio is not None:
        zero = host.zero_rows() & (host.folio >= 0)
        if zero.any():
            limits.append(
                f"{np.count_nonzero(zero)} zero pages lie in huge pages: in the scan "
                "that splits one, pages may merge that the kernel merges a scan later "
                "(it depends on the order of bytes, which a trace does not hold)"
            )
    if host is not None and host.strangers:
        limits.append(
            f"frames and parents of {host.strangers} processes are unknown: what fork "
            "shares among them counts as copies, so of these savings may be less"
        )
    return list(dict.fromkeys(limits))


def _copies(outcome: Outcome) -> list[str]:
    """What supposing frames does not bound: pages of one frame join a KSM page beyond
    its limit, pages of several need another copy of it."""
    supposed = outcome.host.supposed
    if supposed is None or not (supposed & outcome.offered_rows()).any():
        return []
    merged = int(np.count_nonzero(outcome.where & IN_STABLE))
    # All copies of a content but one are full.
    copies = merged // outcome.knobs.max_page_sharing
    told = (
        "where fork shares less than is supposed, max_page_sharing may keep up to "
        f"{copies} pages more: by these, savings may be less"
    )
    return [told] if copies else []


class Run:
    """One simulated ksmd over one host."""

    def __init__(
        self,
        host: Host,
        knobs: KsmKnobs,
        policy: MergePolicy,
        profile: Profile = PROFILES[-1],
        costs: Costs | None = None,
    ) -> None:
        self.host, self.knobs, self.policy = host, knobs, policy
        self.profile, self.costs = profile, costs or Costs.default()
        self.time_ns = self.cpu_ns = 0
        self.pace = Pace(knobs)
        processes = sized(policy, host.traces, host.processes, host.mappings)
        mappings = policy.offered(processes, host.mappings)
        self.uncertain = host.uncertain.within(mappings)
        offered = mappings[host.mapping]
        lengths = np.diff(host.start)
        self.offered: npt.NDArray[np.bool_] = offered
        """[segment]"""
        self.rows = None if offered.all() else np.repeat(offered, lengths)
        """[row] which are items, None for all."""
        self.starts = self._process_starts(np.where(offered, lengths, 0))
        numbers, self.zero_contents = self._numbers()
        frame = host.frame[self._items()].copy()
        content = np.full(host.frames, UNKNOWN, np.int32)
        content[frame] = numbers
        self.state: State = new_state(frame, content, self._folios(), self._locked())
        self.wakeups = 0
        self.settled = False

    def passes(self, limit: int | None) -> Iterator[Pass]:
        """Scan until *limit* or until nothing can merge any more."""
        totals = self.state.totals
        quiet = done = 0
        while not self.settled and (limit is None or done < limit):
            changes, skipped = totals[CHANGES], totals[SKIPPED]
            before = totals.copy()
            wakeups = full_scan(self.state, **self.settings())
            self._let_pass(wakeups, before)
            done += 1
            if totals[CHANGES] != changes:
                quiet = 0
            elif totals[SKIPPED] == skipped:
                # In a snapshot all unmerged pages have one age: a scan skips all
                # of them or none.
                quiet += 1
            self.settled = quiet >= _SETTLED_AFTER
            yield Pass(self.wakeups, self.counters(), self.time_ns, self.cpu_ns)

    def steps(self, limit: int | None) -> Iterator[Stage | Pass]:
        """As `passes`: all that happens in a snapshot are full scans."""
        return self.passes(limit)

    def changes(self) -> int:
        """Equal as long as no page comes to map another frame."""
        return int(self.state.totals[CHANGES])

    def _let_pass(self, wakeups: int, before: npt.NDArray[np.int64]) -> None:
        """Count the time of a full scan."""
        grown = self.state.totals - before
        work = work_ns(
            self.costs,
            scanned=int(grown[SCANNED]),
            # Only first visits end at the checksum, and merged pages stay so.
            gated=int(grown[SCANNED]) if before[FULL_SCANS] == 0 else 0,
            steady=int(before[SHARED] + before[SHARING]),
            merged=int(grown[SHARED] + grown[SHARING] + grown[ZERO_PAGES]),
        )
        lasted = wakeups * sleep_ns(self.knobs.sleep_millisecs) + work
        self.wakeups += wakeups
        self.cpu_ns += work
        self.time_ns += lasted
        self.pace.after_scan(lasted, work)

    def settings(self) -> dict[str, Any]:
        """The arguments of `kernel.wake_up` beside the state."""
        return {
            "pages_to_scan": self.pace.pages_to_scan,
            "max_page_sharing": self.knobs.max_page_sharing,
            "use_zero_pages": self.knobs.use_zero_pages,
            "smart_scan": self.knobs.smart_scan,
            "zero_contents": self.zero_contents,
        }

    def counters(self) -> KsmCounters:
        """The kernel's figures as they stand."""
        return counters_of(self.state.totals.tolist())

    def per_process(self) -> npt.NDArray[np.int64]:
        """int64[processes, 6]: rmap_items, merging, zero, unshared, volatile and split
        pages; see `kernel.tally`."""
        out = np.zeros((self.host.processes.height, 6), np.int64)
        tally(self.state.where, self.starts, out)
        return out

    def outcome(self) -> Outcome:
        """Where every row ended."""
        state, host = self.state, self.host
        where, after = state.where, state.frame
        if self.rows is not None:
            where = np.zeros(host.rows, np.uint8)
            where[self._split_apart()] = SPLIT_ZERO
            where[self.rows] = state.where
            after = host.frame.copy()
            after[self.rows] = state.frame
        return Outcome(
            host=host,
            knobs=self.knobs,
            profile=self.profile.name,
            costs=self.costs.source,
            policy=str(self.policy),
            settled=self.settled,
            counters=self.counters(),
            end=End(self.wakeups, self.time_ns, self.cpu_ns, later=False),
            offered=self.offered,
            uncertain=self.uncertain,
            where=where,
            after=after,
            content=state.content,
            contents=len(state.trees),
            zero_contents=self.zero_contents,
            vpns=partial(captured_vpns, host.traces, self.policy.uncertain),
        )

    def _items(self) -> slice | npt.NDArray[np.bool_]:
        return slice(None) if self.rows is None else self.rows

    def _process_starts(
        self, offered_rows: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """int64[processes + 1]: where each process's items begin."""
        sizes = np.zeros(self.host.processes.height, np.int64)
        np.add.at(sizes, self.host.segment_process, offered_rows)
        return np.concatenate(([0], np.cumsum(sizes)))

    def _folios(self) -> npt.NDArray[np.int32] | None:
        """int32[frames]"""
        if self.host.folio is None:
            return None
        folio = np.full(self.host.frames, UNKNOWN, np.int32)
        folio[self.host.frame] = self.host.folio
        return folio

    def _locked(self) -> npt.NDArray[np.bool_] | None:
        """bool[items]: in a mlocked area; None where that makes no difference."""
        rows = self._locked_rows()
        return None if rows is None else rows[self._items()]

    def _locked_rows(self) -> npt.NDArray[np.bool_] | None:
        host = self.host
        locked = host.mappings["vm_flags"].str.split(" ").list.contains("lo")
        if host.folio is None or not locked.any():
            return None
        segments = locked.to_numpy()[host.mapping]
        return np.repeat(segments, np.diff(host.start))

    def _split_apart(self) -> npt.NDArray[np.bool_]:
        """bool[rows]: zero pages not offered that went with the split of a folio."""
        host = self.host
        gone = np.zeros(host.rows, np.bool_)
        if host.folio is None:
            return gone
        inside = np.flatnonzero(host.folio >= 0)
        folio = host.folio[inside]
        was_split = self.state.folio_split[folio]
        locked = self._locked_rows()
        if locked is not None:
            held = np.bincount(folio, locked[inside], len(self.state.folio_split)) > 0
            was_split &= ~held[folio]
        gone[inside] = was_split & (host.digest[inside] == host.zero)
        return gone

    def _numbers(self) -> tuple[npt.NDArray[np.int32], int]:
        """(int32[items] content numbers, how many of them are zero)."""
        host = self.host
        digest = host.digest
        if not np.array_equal(host.frame, np.arange(host.rows, dtype=np.int32)):
            # Mappings of one frame were read at different moments; one page has one
            # content, the first seen.
            first = np.zeros(host.frames, np.int64)
            first[host.frame[::-1]] = np.arange(host.rows)[::-1]
            digest = digest[first[host.frame]]
        digest = digest[self._items()]
        if self.knobs.merge_across_nodes or host.nid is None:
            return content_numbers(digest, host.zero)[0], 1
        # Each node has trees of its own: equal bytes on two nodes are two contents.
        node = np.maximum(host.nid[self._items()], 0)
        nodes = int(node.max(initial=0)) + 1
        zero = digest == host.zero
        apart = digest ^ (node.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
        numbers = content_numbers(np.where(zero, host.zero, apart), host.zero)[0]
        numbers[numbers > 0] += nodes - 1
        numbers[zero] = node[zero]
        return numbers, nodes
