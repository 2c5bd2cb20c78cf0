import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import xxhash

from traces.capture import live, procfs
from traces.capture.live import Capture, Settings
from traces.capture.select import Selection, select
from traces.digest import zero_digest
from traces.errors import InputError, OutputError
from traces.schema import PageFlag

FILES = Path("/proc/self/fd")
ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="frames are known to root only")

EVERY_KIND = """
m = area("written", 8)
for i in range(8): put(m, i, page(1000 + i))
m = area("zeros", 4)
for i in range(4): m[i * 4096] = 0
m = area("fills", 2)
for i in range(2): put(m, i, b"A" * 4096)
m = area("holes", 16)
for i in (3, 7): put(m, i, page(2000 + i))
m = area("only_read", 4)
for i in range(4): m[i * 4096]
m = area("no_access", 3)
for i in range(3): put(m, i, page(3000 + i))
libc.mprotect(ctypes.c_void_p(areas["no_access"] * 4096), 3 * 4096, 0)
fd = os.memfd_create("secret")
os.ftruncate(fd, 4 * 4096)
m = area("shared", 4, mmap.MAP_SHARED, fd)
for i in range(4): put(m, i, page(4000 + i))
m = area("memfd", 4, mmap.MAP_PRIVATE, fd)
put(m, 2, page(5002))
m[0]
file = os.open("/proc/self/exe", os.O_RDONLY)
m = area("file", 4, mmap.MAP_PRIVATE, file)
m[0]
put(m, 1, page(6001))
put(m, 3, page(6003))
ready()
"""

WANTED = {
    "written": {i: 1000 + i for i in range(8)},
    "zeros": dict.fromkeys(range(4), 0),
    "fills": dict.fromkeys(range(2), int.from_bytes(b"A" * 8, "little")),
    "holes": {3: 2003, 7: 2007},
    "only_read": {},
    "no_access": {i: 3000 + i for i in range(3)},
    "shared": {},
    "memfd": {2: 5002},
    "file": {1: 6001, 3: 6003},
}


def stored_digest(word: int, seed: int = 0) -> int:
    value = xxhash.xxh3_64_intdigest(word.to_bytes(8, "little") * 512, seed=seed)
    return int(np.uint64(value).view(np.int64))


def pages_in(trace, first_vpn, count, pid=None):
    return {
        row["vpn"] - first_vpn: row
        for row in trace.rows
        if first_vpn <= row["vpn"] < first_vpn + count and pid in (None, row["pid"])
    }


def smaps_anonymous(pid: int) -> int:
    total = anonymous = 0
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        word, *rest = line.split()
        if word == "Anonymous:":
            anonymous = int(rest[0]) // 4
        elif word == "VmFlags:" and not {"sh", "ms", "io", "de", "pf", "ht"} & {*rest}:
            total += anonymous
    return total


def footprint(pid: int) -> list[str]:
    return [
        line
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        if line.split(":")[0] in ("Rss", "Anonymous", "Private_Dirty", "Swap")
    ] + [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[7]]


@pytest.mark.parametrize("threads", [1, 2])
def test_takes_exactly_the_pages_ksmd_could_look_at(start, capture, threads):
    child = start(EVERY_KIND)
    before = footprint(child.pid)

    trace = capture(child.pid, threads=threads)

    assert footprint(child.pid) == before
    for name, words in WANTED.items():
        rows = pages_in(trace, child.areas[name], 16 if name == "holes" else 4 * 2)
        rows = {i: row for i, row in rows.items() if i < max([*words, 0]) + 1}
        found = {i: row["digest"] for i, row in rows.items()}
        assert found == {i: stored_digest(word) for i, word in words.items()}, name
    assert len(trace.rows) == smaps_anonymous(child.pid)
    assert trace.processes[0]["lost_pages"] == 0
    assert sum(trace.steps) >= len(trace.rows)


