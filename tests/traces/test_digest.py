import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from traces import digest


def but_for_one(byte: int, place: int, other: int) -> bytes:
    page = bytearray([byte]) * 4096
    page[place] = other
    return bytes(page)


SEEDS = st.one_of(
    st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1]), st.integers(0, 2**64 - 1)
)
PAGES = st.one_of(
    st.integers(0, 2**32).map(lambda n: np.random.default_rng(n).bytes(4096)),
    st.integers(0, 255).map(lambda byte: bytes([byte]) * 4096),
    # Pages that differ from a fill in one byte only, wherever that is.
    st.tuples(
        st.integers(0, 255), st.integers(0, 4095), st.integers(0, 255)
    ).map(lambda t: but_for_one(*t)),
)  # fmt: skip


def expected(page: bytes, seed: int) -> int:
    return int(np.uint64(xxhash.xxh3_64_intdigest(page, seed=seed)).view(np.int64))


def run(data: bytes, seed: int) -> tuple[list[int], list[int]]:
    words = np.frombuffer(data, np.uint64).copy()
    count = len(words) // 512
    digests, fills = np.empty(count, np.int64), np.full(count, 7, np.uint8)
    digest.page_digests(
        words,
        count,
        digest.page_secret(seed),
        np.int64(digest.zero_digest(seed)),
        digests,
        fills,
    )
    return digests.tolist(), fills.tolist()


@settings(deadline=None, max_examples=150)
@given(st.lists(PAGES, min_size=1, max_size=4), SEEDS)
def test_digests_are_those_of_the_xxhash_library(pages: list[bytes], seed: int) -> None:
    digests, fills = run(b"".join(pages), seed)

    assert digests == [expected(page, seed) for page in pages]
    assert fills == [len(set(page)) == 1 and page[0] != 0 for page in pages]


def test_the_zero_digest_of_the_default_seed_is_the_documented_one() -> None:
    assert digest.zero_digest(0) % 2**64 == 0x93D76FE148C689BA
    assert digest.digests_of(bytes(4096)).tolist() == [digest.zero_digest(0)]


@pytest.mark.parametrize("seed", [0, 12345])
def test_only_as_many_pages_as_asked_are_written(seed: int) -> None:
    words = digest.page_buffer(4)
    digests, fills = np.full(4, -7, np.int64), np.full(4, 9, np.uint8)
    zero = np.int64(digest.zero_digest(seed))
    digest.page_digests(words, 2, digest.page_secret(seed), zero, digests, fills)

    assert digests.tolist() == [zero, zero, -7, -7]
    assert fills.tolist() == [0, 0, 9, 9]


def test_a_seed_id_tells_seeds_apart_but_not_which_they_are() -> None:
    assert digest.seed_id(0) == "0"
    assert digest.seed_id(7) == digest.seed_id(7)
    ids = {digest.seed_id(seed) for seed in (0, 1, 2, 2**64 - 1)}
    assert len(ids) == 4
    assert digest.seed_id(7) not in ("7", f"{7:016x}")


def test_digests_of_takes_bytes_in_hand() -> None:
    data = bytes(range(256)) * 32
    assert digest.digests_of(data, 3).tolist() == [
        expected(data[:4096], 3),
        expected(data[4096:], 3),
    ]
