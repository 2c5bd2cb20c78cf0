"""This machine's own ksmd, made to take one full scan at a time.

Between two turns it sleeps for ten minutes, and a changed sleep_millisecs wakes it
(mm/ksm.c: sleep_millisecs_store), so that nothing moves while the figures are read.
"""

import fcntl
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

from analyzer.counters import KsmCounters
from analyzer.knobs import SYSFS, KsmKnobs
from analyzer.live.afterwards import Afterwards
from traces.capture import procfs
from traces.errors import InputError, OutputError

KHUGEPAGED: Final = Path(
    "/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs"
)
LOCK: Final = Path("/run/ksm-analyze.lock")
"""Held by whoever drives ksmd; /run belongs to root."""

_SAVED: Final = (
    "max_page_sharing",
    "merge_across_nodes",
    "pages_to_scan",
    "sleep_millisecs",
    "smart_scan",
    "stable_node_chains_prune_millisecs",
    "use_zero_pages",
    "advisor_mode",
)
"""In the order in which they are put back: the advisor owns pages_to_scan."""
_ANSWERS: Final = ("yes", "no")
_PACE: Final = ("pages_to_scan", "sleep_millisecs")
_RUNNING_TOTALS: Final = ("pages_scanned", "pages_skipped")
"""Counted by the kernel since it was started."""

_WHOLE_LIST: Final = 100_000_000
_A_PART: Final = 20_000
"""Pages of a wake-up among pages of others, who may have many: ksmd holds its mutex
for as long as a wake-up takes, and nobody can stop it meanwhile."""
_TEN_MINUTES: Final = 600_000
_LOST_AFTER: Final = 2.0
"""Seconds without any progress after which a wake-up counts as lost: ksmd may read
the new sleep_millisecs just before it falls asleep."""


def standing(knobs: KsmKnobs) -> dict[str, int]:
    """File → value of those knobs that say what ksmd does, not how fast: the pace is
    the driver's."""
    return {
        name: int(value)
        for name, value in knobs.as_files().items()
        if name not in _PACE and not name.startswith("advisor_")
    }


def require_ksm() -> None:
    """Raises InputError where the kernel has no KSM."""
    if not SYSFS.is_dir():
        release = os.uname().release
        raise InputError(f"this kernel ({release}) has no KSM: there is no {SYSFS}")


def require_ksmd() -> None:
    """Raises InputError where this process cannot drive ksmd: no KSM, or not root."""
    require_ksm()
    if not os.access(SYSFS / "run", os.W_OK):
        raise InputError(f"only root may drive ksmd: {SYSFS}/run is not writable")


def use_by_others(ours: Collection[int] = ()) -> str | None:
    """Who uses ksmd already, in words, the processes *ours* left aside; None if
    nobody does."""
    run = read("run")
    if run != "0":
        return f"ksmd is in use here ({SYSFS}/run is {run})"
    strangers = [pid for pid in procfs.pids() if pid not in ours and _is_known(pid)]
    if strangers:
        listed = ", ".join(map(str, strangers[:5]))
        more = f" and {len(strangers) - 5} more" if len(strangers) > 5 else ""
        return f"processes are offered to KSM here: {listed}{more}"
    if _merged() > sum(map(_merged_by, ours)):
        return "ksmd has merged pages here"
    return None


@contextmanager
def exclusively(wait: bool = False) -> Iterator[None]:
    """Nobody else of this program drives ksmd within the block.

    Raises InputError where somebody does, unless told to *wait*.
    """
    try:
        lock = LOCK.open("w")
    except OSError as error:
        raise OutputError(f"{LOCK}: cannot be opened: {error.strerror}") from error
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise InputError(
                f"another ksm-analyze drives ksmd ({LOCK})", "wait until it is done"
            ) from error
        yield


