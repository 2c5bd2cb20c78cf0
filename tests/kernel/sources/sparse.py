"""Transparent huge pages that are mostly zero: what a heap that asks for huge pages
and fills them slowly looks like. With the argument `lock` they are mlocked."""

import ctypes
import mmap
import os
import signal
import sys

PAGE = 4096
HUGE = 512 * PAGE
BLOCKS = 3

private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
area = mmap.mmap(-1, (BLOCKS + 1) * HUGE, flags=private)
start = -ctypes.addressof(ctypes.c_char.from_buffer(area)) % HUGE
area.madvise(mmap.MADV_HUGEPAGE)
for block, every in enumerate((3, 40, 600)):
    for page in range(0, 512, every):
        word = f"seen twice {page % 60}" if block == 0 else f"seen once {block} {page}"
        at = start + block * HUGE + page * PAGE
        area[at : at + len(word)] = word.encode()

if sys.argv[1:] == ["lock"]:
    first = ctypes.addressof(ctypes.c_char.from_buffer(area)) + start
    if ctypes.CDLL(None).mlock(ctypes.c_void_p(first), BLOCKS * HUGE):
        raise SystemExit("mlock failed")

os.kill(os.getpid(), signal.SIGSTOP)
