"""Core dumps of processes: written by the kernel, by gdb's gcore, kept by
systemd-coredump.

What a segment holds: fs/coredump.c (vma_dump_size, dump_emit_page: a page that is not
there, or is the shared zero page, is left a hole) and coredump_filter in core(5).
"""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from traces.dumps.cores.elf import EXECUTE, READ, WRITE, Elf, Loads
from traces.dumps.cores.segments import Segments, Stream
from traces.dumps.digesting import Digester
from traces.dumps.dump import HOLES_OF_ZEROS, Account, Dumped, page_rows
from traces.errors import InputError
from traces.schema import PAGE_SIZE, UNKNOWN, Pages

_NT_PRSTATUS: Final = 1
_NT_PRPSINFO: Final = 3
_NT_AUXV: Final = 6
_NT_FILE: Final = 0x46494C45

_AT_PAGESZ: Final = 6
_AT_ENTRY: Final = 9
_AT_RANDOM: Final = 25
_AT_SYSINFO_EHDR: Final = 33

_SHARED: Final = ("/dev/zero (deleted)", "/SYSV", "/dev/shm/", "/memfd:")
_HUGE: Final = "/anon_hugepage"

# What may hold anonymous pages, and whether each of them surely is one.
_ANON, _MIXED, _NEVER = "anon", "mixed", "never"

_SYSTEMD: Final = re.compile(r"core\.(.+)\.(\d+)\.[0-9a-f]{32}\.(\d+)\.(\d{16})(\..*)?")

_OFFERED: Final = (
    "a core does not tell which mappings were offered to ksmd: what it would save is "
    "told for all that could be"
)
_SWAPPED: Final = "a core does not tell pages that were in swap from those in memory"
_NO_HOLES: Final = (
    "the core has no holes (gcore, a pipe, compression or copying fills them): a page "
    "of zeros in it may be one the process never touched"
)
_COARSE: Final = (
    "the core lies on a file system of blocks larger than a page: a page of zeros in "
    "it may be one the process never touched"
)
_COPIES: Final = (
    "a core does not tell which pages of a writable file mapping are the process's own "
    "copies, and which are the file's"
)
_LOST: Final = (
    "the notes that name the process and its files are missing or cut: no page is "
    "known to be anonymous memory"
)
_FILTERED: Final = (
    "private anonymous memory was not dumped (coredump_filter): of most memory nothing "
    "can be said"
)


_KINDS: Final = {
    "special": "special mappings (vdso, vsyscall)",
    "hugetlb": "hugetlb",
    "memfd": "shared memory",
    "shared": "shared memory",
    "file": "files",
}


class Identity(NamedTuple):
    """Who the process was."""

    pid: int = UNKNOWN
    ppid: int = UNKNOWN
    uid: int = UNKNOWN
    comm: str = ""
    cmdline: str = ""


class _FileTable(NamedTuple):
    """Mapped files, ascending by address."""

    start: npt.NDArray[np.uint64]
    end: npt.NDArray[np.uint64]
    at_start: npt.NDArray[np.bool_]
    """Whether it is the beginning of the file that is mapped."""
    name: list[str]


class _Area(NamedTuple):
    """What a segment is."""

    kind: str
    name: str
    holds: str


