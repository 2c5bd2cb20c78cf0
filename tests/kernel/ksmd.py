"""This machine's own ksmd, made to take one full scan at a time.

Between two full scans it sleeps for ten minutes, and a changed sleep_millisecs wakes
it, so that nothing moves while a test reads the figures. Everything that is written is
put back, also where a test fails.
"""

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from analyzer.counters import KsmCounters

SYSFS: Final = Path("/sys/kernel/mm/ksm")
KHUGEPAGED: Final = Path(
    "/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs"
)
LOCK: Final = Path(tempfile.gettempdir()) / "ksm-analyze-kernel-tests.lock"

WRITABLE: Final = (
    "advisor_mode",
    "max_page_sharing",
    "merge_across_nodes",
    "pages_to_scan",
    "sleep_millisecs",
    "smart_scan",
    "stable_node_chains_prune_millisecs",
    "use_zero_pages",
)
RUNNING_TOTALS: Final = ("pages_scanned", "pages_skipped")
"""Counted since the machine was started."""

_WHOLE_LIST: Final = 100_000_000
_TEN_MINUTES: Final = 600_000
_LOST_AFTER: Final = 2.0
"""Seconds without any progress after which a wake-up counts as lost: ksmd may read
the new sleep_millisecs just before it falls asleep."""


def reason_to_leave_it_alone() -> str | None:
    """Why this machine's ksmd cannot be had; None if it can."""
    if not SYSFS.is_dir():
        return f"this kernel has no KSM: no {SYSFS}"
    if not os.access(SYSFS / "run", os.W_OK):
        return "only root may drive ksmd"
    release = os.uname().release
    if tuple(map(int, re.findall(r"\d+", release)[:2])) < (6, 18):
        return f"the replay's ksmd is that of Linux 6.18; this is {release}"
    if _read("run") != "0" or _read("pages_shared") != "0":
        return "this machine uses its ksmd"
    strangers = [
        folder.name for folder in Path("/proc").glob("[0-9]*") if _in_use(folder)
    ]
    if strangers:
        return f"processes are registered with KSM: {', '.join(strangers)}"
    return None


@contextmanager
def exclusively() -> Iterator[None]:
    """Two test runs at once would see each other's pages."""
    with LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Ksmd:
    """A context: ksmd at rest on entry and on leaving, its knobs as they were."""

    def __init__(self, **knobs: int) -> None:
        self.knobs = {"max_page_sharing": 256, **knobs}
        self.sleep = _TEN_MINUTES

    def __enter__(self) -> "Ksmd":
        self.before = {name: _read(name) for name in WRITABLE}
        self.khugepaged = KHUGEPAGED.read_text() if KHUGEPAGED.exists() else None
        try:
            self._forget_everything()
            _write("advisor_mode", "none")
            for name, value in self.knobs.items():
                _write(name, value)
            _write("pages_to_scan", _WHOLE_LIST)
            _write("sleep_millisecs", self.sleep)
            # A huge page that ksmd has split must stay split.
            if self.khugepaged is not None:
                KHUGEPAGED.write_text(str(_TEN_MINUTES))
            self.totals = {name: int(_read(name)) for name in RUNNING_TOTALS}
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._forget_everything()
        for name, value in self.before.items():
            if _read(name) != value:
                _write(name, value)
        if self.khugepaged is not None:
            KHUGEPAGED.write_text(self.khugepaged)

    def full_scan(self) -> None:
        """Exactly one, from the head of the list to its end."""
        done = int(_read("full_scans"))
        if _read("run") == "0":
            _write("run", 1)
        else:
            self._wake()
        self._await_scan(done)
        # ksmd holds its mutex while it scans: this write returns once it sleeps.
        _write("run", 1)
        extra = int(_read("full_scans")) - done - 1
        if extra:
            raise RuntimeError(f"ksmd made {extra} full scans too many")

    def counters(self) -> dict[str, int]:
        """The read-only files, the running totals counted from entry."""
        names = [name for name in KsmCounters._fields if name != "rmap_items"]
        values = {name: int(_read(name)) for name in names}
        for name, before in self.totals.items():
            values[name] -= before
        return values

    def process(self, pid: int) -> dict[str, int]:
        """/proc/PID/ksm_stat, without its lines that tell how pages are offered."""
        lines = Path(f"/proc/{pid}/ksm_stat").read_text().splitlines()
        words = [line.split() for line in lines]
        return {name: int(value) for name, value in words if not name.endswith(":")}

    def _await_scan(self, done: int) -> None:
        scanned, since = _read("pages_scanned"), time.monotonic()
        while int(_read("full_scans")) == done:
            time.sleep(0.001)
            if _read("pages_scanned") != scanned:
                scanned, since = _read("pages_scanned"), time.monotonic()
            elif time.monotonic() - since > _LOST_AFTER:
                since = time.monotonic()
                self._wake()

    def _wake(self) -> None:
        self.sleep = 2 * _TEN_MINUTES + 1 - self.sleep
        _write("sleep_millisecs", self.sleep)

    def _forget_everything(self) -> None:
        """Un-merge all pages and free all items; the list of processes stays."""
        _write("run", 0)
        self._wake()
        _write("run", 2)
        _write("run", 0)


def _read(name: str) -> str:
    text = (SYSFS / name).read_text().strip()
    return text.partition("[")[2].partition("]")[0] if "[" in text else text


def _write(name: str, value: int | str) -> None:
    (SYSFS / name).write_text(str(value))


def _in_use(folder: Path) -> bool:
    """Whether the process of this /proc folder is on ksmd's list, or was."""
    try:
        text = (folder / "ksm_stat").read_text()
    except OSError:
        return False
    registered = "ksm_merge_any: yes" in text or "ksm_mergeable: yes" in text
    return registered or (bool(text) and "ksm_rmap_items 0\n" not in text)
