import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qemu_files import (
    DEVICES,
    END_OF_SECTION,
    MAPPED,
    big,
    expected,
    head,
    mapped,
    part,
    read,
    short,
    start,
)

from traces.errors import InputError, KsmAnalyzeError
from traces.schema import PageFlag

MIB = 1 << 20


def memory(pages: int, seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    held = [rng.bytes(4096), bytes(4096), b"\x09" * 4096, rng.bytes(4096)]
    return b"".join(held[n] for n in rng.integers(0, 4, pages).tolist())


RAM = {"m0": memory(70, 1), "pc.bios": memory(2, 2), "m1": memory(300, 3)}
ALL = RAM["m0"] + RAM["m1"]


def present(held: bytes) -> list[int]:
    """Numbers of the pages of *held* that are not zero."""
    return [at // 4096 for at in range(0, len(held), 4096) if any(held[at : at + 4096])]


@pytest.fixture
def dump(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        (tmp_path / "dump").write_bytes(data)
        return tmp_path / "dump"

    return write


def places(said: bytes) -> dict[str, int]:
    """Where the pages of each block begin."""
    found = {}
    for name in RAM:
        at = said.index(short(name)) + len(short(name)) + 8 + 4 + 8 + 8
        found[name] = int.from_bytes(said[at : at + 8], "big")
    return found


def test_every_page_of_every_block(dump: Callable[[bytes], Path]) -> None:
    found = read(dump(mapped(RAM)))

    assert found.format == "qemu-mapped-ram"
    assert found.vpn.tolist() == list(range(370))
    assert found.digest.tolist() == expected(ALL).tolist()
    assert found.mapping.tolist() == [0] * 70 + [1] * 300
    unknown = np.flatnonzero(found.flags & PageFlag.PRESENCE_UNKNOWN)
    assert np.setdiff1d(found.vpn, unknown).tolist() == present(ALL)
    assert found.account.pages == 372
    assert found.account.skipped.total() == 2
    assert not found.account.truncated


def test_a_block_larger_than_is_read_at_a_time(tmp_path: Path) -> None:
    page, pages = np.random.default_rng(4).bytes(4096), 200_003
    begin = head(MAPPED) + start() + big(pages << 12 | 4, 8) + short("m0")
    begin += big(pages << 12, 8) + big(1, 4) + big(4096, 8)
    begin += big(len(begin) + 16, 8) + big(MIB, 8)
    bits = np.zeros(-(-pages // 64) * 64, bool)
    there = np.array([5, 65_535, 65_536, 131_071, 200_002])
    bits[there] = True
    with (tmp_path / "dump").open("wb") as file:
        file.write(begin + np.packbits(bits, bitorder="little").tobytes())
        for number in there.tolist():
            file.seek(MIB + number * 4096)
            file.write(page)
        file.write(END_OF_SECTION + part(3) + END_OF_SECTION + DEVICES)
    found = read(tmp_path / "dump")

    assert len(found.vpn) == pages
    assert np.flatnonzero(found.digest != expected(bytes(4096))).tolist() == [*there]


def test_shared_memory_that_was_left_out(dump: Callable[[bytes], Path]) -> None:
    found = read(dump(mapped({"m0": RAM["m0"]}, ignored={"shared": 12})))

    assert found.digest.tolist() == expected(RAM["m0"]).tolist()
    assert found.vpn[0] == 12
    assert found.account.pages == 82
    assert found.account.skipped.total() == 12


def test_cut_anywhere_it_tells_what_is_missing(dump: Callable[[bytes], Path]) -> None:
    said, whole = mapped(RAM), expected(ALL)
    at = places(said)
    # Behind the name of a block: its size, its header and its bitmap.
    told = {name: said.index(short(name)) + 1 + len(name) for name in at}
    known = {name: told[name] + 8 + 28 + len(RAM[name]) // 4096 // 8 for name in at}
    ends = [*range(1, 131), MIB - 1]
    for name, place in at.items():
        ends += [known[name] + by for by in (-20, -3, 8, 300)]
        ends += [place + by for by in (-40, -1, 0, 1, 4095, 4096, 9000, 60 * 4096)]
    ends += [at["m1"] + 300 * 4096 + by for by in (-4096, -1, 0, 5, 12, 17)]
    for size in sorted(set(ends)):
        if size < told["m0"] + 8 + 28 + 1:
            with pytest.raises(InputError):
                read(dump(said[:size]))
            continue
        found = read(dump(said[:size]))
        assert found.account.truncated
        assert (found.digest == whole[found.vpn]).all()
        missing = rows = 0
        for name in ("m0", "m1"):
            if size >= known[name] + 8:
                cuts = at[name] + 4096 + np.array(present(RAM[name])) * 4096 - size
                missing += int(np.clip(cuts, 0, 4096).sum())
                rows += len(RAM[name]) // 4096 - int((cuts > 0).sum())
        if size >= known["m0"] + 8 and not known["m1"] - 40 <= size < known["m1"] + 8:
            assert found.account.missing_bytes == missing
            assert len(found.vpn) == rows
        if size < known["m1"] - 8:
            assert "tells nothing" in found.account.damage


def test_a_block_that_is_said_to_be_larger_than_any_file(
    dump: Callable[[bytes], Path],
) -> None:
    pages = 1 << 38
    begin = head(MAPPED) + start() + big(pages << 12 | 4, 8) + short("m")
    begin += big(pages << 12, 8) + big(1, 4) + big(4096, 8)
    bitmap = len(begin) + 16
    begin += big(bitmap, 8) + big(bitmap + pages // 8, 8)
    with pytest.raises(InputError, match="bitmaps"):
        read(dump(begin + bytes(99)))
    found = read(dump(begin + bytes(9) + b"\x01" + bytes(90)))
    assert len(found.vpn) == 799
    assert found.account.missing_bytes == 4096
    assert f"of {pages - 800} pages it tells nothing" in found.account.damage


def test_a_file_whose_bitmaps_were_never_written(dump: Callable[[bytes], Path]) -> None:
    said = bytearray(mapped(RAM))
    for name, place in places(bytes(said)).items():
        bits = -(-len(RAM[name]) // 4096 // 64) * 8
        at = bytes(said).index(short(name)) + len(short(name)) + 8 + 28
        said[at : at + bits] = bytes(bits)
        assert at + bits <= place
    with pytest.raises(InputError, match="bitmaps"):
        read(dump(bytes(said[: places(bytes(said))["m1"] + 300 * 4096])))


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_damage_is_told_or_harmless(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bad = bytearray(mapped({"m0": memory(9, 1), "m1": memory(5, 2)}))
    headers = [*range(160), *range(MIB + 9 * 4096, MIB + 9 * 4096 + 60)]
    for _ in range(data.draw(st.integers(1, 3))):
        bad[data.draw(st.sampled_from(headers))] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("damage") / "dump"
    path.write_bytes(bytes(bad))
    try:
        found = read(path)
    except KsmAnalyzeError:
        return
    account = found.account
    counted = len(found.vpn) + account.skipped.total()
    assert account.truncated or counted == account.pages


def test_packed_it_is_unpacked_into_memory(tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(gzip.compress(mapped(RAM), 1))
    assert read(tmp_path / "dump").digest.tolist() == expected(ALL).tolist()


HEADER = head(MAPPED) + start() + big(4096 | 4, 8) + short("m") + big(4096, 8)
REFUSED = {
    "version": (HEADER + big(2, 4) + big(4096, 8), "version 2 and pages of 4096"),
    "page size": (HEADER + big(1, 4) + big(65536, 8), "pages of 65536 bytes"),
    "before itself": (HEADER + big(1, 4) + big(4096, 8) + big(9, 8), "bitmap at 9"),
    "far": (
        HEADER + big(1, 4) + big(4096, 8) + big(1 << 13, 8) + big(1 << 63, 8),
        "cannot be",
    ),
    "a page": (mapped({"m": b"x" * 4096})[: MIB + 4096] + big(8, 8), "type 0x8"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_refused(dump: Callable[[bytes], Path], why: str) -> None:
    said, what = REFUSED[why]
    with pytest.raises(InputError, match=what):
        read(dump(said + bytes(40)))
