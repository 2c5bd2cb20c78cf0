"""The samples of one sitting, for a chart, for rates and for a file."""

import os
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from analyzer.counters import KsmCounters
from analyzer.live.sample import ProcessSample, Rates, Sample, rates
from traces.tool import tool

LIVE_SCHEMA: Final = "ksm-analyze/live/1"
"""Changes its number only when a key goes or changes its meaning."""

_ROOM: Final = 7200
"""Samples: two hours of one a second."""


class History:
    """Samples in the order in which they were taken, the oldest forgotten first.

    Of all but the last only the global figures are kept.
    """

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=_ROOM)
        self._before: dict[tuple[int, int], ProcessSample] = {}

    def add(self, sample: Sample) -> None:
        if self._samples:
            last = self._samples[-1]
            self._before = {process.key: process for process in last.processes}
            self._samples[-1] = replace(last, processes=())
        self._samples.append(sample)

    @property
    def samples(self) -> Sequence[Sample]:
        return self._samples

    @property
    def last(self) -> Sample | None:
        return self._samples[-1] if self._samples else None

    def rates(self) -> Rates:
        """From the last sample but one to the last."""
        if len(self._samples) < 2:
            return Rates(None, None, None)
        return rates(self._samples[-2], self._samples[-1])

    def merged_since(self, process: ProcessSample) -> int | None:
        """The change of *process*'s ksm_merging_pages since the sample before; None
        for one that was not in it."""
        before = self._before.get(process.key)
        if before is None:
            return None
        return process.ksm_merging_pages - before.ksm_merging_pages

    def csv(self) -> str:
        """A row per sample of the global figures; what is not told is empty."""
        from analyzer.report.machine import csv_text

        columns = ("time_ns", "run", *KsmCounters._fields, "ksmd_cpu_ns")
        return csv_text(columns, (_flat(each).values() for each in self._samples))

    def json(self, predicted: dict[str, Any] | None = None) -> str:
        """One object (docs/live.md lists its keys): the global figures of every
        sample, the processes of the last, and what was *predicted*."""
        from analyzer.report.machine import json_text

        last = self.last
        return json_text(
            {
                "schema": LIVE_SCHEMA,
                "generated_by": tool(),
                "host": socket.gethostname(),
                "kernel": os.uname().release,
                "knobs": _numbers(last.settings) if last else None,
                "limits": list(last.limits) if last else [],
                "prediction": predicted,
                "samples": [_flat(sample) for sample in self._samples],
                "processes": [p._asdict() for p in last.processes] if last else [],
            }
        )


def _numbers(settings: Mapping[str, str]) -> dict[str, int | str]:
    return {
        name: int(value) if value.isdecimal() else value
        for name, value in settings.items()
    }


def _flat(sample: Sample) -> dict[str, int | None]:
    return {
        "time_ns": sample.time_ns,
        "run": sample.run,
        **sample.counters,
        "ksmd_cpu_ns": sample.ksmd_cpu_ns,
    }
