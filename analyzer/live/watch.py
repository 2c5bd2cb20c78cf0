"""The kernel's own figures of a process tree, summed, for whoever watches it run."""

from typing import NamedTuple

from traces.capture import procfs
from traces.capture.procfs import Gone


class TreeFigures(NamedTuple):
    """/proc/PID/ksm_stat added up over the processes of a tree that live."""

    processes: int
    ksm_rmap_items: int
    """Pages ksmd keeps an eye on."""
    ksm_merging_pages: int
    """Mappings of KSM pages, the kept one of each included."""
    ksm_zero_pages: int
    """Mappings of the zero page that ksmd placed (Linux 6.6)."""
    ksm_process_profit: int
    """Bytes; too high by the kept page of each KSM page, as the kernel has it."""


class Tree:
    """A process and its descendants.

    Who was once seen in it stays in it, also where its parent exits and init takes
    it over.
    """

    def __init__(self, root: int) -> None:
        self._born = {root: _born(root)}

    def figures(self) -> TreeFigures:
        """The figures as they stand; all zero once nobody is left."""
        self._look_around()
        sums = dict.fromkeys(TreeFigures._fields[1:], 0)
        for pid in self._born:
            stat = procfs.ksm_stat(pid)
            for name in sums:
                sums[name] += int(stat.get(name, 0))
        return TreeFigures(processes=len(self._born), **sums)

    def _look_around(self) -> None:
        """Forget who has gone, and add the children of those who have not."""
        self._born = {
            pid: born
            for pid, born in self._born.items()
            if born is not None and _born(pid) == born
        }
        waiting = list(self._born)
        while waiting:
            for child in _children(waiting.pop()):
                if child not in self._born:
                    self._born[child] = _born(child)
                    waiting.append(child)


def _born(pid: int) -> int | None:
    """When *pid* was started: tells it from a later process of that number."""
    try:
        return procfs.start_ticks(pid)
    except Gone:
        return None


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        # A thread's children are listed with the thread that forked them.
        for thread in (procfs.PROC / str(pid) / "task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    except OSError:
        return found
    return found
