"""The machine a capture is taken on: what holds for all of its processes."""

import os
from pathlib import Path

from traces.errors import InputError
from traces.schema import PAGE_SIZE

_KSM = Path("/sys/kernel/mm/ksm")


def require_supported_pages() -> None:
    """Raises InputError on a host whose pages are not 4 KiB."""
    size = os.sysconf("SC_PAGE_SIZE")
    if size != PAGE_SIZE:
        raise InputError(
            f"the pages of this host are {size} bytes; "
            f"traces describe pages of {PAGE_SIZE} bytes"
        )


def ksm_files() -> dict[str, str]:
    """The files of /sys/kernel/mm/ksm; empty on a kernel without KSM."""
    found = {}
    if _KSM.is_dir():
        for file in sorted(_KSM.iterdir()):
            try:
                found[file.name] = file.read_text().strip()
            except OSError:
                continue
    return found


def meminfo() -> dict[str, int]:
    """/proc/meminfo, in bytes; the counts of huge pages as they are."""
    found = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        found[name] = int(words[0]) << (10 if words[1:] == ["kB"] else 0)
    return found


def ptrace_scope() -> int:
    """Yama's setting: from 1 on, only descendants may be read; 0 without Yama."""
    try:
        return int(Path("/proc/sys/kernel/yama/ptrace_scope").read_text())
    except (OSError, ValueError):
        return 0
