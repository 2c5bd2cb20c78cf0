"""family.c where there is no compiler: a parent, a child and a grandchild, and each
writes to part of what it inherits."""

import mmap
import os
import signal

PAGE = 4096
PAGES = 600

area = mmap.mmap(-1, PAGES * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def scribble(first: int, step: int, kinds: int) -> None:
    for n in range(first, PAGES, step):
        area[n * PAGE : (n + 1) * PAGE] = bytes([1 + n % kinds]) * PAGE


scribble(0, 1, 40)
for n in range(0, PAGES, 4):
    area[n * PAGE : n * PAGE + 4] = n.to_bytes(4, "little")
if os.fork() == 0:
    scribble(1, 5, 30)
    if os.fork() == 0:
        scribble(2, 7, 20)

os.kill(os.getpid(), signal.SIGSTOP)
