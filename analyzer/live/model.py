"""The simulated ksmd as a proof asks it: a full scan at a time, every figure after it.

A replay takes a snapshot the short way on kernels that treat standing memory as 6.18
does; the others are simulated as events of a machine, as recordings are.
"""

from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from analyzer.counters import ksm_stat
from analyzer.engine.kernel import full_scan
from analyzer.host import Host, captured_vpns, load, open_traces
from analyzer.knobs import KsmKnobs
from analyzer.live.taping import snapshot
from analyzer.machine import Machine
from analyzer.policy import MergePolicy, Offer
from analyzer.profile import Profile
from analyzer.replay import Run
from traces.schema import UNKNOWN

_POLICY = MergePolicy(Offer.CAPTURED)


class Captured(NamedTuple):
    """What a capture found, before ksmd's first scan."""

    host: Host
    vpn: npt.NDArray[np.int64]
    """[row] its page number."""
    offered: npt.NDArray[np.bool_]
    """[row]"""


class Model(Protocol):
    """A simulated ksmd."""

    def full_scan(self) -> None: ...

    def counters(self) -> dict[str, int]:
        """Files of /sys/kernel/mm/ksm, and `rmap_items`."""

    def processes(self) -> list[dict[str, int]]:
        """/proc/PID/ksm_stat of each process, in the order of the capture."""


def read(path: Path) -> Captured:
    """The trace in *path*. Raises InputError as `host.load`."""
    traces = open_traces([path])
    host = load(traces, _POLICY.uncertain)
    vpns = captured_vpns(traces, _POLICY.uncertain)
    segments = _POLICY.offered(host.processes, host.mappings)[host.mapping]
    return Captured(
        host=host,
        vpn=np.concatenate([np.empty(0, np.int64), *vpns]).astype(np.int64),
        offered=np.repeat(segments, np.diff(host.start)),
    )


def model_of(captured: Captured, knobs: KsmKnobs, profile: Profile) -> Model:
    """The ksmd of *profile*, before its first scan."""
    if profile.plain_snapshot:
        return Replayed(captured, knobs, profile)
    return Played(captured, knobs, profile)


class Replayed:
    """The engine of `ksm-analyze replay`."""

    def __init__(self, captured: Captured, knobs: KsmKnobs, profile: Profile) -> None:
        self._run = Run(captured.host, knobs, _POLICY, profile)

    def full_scan(self) -> None:
        full_scan(self._run.state, **self._run.settings())

    def counters(self) -> dict[str, int]:
        return self._run.counters()._asdict()

    def processes(self) -> list[dict[str, int]]:
        figures = self._run.per_process()[:, :3].tolist()
        return [ksm_stat(*process) for process in figures]


class Played:
    """The machine of `ksm-analyze verify`."""

    def __init__(self, captured: Captured, knobs: KsmKnobs, profile: Profile) -> None:
        self._machine = Machine(knobs, profile)
        listed = snapshot(*captured)
        self._names = [process["proc"] for process in listed]
        for process in listed:
            vpns = list(accumulate(process["vpn"]))
            folios = process.get("folio", [UNKNOWN] * len(vpns))
            self._machine.load(
                process["proc"], vpns, process["phys"], process["content"], folios
            )

    def full_scan(self) -> None:
        self._machine.full_scan()

    def counters(self) -> dict[str, int]:
        return self._machine.counters()._asdict()

    def processes(self) -> list[dict[str, int]]:
        return [self._machine.process(name) for name in self._names]