class ElfCore:
    """A core of one process."""

    def __init__(
        self, elf: Elf, *, private: bool, holes: bool, stream: Stream | None = None
    ) -> None:
        self.format = "elf-core"
        self.kernel = ""
        self.account = Account(limits=[_OFFERED, _SWAPPED])
        self._elf, self._private, self._stream = elf, private, stream
        self._holes = holes
        self._auxv = _auxv(elf)
        size = self._auxv.get(_AT_PAGESZ, PAGE_SIZE)
        if size != PAGE_SIZE:
            raise InputError(
                f"{elf.source.path}: from a machine with pages of {size} bytes, "
                f"expected {PAGE_SIZE}: its ksmd merges larger pages than a trace holds"
            )
        self._files = _files(elf)
        self._lost = elf.cut or not self._files.name
        """Whether notes are missing that tell files from other memory."""
        if elf.cut:
            self.account.damage = "the notes behind its memory are cut or damaged"
        self._loads = self._sorted(elf.loads)
        self._areas = [self._area(at) for at in range(len(self._loads))]
        self._gcore = bool(
            elf.notes
            and elf.notes[0].type == _NT_PRPSINFO
            and (elf.loads.filesz > 0).all()
        )
        """Whether gdb wrote it, which reads every page and so touches it."""
        self._note = _systemd_note(elf.source.path)
        self.host = self._note.get("hostname", "")
        self.captured_at = self._note.get("captured_at", "")

    def steps(self, digester: Digester) -> Iterator[Dumped | Pages]:
        """The process, then its pages."""
        stream = self._stream
        if stream is None and not self._elf.source.plain:
            stream = Stream(self._elf, digester)
        memory = Segments(
            self._elf, self._loads, stream, digester, self.account,
            holes=self._holes and not self._gcore,
        )  # fmt: skip
        known = memory.sparse and memory.fine
        self._tell_limits(known, memory.sparse)
        rows = [self._row(at) for at in range(len(self._areas))]
        yield Dumped(self._process(), rows)
        for at, area in enumerate(self._areas):
            if area.holds == _NEVER:
                what = f"pages of {_KINDS[area.kind]}"
                self.account.skipped[what] += memory.present(at)
                continue
            first = _unsigned(self._loads.vaddr[at]) // PAGE_SIZE
            for numbers, digested in memory.pages(at):
                yield page_rows(
                    at,
                    numbers + first,
                    digested,
                    zero=digester.zero,
                    presence_known=known,
                    anon_known=area.holds == _ANON,
                )

    def _sorted(self, loads: Loads) -> Loads:
        """In the order of addresses; a segment that lies over another one is left."""
        order = np.argsort(loads.vaddr.view(np.uint64), kind="stable")
        kept, end = [], 0
        for at in order.tolist():
            start = _unsigned(loads.vaddr[at])
            if start < end or start % PAGE_SIZE:
                pages = int(loads.filesz[at]) // PAGE_SIZE
                self.account.skipped["pages of overlapping segments"] += pages
                self.account.pages += pages
                continue
            kept.append(at)
            end = start + int(max(loads.memsz[at], loads.filesz[at]))
        return loads.taken(kept)

    def _area(self, at: int) -> _Area:
        loads = self._loads
        start, size = _unsigned(loads.vaddr[at]), int(loads.memsz[at])
        flags = int(loads.flags[at])
        if start >> 63 or 0 <= self._auxv.get(_AT_SYSINFO_EHDR, 0) - start < size:
            return _Area("special", "", _NEVER)
        name = self._name_at(start)
        if self._lost:
            return _Area("anon", name, _MIXED)
        if not name:
            if 0 <= self._auxv.get(_AT_RANDOM, 0) - start < size:
                return _Area("stack", "[stack]", _ANON)
            return _Area("anon", "", _ANON)
        if name.startswith(_HUGE):
            return _Area("hugetlb", name, _NEVER)
        if name.startswith(_SHARED):
            kind = "memfd" if name.startswith("/memfd:") else "shared"
            return _Area(kind, name, _NEVER)
        # Of a file that nobody wrote to, only the page with its ELF header is dumped.
        filesz = int(loads.filesz[at])
        header = filesz == PAGE_SIZE and self._files.at_start[self._file_at(start)]
        kept = header or flags & EXECUTE
        mixed = filesz == size and (flags & WRITE or not kept)
        return _Area("file", name, _MIXED if mixed else _NEVER)

    def _row(self, at: int) -> dict[str, Any]:
        loads, area = self._loads, self._areas[at]
        flags = int(loads.flags[at])
        letters = zip("rwx", (READ, WRITE, EXECUTE), strict=True)
        return {
            "start_vpn": _unsigned(loads.vaddr[at]) // PAGE_SIZE,
            "pages": -(-int(max(loads.memsz[at], loads.filesz[at])) // PAGE_SIZE),
            "perms": "".join(c if flags & bit else "-" for c, bit in letters) + "p",
            "kind": area.kind,
            "name": area.name,
        }

    def _process(self) -> dict[str, Any]:
        identity = self._identity()
        exe = self._note.get("exe", "") or self._name_at(self._auxv.get(_AT_ENTRY, 0))
        return {
            "host": self.host,
            "pid": identity.pid,
            "ppid": identity.ppid,
            "uid": identity.uid if identity.uid < 1 << 31 else UNKNOWN,
            "comm": identity.comm,
            "exe": exe,
            "cmdline": "" if self._private else identity.cmdline,
        }

    def _identity(self) -> Identity:
        notes = self._elf.notes_of(_NT_PRPSINFO)
        found = _identity_of(self._elf, notes[0]) if notes else Identity()
        comm = self._note.get("comm", "") or found.comm
        if self._gcore and found.cmdline:
            # gdb writes the last part of the title, such as the socket it names.
            title = found.cmdline.split()[0].rpartition("/")[2]
            comm = title.partition(":")[0] or comm
        return found._replace(comm=comm)

    def _name_at(self, address: int) -> str:
        """The file mapped at *address*; empty where there is none."""
        at = self._file_at(address)
        return "" if at < 0 else self._files.name[at]

    def _file_at(self, address: int) -> int:
        """Its row, -1 for none."""
        files = self._files
        at = int(np.searchsorted(files.start, np.uint64(address), "right")) - 1
        return at if at >= 0 and address < int(files.end[at]) else -1

    def _tell_limits(self, known: bool, sparse: bool) -> None:
        limits = self.account.limits
        if not self._holes:
            limits.append(HOLES_OF_ZEROS)
        elif not known:
            limits.append(_COARSE if sparse else _NO_HOLES)
        if self._lost:
            limits.append(_LOST)
        elif any(area.holds == _MIXED for area in self._areas):
            limits.append(_COPIES)
        anon = np.array([area.holds == _ANON for area in self._areas], bool)
        ours = anon & ((self._loads.flags & WRITE) != 0)
        if ours.any() and not self._loads.filesz[ours].any():
            limits.append(_FILTERED)


def _unsigned(address: Any) -> int:
    return int(address) % (1 << 64)


def _auxv(elf: Elf) -> dict[int, int]:
    """The auxiliary vector the kernel gave the process."""
    size = 8 if elf.wide else 4
    found = {}
    for data in elf.notes_of(_NT_AUXV)[:1]:
        for at in range(0, len(data) - 2 * size + 1, 2 * size):
            key, value = elf.unpack("WW", data, at)
            if key == 0:
                break
            found[key] = value
    return found


def _files(elf: Elf) -> _FileTable:
    """The mapped files by address; cut short where the note is."""
    size = 8 if elf.wide else 4
    for data in elf.notes_of(_NT_FILE)[:1]:
        if len(data) < 2 * size:
            continue
        (count,) = elf.unpack("W", data)
        count = min(count, (len(data) - 2 * size) // (3 * size))
        table = np.frombuffer(data, f"{elf.order}u{size}", 3 * count, 2 * size)
        names = data[2 * size + 3 * size * count :].split(b"\0")[:count]
        rows = table.reshape(-1, 3)[: len(names)]
        order = np.argsort(rows[:, 0], kind="stable")
        texts = [name.decode("utf-8", "backslashreplace") for name in names]
        return _FileTable(
            rows[order, 0].astype(np.uint64),
            rows[order, 1].astype(np.uint64),
            rows[order, 2] == 0,
            [texts[at] for at in order.tolist()],
        )
    nothing = np.empty(0, np.uint64)
    return _FileTable(nothing, nothing, nothing.astype(bool), [])


def _identity_of(elf: Elf, data: bytes) -> Identity:
    """What a NT_PRPSINFO note says (struct elf_prpsinfo; narrow machines have user
    numbers of 16 or 32 bits)."""
    forms = {136: ("II", 16), 128: ("II", 8), 124: ("HH", 8)}
    if len(data) not in forms:
        return Identity()
    users, at = forms[len(data)]
    uid, _, pid, ppid = elf.unpack(users + "ii", data, at)
    names = len(data) - 96
    return Identity(
        pid, ppid, uid, _text(data[names : names + 16]), _text(data[names + 16 :])
    )


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "replace").strip()


def _systemd_note(path: Path) -> dict[str, str]:
    """What systemd-coredump wrote beside the core: in its name and its attributes."""
    found = {}
    if match := _SYSTEMD.fullmatch(path.name):
        found["comm"] = re.sub(
            r"\\x([0-9a-f]{2})", lambda hexed: chr(int(hexed[1], 16)), match[1]
        )
        found["captured_at"] = _moment(match[4])
    for name in ("hostname", "comm", "exe", "timestamp"):
        try:
            value = os.getxattr(path, f"user.coredump.{name}").decode(
                "utf-8", "replace"
            )
        except OSError:
            continue
        found[name] = value
        if name == "timestamp" and value.isdecimal():
            found["captured_at"] = _moment(value)
    return found


def _moment(microseconds: str) -> str:
    try:
        when = datetime.fromtimestamp(int(microseconds) / 1e6, UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return when.isoformat(timespec="seconds")
