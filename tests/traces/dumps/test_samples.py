"""Real dumps of a small program of our own (samples/make.py), against what a live
capture saw of it before it was dumped."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from traces.dumps.conversion import Converted, Named, One, Settings
from traces.dumps.extents import StoredZeros
from traces.schema import PageFlag
from traces.trace import Trace

SAMPLES = Path(__file__).parent / "samples"
KNOWN = json.loads((SAMPLES / "tiny.json").read_text())
LIVE = dict(KNOWN["live"])
FILL = PageFlag.FILL


def converted(path: Path, target: Path) -> tuple[Converted, Trace]:
    one = One(Named(path), Settings())
    for _ in one.write(target):
        pass
    return one.converted, Trace.open(target)


def rows(trace: Trace) -> dict[int, tuple[int, PageFlag]]:
    """Page number → digest and flags, whole trace."""
    found = {}
    for chunk in trace.chunks(["vpn", "digest", "flags"]):
        columns = (chunk[name].tolist() for name in ("vpn", "digest", "flags"))
        for vpn, digest, flags in zip(*columns, strict=True):
            found[vpn] = digest, PageFlag(flags)
    return found


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    """The core as the kernel wrote it, with its holes."""
    with pa.input_stream(str(SAMPLES / "tiny.core.zst"), compression="zstd") as stream:
        data = stream.read()
    path = tmp_path / "core"
    with path.open("wb") as file:
        for first, end in KNOWN["data"]:
            file.seek(first)
            file.write(data[first:end])
        file.truncate(len(data))
    if path.stat().st_blocks * 512 >= len(data):
        pytest.skip("this file system keeps no holes")
    return path


def test_a_sparse_core_holds_what_was_live(
    sparse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So small a process has too few zeros to tell that the file is no copy.
    monkeypatch.setattr(StoredZeros, "vouch", True)
    told, trace = converted(sparse, tmp_path / "t")
    found = rows(trace)
    assert {vpn: digest for vpn, (digest, _) in found.items()} == LIVE
    assert {flags & ~FILL for _, flags in found.values()} == {PageFlag(0)}
    assert told.account.absent > 0
    assert not told.account.truncated
    (process,) = trace.processes.rows(named=True)
    assert process["comm"] == process["workload"] == "tiny"
    assert process["pid"] == KNOWN["pid"]
    assert process["ppid"] == KNOWN["ppid"]
    assert process["cmdline"] == "./tiny"
    assert process["exe"].endswith("/tiny")
    assert {"anon", "stack", "shared", "special"} <= set(trace.mappings["kind"])


@pytest.mark.parametrize("name", ["tiny.core.zst", "tiny.gcore.zst"])
def test_without_holes_zeros_are_unknown(name: str, tmp_path: Path) -> None:
    told, trace = converted(SAMPLES / name, tmp_path / "t")
    found = rows(trace)
    zero = trace.facts.zero_digest
    assert LIVE.items() <= {vpn: digest for vpn, (digest, _) in found.items()}.items()
    beyond = {vpn: found[vpn] for vpn in found.keys() - LIVE.keys()}
    for digest, flags in found.values():
        if not flags & PageFlag.ANON_UNKNOWN:
            assert bool(flags & PageFlag.PRESENCE_UNKNOWN) == (digest == zero)
    # What was not there is zero, or the program's own file.
    for digest, flags in beyond.values():
        assert digest == zero or flags & PageFlag.ANON_UNKNOWN
    assert told.account.absent == 0
    assert any("never touched" in limit for limit in trace.facts.limits)
