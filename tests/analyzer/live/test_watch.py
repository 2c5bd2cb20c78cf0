"""The figures of a process tree, read from a made-up /proc."""

from pathlib import Path

import pytest

from analyzer.live.watch import Tree
from traces.capture import procfs

STAT = "{pid} (a name) S {ppid} " + "0 " * 17 + "{born} 0\n"


@pytest.fixture
def proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(procfs, "PROC", tmp_path)
    return tmp_path


def process(
    proc: Path, pid: int, *, born: int = 5, children: str = "", merging: int = 0
) -> None:
    folder = proc / str(pid)
    (folder / "task" / str(pid)).mkdir(parents=True, exist_ok=True)
    (folder / "stat").write_text(STAT.format(pid=pid, ppid=1, born=born))
    (folder / "task" / str(pid) / "children").write_text(children)
    (folder / "ksm_stat").write_text(
        f"ksm_rmap_items 10\nksm_merging_pages {merging}\nksm_process_profit -5\n"
    )


def gone(proc: Path, pid: int) -> None:
    (proc / str(pid)).rename(proc / f"gone-{pid}")


def test_figures_are_summed_over_all_generations(proc: Path) -> None:
    process(proc, 1, children="2 3 ")
    process(proc, 2, merging=4)
    process(proc, 3, children="4 ")
    process(proc, 4, merging=1)
    figures = Tree(1).figures()
    assert figures.processes == 4
    assert figures.ksm_rmap_items == 40
    assert figures.ksm_merging_pages == 5
    assert figures.ksm_zero_pages == 0
    assert figures.ksm_process_profit == -20


def test_who_was_seen_once_stays_when_its_parent_exits(proc: Path) -> None:
    process(proc, 1, children="2 ")
    process(proc, 2, children="3 ")
    process(proc, 3, merging=7)
    tree = Tree(1)
    assert tree.figures().processes == 3
    gone(proc, 2)
    process(proc, 1)
    assert tree.figures().ksm_merging_pages == 7


def test_a_later_process_of_the_same_number_is_no_member(proc: Path) -> None:
    process(proc, 1, children="2 ")
    process(proc, 2)
    tree = Tree(1)
    assert tree.figures().processes == 2
    process(proc, 1)
    process(proc, 2, born=6)
    assert tree.figures().processes == 1


def test_nobody_left(proc: Path) -> None:
    process(proc, 1)
    tree = Tree(1)
    gone(proc, 1)
    assert tree.figures() == (0, 0, 0, 0, 0)
