"""What has to happen in the end, whatever happens before.

Nothing here is undone by the program that did it: a small process of its own waits
for the program to finish or to die, and does it then (watchdog.py). So there is one
way back, the same after success, an exception, Ctrl-C and SIGKILL.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from traces.errors import OutputError


class Afterwards:
    """A context: what it was told is done, in that order, when the block is left.

    Give the order before the deed that it takes back. Leaving raises OutputError
    where something could not be done, naming it.
    """

    def __enter__(self) -> "Afterwards":
        script = Path(__file__).with_name("watchdog.py")
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", os.fspath(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Its own session: the terminal's Ctrl-C is not for it.
            start_new_session=True,
        )
        return self

    def write(self, path: Path, value: str) -> None:
        """Write *value* to *path*, unless it already says so."""
        self._tell("write", os.fspath(path), value)

    def resume(self, pid: int) -> None:
        """Send SIGCONT to *pid*."""
        self._tell("continue", str(pid))

    def kill(self, group: int) -> None:
        """Kill the processes of *group*."""
        self._tell("kill", str(group))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        failed, _ = self._watchdog.communicate()
        if failed:
            raise OutputError(
                f"not put back as it was: {'; '.join(failed.splitlines())}"
            )

    def _tell(self, *words: str) -> None:
        assert self._watchdog.stdin is not None
        assert self._watchdog.stdout is not None
        try:
            print(*words, sep="\t", file=self._watchdog.stdin, flush=True)
            answer = self._watchdog.stdout.readline()
        except OSError as error:
            raise OutputError("the process that puts things back has died") from error
        if answer != "ok\n":
            raise OutputError("the process that puts things back has died")


@contextmanager
def unwinding() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block like an exception, not the process at
    once: temporary files go, and the exit waits until things are put back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _: object) -> NoReturn:
        raise SystemExit(128 + number)

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
