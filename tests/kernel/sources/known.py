"""Memory of every kind a dump tells apart, then a stop."""

import contextlib
import mmap
import os
import resource
import signal
import sys
from pathlib import Path

PAGE = mmap.PAGESIZE
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
SHARED = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS


def page(number: int) -> bytes:
    return number.to_bytes(8, "little") * (PAGE // 8)


hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

offered = mmap.mmap(-1, 64 * PAGE, flags=PRIVATE)
with contextlib.suppress(OSError):
    offered.madvise(mmap.MADV_MERGEABLE)
plain = mmap.mmap(-1, 64 * PAGE, flags=PRIVATE)
for area in (offered, plain):
    area.madvise(mmap.MADV_NOHUGEPAGE)
    for number in range(0, 40, 2):
        # Number 0 is a page of zeros that was written.
        area[number * PAGE : (number + 1) * PAGE] = page(number)
    # The kernel's one zero page.
    area[50 * PAGE]

shared = mmap.mmap(-1, 4 * PAGE, flags=SHARED)
shared[:] = page(7) * 4

with Path(sys.argv[1]).open("w+b") as file:
    file.write(page(99) * 8)
    file.flush()
    copied = mmap.mmap(file.fileno(), 8 * PAGE, flags=mmap.MAP_PRIVATE)
copied[2 * PAGE : 3 * PAGE] = page(5)
copied[6 * PAGE]

os.kill(os.getpid(), signal.SIGSTOP)
signal.pause()
