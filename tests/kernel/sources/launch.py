"""launch.py COMMAND...: run COMMAND with every mapping offered to KSM, its own and
those of whatever it forks or executes."""

import ctypes
import os
import sys

PR_SET_MEMORY_MERGE = 67

libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0):
    sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[1], sys.argv[1:])