def test_marks_fills_and_stores_zero_pages_under_the_zero_digest(start, capture):
    child = start(EVERY_KIND)
    trace = capture(child.pid)

    fills = pages_in(trace, child.areas["fills"], 2)
    assert [row["flags"] for row in fills.values()] == [PageFlag.FILL] * 2
    zeros = pages_in(trace, child.areas["zeros"], 4)
    assert [row["digest"] for row in zeros.values()] == [zero_digest(0)] * 4
    assert {row["flags"] for row in zeros.values()} == {0}
    assert trace.facts.zero_digest == zero_digest(0)
    assert trace.facts.seed_id == "0"


def test_mappings_are_all_there_with_their_kind(start, capture):
    child = start(
        EVERY_KIND.replace("ready()", "")
        + """
m = area("mergeable", 2)
m.madvise(12)
put(m, 0, page(1))
ready()
"""
    )
    trace = capture(child.pid)

    starts = {m["start_vpn"]: m for m in trace.mappings}
    lines = Path(f"/proc/{child.pid}/maps").read_text().splitlines()
    known = [line for line in lines if "vsyscall" not in line]
    assert len(trace.mappings) == len(known)
    kinds = {m["kind"] for m in trace.mappings}
    assert {"heap", "stack", "anon", "file", "memfd", "shared", "special"} <= kinds
    shared = starts[child.areas["shared"]]
    assert (shared["kind"], shared["perms"]) == ("shared", "rw-s")
    assert "memfd:secret" in shared["name"]
    assert starts[child.areas["memfd"]]["kind"] == "memfd"
    mergeable = {m["start_vpn"] for m in trace.mappings if m["mergeable"]}
    assert mergeable == {child.areas["mergeable"]}
    assert "mg" in starts[child.areas["mergeable"]]["vm_flags"].split()


def test_rows_are_in_scan_order_and_name_their_process(start, capture):
    first = start(EVERY_KIND)
    time.sleep(0.02)
    second = start(EVERY_KIND)
    trace = capture(second.pid, first.pid)

    assert [p["pid"] for p in trace.processes] == [first.pid, second.pid]
    order = [(row["mapping"], row["vpn"]) for row in trace.rows]
    assert order == sorted(order)
    owner = {m["mapping"]: m for m in trace.mappings}
    for row in trace.rows:
        mapping = owner[row["mapping"]]
        assert 0 <= row["vpn"] - mapping["start_vpn"] < mapping["pages"]
        assert trace.processes[mapping["process"]]["pid"] == row["pid"]
    process = trace.processes[0]
    assert process["ppid"] == os.getpid()
    assert process["uid"] == os.getuid()
    assert "PRELUDE" not in process["cmdline"]
    assert "-I" in process["cmdline"]
    assert process["exe"] == os.path.realpath(f"/proc/{first.pid}/exe")


FORK = """
m = area("inherited", 8)
for i in range(8): put(m, i, page(100 + i))
r, w = os.pipe()
child = os.fork()
if not child:
    put(m, 5, page(105))
    put(m, 6, page(999))
    os.write(w, b"x")
    time.sleep(600)
os.read(r, 1)
ready(child=child)
"""


@needs_root
def test_memory_still_shared_by_fork_is_one_frame(start, capture):
    parent = start(FORK)
    try:
        trace = capture(parent.pid, children=True)
    finally:
        os.kill(parent.told["child"], 9)

    mine = pages_in(trace, parent.areas["inherited"], 8, parent.pid)
    its = pages_in(trace, parent.areas["inherited"], 8, parent.told["child"])
    assert mine.keys() == its.keys() == set(range(8))
    same = {i for i in mine if mine[i]["frame"] == its[i]["frame"]}
    assert same == {0, 1, 2, 3, 4, 7}
    assert mine[5]["digest"] == its[5]["digest"]
    assert mine[6]["digest"] != its[6]["digest"]


def entries(pid: int, first: int, count: int) -> list[int]:
    with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as file:
        file.seek(first * 8)
        return np.frombuffer(file.read(count * 8), np.uint64).tolist()


