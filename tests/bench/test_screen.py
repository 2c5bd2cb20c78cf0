"""How long one waits for the screen, measured through a real terminal.

First paint is the first byte that came after a key and drew below the top bar, as a
replay that runs in the background moves that bar ten times a second.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

import pytest
from bench.crowd import write_crowd
from bench.measure import Ledger
from terminal import PROGRAM, ROOT, VIEWS, Painted, Terminal, eventually, sent

Milliseconds = float

SIZES = [(120, 40), (200, 60)]


@pytest.fixture(scope="module")
def crowd(folder: Path, ledger: Ledger) -> Path:
    """16 Mi pages of 10,000 processes."""
    path = folder / "crowd.parquet"
    if ledger.full:
        write_crowd(path, 1 << 24, 10_000)
    else:
        write_crowd(path, 1 << 16, 200)
    return path


@pytest.fixture(scope="module")
def saved(crowd: Path, folder: Path) -> Path:
    """Its replay, saved."""
    path = folder / "crowd-result.parquet"
    subprocess.run(
        [sys.executable, *PROGRAM, "replay", crowd, "--save", path],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return path


class Measured:
    """What was measured of one size of the window."""

    def __init__(self, terminal: Terminal, ledger: Ledger, size: str) -> None:
        self.terminal, self._ledger, self._size = terminal, ledger, size
        self.full = ledger.full

    def keys(
        self, key: str, times: int, what: str, p50: Milliseconds, p95: float = 0
    ) -> None:
        """Press *key* so often, one after the other, and note how soon it was drawn."""
        before, painted = self._cpu(), []
        for _ in range(times if self.full else 1):
            painted.append(self.terminal.press_and_wait(sent(key)))
        spent = (self._cpu() - before) / len(painted)
        first = [paint.first * 1000 for paint in painted]
        self.note(what, median(first), p50)
        if p95 and self.full:
            self.note(f"{what}, p95", quantiles(first, n=20)[-1], p95)
        settled = median(paint.settled for paint in painted) * 1000
        self._ledger.context(f"{what}: settled ({self._size})", settled, "ms")
        self._ledger.context(f"{what}: CPU a key ({self._size})", spent * 1000, "ms")

    def once(self, key: str) -> Painted:
        return self.terminal.press_and_wait(sent(key))

    def note(self, what: str, measured: float, limit: float, unit: str = "ms") -> None:
        self._ledger.at_most(f"{what} ({self._size})", measured, limit, unit)

    def _cpu(self) -> float:
        """Seconds that all threads of the screen's process have run."""
        tasks = Path(f"/proc/{self.terminal.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


Begin = Callable[..., Measured]


@pytest.fixture
def begin(ledger: Ledger) -> Iterator[Begin]:
    """Starts `ksm-analyze view ...`; it is gone afterwards."""
    begun: list[Terminal] = []

    def start(path: Path, size: tuple[int, int] = SIZES[0]) -> Measured:
        terminal = Terminal([*PROGRAM, "view", str(path)], size)
        begun.append(terminal.__enter__())
        return Measured(terminal, ledger, "x".join(map(str, size)))

    yield start
    for terminal in begun:
        terminal.__exit__(None, None, None)


def test_the_first_paint(begin: Begin, saved: Path, ledger: Ledger) -> None:
    first, ready = [], []
    for _ in range(7 if ledger.full else 1):
        terminal = begin(saved).terminal
        first.append(terminal.wait_for("1 Overview", "? Help"))
        ready.append(terminal.wait_for("Saved", "pass "))
        terminal.press("q")
        assert terminal.wait_for_end() == 0
    ledger.at_most("screen: first paint", min(first) * 1000, 700, "ms")
    ledger.at_most("screen: a saved result, interactive", min(ready) * 1000, 1500, "ms")
    ledger.context("screen: first paint, median", median(first) * 1000, "ms")
    ledger.context("screen: a saved result, median", median(ready) * 1000, "ms")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_a_key(
    begin: Begin, saved: Path, ledger: Ledger, size: tuple[int, int]
) -> None:
    if size != SIZES[0] and not ledger.full:
        pytest.skip("one size proves that it runs")
    twice = 1 if size == SIZES[0] else 2
    told = begin(saved, size)
    terminal = told.terminal
    terminal.wait_for("Saved", "pass ")
    terminal.settle(0.1)
    told.keys("comma", 3, "scrub, Overview", 33 * twice)
    switches(told, 120 * twice)
    terminal.press("2")
    terminal.wait_for(VIEWS["2"])
    terminal.settle(0.1)
    told.keys("asterisk", 1, "unfold all", 150 * twice)
    terminal.settle(0.1)
    told.keys("down", 40, "down in all rows", 16 * twice, 50 * twice)
    told.keys("pagedown", 20, "page down", 33 * twice)
    told.keys("greater_than_sign", 4, "sort", 60 * twice)
    told.keys("r", 4, "sort the other way", 60 * twice)
    terminal.press("slash")
    terminal.settle(0.1)
    for at, letter in enumerate("worker-3"):
        told.keys(letter, 1, f"filter, letter {at + 1}", 50 * twice)
    terminal.press("escape")
    # A key that comes sooner is typed into the filter still.
    terminal.wait_until(lambda: " of " not in terminal.screen.lines()[-3], "its end")
    terminal.press("5")
    terminal.wait_for(VIEWS["5"])
    terminal.settle(0.1)
    told.keys("full_stop", 3, "scrub, Time", 50 * twice)
    told.keys("t", 3, "theme", 250 * twice)
    memory(told)


def switches(told: Measured, limit: float) -> None:
    """From view to view: each once made, then shown again."""
    for again in (False, True) if told.full else (False,):
        for key in "2345761":
            painted = told.once(key)
            told.terminal.wait_for(VIEWS[key])
            told.terminal.settle(0.1)
            which = "again" if again else "first time"
            told.note(f"view {key}, {which}", painted.first * 1000, limit)
            if key == "6":
                # Digits are typed into the knobs.
                told.terminal.press("tab")
                told.terminal.settle(0.1)


def memory(told: Measured) -> None:
    """Of the screen's process alone, everything counted."""
    status = Path(f"/proc/{told.terminal.pid}/status").read_text()
    figures = dict(line.split(":", 1) for line in status.splitlines())
    peak = int(figures["VmHWM"].split()[0]) / 1024
    told.note("screen: peak resident size", peak, 250, "MiB")


def test_a_key_while_a_replay_runs(begin: Begin, saved: Path, ledger: Ledger) -> None:
    # The saved result knows its trace, so What-if can replay that.
    told = begin(saved)
    terminal = told.terminal
    terminal.wait_for("Saved", "pass ")
    terminal.press("6")
    terminal.wait_for(VIEWS["6"])
    terminal.settle(0.1)
    terminal.press("right")
    terminal.wait_for("F5 replays the draft")
    terminal.press("f5")
    if ledger.full:
        terminal.wait_until(terminal.children, "a worker")
    terminal.press("tab", "2")
    terminal.wait_for(VIEWS["2"])
    terminal.press("asterisk")
    terminal.settle(0.1)
    if ledger.full:
        told.keys("down", 60, "down beside a replay", 16, 50)
        assert terminal.children(), "the replay was over too soon"
    workers = terminal.children()
    terminal.press("ctrl+x")
    if workers:
        began = perf_counter()
        eventually(lambda: not terminal.children(), "an end")
        told.note("cancel", (perf_counter() - began) * 1000, 100)
    terminal.press("q")
    assert terminal.wait_for_end() == 0
