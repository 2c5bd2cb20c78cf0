"""A replay of a trace, one turn of ksmd at a time.

`replay` ends when nothing can merge any more; to stay beside a real ksmd, tests go on,
and look between two wake-ups as well.
"""

from pathlib import Path

from analyzer.counters import KsmCounters, ksm_stat
from analyzer.engine.kernel import full_scan, wake_up
from analyzer.host import load, open_traces
from analyzer.knobs import KsmKnobs
from analyzer.policy import MergePolicy
from analyzer.replay import Run


class Stepwise:
    """The simulated ksmd of a replay of *trace*."""

    def __init__(
        self, trace: Path, knobs: KsmKnobs, policy: MergePolicy = MergePolicy()
    ) -> None:
        self._run = Run(load(open_traces([trace])), knobs, policy)

    def wake_up(self) -> None:
        wake_up(self._run.state, **self._run.settings())

    def full_scan(self) -> None:
        full_scan(self._run.state, **self._run.settings())

    def counters(self) -> KsmCounters:
        return self._run.counters()

    def process(self, number: int) -> dict[str, int]:
        """The figures of /proc/PID/ksm_stat."""
        return ksm_stat(*self._run.per_process()[number, :3].tolist())
