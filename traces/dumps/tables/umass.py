"""The UMass memory traces (Memory Buddies, 2008): 32-bit hashes of a machine's pages.

A file has a head in ASCII, then a hash for each physical page, then perhaps a Bloom
filter. Where each of them ends stands in no file, so the user says it.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from traces.dumps.digesting import BATCH_PAGES, Digester
from traces.dumps.dump import Account, Asked, Dumped, Step, ram
from traces.dumps.hashes import Hashing, are_hashed_again, words
from traces.dumps.source import Source
from traces.errors import InputError
from traces.schema import UNKNOWN, PageFlag, Pages

_HASH: Final = np.dtype("<u4")
_LOOK: Final = 64
_TEXT: Final = frozenset(range(0x20, 0x7F)) | set(b"\t\r\n")
_NAME: Final = "umass-32"
_NO_ANON: Final = (
    "the traces hold all of a machine's memory, page cache, kernel and free pages "
    "among it, and do not tell which is which"
)
_NO_ZERO: Final = "which page is zero is not known: --zero-digest can tell"
_UNEVEN: Final = (
    "its hashes end within one: bytes are missing, or are not where --header-bytes and "
    "--trailer-bytes say"
)
_BOUNDS: Final = (
    "where the hashes begin and end, and their byte order, stands in no file: they are "
    "read as the options say, little-endian"
)


class Umass:
    """A machine as one process, whose page numbers are those of its memory."""

    def __init__(self, source: Source, asked: Asked) -> None:
        self.format = "umass"
        self.host = self.kernel = self.captured_at = ""
        self.account = Account()
        self._source, self._layout, self._name = source, asked.layout, asked.name

    def steps(self, digester: Digester) -> Iterator[Step]:
        """The machine, then its memory."""
        numbers = self._hashes()
        zero = self._layout.zero_digest
        contents = np.unique(numbers)
        self._tell(len(contents))
        if len(zero) > 2 * _HASH.itemsize:
            raise InputError(
                f"{self._source.path}: hashes of 8 digits, but --zero-digest has "
                f"{len(zero)}"
            )
        if zero:
            free = int(zero, 16)
        else:
            self.account.limits.append(_NO_ZERO)
            absent = np.flatnonzero(~np.isin(np.arange(len(contents) + 1), contents))
            free = int(absent[0])
        word = _words(np.array([free], _HASH), digester.seed)
        again = are_hashed_again(_HASH.itemsize, digester.seed)
        name = f"{_NAME}→xxh3-64" if again else _NAME
        self.account.hashing = Hashing(name, int(word[0]))
        yield Dumped({"comm": self._name}, [ram("memory", 0, len(numbers))])
        for at in range(0, len(numbers), BATCH_PAGES):
            some = _words(numbers[at : at + BATCH_PAGES], digester.seed)
            yield _pages(at, some, zero=int(word[0]))

    def _hashes(self) -> npt.NDArray[np.uint32]:
        """Four bytes a page, all of them: little beside the pages themselves."""
        source, head, trailer = (
            self._source, self._layout.header_bytes, self._layout.trailer_bytes,
        )  # fmt: skip
        passed = source.skip(head)
        look = source.peek(_LOOK)
        if passed < head or not look:
            raise InputError(
                f"{source.path}: ends after {source.at} bytes, expected hashes behind "
                f"a head of {head}"
            )
        if len(look) == _LOOK and set(look) <= _TEXT:
            raise InputError(
                f"{source.path}: {look[:24]!r} where hashes should begin",
                hint="--header-bytes tells how long the head is",
            )
        parts = []
        while data := source.read(4 * BATCH_PAGES):
            parts.append(data)
        data = b"".join(parts)
        if source.cut:
            # Of the trailer, how much is missing is not known: none is taken off.
            self.account.damage = source.cut
            trailer = 0
        if len(data) < trailer + _HASH.itemsize:
            raise InputError(
                f"{source.path}: {len(data)} bytes behind the head, expected hashes "
                f"and {trailer} of the trailer"
            )
        data = data[: len(data) - trailer]
        if rest := len(data) % _HASH.itemsize:
            self.account.damage = self.account.damage or _UNEVEN
            data = data[: len(data) - rest]
        self.account.pages = len(data) // _HASH.itemsize
        return np.frombuffer(data, _HASH)

    def _tell(self, contents: int) -> None:
        pairs = contents**2 / 2**33
        chance = (
            f"hashes of 32 bits: among {contents} contents some {pairs:.3g} pairs "
            "agree by chance and count as equal"
        )
        self.account.limits += [chance, _NO_ANON, _BOUNDS]


def _words(numbers: npt.NDArray[np.uint32], seed: int) -> npt.NDArray[np.int64]:
    return words(numbers.astype(">u4").tobytes(), _HASH.itemsize, seed)


def _pages(first: int, digest: npt.NDArray[np.int64], zero: int) -> Pages:
    count = len(digest)
    flags = np.where(digest == zero, PageFlag.PRESENCE_UNKNOWN, 0)
    return Pages(
        mapping=np.zeros(count, np.int32),
        vpn=np.arange(first, first + count),
        digest=digest,
        frame=np.full(count, UNKNOWN, np.int64),
        folio=np.full(count, UNKNOWN, np.int32),
        nid=np.full(count, UNKNOWN, np.int8),
        flags=(flags | PageFlag.ANON_UNKNOWN).astype(np.uint16),
    )
