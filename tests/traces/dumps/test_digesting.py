"""Pages of dumps → digests, beside the xxhash library."""

import os
from pathlib import Path

import numpy as np
import pytest
from dumping import PAGE, digest, noise, page
from hypothesis import given, settings
from hypothesis import strategies as st

from traces.dumps import digesting
from traces.dumps.digesting import Digester
from traces.dumps.source import Source

SEED = 0xFEED_FACE_CAFE_BEEF
FILL = b"\xaa" * PAGE


@pytest.fixture(scope="module")
def memory() -> bytes:
    """More pages than are digested at a time."""
    special = [page(0), FILL, page(0), noise(7)]
    return b"".join(special + [page(1000 + n) for n in range(600)])


@pytest.fixture(scope="module")
def expected(memory) -> list[int]:
    return [digest(memory[at : at + PAGE], SEED) for at in range(0, len(memory), PAGE)]


@pytest.fixture
def file(tmp_path: Path, memory) -> Path:
    path = tmp_path / "memory"
    path.write_bytes(b"odd" + memory + b"tail")
    return path


def test_bytes_in_hand(memory, expected):
    found = Digester(SEED).of_bytes(memory + b"less than a page")
    assert found.digest.tolist() == expected
    assert np.flatnonzero(found.fill).tolist() == [1]
    assert found.read.all()


def test_a_stream(file, expected):
    digester = Digester(SEED)
    with Source(file) as source:
        source.skip(3)
        first = digester.of_source(source, 300)
        rest = digester.of_source(source, 1 << 20)
    assert first.digest.tolist() + rest.digest.tolist() == expected
    assert len(first.digest) == 300
    assert np.flatnonzero(first.fill).tolist() == [1]


def test_zero_pages_and_no_pages():
    digester = Digester(SEED)
    assert digester.zero == digest(bytes(PAGE), SEED)
    assert digester.of_bytes(b"").digest.tolist() == []
    nothing = np.empty(0, np.int64)
    assert digester.of_file(0, nothing, nothing).read.tolist() == []


@given(
    extents=st.lists(
        st.tuples(st.integers(0, 600), st.integers(0, 400)), min_size=1, max_size=8
    )
)
@settings(max_examples=40, deadline=None)
def test_extents_of_a_file(memory, expected, extents):
    file = os.memfd_create("memory")
    try:
        os.write(file, b"odd" + memory)
        whole = [(at, min(count, len(expected) - at)) for at, count in extents]
        offsets = np.array([3 + at * PAGE for at, _ in whole], np.int64)
        counts = np.array([count for _, count in whole], np.int64)
        found = Digester(SEED).of_file(file, offsets, counts)
    finally:
        os.close(file)
    assert found.read.all()
    wanted = [expected[at + n] for at, count in whole for n in range(count)]
    assert found.digest.tolist() == wanted


@pytest.mark.parametrize("there", [0, 1, 255, 256, 257, 511, 512, 600])
def test_a_file_that_ends_too_early(memory, expected, there):
    file = os.memfd_create("memory")
    try:
        os.write(file, memory[: there * PAGE + 17])
        one = np.array([0], np.int64), np.array([len(expected)], np.int64)
        found = Digester(SEED).of_file(file, *one)
    finally:
        os.close(file)
    assert np.flatnonzero(found.read).tolist() == list(range(there))
    assert found.digest[found.read].tolist() == expected[:there]
    taken = found.taken(found.read)
    assert taken.digest.tolist() == expected[:there]
    assert taken.read.all()


def test_pieces_are_joined_in_order(memory, expected):
    digester = Digester(SEED)
    cut = 10 * PAGE
    parts = [digester.of_bytes(memory[:cut]), digester.of_bytes(memory[cut:])]
    assert digesting.joined(parts).digest.tolist() == expected
