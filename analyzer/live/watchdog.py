r"""A process that puts things back once the one that changed them has finished or died.

Run as a script, in an interpreter without site packages, in a session of its own: no
signal meant for the other reaches it, and SIGKILL of the other is the end of its input
like any other. It is told over standard input what to do then, and answers every line
with one of its own:

    write\tPATH\tVALUE    write VALUE to PATH, unless it is there already
    continue\tPID         send SIGCONT to process PID
    kill\tGROUP           kill process group GROUP

When its input ends it does all that, in the order it was told, and prints a line for
everything that failed.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable

Deed = Callable[[], None]


def serve() -> None:
    """Take orders until there are no more, then carry them out."""
    deeds: list[tuple[str, Deed]] = []
    for line in iter(sys.stdin.readline, ""):
        order = line.rstrip("\n")
        deeds.append((order, _deed(*order.split("\t"))))
        print("ok", flush=True)
    for order, deed in deeds:
        try:
            deed()
        except OSError as error:
            # Whoever gave the order may no longer be there to hear of it.
            with contextlib.suppress(OSError):
                print(f"{error.strerror}: {order}".replace("\t", " "), flush=True)


def _deed(verb: str, *words: str) -> Deed:
    if verb == "write":
        path, value = words
        return lambda: _write(path, value)
    if verb == "continue":
        try:
            handle = os.pidfd_open(int(words[0]))
        except ProcessLookupError:
            return lambda: None
        return lambda: _gone_is_fine(signal.pidfd_send_signal, handle, signal.SIGCONT)
    group = int(words[0])
    return lambda: _gone_is_fine(os.killpg, group, signal.SIGKILL)


def _write(path: str, value: str) -> None:
    with open(path) as file:  # noqa: PTH123
        text = file.read().strip()
    # A choice is shown as all that could be chosen, the present one in brackets.
    present = text.partition("[")[2].partition("]")[0] if "[" in text else text
    if present != value:
        with open(path, "w") as file:  # noqa: PTH123
            file.write(value)


def _gone_is_fine(send: Callable[..., None], *words: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        send(*words)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    serve()
