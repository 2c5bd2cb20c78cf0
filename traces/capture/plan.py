"""What a capture would read, how long it would take, how large its file would be."""

import mmap
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from traces.capture import procfs
from traces.capture.describe import is_eligible
from traces.capture.pagemap import PageMap
from traces.capture.procfs import Gone, Process
from traces.capture.reading import PageReader, Target
from traces.schema import PAGE_SIZE
from traces.workload import label, names

_TRIAL_PAGES: Final = 8192
_TRIAL_SHARE: Final = 0.5
"""Of the speed of bare reading, what remains beside finding pages and writing."""

_ROW_BYTES: Final = 9
"""A page whose content occurs once; repeated ones and zero pages take less."""
_MAPPING_BYTES: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A process that would be captured."""

    process: Process
    user: str
    workload: str
    pages: int
    mappings: int


@dataclass(slots=True)
class Plan:
    """What would be captured; `survey` fills it."""

    label_by: str = "auto"
    planned: list[Planned] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    def survey(self, processes: Sequence[Process]) -> Iterator[Planned]:
        """Count the pages of *processes*, one after another; reads no page."""
        for process in processes:
            try:
                planned = _planned(process, self.label_by)
            except PermissionError:
                self.skipped["processes without permission"] += 1
            except (Gone, FileNotFoundError, ProcessLookupError):
                self.skipped["processes that exited"] += 1
            else:
                self.planned.append(planned)
                yield planned

    @property
    def pages(self) -> int:
        """Pages of all processes."""
        return sum(planned.pages for planned in self.planned)

    def file_bytes(self) -> int:
        """About the most that the trace would take on disk."""
        mappings = sum(planned.mappings for planned in self.planned)
        return self.pages * _ROW_BYTES + mappings * _MAPPING_BYTES

    def seconds(self, threads: int) -> float:
        """About how long it would take, from a trial on memory of our own."""
        return self.pages * PAGE_SIZE / (_trial_rate(threads) * _TRIAL_SHARE)


def _planned(process: Process, label_by: str) -> Planned:
    mappings = procfs.mappings(process.pid)
    os.close(os.open(f"/proc/{process.pid}/mem", os.O_RDONLY | os.O_CLOEXEC))
    with PageMap(process.pid) as pagemap:
        pages = sum(
            len(found.vpns)
            for m in mappings
            if is_eligible(m) and m.anonymous
            for found in pagemap.present(m.start // PAGE_SIZE, m.end // PAGE_SIZE, 0)
        )
    known = names(procfs.cgroups(process.pid), procfs.command_line(process.pid))
    user = procfs.user_name(process.uid)
    exe = procfs.executable(process.pid)
    return Planned(
        process=process,
        user=user,
        workload=label(label_by, known, process.comm, user, exe),
        pages=pages,
        mappings=len(mappings),
    )


def _trial_rate(threads: int) -> float:
    """Bytes per second that *threads* read and digest from this process itself."""
    area = mmap.mmap(
        -1, _TRIAL_PAGES * PAGE_SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    )
    words = np.frombuffer(area, np.uint64)
    words[:] = np.arange(len(words), dtype=np.uint64)
    first = words.ctypes.data // PAGE_SIZE
    vpns = np.arange(first, first + _TRIAL_PAGES)
    # All of it can be read without /proc/PID/mem.
    target = Target(os.getpid(), memory=-1)
    alone = np.ones(_TRIAL_PAGES, bool)
    with PageReader(threads, 0) as reader:
        reader.start(target, vpns, alone).wait()
        began = time.perf_counter()
        parts = [
            reader.start(target, part, alone[: len(part)])
            for part in np.array_split(vpns, threads)
        ]
        for part in parts:
            part.wait()
        return _TRIAL_PAGES * PAGE_SIZE / (time.perf_counter() - began)
