"""The shipped command in a real terminal: sizes, keys, and every way it can end."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import PATIENCE, SIZES, VIEWS, Terminal, eventually

from tui.keys import all_keys, shown_keys

Start = Callable[..., Terminal]

PRESSED = {shown_keys(name): name for name in (
    "up", "shift+tab", "down", "left", "right", "pageup", "pagedown", "home", "end",
    "enter",
    "space", "backspace", "escape", "comma", "full_stop", "slash", "colon",
    "asterisk", "plus", "minus", "equals_sign", "question_mark", "less_than_sign",
    "greater_than_sign", "left_curly_bracket", "right_curly_bracket",
    "left_square_bracket", "right_square_bracket", "f1", "f5",
)}  # fmt: skip
"""What the help calls a key → Textual's name of it."""

NOT_PRESSED = {"app.quit", "app.interrupt", "app.suspend", "app.help", "jobs.reload"}
"""What ends it, or takes the view away that the next key is meant for; and help, which
is looked at after the others."""


def walk(terminal: Terminal) -> None:
    """Through all views by their numbers."""
    for key, words in VIEWS.items():
        # In What-if, digits are typed into the knobs; the pane beside has none.
        press_until(
            terminal,
            ("escape", "tab", key),
            lambda words=words: words in terminal.screen.text(),
        )


def press_until(
    terminal: Terminal, keys: tuple[str, ...], holds: Callable[[], bool]
) -> None:
    """Press *keys* again and again, as people do, until *holds*."""
    end = time.perf_counter() + PATIENCE
    while not holds():
        assert time.perf_counter() < end, terminal.screen.text()
        terminal.press(*keys)
        terminal.settle()


def helped(terminal: Terminal, shown: bool) -> Callable[[], bool]:
    """Whether the help is, or is not, on the screen."""
    return lambda: ("esc closes" in terminal.screen.text()) is shown


def replaying(terminal: Terminal) -> int:
    """The worker, once it scans."""
    terminal.wait_for("replay ksmd", "simulated")
    (worker,) = terminal.children()
    return worker


def assert_gone(workers: list[int], home: Path) -> None:
    """Nothing that was started runs any more, nothing lies about."""
    gone = [Path(f"/proc/{worker}") for worker in workers]
    eventually(lambda: not any(it.exists() for it in gone), "their end")
    eventually(lambda: not any((home / "tmp").iterdir()), "an empty folder")


def test_the_demo_is_walked_at_all_sizes(start: Start, home: Path) -> None:
    with start(size=SIZES[0]) as terminal:
        terminal.wait_for("Saved")
        for size in SIZES:
            terminal.set_size(*size)
            walk(terminal)
        terminal.press("q")
        assert terminal.wait_for_end() == 0
        terminal.assert_restored()
        assert_gone([], home)


def test_it_is_resized_in_the_middle_of_a_replay(
    start: Start, endless: Path, home: Path
) -> None:
    with start(endless) as terminal:
        worker = replaying(terminal)
        terminal.press("enter")
        terminal.wait_for("Saved", "partial")
        for size in (*SIZES, *SIZES[-2::-1]):
            terminal.set_size(*size)
            terminal.press("2")
            terminal.wait_for(VIEWS["2"])
            terminal.press("1")
            terminal.wait_for(VIEWS["1"])
        assert terminal.children() == [worker]
        terminal.press("q")
        assert terminal.wait_for_end() == 0
        terminal.assert_restored()
        assert_gone([worker], home)


def test_every_key_of_the_help_is_survived(start: Start, capture: Path) -> None:
    keys = [
        name
        for key in all_keys()
        if key.id not in NOT_PRESSED
        for name in dict.fromkeys(PRESSED.get(word, word) for word in key.keys.split())
        if name not in VIEWS
    ]
    assert len(keys) > 60
    with start(capture) as terminal:
        terminal.wait_for("Saved")
        for view in VIEWS:
            terminal.press("tab", view)
            for key in keys:
                # Whatever it opened is closed again, or the next would be typed there.
                terminal.press(key, "escape", "escape")
            # A window that was slow to open outlives the escapes meant for it. Help is
            # not among the keys: once it is seen, all of them have been worked off.
            press_until(terminal, ("escape", "question_mark"), helped(terminal, True))
            press_until(terminal, ("escape",), helped(terminal, False))
        terminal.press("1")
        terminal.wait_for("Saved")
        terminal.press("R")
        terminal.wait_until(lambda: "Saved" not in terminal.screen.text(), "a replay")
        terminal.wait_for("Saved")
        terminal.press("q")
        assert terminal.wait_for_end() == 0, terminal.screen.text()
        terminal.assert_restored()


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda it: it.name
)
def test_a_signal_ends_it_tidily(
    start: Start, endless: Path, home: Path, number: signal.Signals
) -> None:
    with start(endless) as terminal:
        worker = replaying(terminal)
        terminal.kill(number)
        assert terminal.wait_for_end() == 128 + number
        terminal.assert_restored()
        assert terminal.screen.text() == ""
        assert_gone([worker], home)


