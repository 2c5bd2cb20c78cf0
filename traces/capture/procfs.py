"""/proc/PID as records: maps with smaps' flags, stat, status, cgroup, ksm_stat.

Parsed, nothing decided: what is eligible, selected or worth a name is said elsewhere.
Everything here may find the process gone at any line; the kernel says so in half a
dozen ways (ENOENT, ESRCH, an empty file), and callers see `Gone` for all of them.
"""

import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

PROC: Final = Path("/proc")

_PF_KTHREAD: Final = 0x00200000
_HEADER: Final = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) (\S{4}) [0-9a-f]+ [0-9a-f]+:[0-9a-f]+ (\d+)"
    rb"(?: +([^\n]*))?\n",
    re.MULTILINE,
)
_FIELD: Final = re.compile(
    rb"^(Anonymous|Swap|Shared_Hugetlb|Private_Hugetlb): +(\d+) kB$|"
    rb"^VmFlags: ?([^\n]*)$",
    re.MULTILINE,
)


class Gone(Exception):  # noqa: N818 (a state, not a mistake)
    """The process has exited, or its address space has been given back."""


class Mapping(NamedTuple):
    """One line of /proc/PID/maps with what smaps adds; sizes in bytes."""

    start: int
    end: int
    perms: str
    inode: int
    name: str
    vm_flags: tuple[str, ...]
    """The two-letter codes of VmFlags (fs/proc/task_mmu.c: show_smap_vma_flags)."""
    anonymous: int
    """Bytes present and anonymous; the shared zero page is not among them."""
    swap: int
    hugetlb: int


class Process(NamedTuple):
    """What /proc tells about a process without a right to its memory."""

    pid: int
    ppid: int
    comm: str
    state: str
    """One letter, as in /proc/PID/stat: `T` is stopped, `Z` a zombie."""
    start_ticks: int
    """Clock ticks from boot to start: tells a process from a later one of its pid."""
    uid: int
    anon_pages: int
    """RssAnon in pages: about what a capture will read."""
    kernel_thread: bool


def pids() -> list[int]:
    """The processes, not their threads, that /proc shows to us."""
    return sorted(int(p.name) for p in PROC.iterdir() if p.name.isdecimal())


def process(pid: int) -> Process:
    """Raises Gone where there is no process *pid*."""
    comm, fields = _stat(pid)
    status = _status(pid)
    return Process(
        pid=pid,
        ppid=int(fields[1]),
        comm=comm,
        state=fields[0].decode(),
        start_ticks=int(fields[19]),
        uid=int(status.get("Uid", "-1").split()[1]),
        anon_pages=int(status.get("RssAnon", "0").split()[0]) // 4,
        kernel_thread=bool(int(fields[6]) & _PF_KTHREAD),
    )


def thread_group(pid: int) -> int:
    """The process that thread *pid* belongs to; itself where it is a process."""
    return int(_status(pid)["Tgid"])


def start_ticks(pid: int) -> int:
    """Raises Gone where there is no process *pid*."""
    return identity(pid)[1]


def identity(pid: int) -> tuple[str, int]:
    """(comm, start_ticks), for who asks often. Raises Gone where there is no *pid*."""
    comm, fields = _stat(pid)
    return comm, int(fields[19])


def thread_states(pid: int) -> Iterator[str]:
    """The state letter of every thread."""
    try:
        for thread in (PROC / str(pid) / "task").iterdir():
            stat = (thread / "stat").read_bytes()
            yield stat.rpartition(b")")[2].split()[0].decode()
    except (FileNotFoundError, ProcessLookupError) as error:
        raise Gone from error


def areas(pid: int) -> list[Mapping]:
    """The mappings as /proc/PID/maps lists them: without flags and sizes, but at once.

    Empty where the process is gone.
    """
    try:
        data = _read(pid, "maps")
    except Gone:
        return []
    found = (_mapping(line, data, line.end()) for line in _HEADER.finditer(data))
    return [area for area in found if area.start < 1 << 63]


