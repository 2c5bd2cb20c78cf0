"""A process being captured, and its pages in pieces of bounded size.

A process of any size streams through the same few megabytes: while the threads read
one piece's pages, the next piece's are looked for.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from traces.capture import host, procfs
from traces.capture.describe import is_eligible
from traces.capture.pagemap import EXCLUSIVE, PageMap, Pages
from traces.capture.physical import Found, Physical
from traces.capture.procfs import Gone, Mapping, Process
from traces.capture.reading import Content, PageReader, Reading, Target
from traces.schema import PAGE_SIZE

_PIECE_PAGES: Final = 1 << 18
"""A piece is closed once it has this many pages; it has less than twice as many.

Frames are asked for by the piece: the more of them, the fewer calls."""

_HANDFUL_PAGES: Final = 1 << 14
"""Found pages wait for this many before the threads are told."""

_EARLY_PAGES: Final = 4096
"""Smaller mappings wait until their flags are known."""
_EARLY_MOST: Final = 1 << 20
"""And those of larger processes too, lest too much is in flight."""

Vpns = npt.NDArray[np.int64]


@dataclass(slots=True, eq=False)
class Subject:
    """A process while it is captured, and what came of it so far."""

    process: Process
    mappings: list[Mapping]
    pagemap: PageMap
    target: Target
    held: bool
    """Frozen, so that it need not be read twice to know whether it changes."""
    merged: bool = False
    """ksmd may have merged pages of it."""
    early: dict[tuple[int, int], list[tuple[Pages, Reading]]] = field(
        default_factory=dict
    )
    """Addresses of mappings → pages already given to the threads."""
    first_mapping: int = -1
    """Number of its first mapping in the trace."""
    pages: int = 0
    lost: int = 0
    exited: bool = False
    samples: list[tuple[Vpns, npt.NDArray[np.int64]]] = field(default_factory=list)
    """Some of its pages and their digests."""

    def close(self) -> None:
        """Give back the open files, once no thread reads them any more."""
        self.settle()
        self.pagemap.close()
        os.close(self.target.memory)

    def settle(self) -> None:
        """Wait for what was begun early, and turned out not to be wanted."""
        for early in self.early.values():
            for _, reading in early:
                reading.settle()

    def is_same_process(self) -> bool:
        """Whether its pid still means the process that was selected."""
        try:
            return procfs.start_ticks(self.process.pid) == self.process.start_ticks
        except Gone:
            return False

    def alone(self, entries: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Which pages, by their pagemap *entries*, this process has to itself.

        A merged page whose other mappings have gone looks as if it were; so where
        there are merged pages, none is taken to be.
        """
        if self.merged:
            return np.zeros(len(entries), bool)
        alone: npt.NDArray[np.bool_] = (entries & np.uint64(EXCLUSIVE)) != 0
        return alone

    def still(self, vpns: Vpns) -> npt.NDArray[np.bool_]:
        """Which of the pages are there now; none once it has exited."""
        try:
            return self.pagemap.still(vpns)
        except ProcessLookupError:
            self.exited = True
            return np.zeros(len(vpns), bool)


class Piece(NamedTuple):
    """Pages of one process that are being read."""

    subject: Subject
    mapping: npt.NDArray[np.int32]
    """Which of the subject's mappings, counted from 0."""
    vpns: Vpns
    readings: list[Reading]
    found: Found

    def content(self) -> Content:
        """What was read; waits for it."""
        parts = [reading.wait() for reading in self.readings]
        return Content(
            digest=np.concatenate([part.digest for part in parts]),
            fill=np.concatenate([part.fill for part in parts]),
            read=np.concatenate([part.read for part in parts]),
            faulted=any(part.faulted for part in parts),
        )

    def surely_read(self, content: Content) -> npt.NDArray[np.bool_]:
        """Which pages hold what was read, not something put in their place."""
        subject = self.subject
        if not subject.is_same_process():
            # Another process may have got the pid, and been read instead.
            subject.exited = True
            return np.zeros(len(self.vpns), bool)
        there = content.read & self.found.present
        return there & subject.still(self.vpns) if content.faulted else there


