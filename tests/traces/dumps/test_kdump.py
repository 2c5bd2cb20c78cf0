"""kdump-compressed dumps made here from their description: what was put in comes out,
whatever the layout; of damaged ones what is right, or nothing."""

import contextlib
import os
import struct
import sys
import zlib
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from dumping import digest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kdump_files import (
    LZO,
    PAGE,
    RAW,
    SNAPPY,
    ZERO,
    ZLIB,
    ZSTD,
    Kdump,
    flattened,
    in_blocks,
)

from traces.dumps.conversion import Converted, Named, One, Settings
from traces.dumps.dump import Account
from traces.dumps.kdump.flattened import image_of
from traces.dumps.source import Source
from traces.errors import InputError, KsmAnalyzeError
from traces.schema import PageFlag
from traces.trace import Trace

NOISE = np.random.default_rng(7)
# Pages of text, which any compression makes smaller, of noise, which none does, zeros.
TEXT = [(f"page {n} " * 600).encode()[:PAGE] for n in range(6)]
PAGES = {
    0: TEXT[0],
    1: ZERO,
    2: NOISE.bytes(PAGE),
    5: TEXT[1],
    6: b"\xff" * PAGE,
    7: ZERO,
    40: TEXT[0],
    41: ZERO,
    99: NOISE.bytes(PAGE),
}


class Read(NamedTuple):
    """What came out of a dump."""

    rows: dict[int, int]
    """Page frame → digest."""
    flags: dict[int, PageFlag]
    account: Account
    trace: Trace


def digests(pages: dict[int, bytes]) -> dict[int, int]:
    return {frame: digest(page) for frame, page in pages.items()}


def converted(text: str, target: Path) -> tuple[Converted, Trace]:
    one = One(Named.parse(text), Settings())
    with contextlib.closing(one.write(target)) as steps:
        for _ in steps:
            pass
    return one.converted, Trace.open(target)


