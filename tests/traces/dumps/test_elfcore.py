"""Cores of processes, made by the test from the specification."""

import gzip
import os
from pathlib import Path

import pytest
from core_files import EXECUTE, LITTLE64, READ, WRITE, Form, Notes, Segment, core
from dumping import PAGE, attempted, converted, digest, page

from traces.dumps import conversion
from traces.dumps.dump import HOLES_OF_ZEROS
from traces.errors import InputError
from traces.schema import PageFlag

HEAP, LIB, SHARED, STACK = 0x10000, 0x40000, 0x60000, 0x80000
FORMS = {
    "64-bit little-endian": LITTLE64,
    "64-bit big-endian": Form(order=">", machine=21),
    "32-bit little-endian": Form(wide=False, machine=3),
    "32-bit big-endian": Form(wide=False, order=">", machine=20),
}


def notes(form: Form = LITTLE64) -> Notes:
    return (
        Notes(form)
        .prstatus()
        .prpsinfo(4711, "worker", "/usr/bin/worker --deep secret")
        .auxv(PAGESZ=PAGE, RANDOM=STACK + 5, ENTRY=LIB + 16)
        .files(
            (LIB, LIB + 3 * PAGE, b"/usr/lib/lib\xffc.so"),
            (SHARED, SHARED + PAGE, b"/memfd:cache (deleted)"),
        )
    )


SEGMENTS = (
    Segment(HEAP, [page(1), None, page(2), page(0), None, page(1)]),
    Segment(LIB, [page(3)], READ | EXECUTE, memsz=2 * PAGE),
    Segment(LIB + 2 * PAGE, [page(4)], READ | WRITE),
    Segment(SHARED, [page(5)]),
    Segment(STACK, [page(6)]),
)


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Form:
    return FORMS[request.param]