def opened(process: Process, held: bool, frames: bool, reader: PageReader) -> Subject:
    """Open what shows *process* from outside; *frames* if they are shown to us.

    Large mappings may be given to *reader* already. Raises PermissionError, and Gone
    where it has exited.
    """
    with contextlib.ExitStack() as stack:
        try:
            memory = os.open(f"/proc/{process.pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, memory)
            pagemap = stack.enter_context(PageMap(process.pid, frames=frames))
        except (FileNotFoundError, ProcessLookupError) as error:
            raise Gone from error
        subject = Subject(process, [], pagemap, Target(process.pid, memory), held)
        stack.callback(subject.settle)
        _start_early(subject, reader)
        subject.mappings = procfs.mappings(process.pid)
        subject.merged = _may_hold_merged_pages(subject.mappings)
        if not subject.is_same_process():
            raise Gone
        stack.pop_all()
    return subject


def _start_early(subject: Subject, reader: PageReader) -> None:
    """Have large private memory read while the kernel puts smaps together.

    That takes as long as reading a tenth of the pages. What is of no file and private
    is no device's and not shared, so that it may be read whatever its flags are; they
    decide afterwards whether it is kept.
    """
    pages = subject.process.anon_pages
    if not _EARLY_PAGES <= pages <= _EARLY_MOST or _host_has_merged_pages():
        return
    for area in procfs.areas(subject.process.pid):
        start, end = area.start // PAGE_SIZE, area.end // PAGE_SIZE
        named = area.name and not area.name.startswith(("[heap]", "[anon:"))
        if area.perms[3] != "p" or area.inode or named or end - start < _EARLY_PAGES:
            continue
        early = []
        for found in subject.pagemap.present(start, end, pages):
            alone = subject.alone(found.entries)
            early.append((found, reader.start(subject.target, found.vpns, alone)))
        subject.early[area.start, area.end] = early


def _may_hold_merged_pages(mappings: list[Mapping]) -> bool:
    """Merged pages live in mergeable mappings only."""
    mergeable = any("mg" in mapping.vm_flags for mapping in mappings)
    return mergeable and _host_has_merged_pages()


def _host_has_merged_pages() -> bool:
    return host.ksm_files().get("pages_shared", "0") != "0"


def pieces(subject: Subject, reader: PageReader, physical: Physical) -> Iterator[Piece]:
    """Find every eligible page of *subject* and start reading it, in address order."""
    parts: list[tuple[int, Pages]] = []
    readings: list[Reading] = []
    size = told = first = 0
    for number, pages, reading in _present(subject):
        if size - told >= _HANDFUL_PAGES or (reading and told < size):
            readings.append(_started(subject, parts[first:], reader))
            told, first = size, len(parts)
        parts.append((number, pages))
        size += len(pages.vpns)
        if reading:
            readings.append(reading)
            told, first = size, len(parts)
        if size >= _PIECE_PAGES:
            if told < size:
                readings.append(_started(subject, parts[first:], reader))
            yield _piece(subject, parts, readings, physical)
            parts, readings = [], []
            size = told = first = 0
    if told < size:
        readings.append(_started(subject, parts[first:], reader))
    if parts:
        yield _piece(subject, parts, readings, physical)


def _present(subject: Subject) -> Iterator[tuple[int, Pages, Reading | None]]:
    """Pages that ksmd could look at, with the place of their mapping, and their
    reading if it was started early."""
    try:
        for number, mapping in enumerate(subject.mappings):
            if not is_eligible(mapping) or not mapping.anonymous:
                continue
            early = subject.early.pop((mapping.start, mapping.end), None)
            if early is not None:
                for pages, reading in early:
                    yield number, pages, reading
                continue
            start, end = mapping.start // PAGE_SIZE, mapping.end // PAGE_SIZE
            anonymous = mapping.anonymous // PAGE_SIZE
            for pages in subject.pagemap.present(start, end, anonymous):
                yield number, pages, None
    except ProcessLookupError:
        subject.exited = True


def _started(
    subject: Subject, parts: list[tuple[int, Pages]], reader: PageReader
) -> Reading:
    vpns = np.concatenate([pages.vpns for _, pages in parts])
    alone = subject.alone(np.concatenate([pages.entries for _, pages in parts]))
    return reader.start(subject.target, vpns, alone)


def _piece(
    subject: Subject,
    parts: list[tuple[int, Pages]],
    readings: list[Reading],
    physical: Physical,
) -> Piece:
    counts = [len(pages.vpns) for _, pages in parts]
    numbers = np.array([number for number, _ in parts], np.int32)
    found = physical.find(np.concatenate([pages.entries for _, pages in parts]))
    return Piece(
        subject,
        np.repeat(numbers, counts),
        np.concatenate([pages.vpns for _, pages in parts]),
        readings,
        found,
    )
