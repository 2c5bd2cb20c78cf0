"""The program in a real pseudo terminal, and what its screen then shows.

`with Terminal(["-c", ...], size=(120, 40)) as terminal:` starts it; nothing here ever
sleeps for a time that was guessed: one waits for words, or for the program's end.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

ROOT: Final = Path(__file__).resolve().parents[1]

PROGRAM: Final = ["-P", "-c", "from analyzer.cli import main; main()"]
"""What the installed command does, with whatever interpreter runs the tests."""

SIZES: Final = [(200, 60), (120, 40), (80, 24), (60, 18), (40, 12)]

VIEWS: Final = {
    "1": "Saved",
    "2": "▸",
    "3": "saved in the row",
    "4": "digest",
    "5": "pages by state",
    "6": "variant",
    "7": "nothing to compare",
}
"""The key of each view → words that are seen there and not in the one before."""

PATIENCE: Final = 60.0
"""Seconds that words are waited for; machines of tests are slow at times."""

KEYS: Final[dict[str, bytes]] = {
    "up": b"\x1b[A",
    "down": b"\x1b[B",
    "right": b"\x1b[C",
    "left": b"\x1b[D",
    "pageup": b"\x1b[5~",
    "pagedown": b"\x1b[6~",
    "home": b"\x1b[H",
    "end": b"\x1b[F",
    "f1": b"\x1bOP",
    "f5": b"\x1b[15~",
    "enter": b"\r",
    "tab": b"\t",
    "shift+tab": b"\x1b[Z",
    "space": b" ",
    "backspace": b"\x7f",
    "delete": b"\x1b[3~",
    "escape": b"\x1b[27u",
    "comma": b",",
    "full_stop": b".",
    "slash": b"/",
    "colon": b":",
    "asterisk": b"*",
    "plus": b"+",
    "minus": b"-",
    "equals_sign": b"=",
    "question_mark": b"?",
    "less_than_sign": b"<",
    "greater_than_sign": b">",
    "left_curly_bracket": b"{",
    "right_curly_bracket": b"}",
    "left_square_bracket": b"[",
    "right_square_bracket": b"]",
}
"""Textual's names of keys → what a terminal sends; letters are their own name."""


def sent(key: str) -> bytes:
    """What a terminal sends for a key of Textual's name."""
    if key.startswith("ctrl+"):
        return bytes([ord(key[-1]) & 0x1F])
    return KEYS.get(key) or key.encode()


class Painted(NamedTuple):
    """What came of a key, in seconds after it was sent."""

    first: float
    """Until the first byte of a frame that draws below the top bar."""
    settled: float
    """Until the last byte before the screen was quiet."""