class Ksmd:
    """A context: ksmd stepped within it, everything as it was afterwards.

    *alone*, the pages are all ours: on entry and on leaving all items are freed and
    everything is un-merged (run=2), and all of *knobs* but the pace are set. Among
    others only the pace is changed, and nothing is ever un-merged.

    Raises OutputError where a file cannot be written, or not be put back.
    """

    def __init__(self, knobs: KsmKnobs = KsmKnobs(), *, alone: bool = True) -> None:
        self._knobs = knobs
        self._alone = alone
        self._sleep = _TEN_MINUTES
        self._afterwards = Afterwards()

    def __enter__(self) -> "Ksmd":
        self._afterwards.__enter__()
        try:
            self._announce_the_way_back()
            self._take_over()
        except BaseException:
            self._afterwards.__exit__(None, None, None)
            raise
        self._totals = {name: int(read(name)) for name in _running_totals()}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._afterwards.__exit__(kind, error, trace)

    def full_scan(self) -> None:
        """Exactly one, or what is left of the one that was under way.

        Raises InputError where somebody else turns at ksmd meanwhile.
        """
        done = int(read("full_scans"))
        while int(read("full_scans")) == done:
            self._wake_up()
        extra = int(read("full_scans")) - done - 1
        if extra:
            raise InputError(
                f"ksmd made {extra} full scans too many: somebody else changes {SYSFS}"
            )

    def start_over(self) -> None:
        """Un-merge all pages and free all items; the list of processes stays.

        Only where all pages are ours.
        """
        assert self._alone, "run=2 would un-merge what others merged"
        _write("run", 0)
        self._wake()
        _write("run", 2)
        _write("run", 0)

    def rest(self) -> None:
        """Stop ksmd where it is."""
        _write("run", 0)

    def counters(self) -> dict[str, int]:
        """The read-only files that this kernel has, running totals counted from
        entry."""
        names = [name for name in KsmCounters._fields if (SYSFS / name).exists()]
        values = {name: int(read(name)) for name in names}
        for name, before in self._totals.items():
            values[name] -= before
        return values

    def process(self, pid: int) -> dict[str, int]:
        """/proc/PID/ksm_stat, without its lines that tell how pages are offered."""
        stat = procfs.ksm_stat(pid)
        return {
            name: int(value) for name, value in stat.items() if value not in _ANSWERS
        }

    def _announce_the_way_back(self) -> None:
        tell = self._afterwards.write
        tell(SYSFS / "run", "0")
        if self._alone:
            tell(SYSFS / "sleep_millisecs", "0")
            tell(SYSFS / "run", "2")
            tell(SYSFS / "run", "0")
        if (SYSFS / "advisor_mode").exists():
            tell(SYSFS / "advisor_mode", "none")
        for name in _SAVED if self._alone else (*_PACE, "advisor_mode"):
            if (SYSFS / name).exists():
                tell(SYSFS / name, read(name))
        if KHUGEPAGED.exists():
            tell(KHUGEPAGED, KHUGEPAGED.read_text().strip())
        tell(SYSFS / "run", read("run"))

    def _take_over(self) -> None:
        if self._alone:
            self.start_over()
        else:
            self.rest()
            self._wake()
        if (SYSFS / "advisor_mode").exists():
            _write("advisor_mode", "none")
        if self._alone:
            for name, value in standing(self._knobs).items():
                if (SYSFS / name).exists():
                    _write(name, value)
            # A huge page that ksmd has split must stay split.
            if KHUGEPAGED.exists():
                KHUGEPAGED.write_text(str(_TEN_MINUTES))
        _write("pages_to_scan", _WHOLE_LIST if self._alone else _A_PART)
        _write("sleep_millisecs", self._sleep)

    def _wake_up(self) -> None:
        before = _position()
        if read("run") == "1":
            self._wake()
        else:
            _write("run", 1)
        since = time.monotonic()
        while _position() == before:
            time.sleep(0.001)
            if time.monotonic() - since > _LOST_AFTER:
                since = time.monotonic()
                self._wake()
        # ksmd holds its mutex while it scans: this write returns once it sleeps.
        _write("run", 1)

    def _wake(self) -> None:
        self._sleep = 2 * _TEN_MINUTES + 1 - self._sleep
        _write("sleep_millisecs", self._sleep)


def read(name: str) -> str:
    """A file of /sys/kernel/mm/ksm; of a choice, what is chosen."""
    text = (SYSFS / name).read_text().strip()
    return text.partition("[")[2].partition("]")[0] if "[" in text else text


def _write(name: str, value: int | str) -> None:
    try:
        (SYSFS / name).write_text(str(value))
    except OSError as error:
        reason = f"cannot be set to {value}: {error.strerror}"
        raise OutputError(f"{SYSFS / name}: {reason}") from error


def _running_totals() -> list[str]:
    return [name for name in _RUNNING_TOTALS if (SYSFS / name).exists()]


def _position() -> list[str]:
    return [read(name) for name in ("full_scans", *_running_totals())]


def _merged() -> int:
    """Mappings that run=2 would take apart."""
    names = ("pages_shared", "pages_sharing", "ksm_zero_pages")
    return sum(int(read(name)) for name in names if (SYSFS / name).exists())


def _merged_by(pid: int) -> int:
    stat = procfs.ksm_stat(pid)
    names = ("ksm_merging_pages", "ksm_zero_pages")
    return sum(int(stat.get(name, 0)) for name in names)


def _is_known(pid: int) -> bool:
    """Whether *pid* is on ksmd's list, or was."""
    stat = procfs.ksm_stat(pid)
    offered = "yes" in (stat.get("ksm_merge_any"), stat.get("ksm_mergeable"))
    return offered or stat.get("ksm_rmap_items", "0") != "0"
