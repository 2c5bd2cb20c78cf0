"""Real programs, offered to KSM as a whole, that set themselves up and stop.

A program is one or more processes. They are started one program after the other, so
that the order in which they came to ksmd's list is the order they are given in.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).parent / "sources"
_PATIENCE: Final = 60.0
"""Seconds for a program to set itself up."""


@dataclass(frozen=True)
class Program:
    name: str
    command: Sequence[str]
    processes: int = 1
    seed: int = 0


def available(build: Path) -> list[Program]:
    """What can be run here; C is compiled into *build*."""
    programs = [
        Program("prefork", _python("prefork"), processes=4),
        Program("data", _python("data"), seed=1),
        Program("more data", _python("data"), seed=2),
        Program("equal and zero pages", _compiled("equal", build)),
        Program("huge pages", _python("huge")),
        Program("huge pages, forked", [*_python("huge"), "fork"], processes=2),
        Program("a family", _compiled("family", build), processes=3),
    ]
    if node := shutil.which("node"):
        programs.append(Program("node", [node, str(SOURCES / "objects.js")]))
    if perl := shutil.which("perl"):
        programs.append(Program("perl", [perl, str(SOURCES / "words.pl")]))
    return programs


SPARSE: Final = Program(
    "sparse huge pages", [sys.executable, str(SOURCES / "sparse.py")]
)
"""Huge pages that are mostly zero."""

LOCKED: Final = Program("sparse huge pages, mlocked", [*SPARSE.command, "lock"])
"""Their zero subpages stay, whatever is split."""


@contextmanager
def stopped(programs: Sequence[Program]) -> Iterator[list[int]]:
    """The pids of *programs*' processes, all stopped; killed afterwards."""
    sessions: list[subprocess.Popen[bytes]] = []
    try:
        pids = []
        for program in programs:
            session = subprocess.Popen(
                [*_python("launch"), *program.command],
                env={**os.environ, "SEED": str(program.seed)},
                start_new_session=True,
            )
            sessions.append(session)
            pids += _wait_until_stopped(program, session)
        yield pids
    finally:
        for session in sessions:
            os.killpg(session.pid, signal.SIGKILL)
            session.wait()


def _python(name: str) -> list[str]:
    return [sys.executable, str(SOURCES / f"{name}.py")]


def _compiled(name: str, build: Path) -> list[str]:
    compiler = shutil.which("cc")
    if compiler is None:
        return _python(name)
    target = build / name
    source = SOURCES / f"{name}.c"
    subprocess.run([compiler, "-O1", "-o", target, source], check=True)
    return [str(target)]


def _wait_until_stopped(
    program: Program, session: "subprocess.Popen[bytes]"
) -> list[int]:
    patience = time.monotonic() + _PATIENCE
    while time.monotonic() < patience:
        if session.poll() is not None:
            raise RuntimeError(f"{program.name} ended with {session.returncode}")
        family = _family(session.pid)
        if len(family) == program.processes and all(map(_is_stopped, family)):
            return family
        time.sleep(0.01)
    raise RuntimeError(f"{program.name} did not stop in {_PATIENCE} s")


def _family(pid: int) -> list[int]:
    """*pid* and its descendants, in the order they were born."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    descendants = [each for child in children for each in _family(int(child))]
    return [pid, *descendants]


def _is_stopped(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"
