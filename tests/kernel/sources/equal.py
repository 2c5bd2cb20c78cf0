"""equal.c where there is no compiler: zero pages, more than 256 equal pages of several
contents, and unique pages."""

import mmap
import os
import signal

PAGE = 4096
PAGES = 2600

area = mmap.mmap(-1, PAGES * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for n in range(PAGES):
    if n % 13 == 0:
        continue
    if n % 7 == 0:
        page = bytes(PAGE)
    elif n % 5 == 0:
        page = n.to_bytes(4, "little")
    else:
        page = (b"b" if n % 3 == 0 else b"a") * PAGE
    area[n * PAGE : n * PAGE + len(page)] = page

os.kill(os.getpid(), signal.SIGSTOP)
