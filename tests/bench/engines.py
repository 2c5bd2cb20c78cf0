"""Both simulated ksmds under one interface: the snapshot's, and that of events.

A replay ends once nothing can merge any more; here they scan as often as they are
told, so that the passes that smart scan thins out can be measured too.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from analyzer.costs import Costs
from analyzer.counters import KsmCounters
from analyzer.engine.kernel import full_scan
from analyzer.host import load, open_traces
from analyzer.knobs import KsmKnobs
from analyzer.policy import MergePolicy
from analyzer.profile import PROFILES, Profile
from analyzer.replay import Run
from analyzer.timeline import Timeline


class Engine(Protocol):
    """A simulated ksmd with its pages, before its first scan."""

    def full_scan(self) -> None: ...

    def counters(self) -> KsmCounters: ...


class Snapshot:
    """The engine that replays memory which stands still."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.counters = run.counters

    def full_scan(self) -> None:
        full_scan(self._run.state, **self._run.settings())


class Events:
    """The engine that recordings and traces of several epochs are replayed on."""

    def __init__(self, timeline: Timeline) -> None:
        timeline._take_over(0)
        self.full_scan = timeline.machine.full_scan
        self.counters = timeline.counters


def engines(
    path: Path,
    knobs: KsmKnobs,
    policy: MergePolicy = MergePolicy(),
    profile: Profile = PROFILES[-1],
) -> dict[str, Callable[[], Engine]]:
    """Makers of both for the trace in *path*, which is read for one only once."""
    traces = open_traces([path])
    host = load(traces)
    return {
        "snapshot engine": lambda: Snapshot(Run(host, knobs, policy, profile)),
        "event engine": lambda: Events(
            Timeline(traces, knobs, policy, profile, costs=Costs.default())
        ),
    }
