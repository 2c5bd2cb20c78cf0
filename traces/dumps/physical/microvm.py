"""Snapshots of microVMs, which are folders: Cloud Hypervisor's and Firecracker's.

Cloud Hypervisor: `memory-ranges` holds one after the other what `state.json` calls
`memory_ranges` (vmm/src/memory_manager.rs). Firecracker: its state, and its memory as
it is (docs/snapshotting).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from traces.dumps.digesting import BATCH_PAGES, Digester
from traces.dumps.dump import UNTOUCHED, Account, Dumped, guest, page_rows, ram
from traces.dumps.physical.raw import RawMemory
from traces.dumps.refused import VMSTATE
from traces.dumps.source import Folder, Source
from traces.errors import InputError
from traces.schema import PAGE_SIZE, Pages

_STATE: Final = "state.json"
_MEMORY: Final = "memory-ranges"
_MOST_STATE: Final = 64 << 20
_HIGHEST: Final = 1 << 52

_NO_STATE: Final = (ValueError, LookupError, TypeError, ArithmeticError, RecursionError)
"""What JSON that is something else leads to."""

_NO_PLACES: Final = (
    "the snapshot's state does not tell where its ranges of memory lie: page numbers "
    "are those of its file"
)
_MAYBE_DIFF: Final = (
    "the memory file has holes: where it is a diff snapshot, its pages are only those "
    "that changed; BASE+DIFF with --format raw reads both"
)


class _Range(NamedTuple):
    gpa: int
    size: int


def is_cloud_hypervisor(folder: Folder) -> bool:
    """Whether *folder* is a snapshot of Cloud Hypervisor."""
    return {_STATE, _MEMORY} <= set(folder.names)


def is_firecracker(folder: Folder) -> bool:
    """Whether one of the files of *folder* is the state of a Firecracker microVM."""
    return any(_begins_state(folder.path / name) for name in folder.names)


class CloudHypervisor:
    """A guest's RAM; page numbers are those of guest-physical memory."""

    def __init__(self, folder: Folder, name: str) -> None:
        self.format = "cloud-hypervisor"
        self.host = self.kernel = self.captured_at = ""
        self.account = Account(limits=[UNTOUCHED])
        self._folder, self._name = folder, name
        self._ranges = _ranges(folder.path / _STATE)

    def steps(self, digester: Digester) -> Iterator[Dumped | Pages]:
        """The machine, then its RAM."""
        account = self.account
        with Source(self._folder.path / _MEMORY) as source:
            if not source.plain:
                raise InputError(f"{source.path}: {source.packing[0]}, expected memory")
            ranges = self._ranges
            if not ranges:
                account.limits.append(_NO_PLACES)
                ranges = [_Range(0, source.size)]
            size = sum(found.size for found in ranges)
            account.pages = size // PAGE_SIZE
            account.missing_bytes = max(size - source.size, 0)
            if source.size > size:
                more = source.size - size
                account.damage = f"{more} bytes more than its state tells of"
            end = max(found.gpa + found.size for found in ranges)
            yield guest(self._name, [ram("ram", 0, end // PAGE_SIZE)])
            places = np.cumsum([0, *(found.size for found in ranges)]).tolist()
            for found, place in sorted(zip(ranges, places, strict=False)):
                yield from self._pages(source, found, place, digester)

    def _pages(
        self, source: Source, found: _Range, place: int, digester: Digester
    ) -> Iterator[Pages]:
        there = max(min(found.size, source.size - place), 0) // PAGE_SIZE
        for at in range(0, there, BATCH_PAGES):
            pages = min(there - at, BATCH_PAGES)
            offset = np.array([place + at * PAGE_SIZE])
            digested = digester.of_file(source.file(), offset, np.array([pages]))
            self._folder.at += pages * PAGE_SIZE
            first = found.gpa // PAGE_SIZE + at
            lost = int(np.count_nonzero(~digested.read))
            self.account.missing_bytes += lost * PAGE_SIZE
            yield page_rows(
                0, np.arange(first, first + pages)[digested.read],
                digested.taken(digested.read), zero=digester.zero,
                presence_known=False,
            )  # fmt: skip


class Firecracker:
    """A guest's RAM; page numbers are those of its file."""

    def __init__(self, folder: Folder, name: str, *, holes: bool) -> None:
        self.format = "firecracker"
        self.host = self.kernel = self.captured_at = ""
        self._folder, self._name, self._holes = folder, name, holes
        paths = [folder.path / name for name in folder.names]
        memory = [path for path in paths if not _begins_state(path)]
        if len(memory) != 1:
            names = ", ".join(path.name for path in memory) or "none"
            raise InputError(
                f"{folder.path}: a Firecracker snapshot, expected one file of memory "
                f"beside its state, found {names}",
                hint="name the memory's file itself, with --format raw",
            )
        self._memory = memory[0]
        self.account = Account()

    def steps(self, digester: Digester) -> Iterator[Dumped | Pages]:
        """The machine, then its RAM."""
        with Source(self._memory) as source:
            dump = RawMemory(source, self._name, holes=self._holes)
            self.account = dump.account
            for step in dump.steps(digester):
                yield step
                self._folder.at = source.done
            if dump.sparse:
                self.account.limits.append(_MAYBE_DIFF)


def _begins_state(path: Path) -> bool:
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(8) in VMSTATE
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def _ranges(path: Path) -> list[_Range]:
    """Where memory lies, in the order of its file; empty where the state is of a
    version that does not say so in words.

    Raises InputError where it is no state, or its ranges make no sense.
    """
    try:
        if path.stat().st_size > _MOST_STATE:
            raise InputError(f"{path}: too large for the state of a machine")
        state = json.loads(path.read_bytes())
        found = _memory_ranges(state)
        ranges = [_Range(int(r["gpa"]), int(r["length"])) for r in found]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except _NO_STATE as error:
        raise InputError(f"{path}: no state of a Cloud Hypervisor machine") from error
    end = 0
    for gpa, size in sorted(ranges):
        if gpa < end or size <= 0 or gpa + size > _HIGHEST or (gpa | size) % PAGE_SIZE:
            raise InputError(
                f"{path}: {size} bytes of memory at {gpa:#x}, expected whole pages "
                "that are nothing else"
            )
        end = gpa + size
    return ranges


def _memory_ranges(state: Any) -> list[Any]:
    """The list called memory_ranges, however deep, also in JSON within JSON."""
    if isinstance(state, str) and "memory_ranges" in state:
        return _memory_ranges(json.loads(state))
    if isinstance(state, list):
        children = state
    elif isinstance(state, dict):
        table = state.get("memory_ranges")
        if isinstance(table, dict) and isinstance(table.get("data"), list):
            data: list[Any] = table["data"]
            return data
        children = list(state.values())
    else:
        return []
    return next(filter(None, map(_memory_ranges, children)), [])
