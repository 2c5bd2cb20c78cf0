"""A capture changes nothing: pages shared by fork before it are shared after it.

Reading through process_vm_readv would end that sharing (the kernel gives a page that
is about to be pinned to one process alone), and a capture would double the memory of
the very servers that fork to save it.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from kernel.capturing import capture
from kernel.programs import available

from analyzer.live.programs import stopped

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("ksmd_is_ours")]


def test_a_capture_leaves_every_page_where_it_is(tmp_path: Path) -> None:
    families = [p for p in available(tmp_path) if p.processes > 1]
    with stopped(families) as pids:
        before = {pid: page_table(pid) for pid in pids}
        capture(pids, tmp_path / "trace.parquet")
        for pid, frames in before.items():
            assert np.array_equal(page_table(pid), frames)


def page_table(pid: int) -> npt.NDArray[np.uint64]:
    """The pagemap entries of all private writable mappings, one after the other."""
    entries = []
    with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as pagemap:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, permissions, *_ = line.split()
            if permissions == "rw-p":
                start, end = (int(edge, 16) // 4096 for edge in span.split("-"))
                pagemap.seek(start * 8)
                entries.append(pagemap.read((end - start) * 8))
    return np.frombuffer(b"".join(entries), np.uint64)