@pytest.mark.parametrize("threads", [1, 2])
def test_reading_does_not_end_the_sharing_of_fork(start, capture, threads):
    """Pages that are pinned must be exclusive, so that pinning shared ones would copy
    them; the exclusive bit and, for root, the frame would tell."""
    parent = start(FORK.replace("8)", "4000)"))
    pids = [parent.pid, parent.told["child"]]
    try:
        before = [entries(pid, parent.areas["inherited"], 4000) for pid in pids]
        trace = capture(*pids, threads=threads)
        after = [entries(pid, parent.areas["inherited"], 4000) for pid in pids]
    finally:
        os.kill(parent.told["child"], 9)

    assert before == after
    shared = [entry for entry in before[0] if not entry >> 56 & 1]
    assert len(shared) == 3998
    rows = pages_in(trace, parent.areas["inherited"], 4000, parent.pid)
    assert {i: row["digest"] for i, row in rows.items()} == {
        i: stored_digest(100 + i) for i in range(4000)
    }


@needs_root
def test_frames_are_numbered_in_order_of_first_sight(start, capture):
    child = start(FORK)
    try:
        trace = capture(child.pid, child.told["child"])
    finally:
        os.kill(child.told["child"], 9)

    seen = list(dict.fromkeys(row["frame"] for row in trace.rows))
    assert seen == list(range(len(seen)))
    assert len(seen) < len(trace.rows)
    assert {row["nid"] for row in trace.rows} >= {0}


@needs_root
@pytest.mark.parametrize("singly", [True, False])
def test_pages_of_a_huge_page_share_a_folio(start, capture, monkeypatch, singly):
    monkeypatch.setattr("traces.capture.physical._has_special_frames", lambda: singly)
    child = start(
        """
m = area("huge", 2048, huge=True)
first = -areas["huge"] % 512
for i in range(first, first + 1024): m[i * 4096] = 1
m = area("small", 4)
for i in range(4): put(m, i, page(i + 1))
ready(first=first)
"""
    )
    if "AnonHugePages:         0" in Path(
        f"/proc/{child.pid}/smaps_rollup"
    ).read_text().replace("kB", ""):
        pytest.skip("the kernel gave no huge page")
    trace = capture(child.pid)

    rows = pages_in(trace, child.areas["huge"] + child.told["first"], 1024)
    folios = [rows[i]["folio"] for i in range(1024)]
    assert folios == [0] * 512 + [1] * 512
    assert len({row["frame"] for row in rows.values()}) == 1024
    small = pages_in(trace, child.areas["small"], 4)
    assert {row["folio"] for row in small.values()} == {-1}


@pytest.mark.parametrize("singly", [True, False])
def test_the_huge_zero_page_is_not_memory(start, capture, monkeypatch, singly):
    monkeypatch.setattr("traces.capture.physical._has_special_frames", lambda: singly)
    child = start(
        """
m = area("huge", 2048, huge=True)
first = -areas["huge"] % 512
for i in range(first, first + 1024): m[i * 4096]
ready(first=first)
"""
    )
    trace = capture(child.pid)
    assert not pages_in(trace, child.areas["huge"], 2048)


def test_a_seed_changes_every_digest_and_private_drops_command_lines(start, capture):
    child = start(EVERY_KIND)
    trace = capture(child.pid, seed=2**64 - 3, private=True)

    rows = pages_in(trace, child.areas["written"], 8)
    assert rows[0]["digest"] == stored_digest(1000, 2**64 - 3)
    assert trace.facts.zero_digest == zero_digest(2**64 - 3)
    zeros = pages_in(trace, child.areas["zeros"], 4)
    assert {row["digest"] for row in zeros.values()} == {zero_digest(2**64 - 3)}
    assert trace.facts.seed_id not in ("0", str(2**64 - 3))
    assert trace.processes[0]["cmdline"] == ""