def mappings(pid: int) -> list[Mapping]:
    """The mappings in ascending order, [vsyscall] left out.

    It lies in the kernel's half of the address space and belongs to every process.
    Raises Gone, and PermissionError where the process is not ours to look into.
    """
    data = _read(pid, "smaps")
    if not data:
        raise Gone
    headers = list(_HEADER.finditer(data))
    ends = [header.start() for header in headers[1:]] + [len(data)]
    return [
        _mapping(header, data, end)
        for header, end in zip(headers, ends, strict=True)
        if int(header[1], 16) < 1 << 63
    ]


def cgroups(pid: int) -> dict[str, str]:
    """Controller → path; `""` is the unified hierarchy, `name=systemd` systemd's own.

    Empty where the process is gone.
    """
    try:
        lines = text(_read(pid, "cgroup")).splitlines()
    except (Gone, PermissionError):
        return {}
    found: dict[str, str] = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        found |= dict.fromkeys(controllers.split(","), path)
    return found


def ksm_stat(pid: int) -> dict[str, str]:
    """/proc/PID/ksm_stat, empty where the kernel or our rights do not give it."""
    try:
        return ksm_figures(pid)
    except (Gone, OSError):
        return {}


def ksm_figures(pid: int) -> dict[str, str]:
    """/proc/PID/ksm_stat (Linux 6.1); empty for a thread of the kernel.

    Raises Gone, also where the kernel has no such file, and PermissionError.
    """
    lines = _read(pid, "ksm_stat").decode().splitlines()
    pairs = (line.split(maxsplit=1) for line in lines)
    return {pair[0].rstrip(":"): pair[1] for pair in pairs if len(pair) == 2}


def ksm_merging_pages(pid: int) -> int:
    """/proc/PID/ksm_merging_pages (Linux 5.19); 0 for a thread of the kernel.

    Raises as `ksm_figures`.
    """
    return int(_read(pid, "ksm_merging_pages") or 0)


def command_line(pid: int) -> list[str]:
    """The arguments; empty where they cannot be read."""
    try:
        return [text(word) for word in _read(pid, "cmdline").split(b"\0")[:-1]]
    except (Gone, OSError):
        return []


def executable(pid: int) -> str:
    """The path of the program file; empty where it cannot be read."""
    try:
        return text(os.fsencode((PROC / str(pid) / "exe").readlink()))
    except OSError:
        return ""


def user_name(uid: int) -> str:
    """The user's name, or the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)


def text(raw: bytes) -> str:
    r"""Bytes from outside as valid UTF-8; what is none becomes `\xNN`."""
    return raw.decode("utf-8", "backslashreplace")


def _mapping(header: re.Match[bytes], data: bytes, end: int) -> Mapping:
    sizes = {b"Anonymous": 0, b"Swap": 0, b"Shared_Hugetlb": 0, b"Private_Hugetlb": 0}
    flags: tuple[str, ...] = ()
    for field in _FIELD.finditer(data, header.end(), end):
        if field[1]:
            sizes[field[1]] = int(field[2]) << 10
        else:
            flags = tuple(field[3].decode().split())
    return Mapping(
        start=int(header[1], 16),
        end=int(header[2], 16),
        perms=header[3].decode(),
        inode=int(header[4]),
        # A newline in a file name is the one character the kernel escapes here.
        name=text((header[5] or b"").replace(rb"\012", b"\n")),
        vm_flags=flags,
        anonymous=sizes[b"Anonymous"],
        swap=sizes[b"Swap"],
        hugetlb=sizes[b"Shared_Hugetlb"] + sizes[b"Private_Hugetlb"],
    )


def _stat(pid: int) -> tuple[str, list[bytes]]:
    """comm, and the fields of /proc/PID/stat from the state on."""
    # comm may hold spaces and parentheses; the last one closes it.
    head, _, tail = _read(pid, "stat").rpartition(b")")
    return text(head.partition(b"(")[2]), tail.split()


def _status(pid: int) -> dict[str, str]:
    lines = text(_read(pid, "status")).splitlines()
    pairs = (line.partition(":") for line in lines)
    return {key: value.strip() for key, _, value in pairs}


def _read(pid: int, name: str) -> bytes:
    try:
        return (PROC / str(pid) / name).read_bytes()
    except (FileNotFoundError, ProcessLookupError, NotADirectoryError) as error:
        raise Gone from error
