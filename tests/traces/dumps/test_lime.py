"""LiME and AVML, made by the test from their specifications."""

import gzip
import tarfile
import zlib

import pytest
from dumping import PAGE, attempted, converted, digest, noise, page
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lime_files import Range, avml, lime

from traces.errors import InputError

# As real machines have them: the first begins at page 1 and ends within a page, so
# that nothing behind it is aligned in the file.
LOW = page(1) + page(0) + noise(5) + b"\x77" * 0xC00
HIGH = page(1) + b"\xcc" * PAGE + noise(6)
RANGES = [Range(PAGE, LOW), Range(0x100000, HIGH), Range(1 << 32, page(2))]
EXPECTED = {
    1: digest(page(1)), 2: digest(page(0)), 3: digest(noise(5)),
    0x100: digest(page(1)), 0x101: digest(b"\xcc" * PAGE), 0x102: digest(noise(6)),
    1 << 20: digest(page(2)),
}  # fmt: skip
MAKERS = {"lime": lime, "avml": avml}
_NO_FIXTURES = (HealthCheck.function_scoped_fixture,)


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest):
    return MAKERS[request.param]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zlib.compress])
@pytest.mark.parametrize("form", MAKERS)
def test_pages_stand_at_their_physical_addresses(tmp_path, form, pack):
    path = tmp_path / "memory"
    path.write_bytes(pack(MAKERS[form](RANGES).bytes()))
    seen = converted(tmp_path, path)
    assert seen.digests == EXPECTED
    assert seen.unknown == [2]
    assert seen.converted[0].format == form
    account = seen.account
    assert (account.pages, account.truncated) == (len(EXPECTED), False)
    assert list(account.skipped.values()) == [1]
    assert seen.adds_up()
    assert seen.trace.mappings["pages"].to_list() == [(1 << 20) + 1]
    assert seen.trace.processes["vm"].to_list() == ["memory"]


def test_a_capture_in_an_archive(tmp_path, make):
    (tmp_path / "memory.lime").write_bytes(make(RANGES).bytes())
    with tarfile.open(tmp_path / "archive.tar", "w") as archive:
        archive.add(tmp_path / "memory.lime", "memory.lime")
    (tmp_path / "memory.lime").unlink()
    assert converted(tmp_path, tmp_path / "archive.tar").digests == EXPECTED


def test_a_zlib_stream_of_a_small_window_as_the_kernel_writes_it(tmp_path):
    packer = zlib.compressobj(wbits=11)
    path = tmp_path / "memory"
    path.write_bytes(packer.compress(lime(RANGES).bytes()) + packer.flush())
    assert path.read_bytes()[:1] == b"\x38"
    assert converted(tmp_path, path).digests == EXPECTED


@pytest.mark.parametrize("before", [1, 100, PAGE - 1])
@pytest.mark.parametrize("behind", [0, 1, PAGE - 1])
def test_ranges_begin_and_end_within_pages(tmp_path, make, before, behind):
    data = b"\x11" * before + page(1) + page(2) + b"\x22" * behind
    path = make([Range(0x5000 - before, data)]).write(tmp_path / "memory")
    seen = converted(tmp_path, path)
    assert seen.digests == {5: digest(page(1)), 6: digest(page(2))}
    assert list(seen.account.skipped.values()) == [1 + bool(behind)]


def test_less_than_a_page_is_no_page(tmp_path, make):
    path = make([Range(10, b"x" * 20), Range(PAGE, page(1))]).write(tmp_path / "m")
    assert converted(tmp_path, path).digests == {1: digest(page(1))}


@pytest.mark.parametrize("packed", [False, True])
def test_ranges_in_no_order_and_over_one_another(tmp_path, make, packed):
    ranges = [
        Range(0x9000, page(9) + page(10)),
        Range(0x3000, page(3)),
        Range(0xA000, page(77) + page(11)),
    ]
    path = tmp_path / "memory"
    data = make(ranges).bytes()
    path.write_bytes(gzip.compress(data) if packed else data)
    seen = converted(tmp_path, path)
    assert seen.digests == {n: digest(page(n)) for n in (3, 9, 10, 11)}
    assert seen.account.skipped["pages of overlapping ranges"] == 1
    assert seen.adds_up()


