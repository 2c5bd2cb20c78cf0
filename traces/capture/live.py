"""Live processes → a trace: every page ksmd could look at, read once and changed never.

One thread finds pages, asks for their frames and writes; others read and digest. What
was found is stored in the order in which it was found.
"""

import contextlib
import os
import socket
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from traces.capture import host
from traces.capture.describe import mapping_row, process_row
from traces.capture.freeze import DEFAULT_LIMIT, Freezer
from traces.capture.physical import Physical
from traces.capture.piece import Piece, Subject, opened, pieces
from traces.capture.procfs import Gone, Process
from traces.capture.reading import PageReader
from traces.capture.tally import Tally, permission_hint
from traces.digest import seed_id, zero_digest
from traces.errors import InputError
from traces.schema import Facts, PageFlag, Pages
from traces.tool import tool
from traces.writer import TraceWriter

_IN_FLIGHT: Final = 4
"""Processes and pieces found ahead of the one that is being stored."""

# Neighbours are cheap to look up and to read together.
_SAMPLE_EVERY: Final = 2048
_SAMPLE_PAGES: Final = 32
_SAMPLE_MOST: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to capture."""

    seed: int = 0
    private: bool = False
    """Leave out command lines."""
    label_by: str = "auto"
    threads: int = 1
    """Threads that read, beside the one that finds and writes."""
    freeze: str = "none"
    """`none`, `stop` or `cgroup`."""
    freeze_limit: float = DEFAULT_LIMIT


class Sink(Protocol):
    """Where what is read goes, a process after another: a `TraceWriter` takes it as
    it is, `Changes` what has changed since the epoch before."""

    def add_process(
        self, process: Mapping[str, Any], mappings: Sequence[Mapping[str, Any]]
    ) -> int:
        """Announce a process; gives the number its first mapping has in `add_pages`."""

    def amend_process(self, **columns: Any) -> None:
        """Set columns of the process announced last, whose pages are complete."""

    def add_pages(self, pages: Pages) -> None:
        """Pages of the process announced last, in ascending order."""


class _End(NamedTuple):
    """Follows the last piece of a process."""

    subject: Subject


_Step = Subject | Piece | _End


class Capture:
    """One capture of *processes*, in that order; `write` it once.

    Raises InputError on a host whose pages are not 4 KiB.
    """

    def __init__(self, processes: Sequence[Process], settings: Settings) -> None:
        host.require_supported_pages()
        self._processes = processes
        self._settings = settings
        self._zero = zero_digest(settings.seed)
        self._host = socket.gethostname()
        self._open: set[Subject] = set()
        self.tally = Tally()
        self.limits: list[str] = []
        """What the capture cannot tell, in sentences; set once written."""

    def write(self, path: Path) -> Generator[int, None, None]:
        """Capture into *path*, yielding how many pages each step has dealt with.

        Nothing is left at *path* unless the iterator is exhausted. Raises OutputError
        where it cannot be written, UsageError where a process must not be frozen, and
        InputError where no process could be captured.
        """
        started, began = datetime.now(UTC), time.monotonic_ns()
        with TraceWriter(path) as writer, Physical() as physical:
            writer.begin_epoch(0)
            yield from self.take(writer, physical)
            self.require_something()
            writer.end_epoch(time.monotonic_ns() - began)
            facts = self.facts(started, self.tally)
            self.limits = facts.limits
            writer.finish(facts)

    def take(self, sink: Sink, physical: Physical) -> Generator[int, None, None]:
        """Read every process once into *sink*, yielding as `write` does."""
        settings = self._settings
        freezer = Freezer(settings.freeze, settings.freeze_limit, self._processes)
        self._sink, self._physical = sink, physical
        with contextlib.ExitStack() as stack:
            stack.enter_context(freezer)
            stack.callback(self._close_subjects)
            self._reader = stack.enter_context(
                PageReader(settings.threads, settings.seed)
            )
            steps = stack.enter_context(contextlib.closing(self._steps(freezer)))
            waiting: deque[_Step] = deque()
            for step in steps:
                waiting.append(step)
                if len(waiting) > _IN_FLIGHT:
                    yield self._store(waiting.popleft())
            while waiting:
                yield self._store(waiting.popleft())
            self._note_freezing(freezer)

    def _steps(self, freezer: Freezer) -> Generator[_Step, None, None]:
        for process in self._processes:
            with freezer.holding(process) as held:
                subject = self._opened(process, held)
                if subject is None:
                    continue
                yield subject
                readings = []
                for piece in pieces(subject, self._reader, self._physical):
                    readings += piece.readings
                    yield piece
                if freezer.how != "none":
                    for reading in readings:
                        reading.wait()
                yield _End(subject)

    def _opened(self, process: Process, held: bool) -> Subject | None:
        try:
            subject = opened(process, held, self._physical.known, self._reader)
        except PermissionError:
            self.tally.skipped["processes without permission"] += 1
            return None
        except Gone:
            self.tally.skipped["processes that exited"] += 1
            return None
        self._open.add(subject)
        return subject

    def _close_subjects(self) -> None:
        for subject in self._open:
            subject.close()

    def _store(self, step: _Step) -> int:
        """Write *step* down; the number of pages dealt with."""
        if isinstance(step, Subject):
            self._announce(step)
            return 0
        if isinstance(step, _End):
            self._conclude(step.subject)
            return 0
        self._store_piece(step)
        return len(step.vpns)

    def _announce(self, subject: Subject) -> None:
        row = process_row(
            subject.process,
            subject.mappings,
            self._host,
            self._settings.label_by,
            self._settings.private,
        )
        rows = [mapping_row(mapping) for mapping in subject.mappings]
        subject.first_mapping = self._sink.add_process(row, rows)
        if not self.tally.processes:
            self._surroundings = host.ksm_files(), host.meminfo(), tool()
        self.tally.processes += 1
        self.tally.zeroed_processes += row["ksm_zero_pages"] > 0
        self.tally.skipped["pages in swap"] += row["swapped_pages"]
        self.tally.skipped["pages of hugetlb, in 4 KiB"] += row["hugetlb_pages"]

    def _store_piece(self, piece: Piece) -> None:
        subject, found = piece.subject, piece.found
        content = piece.content()
        there = piece.surely_read(content)
        subject.lost += int(np.count_nonzero(found.eligible & ~there))
        # Where neither a scan nor a flag marks the shared zero page, a page of zeros
        # that others map as well is taken for it.
        unmarked = found.shared & (content.digest == self._zero)
        if subject.pagemap.scans or self._physical.known:
            unmarked = np.zeros_like(unmarked)
        rows = np.flatnonzero(there & found.eligible & ~unmarked)
        flags = np.where(content.fill[rows], PageFlag.FILL, 0)
        flags |= np.where(found.ksm[rows], PageFlag.KSM, 0)
        frame, folio = self._physical.number(found, rows)
        pages = Pages(
            mapping=piece.mapping[rows] + np.int32(subject.first_mapping),
            vpn=piece.vpns[rows],
            digest=content.digest[rows],
            frame=frame,
            folio=folio,
            nid=found.nid[rows],
            flags=flags.astype(np.uint16),
        )
        self._sink.add_pages(pages)
        sample = np.arange(len(rows)) % _SAMPLE_EVERY < _SAMPLE_PAGES
        subject.samples.append((pages.vpn[sample], pages.digest[sample]))
        subject.pages += len(rows)
        self.tally.pages += len(rows)
        self.tally.ksm_pages += int(np.count_nonzero(found.ksm[rows]))

    def _conclude(self, subject: Subject) -> None:
        reread, changed = self._reread(subject)
        self.tally.skipped["pages lost to a race"] += subject.lost
        self.tally.skipped["processes that exited while read"] += subject.exited
        if reread:
            self.tally.reread_pages += reread
            self.tally.sampled_pages += subject.pages
            self.tally.changed_pages += subject.pages * changed / reread
        self._sink.amend_process(
            lost_pages=subject.lost, reread_pages=reread, changed_pages=changed
        )
        self._open.remove(subject)
        subject.close()

    def _reread(self, subject: Subject) -> tuple[int, int]:
        """Read some pages again: how many, and how many of them have changed."""
        if subject.held or not subject.samples or not subject.is_same_process():
            return 0, 0
        vpns, digests = map(np.concatenate, zip(*subject.samples, strict=True))
        blocks = len(vpns) // _SAMPLE_PAGES
        every = max(-(-blocks * _SAMPLE_PAGES // _SAMPLE_MOST), 1)
        some = np.arange(len(vpns)) // _SAMPLE_PAGES % every == 0
        vpns, digests = vpns[some], digests[some]
        still = subject.still(vpns)
        alone = subject.alone(subject.pagemap.entries(vpns[still]))
        content = self._reader.read(subject.target, vpns[still], alone)
        same: npt.NDArray[np.bool_] = content.read & (content.digest == digests[still])
        return len(vpns), len(vpns) - int(np.count_nonzero(same))

    def require_something(self) -> None:
        """Raises InputError where no process could be captured."""
        if self.tally.processes:
            return
        denied = self.tally.skipped["processes without permission"]
        if not denied:
            raise InputError("every selected process exited before it could be read")
        first = self._processes[0]
        what = f"process {first.pid}" if denied == 1 else f"any of {denied} processes"
        raise InputError(
            f"no permission to read the memory of {what}", permission_hint()
        )

    def _note_freezing(self, freezer: Freezer) -> None:
        skipped = self.tally.skipped
        skipped["processes thawed before they were read in full"] += freezer.late
        skipped["processes that could not be frozen"] += freezer.missed

    def facts(self, started: datetime, tally: Tally) -> Facts:
        """What is true of a capture that began at *started*, of which *tally* came."""
        settings = self._settings
        ksm, meminfo, tool = self._surroundings
        return Facts(
            host=self._host,
            kernel=os.uname().release,
            captured_at=started.isoformat(timespec="seconds"),
            source="live",
            tool=tool,
            zero_digest=self._zero,
            seed_id=seed_id(settings.seed),
            label_by=settings.label_by,
            ksm=ksm,
            meminfo=meminfo,
            skipped=tally.counted(),
            limits=tally.limits(
                frozen=settings.freeze != "none", frames_known=self._physical.known
            ),
        )
