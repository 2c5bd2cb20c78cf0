"""A made-up host: the files of /sys/kernel/mm/ksm and of /proc, as a test sets them."""

from pathlib import Path

import pytest

from analyzer.live import ksmd, sampler
from traces.capture import procfs

COUNTERS = {
    "pages_shared": 10,
    "pages_sharing": 90,
    "pages_unshared": 300,
    "pages_volatile": 100,
    "pages_skipped": 40,
    "pages_scanned": 5000,
    "full_scans": 7,
    "ksm_zero_pages": 25,
    "stable_node_chains": 0,
    "stable_node_dups": 0,
    "general_profit": 439_040,
}
KNOBS = {
    "pages_to_scan": "100",
    "sleep_millisecs": "20",
    "max_page_sharing": "256",
    "use_zero_pages": "1",
    "smart_scan": "1",
    "advisor_mode": "[none] scan-time",
}
KTHREAD = 0x00200000
KSMD = 40


class LiveHost:
    """Two folders that look like a host of Linux 6.18, ksmd running."""

    def __init__(self, folder: Path) -> None:
        self.ksm, self.proc = folder / "ksm", folder / "proc"
        self.ksm.mkdir()
        (self.proc / "self").mkdir(parents=True)
        self.set(run=1, **COUNTERS, **KNOBS)
        for name in ("ksm_stat", "ksm_merging_pages"):
            (self.proc / "self" / name).write_text("")
        (self.proc / "stat").write_text("cpu 1 2 3\nbtime 1700000000\n")
        self.thread(KSMD, "ksmd")
        self.cpu(2_000_000_000)

    def set(self, **files: int | str) -> None:
        """Files of /sys/kernel/mm/ksm."""
        for name, value in files.items():
            (self.ksm / name).write_text(f"{value}\n")

    def cpu(self, ns: int) -> None:
        """ksmd's CPU time so far."""
        (self.proc / str(KSMD) / "schedstat").write_text(f"{ns} 0 0\n")

    def thread(self, pid: int, comm: str) -> None:
        """A thread of the kernel."""
        self._process(pid, comm, 1, KTHREAD)
        (self.proc / str(pid) / "ksm_stat").write_text("")

    def process(
        self,
        pid: int,
        comm: str = "a",
        *,
        merging: int = 0,
        items: int = 0,
        zero: int = 0,
        profit: int = 0,
        offered: bool = False,
        born: int = 5,
        cgroup: str = "/",
    ) -> None:
        """A process as it stands now; an earlier one of *pid* is replaced."""
        self._process(pid, comm, born, 0)
        folder = self.proc / str(pid)
        answer = "yes" if offered else "no"
        (folder / "ksm_stat").write_text(
            f"ksm_rmap_items {items}\nksm_zero_pages {zero}\n"
            f"ksm_merging_pages {merging}\nksm_process_profit {profit}\n"
            f"ksm_merge_any: {answer}\nksm_mergeable: {answer}\n"
        )
        (folder / "ksm_merging_pages").write_text(f"{merging}\n")
        (folder / "cgroup").write_text(f"0::{cgroup}\n")
        (folder / "cmdline").write_bytes(comm.encode() + b"\0")

    def gone(self, pid: int) -> None:
        for file in (self.proc / str(pid)).iterdir():
            file.unlink()
        (self.proc / str(pid)).rmdir()

    def _process(self, pid: int, comm: str, born: int, flags: int) -> None:
        folder = self.proc / str(pid)
        folder.mkdir(exist_ok=True)
        after = f"S 1 0 0 0 0 {flags} " + "0 " * 12 + f"{born} 0"
        (folder / "stat").write_text(f"{pid} ({comm}) {after}\n")
        (folder / "status").write_text("Uid:\t0\t0\t0\t0\n")


def live_host(folder: Path, monkeypatch: pytest.MonkeyPatch) -> LiveHost:
    """The host that the program sees from here on."""
    host = LiveHost(folder)
    monkeypatch.setattr(procfs, "PROC", host.proc)
    monkeypatch.setattr(ksmd, "SYSFS", host.ksm)
    monkeypatch.setattr(sampler, "SYSFS", host.ksm)
    return host