def test_more_than_a_batch(tmp_path):
    contents = b"".join(page(n % 5000) for n in range(70_000))
    path = lime([Range(0, contents), Range(1 << 32, page(1))]).write(tmp_path / "m")
    seen = converted(tmp_path, path)
    assert seen.digests[69_999] == digest(page(69_999 % 5000))
    assert len(seen.digests) == 70_001


@pytest.mark.parametrize("tail", [b"JUNKJUNK" * 10, bytes(64), b"EMiL", b"x"])
def test_garbage_behind_the_last_range(tmp_path, make, tail):
    path = tmp_path / "memory"
    whole = make(RANGES).bytes()
    path.write_bytes(whole + tail)
    seen = converted(tmp_path, path)
    assert seen.digests == EXPECTED
    assert f"at byte {len(whole)}" in seen.account.damage
    with pytest.raises(InputError, match=f"at byte {len(whole)}"):
        converted(tmp_path, path, strict=True)


@pytest.mark.parametrize("packed", [False, True])
def test_lime_cut_anywhere(tmp_path, packed):
    image = lime(RANGES)
    whole = image.bytes()
    starts = [0, 32 + len(LOW), 64 + len(LOW) + len(HIGH)]
    path = tmp_path / "memory"
    places = {mark + n for mark in image.marks for n in (-1, 0, 1)}
    for at in sorted(places | set(range(0, len(whole), 1009))):
        if not 0 <= at < len(whole):
            continue
        path.write_bytes(gzip.compress(whole[:at], 0) if packed else whole[:at])
        seen = attempted(tmp_path, path)
        if seen is None:
            assert at < 32
            continue
        assert seen.digests.items() <= EXPECTED.items()
        assert seen.adds_up()
        # Nothing tells a file that is cut between two ranges from a whole one.
        assert seen.account.truncated == (at not in starts)
        for start, (_, data) in zip(starts, RANGES, strict=True):
            if start + 32 <= at < start + 32 + len(data):
                assert seen.account.missing_bytes == start + 32 + len(data) - at


def test_avml_cut_anywhere(tmp_path):
    image = avml(RANGES)
    whole = image.bytes()
    path = tmp_path / "memory"
    starts = {n for n in range(len(whole)) if whole[n : n + 4] == b"AVML"}
    places = {mark + n for mark in image.marks for n in (-1, 0, 1)}
    for at in sorted(places | set(range(0, len(whole), 1009))):
        if not 0 <= at < len(whole):
            continue
        path.write_bytes(whole[:at])
        seen = attempted(tmp_path, path)
        if seen is None:
            assert at < 32
            continue
        assert seen.digests.items() <= EXPECTED.items()
        assert seen.adds_up()
        assert seen.account.truncated == (at not in starts)


@given(data=st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=_NO_FIXTURES)
def test_a_flipped_byte_in_packed_memory(tmp_path, data):
    whole = bytearray(avml(RANGES).bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "memory"
    path.write_bytes(whole)
    seen = attempted(tmp_path, path)
    assert seen is None or seen.adds_up()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (lime(RANGES, version=2).bytes(), "version 2, expected 1"),
        (avml(RANGES, version=3).bytes(), "version 3, expected 2"),
        (lime([Range(5, b"")]).bytes(), "a range from 0x5 to 0x4"),
        (lime([Range(1 << 52, page(1))]).bytes(), "makes no sense"),
        (lime(RANGES).bytes()[:20], "a header is cut"),
    ],
)
def test_a_first_header_that_makes_no_sense(tmp_path, data, told):
    path = tmp_path / "memory"
    path.write_bytes(data)
    with pytest.raises(InputError, match=told):
        converted(tmp_path, path)


def test_a_range_of_a_petabyte_takes_no_memory(tmp_path, make):
    whole = bytearray(make(RANGES[:1]).bytes())
    whole[16:24] = ((1 << 50) - 1).to_bytes(8, "little")
    path = tmp_path / "memory"
    path.write_bytes(whole)
    seen = converted(tmp_path, path)
    assert seen.digests == {n: EXPECTED[n] for n in (1, 2, 3)}
    assert seen.account.missing_bytes == (1 << 50) - PAGE - len(LOW)