def test_the_window_is_closed(start: Start, endless: Path, home: Path) -> None:
    with start(endless) as terminal:
        worker = replaying(terminal)
        terminal.hang_up()
        terminal.kill(signal.SIGHUP)
        assert terminal.wait_for_end() == 128 + signal.SIGHUP
        assert_gone([worker], home)


def test_ctrl_c_quits_when_pressed_twice(start: Start, result: Path) -> None:
    with start(result) as terminal:
        terminal.wait_for("Saved")
        # Not even a window that asks for words keeps it.
        terminal.press("g", "ctrl+c")
        terminal.wait_for("ctrl+c again quits")
        terminal.press("ctrl+c")
        assert terminal.wait_for_end() == 0
        terminal.assert_restored()


def test_it_is_suspended_and_comes_back(start: Start, result: Path) -> None:
    with start(result) as terminal:
        terminal.wait_for("Saved")
        terminal.press("ctrl+z")
        terminal.wait_until(lambda: terminal.stopped, "a stop")
        terminal.wait_until(lambda: 1049 not in terminal.screen.modes, "the shell")
        terminal.assert_restored()
        terminal.kill(signal.SIGCONT)
        terminal.wait_for("Saved")
        terminal.press("3")
        terminal.wait_for(VIEWS["3"])
        terminal.press("q")
        assert terminal.wait_for_end() == 0
        terminal.assert_restored()


CRASHING = """
import tui.app
def crash(self): raise RuntimeError("it is \\x1b[31mbroken")
tui.app.KsmApp.action_units = crash
from analyzer.cli import main
main()
"""
"""The program with a defect that `u` brings to light."""


def test_a_defect_is_told_and_logged(
    environment: dict[str, str], endless: Path, home: Path
) -> None:
    words = ["-P", "-c", CRASHING, "view", str(endless)]
    with Terminal(words, (120, 40), environment) as terminal:
        worker = replaying(terminal)
        terminal.press("enter")
        terminal.wait_for("Saved", "partial")
        terminal.press("u")
        assert terminal.wait_for_end() == 5
        terminal.assert_restored()
        log = home / "ksm-analyze" / "view.log"
        told = terminal.screen.text().replace("\n", "")
        assert told.startswith("error: a defect of ksm-analyze: RuntimeError: it is ")
        assert str(log) in told
        assert "Traceback" not in told
        assert b"\x1b[31mbroken" not in terminal.output
        assert "in crash" in log.read_text()
        assert_gone([worker], home)


def test_a_worker_that_is_killed_is_told(
    start: Start, endless: Path, home: Path
) -> None:
    with start(endless) as terminal:
        worker = replaying(terminal)
        os.kill(worker, signal.SIGKILL)
        terminal.wait_for("This cannot be shown", "killed by signal 9", "view.log")
        terminal.press("q")
        assert terminal.wait_for_end() == 5
        terminal.assert_restored()
        told = terminal.screen.text().replace("\n", "")
        assert told.startswith("error: the replay: killed by signal 9; the log is ")
        log = home / "ksm-analyze" / "view.log"
        assert str(log) in told
        assert "killed by signal 9" in log.read_text()
        assert_gone([], home)


def test_no_worker_outlives_a_screen_that_is_killed(
    start: Start, endless: Path, home: Path
) -> None:
    with start(endless) as terminal:
        worker = replaying(terminal)
        terminal.kill(signal.SIGKILL)
        assert terminal.wait_for_end() == 128 + signal.SIGKILL
        assert_gone([worker], home)


def test_a_replay_is_cancelled_and_begun_again(start: Start, endless: Path) -> None:
    with start(endless) as terminal:
        worker = replaying(terminal)
        terminal.press("ctrl+x")
        terminal.wait_for("cancelled", "R begins again")
        eventually(lambda: not Path(f"/proc/{worker}").exists(), "its end")
        terminal.press("R")
        assert replaying(terminal) != worker
        terminal.press("q")
        assert terminal.wait_for_end() == 0
        terminal.assert_restored()
