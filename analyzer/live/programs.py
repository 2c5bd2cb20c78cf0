"""Real programs that set themselves up and stop, for ksmd and a capture to look at.

A program is one or more processes. They are started one program after the other, so
that the order in which they came to ksmd's list is the order they are given in.
"""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from analyzer.live import offer
from analyzer.live.afterwards import Afterwards
from traces.capture import procfs
from traces.capture.procfs import Gone
from traces.errors import InputError

_PATIENCE: Final = 60.0
"""Seconds for a program to set itself up."""


@dataclass(frozen=True)
class Program:
    """A command that stops all its processes once they are ready."""

    name: str
    command: Sequence[str]
    processes: int = 1
    whole: bool = True
    """Offered from outside, all its mappings; otherwise it offers some itself."""


def builtin() -> list[Program]:
    """What can be run wherever this program runs, offered as a whole."""
    return [
        Program("prefork", workload("prefork"), processes=4),
        Program("data", workload("data", "1")),
        Program("more data", workload("data", "2")),
        Program("equal and zero pages", workload("equal")),
        Program("a family", workload("family"), processes=3),
    ]


def unlike_any_other() -> list[Program]:
    """Two programs whose pages can merge with each other's, with nobody else's."""
    salt = secrets.token_hex(16)
    command = workload("salted", salt)
    return [Program(f"salted {n}", command, whole=False) for n in (1, 2)]


def workload(name: str, *arguments: str) -> list[str]:
    """The command of a function of workload.py."""
    script = Path(__file__).with_name("workload.py")
    return [sys.executable, "-I", "-S", os.fspath(script), name, *arguments]


@contextmanager
def stopped(programs: Sequence[Program]) -> Iterator[list[int]]:
    """The pids of *programs*' processes, all stopped; killed afterwards.

    Raises InputError where one does not set itself up.
    """
    sessions: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        stack.callback(_reap, sessions)
        afterwards = stack.enter_context(Afterwards())
        pids = []
        for program in programs:
            command = list(program.command)
            session = subprocess.Popen(
                offer.command(command) if program.whole else command,
                stdin=subprocess.DEVNULL,
                # A group that one signal reaches, the forked ones too.
                start_new_session=True,
            )
            sessions.append(session)
            afterwards.kill(session.pid)
            pids += _wait_until_stopped(program, session)
        yield pids


def _reap(sessions: "Sequence[subprocess.Popen[bytes]]") -> None:
    for session in sessions:
        session.wait()


def _wait_until_stopped(
    program: Program, session: "subprocess.Popen[bytes]"
) -> list[int]:
    patience = time.monotonic() + _PATIENCE
    while time.monotonic() < patience:
        if session.poll() is not None:
            raise InputError(f"{program.name} ended with {session.returncode}")
        family = _family(session.pid)
        if len(family) == program.processes and all(map(_is_stopped, family)):
            return family
        time.sleep(0.01)
    raise InputError(f"{program.name} did not stop in {_PATIENCE:.0f} s")


def _family(pid: int) -> list[int]:
    """*pid* and its descendants, in the order they were born."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    descendants = [each for child in children for each in _family(int(child))]
    return [pid, *descendants]


def _is_stopped(pid: int) -> bool:
    try:
        return procfs.process(pid).state == "T"
    except Gone:
        return False
