"""Makes the samples beside it: dumps of `tiny.c` in several formats, and what is so.

    python make.py

needs Linux, gcc, gdb, `core_pattern` being `core`, and ksm-analyze. The program runs
without an environment, so that the dumps hold nothing of the machine they were made on.
"""

import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from traces.capture import procfs
from traces.capture.live import Capture, Settings
from traces.dumps.cores.elf import EXECUTE, read_elf
from traces.dumps.extents import extents_of
from traces.dumps.source import Source
from traces.trace import Trace

HERE = Path(__file__).parent
BUILD = "gcc -static -nostdlib -fno-stack-protector -O1 -D_GNU_SOURCE -s -o tiny"


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="tiny"))
    try:
        make(folder)
    finally:
        shutil.rmtree(folder)


def make(folder: Path) -> None:
    subprocess.run([*BUILD.split(), HERE / "tiny.c"], cwd=folder, check=True)
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
    process = subprocess.Popen(["./tiny"], cwd=folder, env={}, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(0.2)
    known = live(process.pid, folder / "live.parquet")
    gdb = ["gdb", "-p", str(process.pid), "-batch", "-ex", "gcore gcore"]
    subprocess.run(gdb, cwd=folder, check=True, capture_output=True)
    process.send_signal(signal.SIGABRT)
    process.send_signal(signal.SIGCONT)
    process.wait()
    core = next(path for path in folder.iterdir() if path.name.startswith("core"))
    with core.open("rb") as file:
        known["data"] = extents_of(file.fileno(), 0, core.stat().st_size).data.tolist()
    packed(core, HERE / "tiny.core.zst")
    packed(folder / "gcore", HERE / "tiny.gcore.zst")
    (HERE / "tiny.json").write_text(json.dumps(known, indent=1) + "\n")


def live(pid: int, path: Path) -> dict[str, Any]:
    """What a live capture sees: (page number, digest), pages ksmd would look at."""
    for _ in Capture([procfs.process(pid)], Settings()).write(path):
        pass
    trace = Trace.open(path)
    pages = []
    for chunk in trace.chunks(["vpn", "digest"]):
        pages += list(zip(chunk["vpn"].tolist(), chunk["digest"].tolist(), strict=True))
    return {"pid": pid, "ppid": os.getpid(), "live": pages}


def packed(source: Path, target: Path) -> None:
    data = bytearray(source.read_bytes())
    with Source(source) as file:
        loads = read_elf(file).loads
    # The kernel's own code (vdso, vsyscall) is not ours to hand on.
    for at in np.flatnonzero((loads.flags & EXECUTE != 0) & (loads.vaddr >> 40 != 0)):
        start, size = int(loads.offset[at]), int(loads.filesz[at])
        data[start : start + size] = bytes(size)
    with pa.CompressedOutputStream(str(target), "zstd") as stream:
        stream.write(data)


if __name__ == "__main__":
    main()