def read(folder: Path, *files: bytes) -> Read:
    """The dump in *files*."""
    paths = [folder / f"part{number}" for number in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    told, trace = converted("+".join(map(str, paths)), folder / "trace")
    rows, flags, numbers = {}, {}, []
    for chunk in trace.chunks(["vpn", "digest", "flags"]):
        numbers += chunk["vpn"].tolist()
        rows |= zip(chunk["vpn"].tolist(), chunk["digest"].tolist(), strict=True)
        bits = map(PageFlag, chunk["flags"].tolist())
        flags |= zip(chunk["vpn"].tolist(), bits, strict=True)
    assert numbers == sorted(rows)
    return Read(rows, flags, told.account, trace)


@pytest.mark.parametrize("how", [RAW, ZLIB, SNAPPY, ZSTD])
@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("order", "<>")
def test_pages_come_back(tmp_path: Path, how: int, wide: bool, order: str) -> None:
    data = Kdump(pages=PAGES, how=how, wide=wide, order=order, level=1).build()
    found = read(tmp_path, data)
    assert found.rows == digests(PAGES)
    assert found.account.pages == len(PAGES)
    assert not found.account.truncated
    zeros = {frame for frame, page in PAGES.items() if page == ZERO}
    unknown = {f for f, bits in found.flags.items() if bits & bits.PRESENCE_UNKNOWN}
    assert unknown == zeros
    assert found.flags[6] == PageFlag.FILL


def test_zeros_that_are_shared_where_the_first_of_them_lies(tmp_path: Path) -> None:
    for how in (RAW, ZLIB):
        found = read(tmp_path, Kdump(pages=PAGES, how=how, share=True).build())
        assert found.rows == digests(PAGES)
        assert not found.account.truncated


def test_a_page_that_is_said_to_be_another_one(tmp_path: Path) -> None:
    """Each descriptor, changed to name the data of any other page; but the last one's
    page leaves no gap."""
    dump = Kdump(pages=PAGES)
    built, known = dump.build(), digests(PAGES)
    starts = [place for place, _ in dump.places.values()]
    for entry in range(len(starts) - 1):
        for start in starts:
            data = bytearray(built)
            struct.pack_into("<q", data, dump.bounds["table"] + 24 * entry, start)
            with contextlib.suppress(InputError):
                found = read(tmp_path, bytes(data))
                same = start == starts[entry]
                assert found.account.truncated != same
                assert not same or found.rows == known


def test_pages_compressed_with_lzo_come_back(tmp_path: Path) -> None:
    pytest.importorskip("lzallright", reason="the extra ksm-analyze[lzo]")
    found = read(tmp_path, Kdump(pages=PAGES, how=LZO).build())
    assert found.rows == digests(PAGES)


def test_lzo_that_is_not_installed_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lzallright", None)
    dump = Kdump(pages={0: TEXT[0]}, how=ZLIB)
    data = bytearray(dump.build())
    struct.pack_into("<I", data, dump.bounds["table"] + 12, LZO)
    with pytest.raises(InputError, match="LZO") as refused:
        read(tmp_path, bytes(data))
    assert refused.value.hint == "pip install 'ksm-analyze[lzo]'"


def test_machines_of_32_bits_that_align(tmp_path: Path) -> None:
    uts = ("Linux", "pi", "6.1.0", "#1", "armv7l", "")
    first = Kdump(pages=PAGES, wide=False, uts=uts, split=(0, 6)).build()
    second = Kdump(pages=PAGES, wide=False, uts=uts, split=(6, 100)).build()
    assert read(tmp_path, first, second).rows == digests(PAGES)


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("version", [2, 5])
def test_headers_of_earlier_versions(tmp_path: Path, version: int, wide: bool) -> None:
    files = [
        Kdump(pages=PAGES, version=version, wide=wide, split=split).build()
        for split in ((0, 6), (6, 100))
    ]
    assert read(tmp_path, *files).rows == digests(PAGES)


def test_what_the_header_names(tmp_path: Path) -> None:
    found = read(tmp_path, Kdump(pages=PAGES, seconds=1_700_000_000).build())
    assert found.trace.facts.host == "vm1"
    assert found.trace.facts.captured_at == "2023-11-14T22:13:20+00:00"
    assert found.trace.facts.source == "kdump"
    (mapping,) = found.trace.mappings.rows(named=True)
    assert (mapping["start_vpn"], mapping["pages"]) == (0, 100)


def test_many_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than are read, unpacked or looked at in one piece."""
    monkeypatch.setattr("traces.dumps.kdump.memory.BATCH_PAGES", 100)
    monkeypatch.setattr("traces.dumps.kdump.diskdump._PIECE", 1000)
    few = [*TEXT, ZERO, NOISE.bytes(PAGE)]
    frames = np.sort(NOISE.choice(1 << 16, 1000, replace=False)).tolist()
    pages = {frame: few[frame % 8] for frame in frames}
    for how in (RAW, ZLIB):
        found = read(tmp_path, Kdump(pages=pages, how=how, level=1).build())
        assert found.rows == digests(pages)
        assert not found.account.truncated


@pytest.mark.parametrize("size", [1000, 5000, 70_000])
def test_a_flattened_dump_is_the_dump(tmp_path: Path, size: int) -> None:
    data = Kdump(pages=PAGES, how=ZLIB, level=1).build()
    found = read(tmp_path, flattened(in_blocks(data, size)))
    assert found.rows == digests(PAGES)
    assert not found.account.truncated


def test_a_flattened_dump_without_an_end_says_so(tmp_path: Path) -> None:
    blocks = in_blocks(Kdump(pages=PAGES).build(), 5000)
    # Its header was written; the last blocks were not.
    cut = flattened([blocks[-1], *blocks[1:-3]], end=False)
    found = read(tmp_path, cut)
    assert found.account.truncated
    assert found.rows
    assert found.rows.items() <= digests(PAGES).items()


def test_a_flattened_dump_with_a_hole_lacks_pages(tmp_path: Path) -> None:
    """What is not there is not taken for zeros."""
    dump = Kdump(pages=PAGES)
    blocks = in_blocks(dump.build(), PAGE)
    gone = dump.places[5][0] // PAGE
    found = read(tmp_path, flattened(b for b in blocks if b[0] // PAGE != gone))
    assert found.account.truncated
    assert found.rows.items() < digests(PAGES).items()
    assert 5 not in found.rows


@settings(max_examples=100, deadline=None)
@given(
    blocks=st.lists(
        st.tuples(st.integers(0, 60), st.binary(min_size=0, max_size=30)), max_size=12
    )
)
def test_later_blocks_lie_over_earlier_ones(
    blocks: list[tuple[int, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "flat"
    path.write_bytes(flattened(blocks))
    plain = bytearray(100)
    there = bytearray(101)
    for offset, content in blocks:
        plain[offset : offset + len(content)] = content
        there[offset : offset + len(content)] = b"\1" * len(content)
    with Source(path) as source:
        image = image_of(source)
        for offset in range(100):
            end = there.index(0, offset)
            assert image.read(offset, 200) == plain[offset:end]
            for size in (1, 5):
                (place,) = image.places(np.array([offset]), np.array([size])).tolist()
                if place >= 0:
                    data = os.pread(source.file(), size, place)
                    assert data == plain[offset : offset + size]
                    assert end - offset >= size


def parts(*bounds: int, **more: int) -> list[bytes]:
    """PAGES as a split dump."""
    ranges = pairwise(bounds)
    return [Kdump(pages=PAGES, how=ZLIB, split=s, **more).build() for s in ranges]  # type: ignore[arg-type]


def test_a_split_dump_is_one(tmp_path: Path) -> None:
    first, second, third, empty = parts(0, 6, 40, 100, 100)
    for files in ((first, second, third, empty), (third, empty, first, second)):
        found = read(tmp_path, *files)
        assert found.rows == digests(PAGES)
        assert not found.account.truncated


def test_a_part_that_is_missing_is_named(tmp_path: Path) -> None:
    first, second, third = parts(0, 6, 40, 100)
    found = read(tmp_path, first, third)
    assert "page frames 6 to 39 is missing" in found.account.damage
    assert found.account.pages == len(PAGES)
    found = read(tmp_path, second)
    assert "page frames 0 to 5 and 40 to 99 is missing" in found.account.damage
    expected = {frame: PAGES[frame] for frame in (6, 7)}
    assert found.rows == digests(expected)


def test_parts_that_do_not_belong_together(tmp_path: Path) -> None:
    first, second = parts(0, 6, 100)
    other = {**PAGES, 8: ZERO}
    stranger = Kdump(pages=other, how=ZLIB, split=(6, 100)).build()
    whole = Kdump(pages=PAGES).build()
    for files, why in (
        ((first, first), "holds page frames that"),
        ((first, *parts(6, 100, level=1)), "of another machine or moment"),
        ((first, stranger), "not one dump"),
        ((first, whole), "part1: a whole dump"),
        ((whole, second), "part0: a whole dump"),
        ((first, b"something else" * 99), "expected a kdump-compressed dump"),
    ):
        with pytest.raises(InputError, match=why):
            read(tmp_path, *files)


def test_other_dumps_are_of_one_file(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(b"EMiL" + bytes(28))
    one = One(Named.parse(f"{path}+{path}"), Settings())
    with pytest.raises(InputError, match="joined with"):
        list(one.write(tmp_path / "trace"))


def test_what_was_left_out_is_counted_and_told(tmp_path: Path) -> None:
    dump = Kdump(pages=PAGES, level=31, left_out=[3, 4, 50, 120])
    found = read(tmp_path, dump.build())
    assert found.rows == digests(PAGES)
    assert found.account.pages == len(PAGES)
    ((why, count),) = [item for item in found.account.skipped.items() if item[1]]
    assert (why[:35], count) == ("pages left out by dump level 31 (pa", 4)
    first, *others = found.trace.facts.limits
    assert first.startswith("useless for KSM: the pages of processes were left out")
    assert not any("page cache, free pages" in limit for limit in others)


def test_a_machines_memory_is_an_upper_bound(tmp_path: Path) -> None:
    found = read(tmp_path, Kdump(pages=PAGES, level=1).build())
    limits = " ".join(found.trace.facts.limits)
    assert "page cache, free pages and the kernel's own pages are among" in limits
    assert "useless" not in limits
    assert "no more than a part" not in limits


def test_devices_of_a_virtual_machine_are_no_ram(tmp_path: Path) -> None:
    qemu = ("", "", "", "", "Unknown", "")
    pages = {0: TEXT[0], 0xFD000: TEXT[1], 0xFFFFF: TEXT[2], 0x100000: TEXT[3]}
    found = read(tmp_path, Kdump(pages=pages, uts=qemu, level=1).build())
    assert found.rows == digests({0: TEXT[0], 0x100000: TEXT[3]})
    assert found.account.pages == 4
    assert found.account.skipped.total() == 2
    assert not any("upper bound" in limit for limit in found.trace.facts.limits)
    # What is in one piece with RAM below 3 GiB is RAM: 3.5 GiB below the devices.
    more = {0xBFFFF: TEXT[4], 0xC0000: TEXT[5], 0xC0001: ZERO}
    found = read(tmp_path, Kdump(pages=pages | more, uts=qemu, level=1).build())
    assert found.rows.keys() == {0, 0x100000, *more}
    # A real machine has RAM where it likes.
    found = read(tmp_path, Kdump(pages=pages, level=1).build())
    assert found.rows == digests(pages)


def test_pages_that_found_no_room(tmp_path: Path) -> None:
    found = read(tmp_path, Kdump(pages=PAGES, lost=[41, 99], status=8).build())
    kept = {frame: page for frame, page in PAGES.items() if frame not in (41, 99)}
    assert found.rows == digests(kept)
    assert found.account.damage == "2 pages that were not written for want of room"
    assert found.account.missing_bytes == 0
    found = read(tmp_path, Kdump(pages=PAGES, status=8).build())
    assert found.account.damage == "incomplete, as its header says"


@pytest.mark.parametrize(
    ("how", "data"),
    [
        (ZLIB, zlib.compress(bytes(5000))),
        (ZLIB, zlib.compress(TEXT[0])[:-3]),
        (SNAPPY, b"\x02\x04ab"),
        (ZSTD, b"nothing of the kind"),
        (RAW, b"a page that is short"),
        (0x40, b"compressed in a way of the future"),
    ],
    ids=["too much", "cut", "too little", "no zstd", "no whole page", "unknown"],
)
def test_data_of_which_no_page_comes(tmp_path: Path, how: int, data: bytes) -> None:
    dump = Kdump(pages={0: TEXT[0], 1: TEXT[1]})
    built = bytearray(dump.build())
    table, start = dump.bounds["table"], dump.bounds["data"]
    struct.pack_into("<qII", built, table, start, len(data), how)
    struct.pack_into("<q", built, table + 24, start + len(data))
    built[start : start + PAGE] = data
    found = read(tmp_path, bytes(built))
    assert found.rows == digests({1: TEXT[1]})
    assert found.account.damage == "1 pages that cannot be unpacked"


@pytest.mark.parametrize(
    ("dump", "why"),
    [
        (Kdump(pages=PAGES, block=65536), "of pages of 65536 bytes, expected 4096"),
        (Kdump(pages=PAGES, block=5000), "no sense in any byte order"),
        (Kdump(pages=PAGES, version=0), "no sense in any byte order"),
        (Kdump(pages=PAGES, level=32), "its dump level is 32"),
        (Kdump(pages=PAGES, split=(50, 20)), "its part of a split dump is 50 to 20"),
        (Kdump(pages={}, max_mapnr=0), "cut within its bitmaps"),
    ],
)
def test_headers_that_are_refused(tmp_path: Path, dump: Kdump, why: str) -> None:
    data = dump.build()
    if not dump.pages:
        data = data[: dump.bounds["bitmap 2"]]
    with pytest.raises(InputError, match=why):
        read(tmp_path, data)


def test_sizes_are_not_trusted(tmp_path: Path) -> None:
    """A header that promises far more than there is costs no memory."""
    data = bytearray(Kdump(pages=PAGES).build())
    struct.pack_into("<II", data, 436, 2 << 17, 0xFFFF_FFFF)
    for pages in (0xFFFF_FFFF, 1 << 36, 1 << 40):
        blocks = 2 * -(-pages // (8 * PAGE))
        struct.pack_into("<I", data, 436, blocks & 0xFFFF_FFFF)
        struct.pack_into("<Q", data, PAGE + 96, pages)
        with pytest.raises(InputError, match=r"bitmaps|page frames"):
            read(tmp_path, bytes(data))


def test_bitmaps_that_contradict_each_other(tmp_path: Path) -> None:
    dump = Kdump(pages=PAGES)
    for where, bit in (("bitmap 1", 5), ("bitmap 2", 3), ("bitmap 1", 2000)):
        data = bytearray(dump.build())
        data[dump.bounds[where] + bit // 8] ^= 1 << bit % 8
        with pytest.raises(InputError, match="bitmaps contradict"):
            read(tmp_path, bytes(data))


def test_other_dumps_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="diskdump, which came before kdump"):
        read(tmp_path, b"DISKDUMP".ljust(9000, b"\0"))
    with pytest.raises(InputError, match=r"\\x7fELF") as refused:
        read(tmp_path, flattened([(0, b"\x7fELF" + bytes(900))]))
    assert refused.value.hint
    assert "makedumpfile -R" in refused.value.hint


@pytest.mark.parametrize("how", [RAW, ZLIB])
def test_a_truncated_dump_is_read_as_far_as_it_goes(tmp_path: Path, how: int) -> None:
    dump = Kdump(pages=PAGES, how=how, level=1)
    data = dump.build()
    places = dump.places.values()
    edges = {0, *dump.bounds.values(), *(place for place, _ in places)}
    cuts = {edge + by for edge in edges for by in (-1, 0, 1)}
    cuts |= set(NOISE.integers(0, len(data), 30).tolist())
    for cut in sorted(cut for cut in cuts if 0 <= cut < len(data)):
        try:
            found = read(tmp_path, data[:cut])
        except InputError:
            assert cut < dump.bounds["table"]
            continue
        there = {f: p for f, p in PAGES.items() if sum(dump.places[f]) <= cut}
        assert found.rows == digests(there), cut
        assert found.account.truncated
        if cut >= dump.bounds["data"]:
            assert found.account.missing_bytes == len(data) - cut
        else:
            assert "cut within its table of pages" in found.account.damage


def test_a_truncated_compressed_dump(tmp_path: Path) -> None:
    dump = Kdump(pages=PAGES, level=1)
    data = dump.build()
    squeezed = zlib.compress(data, 1)
    assert read(tmp_path, squeezed).rows == digests(PAGES)
    found = read(tmp_path, squeezed[: len(squeezed) * 3 // 4])
    assert "zlib stream is truncated" in found.account.damage
    assert found.account.missing_bytes
    assert found.rows.items() < digests(PAGES).items()


_DUMPS = [Kdump(pages=PAGES, how=how, level=1) for how in (RAW, ZLIB)]
_DATA = [dump.build() for dump in _DUMPS]


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    which=st.integers(0, 1),
    place=st.integers(0, 400) | st.integers(400, 480) | st.integers(0, 1 << 20),
    far=st.sampled_from(["start", "sub header", "bitmap 1", "bitmap 2", "table"]),
    flip=st.integers(1, 255),
    flat=st.booleans(),
)
def test_a_damaged_dump_is_refused_or_told(
    tmp_path: Path, which: int, place: int, far: str, flip: int, flat: bool
) -> None:
    dump, data = _DUMPS[which], bytearray(_DATA[which])
    place = (place + dump.bounds.get(far, 0)) % len(data)
    data[place] ^= flip
    blocks = in_blocks(bytes(data), 5000)
    try:
        found = read(tmp_path, flattened(blocks) if flat else bytes(data))
    except KsmAnalyzeError:
        return
    # A bit in the data of a page that is stored as it is shows nowhere.
    hit = {
        frame
        for frame, (start, size) in dump.places.items()
        if start <= place < start + size
    }
    known = digests(PAGES)
    if not found.account.truncated:
        assert found.rows.keys() == known.keys()
        assert {f for f in known if found.rows[f] != known[f]} <= hit


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(place=st.integers(0, 1 << 20), flip=st.integers(1, 255), block=st.booleans())
def test_a_damaged_flattened_file_is_refused_or_told(
    tmp_path: Path, place: int, flip: int, block: bool
) -> None:
    size = 5000
    data = bytearray(flattened(in_blocks(_DATA[0], size)))
    if block:
        # The numbers in front of a block.
        number, byte = divmod(place, 16)
        count = (len(data) - PAGE) // (size + 16)
        place = PAGE + number % count * (size + 16) + byte
    place %= len(data)
    data[place] ^= flip
    with contextlib.suppress(KsmAnalyzeError):
        found = read(tmp_path, bytes(data))
        if not found.account.truncated:
            assert found.rows.keys() == PAGES.keys()
