"""Digests that other programs made: which hash it was, and 64 bits of each."""

import hashlib
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from traces.schema import PAGE_SIZE

_PAGE: Final = bytes(PAGE_SIZE)
WORD: Final = 8
"""Bytes of a digest in a trace."""


class Hash(NamedTuple):
    """A hash function that is known here."""

    name: str
    zero: bytes
    """What it makes of 4096 zero bytes."""


class Hashing(NamedTuple):
    """How the digests of a dump were made, where it holds digests instead of pages."""

    name: str
    """`Facts.digest`: traces of different names cannot be joined."""
    zero: int
    """The digest, signed as stored, that stands for a zero page; one that no page has
    where it is not known."""


def _number(of: Callable[[bytes], int]) -> bytes:
    return of(_PAGE).to_bytes(4, "big")


def _hashlib(name: str, **options: Any) -> bytes:
    return hashlib.new(name, _PAGE, usedforsecurity=False, **options).digest()


_KNOWN: Final = (
    Hash("xxh3-64", xxhash.xxh3_64_digest(_PAGE)),
    Hash("xxh64", xxhash.xxh64_digest(_PAGE)),
    Hash("xxh32", xxhash.xxh32_digest(_PAGE)),
    Hash("xxh3-128", xxhash.xxh3_128_digest(_PAGE)),
    Hash("crc32", _number(zlib.crc32)),
    Hash("adler32", _number(zlib.adler32)),
    Hash("md5", _hashlib("md5")),
    Hash("sha1", _hashlib("sha1")),
    Hash("sha224", _hashlib("sha224")),
    Hash("sha256", _hashlib("sha256")),
    Hash("sha3-256", _hashlib("sha3_256")),
    Hash("blake2s", _hashlib("blake2s")),
)
_OTHER_NAMES: Final[Mapping[str, str]] = {
    "xxh3": "xxh3-64",
    "xxhash64": "xxh64",
    "xxhash32": "xxh32",
    "xxh128": "xxh3-128",
    "md5sum": "md5",
    "sha1sum": "sha1",
    "sha256sum": "sha256",
}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_BY_NAME: Final[Mapping[str, Hash]] = {
    _plain(known.name): known for known in _KNOWN
} | {
    other: known
    for other, name in _OTHER_NAMES.items()
    for known in _KNOWN
    if known.name == name
}


def hash_called(column: str) -> Hash | None:
    """The hash that a column of digests is named after."""
    return _BY_NAME.get(_plain(column))


def hashes_of(width: int) -> list[Hash]:
    """Those whose digests have *width* bytes."""
    return [known for known in _KNOWN if len(known.zero) == width]


def unknown_name(column: str, bits: int) -> str:
    """What digests of a hash that nobody names are called."""
    return f"{re.sub(r'[^A-Za-z0-9]+', '_', column)[:32]}-{bits}"


def words(digests: bytes, width: int, seed: int) -> npt.NDArray[np.int64]:
    """*digests* of *width* bytes each, one behind the other, as a trace has them.

    Up to 64 bits they stay what they are; longer ones, and all under a *seed*, are
    hashed again: xxh3-64 of the digest's bytes, short ones as eight bytes, the most
    significant first.
    """
    found = np.frombuffer(digests, np.uint8).reshape(-1, width)
    if width > WORD:
        return _hashed(digests, width, seed)
    padded = np.zeros((len(found), WORD), np.uint8)
    padded[:, WORD - width :] = found
    if seed:
        return _hashed(padded.tobytes(), WORD, seed)
    return padded.view(">i8").ravel().astype(np.int64)


def are_hashed_again(width: int, seed: int) -> bool:
    """Whether `words` hashes digests of *width* bytes."""
    return width > WORD or seed != 0


def _hashed(digests: bytes, width: int, seed: int) -> npt.NDArray[np.int64]:
    hashed = xxhash.xxh3_64_intdigest
    count = len(digests) // width
    ends = range(width, len(digests) + 1, width)
    each = (hashed(digests[end - width : end], seed) for end in ends)
    return np.fromiter(each, np.uint64, count).view(np.int64)