def vpns(seen) -> list[int]:
    return [row.vpn - HEAP // PAGE for row in seen.rows]


def test_every_word_size_and_byte_order(tmp_path, form):
    path = core(SEGMENTS, notes(form), form).write(tmp_path / "core")
    seen = converted(tmp_path, path)

    assert seen.converted[0].format == "elf-core"
    process = seen.trace.processes.row(0, named=True)
    assert (process["pid"], process["ppid"], process["uid"]) == (4711, 1, 7)
    assert (process["comm"], process["exe"]) == ("worker", "/usr/lib/lib\\xffc.so")
    assert process["cmdline"] == "/usr/bin/worker --deep secret"
    table = seen.trace.mappings
    assert table["kind"].to_list() == ["anon", "file", "file", "memfd", "stack"]
    assert table["perms"].to_list() == ["rw-p", "r-xp", "rw-p", "rw-p", "rw-p"]
    assert table["pages"].to_list() == [6, 2, 1, 1, 1]
    assert table["start_vpn"].to_list() == [
        at // PAGE for at in (HEAP, LIB, LIB + 2 * PAGE, SHARED, STACK)
    ]
    assert seen.adds_up()
    assert seen.account.skipped == {"pages of files": 1, "pages of shared memory": 1}


# Zeros that no copy and no unpacking would have kept.
VOUCHING = Segment(STACK + 64 * PAGE, [page(0)] * 16)


def test_holes_are_pages_that_were_not_there(tmp_path):
    path = core((*SEGMENTS, VOUCHING), notes()).write(tmp_path / "core")
    if path.stat().st_blocks * 512 >= path.stat().st_size:
        pytest.skip("this file system keeps no holes of one page")
    seen = converted(tmp_path, path)
    heap = [row for row in seen.rows if row.mapping == 0]
    assert [row.vpn - HEAP // PAGE for row in heap] == [0, 2, 3, 5]
    assert [row.digest for row in heap] == [
        digest(page(number)) for number in (1, 2, 0, 1)
    ]
    assert seen.unknown == []
    assert (seen.account.absent, seen.account.pages) == (2, 26)


def test_holes_that_an_unpacking_may_have_made_say_nothing(tmp_path):
    """As `zstd -d` leaves a core that was zeros for some pages of its heap."""
    path = core(SEGMENTS, notes()).write(tmp_path / "core")
    if path.stat().st_blocks * 512 >= path.stat().st_size:
        pytest.skip("this file system keeps no holes of one page")
    seen = converted(tmp_path, path)
    heap = [row for row in seen.rows if row.mapping == 0]
    assert [row.digest for row in heap] == [
        digest(page(number)) for number in (1, 0, 2, 0, 0, 1)
    ]
    assert [vpn - HEAP // PAGE for vpn in seen.unknown] == [1, 3, 4]
    assert HOLES_OF_ZEROS in seen.trace.facts.limits
    assert not any("no holes" in text for text in seen.trace.facts.limits)
    assert seen.account.absent == 0
    assert seen.adds_up()


def test_holes_of_more_pages_than_can_be_read_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "_MOST_HOLES", 1)
    path = core(SEGMENTS, notes()).write(tmp_path / "core")
    if path.stat().st_blocks * 512 >= path.stat().st_size:
        pytest.skip("this file system keeps no holes of one page")
    seen = converted(tmp_path, path)
    assert seen.unknown == []
    assert any("up to 2 more pages of zeros" in t for t in seen.trace.facts.limits)


@pytest.mark.parametrize("packed", [False, True])
def test_without_holes_zeros_may_be_nothing(tmp_path, form, packed):
    data = core(SEGMENTS, notes(form), form).bytes()
    path = tmp_path / "core"
    path.write_bytes(gzip.compress(data) if packed else data)
    seen = converted(tmp_path, path)
    heap = [row for row in seen.rows if row.mapping == 0]
    assert [row.digest for row in heap] == [
        digest(page(number)) for number in (1, 0, 2, 0, 0, 1)
    ]
    assert [vpn - HEAP // PAGE for vpn in seen.unknown] == [1, 3, 4]
    assert any("has no holes" in text for text in seen.account.limits)
    assert seen.adds_up()


def test_copies_of_file_pages_are_marked(tmp_path):
    path = core(SEGMENTS, notes()).write(tmp_path / "core")
    rows = converted(tmp_path, path).rows
    marked = [r.mapping for r in rows if PageFlag.ANON_UNKNOWN in r.flags]
    assert marked == [2]


def test_private_leaves_out_the_command_line(tmp_path):
    path = core(SEGMENTS, notes()).write(tmp_path / "core")
    seen = converted(tmp_path, path, private=True)
    assert seen.trace.processes["cmdline"].to_list() == [""]


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_more_headers_than_16_bits_can_count(tmp_path, form, first, packed):
    form = Form(form.wide, form.order, many=True, sections_first=first)
    image = core(SEGMENTS, notes(form), form)
    path = tmp_path / "core"
    path.write_bytes(gzip.compress(image.bytes()) if packed else image.bytes())
    plain = tmp_path / "plain"
    few = Form(form.wide, form.order)
    plain.write_bytes(core(SEGMENTS, notes(few), few).bytes())
    assert converted(tmp_path, path).rows == converted(tmp_path, plain).rows


def test_many_headers_really(tmp_path):
    count = 70_000
    form = Form(many=True)
    segments = [Segment(HEAP + 2 * n * PAGE, []) for n in range(count)]
    segments[count // 2].pages = [page(9)]
    segments[-1].pages = [page(8)]
    path = core(segments, Notes(form).prstatus(), form).write(tmp_path / "core")
    seen = converted(tmp_path, path)
    assert seen.trace.mappings.height == count
    assert vpns(seen) == [count, 2 * (count - 1)]


def test_the_notes_may_stand_behind_the_memory(tmp_path):
    form = Form(notes_last=True)
    path = core(SEGMENTS, notes(form), form).write(tmp_path / "core")
    seen = converted(tmp_path, path)
    assert seen.trace.processes["comm"].to_list() == ["worker"]
    data = path.read_bytes()
    path.write_bytes(data)
    filled = converted(tmp_path, path)
    path.write_bytes(gzip.compress(data))
    seen = converted(tmp_path, path)
    assert seen.trace.processes["comm"].to_list() == ["worker"]
    assert seen.rows == filled.rows


def test_gdbs_gcore_touches_every_page(tmp_path):
    # gdb puts NT_PRPSINFO first and names the process after the end of its title.
    told = Notes().prpsinfo(12, "socket", "/usr/bin/redis-server:6379 *:6379")
    path = core([Segment(HEAP, [page(1), None])], told.prstatus()).write(
        tmp_path / "core"
    )
    seen = converted(tmp_path, path)
    assert seen.trace.processes["comm"].to_list() == ["redis-server"]
    if seen.account.absent == 0:
        assert len(seen.unknown) == 1
    assert any("gcore" in text for text in seen.account.limits)


def test_without_names_of_files_all_is_anonymous(tmp_path):
    told = Notes().prstatus().auxv(SYSINFO_EHDR=LIB)
    segments = (*SEGMENTS, Segment(0xFFFF_FFFF_FF60_0000, [page(7)], READ | EXECUTE))
    seen = converted(tmp_path, core(segments, told).write(tmp_path / "core"))
    kinds = seen.trace.mappings["kind"].to_list()
    assert kinds == ["anon", "special", "anon", "anon", "anon", "special"]
    assert seen.account.skipped == {"pages of special mappings (vdso, vsyscall)": 2}
    process = seen.trace.processes.row(0, named=True)
    assert (process["pid"], process["comm"], process["workload"]) == (-1, "", "core")


def test_segments_over_one_another_are_counted_once(tmp_path):
    segments = (
        Segment(HEAP, [page(1), page(2)]),
        Segment(HEAP + PAGE, [page(3), page(4), page(5)]),
        Segment(HEAP + 9 * PAGE, [page(6)]),
        Segment(HEAP + 20 * PAGE + 8, [page(7)]),
    )
    seen = converted(tmp_path, core(segments).write(tmp_path / "core"))
    assert vpns(seen) == [0, 1, 9]
    assert seen.account.skipped == {"pages of overlapping segments": 4}
    assert seen.adds_up()


@pytest.mark.parametrize("packed", [False, True])
def test_segments_of_the_same_bytes_are_read_once(tmp_path, packed):
    # A header can say that the same bytes are a thousand segments.
    segments = [Segment(HEAP, [page(1), page(2)])]
    segments += [
        Segment(HEAP + n * 2 * PAGE, [page(1), page(2)], offset=PAGE)
        for n in range(1, 1000)
    ]
    data = core(segments, form=Form()).bytes()
    first = -(-(64 + 1000 * 56) // PAGE) * PAGE
    for segment in segments:
        segment.offset = first
    data = core(segments).bytes()
    path = tmp_path / "core"
    path.write_bytes(gzip.compress(data) if packed else data)
    seen = converted(tmp_path, path)
    assert vpns(seen) == [0, 1]
    assert seen.account.skipped == {"pages of overlapping segments": 1998}
    assert seen.adds_up()


def test_other_page_sizes_are_refused(tmp_path):
    told = Notes().prstatus().auxv(PAGESZ=65536)
    path = core(SEGMENTS, told).write(tmp_path / "core")
    with pytest.raises(InputError, match="pages of 65536 bytes, expected 4096"):
        converted(tmp_path, path)


def test_a_core_of_nothing_is_no_core(tmp_path):
    path = core([], notes()).write(tmp_path / "core")
    with pytest.raises(InputError, match="no memory"):
        converted(tmp_path, path)


def test_filtered_memory_is_told(tmp_path):
    segments = (Segment(HEAP, [], memsz=10 * PAGE), Segment(LIB, [page(1)], READ))
    seen = converted(tmp_path, core(segments, notes()).write(tmp_path / "core"))
    assert any("coredump_filter" in text for text in seen.account.limits)


def test_what_systemd_coredump_says_beside_it(tmp_path):
    name = (
        r"core.my\x20worker.1000.0123456789abcdef0123456789abcdef.99.1600000000000000"
    )
    path = core([Segment(HEAP, [page(1)])]).write(tmp_path / name)
    seen = converted(tmp_path, path)
    assert seen.trace.processes["comm"].to_list() == ["my worker"]
    assert seen.trace.facts.captured_at == "2020-09-13T12:26:40+00:00"
    try:
        os.setxattr(path, "user.coredump.hostname", b"web-1")
        os.setxattr(path, "user.coredump.exe", b"/usr/bin/worker")
    except OSError:
        return
    seen = converted(tmp_path, path)
    assert seen.trace.facts.host == "web-1"
    assert seen.trace.processes["exe"].to_list() == ["/usr/bin/worker"]


@pytest.mark.parametrize("packed", [False, True])
def test_a_core_cut_anywhere(tmp_path, packed):
    image = core(SEGMENTS, notes())
    whole = image.bytes()
    path = tmp_path / "core"
    path.write_bytes(whole)
    truth = set(converted(tmp_path, path).rows)
    places = {mark + n for mark in image.marks for n in (-1, 0, 1)}
    for at in sorted(places | set(range(0, len(whole), 3001))):
        if not 0 <= at < len(whole):
            continue
        path.write_bytes(gzip.compress(whole[:at], 0) if packed else whole[:at])
        seen = attempted(tmp_path, path)
        if seen is None:
            assert at < first_byte(whole)
            continue
        assert seen.account.missing_bytes == len(whole) - max(at, first_byte(whole))
        assert set(seen.rows) <= truth
        assert seen.adds_up()


def first_byte(whole: bytes) -> int:
    """Where memory begins: what is missing before it is not memory."""
    return int.from_bytes(whole[64 + 56 + 8 : 64 + 56 + 16], "little")


def test_absurd_sizes(tmp_path, form):
    word = 8 if form.wide else 4
    image = core(SEGMENTS, notes(form), form)
    whole = image.bytes()
    path = tmp_path / "core"
    headers = 64 + 5 * 56 if form.wide else 52 + 5 * 32
    for at in range(16, headers, word):
        for absurd in (b"\xff" * word, b"\x7f" + b"\xff" * (word - 1)):
            data = absurd[::-1] if form.order == "<" else absurd
            path.write_bytes(whole[:at] + data + whole[at + word :])
            seen = attempted(tmp_path, path)
            assert seen is None or seen.adds_up()


def test_names_that_are_not_unicode(tmp_path):
    path = core([Segment(HEAP, [page(1)])]).write(Path(os.fsdecode(
        bytes(tmp_path) + b"/core\xff\n"
    )))  # fmt: skip
    seen = converted(tmp_path, path)
    assert seen.trace.processes["workload"].to_list() == ["core\\xff\n"]
