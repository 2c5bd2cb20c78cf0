import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qemu_files import (
    END_OF_SECTION,
    NAME,
    PAGE,
    Read,
    big,
    expected,
    head,
    part,
    plugged,
    read,
    record,
    short,
    sizes,
    start,
    stream,
)

from traces.errors import InputError, KsmAnalyzeError
from traces.schema import PageFlag

RAM = 40
BLOCKS = {"pc.ram": RAM, "0000:00:02.0/vga.vram": 4, "pc.bios": 2, "/rom@etc/acpi": 1}
NOISE = [np.random.default_rng(n).bytes(4096) for n in range(12)]
ZERO = b"\0"


@pytest.fixture
def dump(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        (tmp_path / "dump").write_bytes(data)
        return tmp_path / "dump"

    return write


def body(content: int) -> bytes:
    """A content by number: noise, zeros, or a byte that fills it."""
    return NOISE[content] if content < len(NOISE) else bytes([content - len(NOISE)])


def full(content: bytes) -> bytes:
    return content if len(content) == 4096 else content * 4096


def a_stream() -> tuple[bytes, list[tuple[int, int, bytes]]]:
    """A stream of two passes over RAM; of each record of RAM, where it ends, the page
    and its content."""
    rng = np.random.default_rng(1)
    records: list[bytes] = []
    told: list[tuple[int, int, bytes]] = []
    said = head("x", bits=12, uuid=True) + start() + sizes(BLOCKS) + END_OF_SECTION
    said += b"\x08" + big(1, 2) + big(4, 2) + b"ping"

    def send(number: int, content: bytes, block: str | None) -> None:
        nonlocal said
        said += record(number, content, block)
        if block in (None, "pc.ram"):
            told.append((len(said), number, full(content)))

    said += part()
    for number in range(RAM):
        content = body(int(rng.integers(0, len(NOISE) + 2)))
        send(number, content, "pc.ram" if number == 0 else None)
    said += record(1, NOISE[0], "pc.bios") + record(3, ZERO, "0000:00:02.0/vga.vram")
    said += END_OF_SECTION + part(3)
    for number in rng.integers(0, RAM, 30).tolist():
        content = body(int(rng.integers(0, len(NOISE) + 2)))
        send(number, content, "pc.ram" if len(records) == 0 else None)
        records.append(content)
    return said + END_OF_SECTION, told


def last(told: list[tuple[int, int, bytes]], size: int) -> dict[int, bytes]:
    """What a reader of *size* bytes must know of each page."""
    return {number: content for end, number, content in told if end <= size}


def check(found: Read, pages: dict[int, bytes]) -> None:
    assert found.vpn.tolist() == sorted(pages)
    memory = b"".join(pages[number] for number in sorted(pages))
    assert found.digest.tolist() == expected(memory).tolist()
    zero = [not any(pages[number]) for number in sorted(pages)]
    unknown = found.flags & PageFlag.PRESENCE_UNKNOWN
    assert unknown.astype(bool).tolist() == zero


def test_the_last_of_each_page_counts(dump: Callable[[bytes], Path]) -> None:
    said, told = a_stream()
    found = read(dump(said))

    check(found, last(told, len(said)))
    assert found.format == "qemu-migration"
    assert found.name == NAME
    assert found.account.pages == sum(BLOCKS.values())
    assert found.account.skipped.total() == 7
    assert not found.account.truncated
    assert [(row["name"], row["pages"]) for row in found.mappings] == [("pc.ram", RAM)]


def test_what_is_behind_ram_does_not_matter(dump: Callable[[bytes], Path]) -> None:
    said, told = a_stream()
    for behind in (b"", b"\4", bytes(99), b"QEVM", b"\xff" * 5000):
        check(read(dump(said + behind)), last(told, len(said)))


def test_cut_anywhere_it_tells_what_was_there(dump: Callable[[bytes], Path]) -> None:
    said, told = a_stream()
    named = len(head("x", bits=12, uuid=True) + start() + sizes(BLOCKS))
    ends = {end + by for end, _, _ in told for by in (-4097, -1, 0, 1, 7, 8, 9)}
    places = {*range(0, named + 40), *ends, *range(len(said) - 14, len(said))}
    for size in sorted(place for place in places if 0 < place < len(said)):
        path = dump(said[:size])
        if size < named:
            with pytest.raises(InputError):
                read(path)
            continue
        found, pages = read(path), last(told, size)
        check(found, pages)
        if size < len(said) - 5:
            lost = f"{RAM - len(pages)} of {RAM} pages of RAM are not in it"
            assert lost in found.account.damage
        else:
            assert not found.account.truncated


@settings(deadline=None, max_examples=120)
@given(data=st.data())
def test_damage_is_told_or_harmless(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    said, told = a_stream()
    places = st.one_of(
        st.integers(0, 400),
        st.sampled_from(told).flatmap(
            lambda row: st.integers(row[0] - 4104, row[0] - 4096)
        ),
        st.integers(0, len(said) - 1),
    )
    bad = bytearray(said)
    for _ in range(data.draw(st.integers(1, 3))):
        bad[data.draw(places)] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("damage") / "dump"
    path.write_bytes(bytes(bad))
    try:
        found = read(path)
    except KsmAnalyzeError:
        return
    account = found.account
    counted = len(found.vpn) + account.absent + account.skipped.total()
    assert account.truncated or counted == account.pages
    assert len(np.unique(found.vpn)) == len(found.vpn)


@settings(deadline=None, max_examples=60)
@given(
    sent=st.lists(
        st.tuples(
            st.integers(0, 2), st.integers(0, 1999), st.integers(0, len(NOISE) + 1),
            st.integers(1, 700),
        ),
        min_size=1, max_size=8,
    )
)  # fmt: skip
def test_any_order_and_any_runs(
    sent: list[tuple[int, int, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    blocks = {"m0": 2848, "m1": 3000, "m2": 2800}
    first = {"m0": 0, "m1": 2848, "m2": 5848}
    pages: dict[int, bytes] = {}
    records = []
    for which, number, content, count in sent:
        block = list(blocks)[which]
        # Runs of zeros are cheap, and so may be long.
        for at in range(count if content >= len(NOISE) else min(count, 9)):
            name = None if at else block
            records.append(record(number + at, body(content), name))
            pages[first[block] + number + at] = full(body(content))
    path = tmp_path_factory.mktemp("order") / "dump"
    path.write_bytes(stream(blocks, records))
    found = read(path)

    check(found, pages)
    starts = np.array(list(first.values()))
    assert (found.mapping == np.searchsorted(starts, found.vpn, "right") - 1).all()
    assert found.account.skipped.total() == 8648 - len(pages)


def test_pages_never_sent_are_counted(dump: Callable[[bytes], Path]) -> None:
    found = read(dump(stream({"m0": 9}, [record(3, NOISE[0], "m0")])))

    check(found, {3: NOISE[0]})
    assert found.account.skipped.total() == 8
    assert not found.account.truncated


@pytest.mark.parametrize("blocks", [1, 64, 65, 1000])
def test_virtio_mem_says_what_is_plugged_in(
    dump: Callable[[bytes], Path], blocks: int
) -> None:
    blocks_of = {"0000:00:02.0/more": blocks << 9, "pc.ram": 2}
    pages = [record(0, NOISE[0], "pc.ram"), record(1, ZERO)]
    said = stream(blocks_of, pages, begin=head() + plugged(blocks))
    found = read(dump(said))

    check(found, {blocks << 9: NOISE[0], (blocks << 9) + 1: bytes(4096)})
    assert found.account.skipped.total() == blocks << 9


def test_a_page_full_of_another_byte(dump: Callable[[bytes], Path]) -> None:
    found = read(dump(stream({"m0": 2}, [record(1, b"\x07", "m0"), record(0, ZERO)])))

    assert found.digest.tolist() == expected(bytes(4096) + b"\x07" * 4096).tolist()
    assert found.flags.tolist() == [PageFlag.PRESENCE_UNKNOWN, PageFlag.FILL]


def test_a_section_goes_on_with_the_block_of_the_one_before(
    dump: Callable[[bytes], Path],
) -> None:
    passes = [record(0, NOISE[0], "m0")], [record(1, NOISE[1])], [record(0, ZERO)]
    check(read(dump(stream({"m0": 2}, *passes))), {0: bytes(4096), 1: NOISE[1]})


def test_a_stream_of_old_without_configuration_or_footers(
    dump: Callable[[bytes], Path],
) -> None:
    said = b"QEVM" + big(3, 4) + start() + sizes({"m0": 1}) + big(0x10, 8)
    said += part(3) + record(0, NOISE[1], "m0") + big(0x10, 8)
    check(read(dump(said)), {0: NOISE[1]})


@pytest.mark.parametrize(
    ("flags", "way"),
    [(0x40, "XBZRLE"), (0x60, "XBZRLE"), (0x100, "compress"), (0x200, "multifd"),
     (0x80, "RDMA")],
)  # fmt: skip
def test_ways_to_migrate_that_are_refused(
    dump: Callable[[bytes], Path], flags: int, way: str
) -> None:
    said = stream({"m0": 4}, [record(0, NOISE[0], "m0"), big(4096 | flags, 8)])
    with pytest.raises(InputError, match=way) as told:
        read(dump(said))
    assert "dump-guest-memory" in str(told.value.hint)


def test_postcopy_is_refused(dump: Callable[[bytes], Path]) -> None:
    advise = b"\x08" + big(3, 2) + big(16, 2) + bytes(16)
    with pytest.raises(InputError, match="postcopy"):
        read(dump(stream({"m0": 4}, [], begin=head() + advise)))


REFUSED = {
    "version": (b"QEVM" + big(2, 4) + bytes(20), "version 2, expected 3"),
    "page size": (head(bits=16) + start(), r"pages of 2\^16 bytes"),
    "unknown configuration": (head() + b"\5" + short("x") + bytes(9), "'x'"),
    "long machine": (b"QEVM" + big(3, 4) + b"\7" + b"\xff" * 20, "configuration"),
    "block migration": (head() + start("block"), "'block'"),
    "ram version": (head() + start(version=3), "version 3, expected 4"),
    "virtio-mem of another version": (
        head() + plugged(1).replace(big(0, 4) + big(1, 4), big(0, 4) + big(2, 4)),
        "early of version 2, expected 1",
    ),
    "too much virtio-mem": (
        head() + plugged(1).replace(big(1 << 21, 8), big(1 << 60, 8), 1),
        "blocks of virtio-mem",
    ),
    "ended": (head() + bytes(9), "its end before the end of RAM"),
    "no sizes": (head() + start() + big(0x10, 8), "sizes|RAM there is"),
    "huge": (head() + start() + big(1 << 60 | 4, 8), "which cannot be"),
    "more than their sum": (
        head() + start() + big(4096 | 4, 8) + short("m") + big(8192, 8),
        "'m' of 8192 bytes",
    ),
    "no RAM": (stream({"pc.bios": 1}, []), "no block of RAM among 'pc.bios'"),
    "nothing sent": (stream({"m0": 1}, []), "no page of RAM"),
    "beyond": (stream({"m0": 1}, [record(1, ZERO, "m0")]), "page 1 of block 'm0'"),
    "unknown block": (stream({"m0": 1}, [record(0, ZERO, "m1")]), "'m1'"),
    "no block": (stream({"m0": 1}, [record(0, ZERO)]), "of no block"),
    "unknown record": (stream({"m0": 1}, [big(0x18, 8)]), "type 0x18"),
    "twice": (stream({"m0": 1}, [sizes({"m0": 1})]), "type 0x4"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_refused(dump: Callable[[bytes], Path], why: str) -> None:
    said, what = REFUSED[why]
    with pytest.raises(InputError, match=what) as told:
        read(dump(said))
    assert str(told.value).startswith(f"{dump(said)}: ")
    assert "\n" not in str(told.value)


def test_pages_strewn_over_more_memory_than_there_is(
    dump: Callable[[bytes], Path],
) -> None:
    far = [record(n << 10, ZERO, None if n else "m0") for n in range(1 << 14)]
    with pytest.raises(InputError, match="strewn"):
        read(dump(stream({"m0": 1 << 30}, far)))


def test_packed(tmp_path: Path) -> None:
    said, told = a_stream()
    (tmp_path / "dump").write_bytes(gzip.compress(said))
    check(read(tmp_path / "dump"), last(told, len(said)))
    (tmp_path / "dump").write_bytes(gzip.compress(said)[:-9000])
    assert "gzip" in read(tmp_path / "dump").account.damage


def test_the_flag_of_a_page_is_the_one_of_the_specification() -> None:
    assert record(5, NOISE[0])[:8] == big(0x5000 | PAGE | 0x20, 8)
