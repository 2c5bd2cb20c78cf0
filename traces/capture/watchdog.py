"""A process that thaws what a capture froze, should the capture die or take too long.

Run as a script, in an interpreter without site packages, so that it starts at once and
shares nothing with the capture: a killed capture cannot take it along. It is told over
standard input what is about to be frozen, and answers every line with one of its own.
The end of input means that the capture is gone.

    stop PID            process PID is about to be sent SIGSTOP     -> armed, or gone
    file PATH\tVALUE    writing VALUE to PATH thaws a control group -> armed
    limit SECONDS       how long anything may stay frozen           -> ok
    release             the capture has thawed it itself            -> ok, or late
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable


def serve(commands: int, answers: int) -> None:
    """Answer *commands* until they end; both are file descriptors."""
    thaw: Callable[[], None] | None = None
    deadline, limit, late = 0.0, 2.0, False
    buffer = b""
    while True:
        patience = max(deadline - time.monotonic(), 0) if thaw else None
        if not select.select([commands], [], [], patience)[0]:
            if thaw:
                thaw()
            thaw, late = None, True
            continue
        data = os.read(commands, 4096)
        if not data:
            break
        buffer += data
        while b"\n" in buffer:
            line, _, buffer = buffer.partition(b"\n")
            verb, _, rest = line.partition(b" ")
            answer = b"ok"
            if verb == b"limit":
                limit = float(rest)
            elif verb == b"release":
                answer = b"late" if late else b"ok"
                thaw, late = None, False
            else:
                thaw = _continue(int(rest)) if verb == b"stop" else _write(rest)
                answer = b"armed" if thaw else b"gone"
                deadline, late = time.monotonic() + limit, False
            os.write(answers, answer + b"\n")
    if thaw:
        thaw()


def _continue(pid: int) -> Callable[[], None] | None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return None

    def thaw() -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGCONT)
        os.close(handle)

    return thaw


def _write(rest: bytes) -> Callable[[], None]:
    path, _, value = rest.partition(b"\t")

    def thaw() -> None:
        with (
            contextlib.suppress(OSError),
            open(path, "wb", buffering=0) as file,  # noqa: PTH123
        ):
            file.write(value)

    return thaw


if __name__ == "__main__":
    # The capture may run at the lowest priority; who waits to be thawed must not.
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    serve(sys.stdin.fileno(), sys.stdout.fileno())
