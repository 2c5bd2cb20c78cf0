"""What is recorded of a proof is a recording like any other."""

import json
from pathlib import Path

import numpy as np
from builders import Proc, trace_file

from analyzer.host import Host, load, open_traces
from analyzer.live.taping import recording, snapshot
from analyzer.recording import parse
from analyzer.step import Snapshot


def host_of(path: Path, *procs: Proc) -> Host:
    return load(open_traces([trace_file(path, *procs)]))


def test_it_is_read_back_as_it_was(tmp_path: Path) -> None:
    host = host_of(
        tmp_path / "t.parquet",
        Proc("ZBA", pid=1, vpns=[7, 9, 600], frames=[0, 1, 2]),
        Proc("AB", pid=2, vpns=[3, 4], frames=[3, 1], folios=[5, -1]),
    )
    vpn = np.array([7, 9, 600, 3, 4], np.int64)
    listed = snapshot(host, vpn, np.ones(5, np.bool_))
    said = [({"pages_shared": n}, [{"ksm_rmap_items": 3}, {}]) for n in (0, 1)]
    document = recording("6.18.44", {"use_zero_pages": 1}, listed, said)
    read = parse(json.dumps(document).encode(), "here", "live")
    assert read.kernel == "6.18.44"
    assert read.knobs.use_zero_pages
    assert read.knobs.pages_to_scan > 1_000_000
    first, scan = read.steps
    assert isinstance(first.what, Snapshot)
    one, two = first.what.procs
    assert (one.proc, one.vpns, one.contents) == ("P0", (7, 9, 600), (0, 2, 3))
    assert (two.proc, two.vpns, two.contents) == ("P1", (3, 4), (3, 2))
    assert one.frames[1] == two.frames[1]
    assert two.folios[0] >= 0
    assert two.folios[1] == -1
    assert [seen.machine["pages_shared"] for seen in scan.seen] == [0, 1]
    assert scan.seen[0].processes["P0"] == {"ksm_rmap_items": 3}


def test_only_what_is_offered_is_recorded(tmp_path: Path) -> None:
    host = host_of(tmp_path / "t.parquet", Proc("ABC"))
    (process,) = snapshot(host, np.arange(3), np.array([True, False, True]))
    assert process["vpn"] == [0, 2]
    assert process["content"] == [1, 3]