def test_changes_while_running_are_estimated_and_said(start, capture):
    busy = start(
        """
import threading
m = area("busy", 64)
for i in range(64): put(m, i, page(i))
def churn():
    n = 0
    while True:
        n += 1
        for i in range(64): m[i * 4096:i * 4096 + 8] = n.to_bytes(8, "little")
threading.Thread(target=churn, daemon=True).start()
ready()
"""
    )
    trace = capture(busy.pid)
    process = trace.processes[0]
    assert process["reread_pages"] > 0
    (said,) = [limit for limit in trace.facts.limits if "read twice" in limit]
    assert f"({process['reread_pages']} pages were read twice)" in said

    quiet = start(EVERY_KIND)
    process = capture(quiet.pid).processes[0]
    assert (process["changed_pages"], process["lost_pages"]) == (0, 0)


def test_pages_that_vanish_while_being_captured_are_lost_not_zero(
    start, capture, monkeypatch
):
    child = start(
        """
m = area("fleeting", 64)
for i in range(64): put(m, i, page(i + 1))
ready()
m.madvise(mmap.MADV_DONTNEED, 0, 32 * 4096)
print("gone", flush=True)
sys.stdin.readline()
"""
    )
    read = live.PageReader.start

    def late(self, target, vpns, alone):
        if child.areas["fleeting"] in vpns and not gone:
            gone.append(True)
            child.process.stdin.write("\n")
            child.process.stdin.flush()
            assert child.process.stdout.readline() == "gone\n"
        return read(self, target, vpns, alone)

    gone: list[bool] = []
    monkeypatch.setattr(live.PageReader, "start", late)
    trace = capture(child.pid)

    rows = pages_in(trace, child.areas["fleeting"], 64)
    assert set(rows) == set(range(32, 64))
    assert trace.processes[0]["lost_pages"] >= 32
    assert trace.facts.skipped["pages lost to a race"] >= 32
    # Pages that are not stored take no number: a reader expects less than rows.
    seen = list(dict.fromkeys(row["frame"] for row in trace.rows))
    assert seen == (list(range(len(seen))) if ROOT else [-1])


def test_a_process_that_exits_while_read_is_counted_and_the_rest_is_kept(
    start, capture, monkeypatch
):
    staying, leaving = start(EVERY_KIND), start(EVERY_KIND)
    found = live.pieces

    def exits(subject, reader, physical):
        if subject.process.pid == leaving.pid:
            leaving.end()
        return found(subject, reader, physical)

    monkeypatch.setattr(live, "pieces", exits)
    trace = capture(staying.pid, leaving.pid)

    assert {row["pid"] for row in trace.rows} == {staying.pid}
    assert len(trace.rows) == smaps_anonymous(staying.pid)
    assert trace.facts.skipped["processes that exited while read"] == 1


def test_a_process_gone_before_it_is_opened_is_counted(start, tmp_path):
    staying, leaving = start(EVERY_KIND), start(EVERY_KIND)
    chosen = select(Selection(pids=frozenset({staying.pid, leaving.pid})))
    leaving.end()
    taken = Capture(chosen, Settings())
    list(taken.write(tmp_path / "t.parquet"))
    assert taken.tally.counted()["processes that exited"] == 1
    assert taken.tally.processes == 1


def test_nothing_is_left_when_nothing_could_be_captured(start, tmp_path):
    leaving = start(EVERY_KIND)
    chosen = select(Selection(pids=frozenset({leaving.pid})))
    leaving.end()
    with pytest.raises(InputError, match="exited"):
        list(Capture(chosen, Settings()).write(tmp_path / "t.parquet"))
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_place_is_one_clear_error(start, tmp_path):
    child = start(EVERY_KIND)
    chosen = select(Selection(pids=frozenset({child.pid})))
    with pytest.raises(OutputError, match="nowhere"):
        list(Capture(chosen, Settings()).write(tmp_path / "nowhere" / "t.parquet"))


