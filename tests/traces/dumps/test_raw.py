"""Memory without any header."""

import gzip

import pytest
from dumping import PAGE, Image, converted, digest, page

from traces.errors import InputError

CONTENTS = [1, 2, 0, 1, 0, 3]


@pytest.mark.parametrize("packed", [False, True])
def test_a_page_is_where_it_stands(tmp_path, packed):
    data = b"".join(map(page, CONTENTS))
    path = tmp_path / "vm.mem"
    path.write_bytes(gzip.compress(data) if packed else data)
    seen = converted(tmp_path, path, form="raw")
    assert seen.digests == {at: digest(page(n)) for at, n in enumerate(CONTENTS)}
    assert seen.unknown == [2, 4]
    assert (seen.account.pages, seen.account.truncated) == (6, False)
    assert seen.trace.mappings["pages"].to_list() == [6]
    assert seen.trace.processes["vm"].to_list() == ["vm.mem"]


def test_holes_are_pages_never_touched(tmp_path):
    held = {1: 5, 2: 0, 5: 1, 8: 0, 9: 0}
    image = Image([(at * PAGE, page(n)) for at, n in held.items()], 13 * PAGE)
    path = image.write(tmp_path / "vm.mem")
    if path.stat().st_blocks * 512 != 5 * PAGE:
        pytest.skip("this file system keeps no holes of one page")
    seen = converted(tmp_path, path, form="raw")
    assert seen.digests == {at: digest(page(n)) for at, n in held.items()}
    assert seen.unknown == []
    assert (seen.account.pages, seen.account.absent) == (13, 8)
    assert seen.adds_up()


def test_holes_of_a_copy_may_be_pages_of_zeros(tmp_path):
    held = {1: 5, 2: 0, 5: 1}
    image = Image([(at * PAGE, page(n)) for at, n in held.items()], 9 * PAGE)
    seen = converted(tmp_path, image.write(tmp_path / "vm.mem"), form="raw")
    assert seen.digests == {at: digest(page(held.get(at, 0))) for at in range(9)}
    assert seen.unknown == [at for at in range(9) if not held.get(at)]
    assert (seen.account.pages, seen.account.absent) == (9, 0)


@pytest.mark.parametrize("packed", [False, True])
def test_a_page_that_is_cut(tmp_path, packed):
    data = page(1) + page(2)[:100]
    path = tmp_path / "vm.mem"
    path.write_bytes(gzip.compress(data) if packed else data)
    seen = converted(tmp_path, path, form="raw")
    assert seen.digests == {0: digest(page(1))}
    assert seen.account.missing_bytes == PAGE - 100


def test_a_damaged_stream_is_told(tmp_path):
    path = tmp_path / "vm.mem.gz"
    packed = gzip.compress(b"".join(page(n) for n in range(1, 500)), 0)
    path.write_bytes(packed[: len(packed) // 2])
    seen = converted(tmp_path, path, form="raw")
    assert seen.account.damage == "its gzip stream is truncated"
    assert seen.digests == {n: digest(page(n + 1)) for n in range(len(seen.rows))}
    assert len(seen.rows) > 200
    assert not seen.account.missing_bytes


def test_nothing_is_no_memory(tmp_path):
    path = tmp_path / "vm.mem"
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"vm\.mem: is empty, expected a dump"):
        converted(tmp_path, path, form="raw")
    path.write_bytes(b"short")
    with pytest.raises(InputError, match="5 bytes, expected a page"):
        converted(tmp_path, path, form="raw")


def test_memory_is_not_guessed_at(tmp_path):
    path = tmp_path / "vm.mem"
    path.write_bytes(page(1))
    with pytest.raises(InputError, match="no dump known here") as told:
        converted(tmp_path, path)
    assert "--format raw" in str(told.value.hint)
