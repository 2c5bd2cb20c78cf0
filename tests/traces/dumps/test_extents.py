"""Where a file has holes, beside a plain reading of what was written."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from dumping import PAGE, Image, page
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from traces.dumps.extents import Extents, StoredZeros, extents_of, ranges, runs


@pytest.fixture
def keeps_holes(tmp_path: Path) -> None:
    path = Image([(PAGE * 64, page(1))], PAGE * 128).write(tmp_path / "probe")
    with path.open("rb") as file:
        if os.lseek(file.fileno(), 0, os.SEEK_DATA) != PAGE * 64:
            pytest.skip("this file system keeps no holes of one page")


@pytest.mark.usefixtures("keeps_holes")
def test_holes_are_told_page_by_page(tmp_path):
    image = Image([(at * PAGE, page(at)) for at in (1, 2, 5, 40)], 50 * PAGE)
    with image.write(tmp_path / "sparse").open("rb") as file:
        found = extents_of(file.fileno(), 0, image.size)
    assert (found.sparse, found.fine) == (True, True)
    assert found.data.tolist() == [
        [PAGE, 3 * PAGE], [5 * PAGE, 6 * PAGE], [40 * PAGE, 41 * PAGE],
    ]  # fmt: skip
    assert found.pages(0, 50).tolist() == [1, 2, 5, 40]
    assert found.pages(2 * PAGE, 4).tolist() == [0, 3]
    assert found.pages(6 * PAGE, 30).tolist() == []


def test_a_file_without_holes_tells_nothing(tmp_path):
    path = tmp_path / "full"
    path.write_bytes(page(0) * 20)
    with path.open("rb") as file:
        found = extents_of(file.fileno(), 0, 20 * PAGE)
    assert not found.sparse
    assert found.pages(PAGE, 7).tolist() == list(range(7))


@pytest.mark.usefixtures("keeps_holes")
def test_nothing_but_a_hole(tmp_path):
    path = Image([], 30 * PAGE).write(tmp_path / "hole")
    with path.open("rb") as file:
        found = extents_of(file.fileno(), 0, 30 * PAGE)
    assert found.sparse
    assert found.pages(0, 30).tolist() == []


@pytest.mark.usefixtures("keeps_holes")
def test_blocks_larger_than_a_page_do_not_tell_pages_apart(tmp_path):
    image = Image([(at * PAGE, page(1)) for at in (2, 3, 8, 9, 10, 11)], 16 * PAGE)
    with image.write(tmp_path / "coarse").open("rb") as file:
        found = extents_of(file.fileno(), 0, image.size)
    assert (found.sparse, found.fine) == (True, False)


_BOUNDS = st.lists(st.integers(0, 40 * 1024), max_size=20, unique=True)


@given(
    bounds=_BOUNDS,
    offset=st.integers(0, 20 * 1024),
    pages=st.integers(0, 12),
)
@settings(max_examples=200, deadline=None)
def test_pages_with_any_data_in_them(bounds, offset, pages):
    pairs = np.array(sorted(bounds)[: len(bounds) // 2 * 2], np.int64).reshape(-1, 2)
    held = {byte for first, end in pairs.tolist() for byte in range(first, end)}
    expected = [
        number
        for number in range(pages)
        if held & set(range(offset + number * PAGE, offset + (number + 1) * PAGE))
    ]
    assert Extents(pairs, True, True).pages(offset, pages).tolist() == expected


@pytest.mark.usefixtures("keeps_holes")
@given(numbers=st.sets(st.integers(0, 300)))
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_files_with_holes_anywhere(tmp_path, numbers):
    image = Image([(at * PAGE, page(1)) for at in numbers], 301 * PAGE)
    with image.write(tmp_path / "any").open("rb") as file:
        found = extents_of(file.fileno(), 0, image.size)
    assert found.sparse == (len(numbers) < 301)
    assert found.pages(0, 301).tolist() == sorted(numbers)


@given(numbers=st.sets(st.integers(0, 100)))
def test_runs_and_ranges_undo_each_other(numbers):
    ascending = np.array(sorted(numbers), np.int64)
    starts, lengths = runs(ascending)
    assert ranges(starts, starts + lengths).tolist() == ascending.tolist()
    assert (starts[1:] > (starts + lengths)[:-1]).all()


UNPACKERS = {
    "cp": ["cp", "--sparse=always", "plain", "copy"],
    "xz": ["sh", "-c", "xz -k plain && mv plain.xz copy.xz && xz -d copy.xz"],
    "zstd": ["sh", "-c", "zstd -q plain && zstd -q -d plain.zst -o copy"],
    "lz4": ["sh", "-c", "lz4 -q plain plain.lz4 && lz4 -q -d plain.lz4 copy"],
}


def vouched(path: Path) -> bool:
    """By all pages of zeros that are data in a file."""
    zeros, data = StoredZeros(), path.read_bytes()
    with path.open("rb") as file:
        found = extents_of(file.fileno(), 0, len(data)).pages(0, len(data) // PAGE)
    stored = [at * PAGE for at in found.tolist() if not any(data[at * PAGE :][:PAGE])]
    zeros.add(np.array(stored, np.int64))
    return zeros.vouch


@pytest.mark.usefixtures("keeps_holes")
@pytest.mark.parametrize("tool", UNPACKERS)
def test_zeros_do_not_vouch_for_holes_that_a_tool_made(tmp_path, tool):
    """Against the tools themselves: runs of zeros of all lengths, at all places."""
    if not all(map(shutil.which, {tool, "sh"})):
        pytest.skip(f"there is no {tool}")
    lengths = [(at * 7) % 40 for at in range(1, 80)]
    data = b"".join(page(at + 1) + page(0) * zeros for at, zeros in enumerate(lengths))
    (tmp_path / "plain").write_bytes(data)
    assert vouched(tmp_path / "plain")
    subprocess.run(UNPACKERS[tool], cwd=tmp_path, check=True, timeout=60)
    assert (tmp_path / "copy").read_bytes() == data
    assert not vouched(tmp_path / "copy")
