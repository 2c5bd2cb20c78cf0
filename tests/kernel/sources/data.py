"""A Python process with data of its own, some of it repeated: rows, text, buffers."""

import array
import json
import os
import random
import signal

random.seed(int(os.environ["SEED"]))
rows = [{"id": n, "name": f"row {n % 50}", "value": n * n} for n in range(4000)]
text = json.dumps(rows)
same_for_everyone = b"".join(n.to_bytes(2, "little") * 2048 for n in range(300))
numbers = array.array("Q", (random.getrandbits(64) for _ in range(100_000)))
cleared = bytearray(400 * 4096)
cleared[:] = bytes(len(cleared))

os.kill(os.getpid(), signal.SIGSTOP)
