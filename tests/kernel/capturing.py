"""A capture as a user makes it: through the command line, in a process of its own."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def capture(pids: Sequence[int], trace: Path) -> Path:
    """`ksm-analyze capture --pid … --output TRACE`"""
    named = [word for pid in pids for word in ("--pid", str(pid))]
    program = "from analyzer.cli import main; main()"
    command = [sys.executable, "-c", program, "capture", *named, "--output", str(trace)]
    subprocess.run(command, check=True, capture_output=True)
    return trace