def test_an_abandoned_capture_leaves_no_file_thread_or_open_file(start, tmp_path):
    child = start(EVERY_KIND)
    chosen = select(Selection(pids=frozenset({child.pid})))
    list(Capture(chosen, Settings()).write(tmp_path / "warm.parquet"))
    (tmp_path / "warm.parquet").unlink()
    threads, files = threading.active_count(), len(list(FILES.iterdir()))

    steps = Capture(chosen, Settings(threads=3)).write(tmp_path / "t.parquet")
    next(steps)
    steps.close()

    assert list(tmp_path.iterdir()) == []
    assert threading.active_count() == threads
    assert len(list(FILES.iterdir())) == files


def test_the_plain_pagemap_finds_the_same_pages(start, capture, monkeypatch):
    child = start(EVERY_KIND)
    scanned = capture(child.pid)
    monkeypatch.setattr("traces.capture.pagemap._can_scan", lambda _: False)
    plain = capture(child.pid)

    def key(row):
        return row["vpn"], row["digest"], row["frame"], row["flags"]

    assert [key(row) for row in plain.rows] == [key(row) for row in scanned.rows]


LARGE = """
m = area("large", 6000)
for i in range(6000): put(m, i, page(i + 1))
"""


def test_large_mappings_are_begun_before_their_flags_are_known(start, capture):
    child = start(LARGE + EVERY_KIND)
    trace = capture(child.pid, threads=2)
    rows = pages_in(trace, child.areas["large"], 6000)
    assert {i: row["digest"] for i, row in rows.items()} == {
        i: stored_digest(i + 1) for i in range(6000)
    }
    order = [(row["mapping"], row["vpn"]) for row in trace.rows]
    assert order == sorted(set(order))
    assert len(trace.rows) == smaps_anonymous(child.pid)


def test_what_was_begun_early_is_dropped_where_flags_forbid_it(
    start, capture, monkeypatch
):
    child = start(LARGE + "ready()")
    found = procfs.mappings

    def droppable(pid):
        return [
            m._replace(vm_flags=(*m.vm_flags, "dp"))
            if m.start == child.areas["large"] * 4096
            else m
            for m in found(pid)
        ]

    monkeypatch.setattr(procfs, "mappings", droppable)
    trace = capture(child.pid)
    assert not pages_in(trace, child.areas["large"], 6000)
    assert trace.rows


def test_other_hosts_pages_are_refused(monkeypatch, start):
    child = start("ready()")
    chosen = select(Selection(pids=frozenset({child.pid})))
    monkeypatch.setattr(os, "sysconf", lambda _: 65536)
    with pytest.raises(InputError, match="65536"):
        Capture(chosen, Settings())


def test_facts_tell_where_and_how(start, capture):
    child = start("ready()")
    facts = capture(child.pid).facts
    assert facts.source == "live"
    assert facts.kernel == os.uname().release
    assert facts.tool.startswith("ksm-analyze")
    assert facts.meminfo["MemTotal"] > 1 << 20
    assert facts.captured_at.endswith("+00:00")
    if Path("/sys/kernel/mm/ksm").is_dir():
        assert facts.ksm["run"] in "012"


def test_without_frames_the_limit_is_said(start, capture, monkeypatch):
    monkeypatch.setattr("traces.capture.physical._own_frame", lambda **_: 0)
    child = start(EVERY_KIND)
    trace = capture(child.pid)
    assert {row["frame"] for row in trace.rows} == {-1}
    assert {row["folio"] for row in trace.rows} == {-1}
    assert "lower and an upper bound" in " ".join(trace.facts.limits)
    assert len(trace.rows) == smaps_anonymous(child.pid)


def test_a_reused_pid_is_not_the_process_selected(start, tmp_path):
    child = start("ready()")
    process = procfs.process(child.pid)._replace(start_ticks=1)
    taken = Capture([process], Settings())
    with pytest.raises(InputError, match="exited"):
        list(taken.write(tmp_path / "t.parquet"))
