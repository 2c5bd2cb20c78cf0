"""Transparent huge pages written from end to end: alone, equal to each other, equal to
ordinary pages. With the argument "fork", a child shares them."""

import ctypes
import mmap
import os
import signal
import sys

PAGE = 4096
HUGE = 512 * PAGE
BLOCKS = 4


def content(block: int, page: int) -> bytes:
    if block == 0:
        return f"alone {page}".encode()
    if block == 1:
        return f"seen twice {page % 256}".encode()
    if block == 2:
        return f"seen twice {page}".encode() if page % 16 == 0 else b"all the same"
    return f"huge {page}".encode() if page < 500 else b"at the end"


private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
area = mmap.mmap(-1, (BLOCKS + 1) * HUGE, flags=private)
start = -ctypes.addressof(ctypes.c_char.from_buffer(area)) % HUGE
area.madvise(mmap.MADV_HUGEPAGE)
for block in range(BLOCKS):
    for page in range(512):
        at = start + block * HUGE + page * PAGE
        written = content(block, page)
        area[at : at + len(written)] = written

small = mmap.mmap(-1, 100 * PAGE, flags=private)
for page in range(100):
    word = f"seen twice {page * 8}".encode()
    small[page * PAGE : page * PAGE + len(word)] = word

if "fork" in sys.argv and os.fork() == 0:
    area[start + 5 * PAGE] = 7
os.kill(os.getpid(), signal.SIGSTOP)
