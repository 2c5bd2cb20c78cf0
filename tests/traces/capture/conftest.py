"""Processes whose memory a test knows to the page."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

PRELUDE = """
import ctypes, json, mmap, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
areas = {}
kept = []
def page(word):
    return int(word).to_bytes(8, "little") * 512
def area(name, pages, flags=PRIVATE, fd=-1, huge=False):
    size = pages * 4096
    m = mmap.mmap(fd, size, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    if fd == -1:
        m.madvise(mmap.MADV_HUGEPAGE if huge else mmap.MADV_NOHUGEPAGE)
    areas[name] = ctypes.addressof(ctypes.c_char.from_buffer(m)) // 4096
    kept.append(m)
    return m
def put(m, index, data):
    m[index * 4096:(index + 1) * 4096] = data
def ready(**extra):
    print(json.dumps({"areas": areas, **extra}), flush=True)
    sys.stdin.readline()
def obey():
    while True:
        told = {"areas": areas, "answer": globals().get("answer")}
        print(json.dumps(told), flush=True)
        exec(json.loads(sys.stdin.readline()), globals())
"""


class Child:
    """A Python process that has run a snippet and waits."""

    def __init__(self, code: str, **options: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", PRELUDE + code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **options,
        )
        self.pid = self.process.pid
        self._listen()

    def do(self, code: str) -> Any:
        """Have a child that obeys run *code*; the `answer` it has set."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(code) + "\n")
        self.process.stdin.flush()
        self._listen()
        return self.told["answer"]

    def _listen(self) -> None:
        assert self.process.stdout is not None
        self.told: dict[str, Any] = json.loads(self.process.stdout.readline())
        self.areas: dict[str, int] = self.told["areas"]
        # It has told before it waits; until then its memory still changes.
        while ") S " not in Path(f"/proc/{self.pid}/stat").read_text():
            time.sleep(0.001)

    def end(self) -> None:
        """Kill it, and wait until it is gone."""
        if self.process.returncode is not None:
            return
        self.process.kill()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.read()
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture
def start() -> Iterator[Callable[..., Child]]:
    """Start children that end with the test."""
    children: list[Child] = []

    def make(code: str, **options: Any) -> Child:
        children.append(Child(code, **options))
        return children[-1]

    yield make
    for child in children:
        child.end()


@pytest.fixture
def capture(tmp_path: Path) -> Callable[..., Any]:
    """Capture pids; the tables as lists of rows, by name, with `tally` and `file`."""
    import pyarrow.parquet as pq

    from traces.capture.live import Capture, Settings
    from traces.capture.select import Selection, select
    from traces.trace import Trace

    def run(*pids: int, children: bool = False, **settings: Any) -> SimpleNamespace:
        chosen = select(Selection(pids=frozenset(pids), children=children))
        taken = Capture(chosen, Settings(**settings))
        path = tmp_path / "trace.parquet"
        steps = list(taken.write(path))
        trace = Trace.open(path)
        return SimpleNamespace(
            path=path,
            steps=steps,
            tally=taken.tally,
            rows=pq.read_table(path).to_pylist(),
            facts=trace.facts,
            processes=trace.processes.to_dicts(),
            mappings=trace.mappings.to_dicts(),
        )

    return run