class Screen:
    """Enough of a terminal to know what is seen, and which modes were left on."""

    _TOKEN: Final = re.compile(
        rb"\x1b\[([?<=>]?)([0-9;:]*)([$ ]?)([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
        rb"|\x1b[P_^X].*?\x1b\\|\x1b[()][A-Z0-9]|\x1b[^\[\]P_^X()]|([\r\n\b\t])"
        rb"|([^\x00-\x1f\x7f]+)",
        re.DOTALL,
    )

    def __init__(self, columns: int, rows: int) -> None:
        self.modes = {7, 25}
        """Private modes that are set: 7 wraps lines, 25 shows the cursor, 1049 is the
        other screen, 1000 and more the mouse."""
        self.keyboards = 0
        """Keyboard protocols that were asked for and not given back."""
        self.drawn: set[int] = set()
        """Rows written to, until the caller clears it."""
        self._rest = b""
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._lines, self._other = (
            [[" "] * columns for _ in range(rows)] for _ in range(2)
        )
        self._x = self._y = 0

    def feed(self, data: bytes) -> None:
        """Draw what the program wrote."""
        data = self._rest + data
        self._rest = b""
        at = 0
        while at < len(data):
            found = self._TOKEN.match(data, at)
            if found is None:
                if data[at] == 0x1B and len(data) - at < 4096:
                    break
                at += 1
                continue
            # A sequence or a character may go on in what comes next.
            if found[6] is not None and found.end() == len(data):
                words = found[6]
                whole = len(words.decode(errors="ignore").encode())
                self._write(words[:whole].decode(errors="replace"))
                at += whole
                break
            self._obey(found)
            at = found.end()
        self._rest = data[at:]

    def lines(self) -> list[str]:
        return ["".join(line).rstrip() for line in self._lines]

    def text(self) -> str:
        return "\n".join(self.lines()).rstrip("\n")

    def _obey(self, found: "re.Match[bytes]") -> None:
        if found[6] is not None:
            self._write(found[6].decode(errors="replace"))
        elif found[5] is not None:
            self._control(found[5])
        elif found[4] is not None:
            self._sequence(*(found[at].decode() for at in (1, 2, 3, 4)))

    def _control(self, byte: bytes) -> None:
        if byte == b"\r":
            self._x = 0
        elif byte == b"\n":
            self._y += 1
            if self._y == self.rows:
                self._y -= 1
                self._lines = [*self._lines[1:], [" "] * self.columns]
        elif byte == b"\b":
            self._x = max(self._x - 1, 0)

    def _sequence(self, mark: str, given: str, between: str, final: str) -> None:
        numbers = [int(part) for part in re.split("[;:]", given) if part] or [0]
        if mark == "?" and final in "hl" and not between:
            change = self.modes.update if final == "h" else self.modes.difference_update
            change(numbers)
            if 1049 in numbers:
                self._other, self._lines = self._lines, self._other
        elif mark in "<>" and mark and final == "u":
            self.keyboards += 1 if mark == ">" else -1
        elif not mark and final in "Hf":
            row, column = (*numbers, 1)[:2] if len(numbers) < 2 else numbers[:2]
            self._y = min(max(row, 1), self.rows) - 1
            self._x = min(max(column, 1), self.columns) - 1
        elif not mark and final == "J" and numbers[0] == 2:
            self._lines = [[" "] * self.columns for _ in range(self.rows)]
        elif not mark and final == "K":
            self._lines[self._y][self._x :] = [" "] * (self.columns - self._x)

    def _write(self, words: str) -> None:
        self.drawn.add(self._y)
        for character in words:
            if self._x >= self.columns and 7 in self.modes:
                self._control(b"\r")
                self._control(b"\n")
            if self._x < self.columns:
                self._lines[self._y][self._x] = character
            self._x += 1


class Terminal:
    """The program, started; left with `with`, it is gone whatever happened."""

    def __init__(
        self,
        arguments: Sequence[str],
        size: tuple[int, int] = (120, 40),
        environment: Mapping[str, str] = {},
    ) -> None:
        """*arguments* are the interpreter's."""
        self.screen = Screen(*size)
        self.output = b""
        """Everything that was written to the terminal."""
        self.began = time.perf_counter()
        self.code: int | None = None
        self._master, worker = pty.openpty()
        self.set_size(*size)
        self.before = termios.tcgetattr(worker)
        self.name = os.ttyname(worker)
        paths = filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])
        plain = {
            name: value
            for name, value in os.environ.items()
            if name not in ("NO_COLOR", "COLUMNS", "LINES", "TERM_PROGRAM")
        }
        given = {
            "PYTHONPATH": os.pathsep.join(paths),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LC_ALL": "C.UTF-8",
        }
        self.pid = os.fork()
        if self.pid == 0:
            _become(
                [sys.executable, *arguments],
                worker,
                self._master,
                plain | given | dict(environment),
            )
        # The program's end keeps its side open no longer than we look at it.
        self._worker = worker

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.code is None:
            self.kill(signal.SIGKILL)
            self._reap(os.waitpid(self.pid, 0)[1])
        if self._master >= 0:
            self.hang_up()

    # What one does to it.

    def set_size(self, columns: int, rows: int) -> None:
        """Make the window so large; the program is told."""
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)
        self.screen.resize(columns, rows)

    def press(self, *keys: str) -> None:
        """Press keys, by Textual's names for them."""
        for key in keys:
            self.type(sent(key))

    def type(self, data: bytes) -> None:
        os.write(self._master, data)

    def kill(self, number: int) -> None:
        os.kill(self.pid, number)

    # What one waits for.

    def wait_for(self, *words: str, patience: float = PATIENCE) -> float:
        """Seconds since the start until all *words* were seen at once."""
        self.wait_until(
            lambda: all(word in self.screen.text() for word in words),
            f"the words {words}",
            patience,
        )
        return time.perf_counter() - self.began

    def wait_until(
        self,
        holds: Callable[[], Any],
        what: str,
        patience: float = PATIENCE,
    ) -> None:
        """Read on until *holds*; AssertionError with the screen where it never does."""
        end = time.perf_counter() + patience
        while not holds():
            left = end - time.perf_counter()
            if left <= 0 or self._ended():
                self.read(0.05)
                if holds():
                    return
                state = f"ended with {self.code}" if self.code is not None else "waits"
                raise AssertionError(
                    f"no sign of {what}; it {state}:\n{self.screen.text()}"
                )
            self.read(min(left, 0.2))

    def wait_for_end(self, patience: float = PATIENCE) -> int:
        """Its exit code, 128 and the signal's number where one ended it."""
        self.wait_until(lambda: self.code is not None or self._ended(), "an end",
                        patience)  # fmt: skip
        while self._master >= 0 and self.read(0.02):
            pass
        assert self.code is not None
        return self.code

    def press_and_wait(self, key: bytes, quiet: float = 0.05) -> Painted:
        """Send a key and read until nothing was drawn for *quiet* seconds.

        The top bar is another's: a replay moves it ten times a second.
        """
        self.screen.drawn.clear()
        sent_at = last = time.perf_counter()
        first = None
        os.write(self._master, key)
        while time.perf_counter() - (last if first else sent_at) < (
            quiet if first else PATIENCE
        ):
            readable, _, _ = select.select([self._master], [], [], quiet)
            if not readable:
                continue
            now = time.perf_counter()
            self._take()
            below = {row for row in self.screen.drawn if row > 0}
            self.screen.drawn.clear()
            if below:
                first, last = first or now, now
        assert first is not None, f"nothing was drawn:\n{self.screen.text()}"
        return Painted(first - sent_at, last - sent_at)

    def hang_up(self) -> None:
        """Take the terminal away, as a window that is closed does."""
        os.close(self._worker)
        os.close(self._master)
        self._worker = self._master = -1

    def settle(self, quiet: float = 0.3) -> None:
        """Read until nothing but the top bar has been drawn for *quiet* seconds."""
        last = time.perf_counter()
        while time.perf_counter() - last < quiet:
            self.screen.drawn.clear()
            if self.read(quiet) and any(row > 0 for row in self.screen.drawn):
                last = time.perf_counter()

    def read(self, seconds: float) -> bool:
        """Read what there is within so many seconds; whether there was anything."""
        if self._master < 0:
            time.sleep(seconds)
            return False
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        self._take()
        return True

    # What is left.

    @property
    def stopped(self) -> bool:
        """Whether it was suspended."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2]
        return fields.split()[0] == "T"

    def assert_restored(self) -> None:
        """The terminal is as it was found."""
        on = self.screen.modes - {7, 25}
        assert not on, f"modes left on: {sorted(on)}"
        assert {7, 25} <= self.screen.modes, "the cursor is hidden"
        assert self.screen.keyboards == 0
        assert termios.tcgetattr(self._worker) == self.before

    def children(self) -> list[int]:
        """Processes it started that still run."""
        return children(self.pid)

    def _take(self) -> None:
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:
            return
        self.output += data
        self.screen.feed(data)

    def _ended(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._reap(status)
        return self.code is not None

    def _reap(self, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        self.code = code if code >= 0 else 128 - code


def eventually(
    holds: Callable[[], Any], what: str, seen: Callable[[], str] = str
) -> None:
    """Look again and again until *holds*, whether or not anything still runs."""
    end = time.perf_counter() + PATIENCE
    while not holds():
        assert time.perf_counter() < end, f"no sign of {what}:\n{seen()}"
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """The processes that *pid* has started, and these."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *children(child)]
    return found


def _become(
    command: list[str],
    worker: int,
    master: int,
    environment: Mapping[str, str],
) -> None:
    """In the child: a session of its own on the pseudo terminal."""
    try:
        os.setsid()
        fcntl.ioctl(worker, termios.TIOCSCTTY, 0)
        for handle in (0, 1, 2):
            os.dup2(worker, handle)
        os.close(master)
        os.execvpe(command[0], command, environment)
    finally:
        os._exit(127)
