"""Page bytes → content digest: seeded xxh3-64, and what else one look at a page tells.

A capture spends its time copying pages out of other processes; hashing them must not
be felt beside that. One call of the xxhash library per page costs as much as half the
copy and needs the interpreter lock, so the same function is written out here for the
one length that occurs, 4096 bytes, as eight-lane vectors that run without the lock.
The results are those of `xxhash.xxh3_64`, bit for bit, for every seed.
"""

import hashlib
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xxhash
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj

from traces.schema import PAGE_SIZE

CHUNK_PAGES: Final = 256
"""Pages copied at a time: 1 MiB stays in the second-level cache until hashed."""

Words = npt.NDArray[np.uint64]

_PAGE_WORDS: Final = PAGE_SIZE // 8

# The default secret and the primes of the xxHash specification (doc/xxhash_spec.md).
_SECRET: Final = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
_P32_1, _P32_2, _P32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
_P64_1, _P64_2, _P64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_P64_4, _P64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
_AVALANCHE: Final = 0x165667919E3779F9

_STRIPES: Final = 16
_LAST_AT: Final = 24
_MERGE_AT: Final = 32


def zero_digest(seed: int) -> int:
    """The digest, signed as it is stored, of 4096 zero bytes."""
    return _signed(xxhash.xxh3_64_intdigest(bytes(PAGE_SIZE), seed=seed))


def seed_id(seed: int) -> str:
    """Tells whether two traces share a seed without telling the seed: 16 hex digits.

    The default seed 0 is public, so that its id may be told: `0`. Others go through
    a slow hash, as 64 bits typed by a person are soon guessed.
    """
    if seed == 0:
        return "0"
    word = seed.to_bytes(8, "little")
    return hashlib.scrypt(word, salt=b"ksm-analyze seed", n=1 << 14, r=8, p=1)[:8].hex()


def page_secret(seed: int) -> Words:
    """The 40 words a 4096-byte xxh3-64 looks up, for `page_digests`.

    Words 0 to 23 are the secret derived from *seed*; the last stripe and the final
    merge read it at odd byte offsets (121 and 11) and find their eight words at 24
    and 32.
    """
    pairs = np.frombuffer(_SECRET, np.uint64).reshape(12, 2)
    shift = np.array([seed, -seed % (1 << 64)], np.uint64)
    secret = (pairs + shift).tobytes()
    return np.frombuffer(secret + secret[121:185] + secret[11:75], np.uint64).copy()


def page_buffer(pages: int = CHUNK_PAGES) -> Words:
    """Room for *pages* pages, as the words that `page_digests` takes."""
    return np.zeros(pages * _PAGE_WORDS, np.uint64)


def digests_of(
    data: bytes | bytearray | memoryview, seed: int = 0
) -> npt.NDArray[np.int64]:
    """The digests, signed, of the whole pages in *data*: for a few pages in hand."""
    words = np.frombuffer(data, np.uint64).copy()
    digests = np.empty(len(words) // _PAGE_WORDS, np.int64)
    fills = np.empty(len(digests), np.uint8)
    zero = np.int64(zero_digest(seed))
    page_digests(words, len(digests), page_secret(seed), zero, digests, fills)
    return digests


def _signed(digest: int) -> int:
    return digest - (1 << 64) if digest >> 63 else digest


_LANES: Final = ir.VectorType(ir.IntType(64), 8)


def _splat(word: int) -> ir.Constant:
    return ir.Constant(_LANES, [word] * 8)


# Numba's own vectoriser does not find the 32 x 32 → 64 bit products, hence LLVM
# directly; it lowers eight lanes to whatever the processor has.
@intrinsic
def _xxh3_page(_context: Any, words: Any, _at: Any, secret: Any) -> Any:
    """xxh3-64 of the 512 words from *at* on."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        page = b.gep(_data(context, b, signature.args[0], args[0]), [args[1]])
        key_words = _data(context, b, signature.args[2], args[2])

        def lanes(base: Any, word: int) -> Any:
            place = b.gep(base, [ir.Constant(ir.IntType(64), word)])
            value = b.load(b.bitcast(place, _LANES.as_pointer()))
            value.align = 8
            return value

        low, half = _splat(0xFFFFFFFF), _splat(32)
        swapped = ir.Constant(
            ir.VectorType(ir.IntType(32), 8), [1, 0, 3, 2, 5, 4, 7, 6]
        )
        sums = ir.Constant(
            _LANES,
            [_P32_3, _P64_1, _P64_2, _P64_3, _P64_4, _P32_2, _P64_5, _P32_1],
        )
        for block in range(4):
            stripes = [(block * 128 + 8 * s, s) for s in range(_STRIPES)]
            if block == 3:
                stripes[15] = (_PAGE_WORDS - 8, _LAST_AT)
            for word, key_at in stripes:
                data = lanes(page, word)
                key = b.xor(data, lanes(key_words, key_at))
                product = b.mul(b.and_(key, low), b.lshr(key, half))
                neighbours = b.shuffle_vector(data, data, swapped)
                sums = b.add(sums, b.add(product, neighbours))
            if block < 3:
                sums = b.xor(sums, b.lshr(sums, _splat(47)))
                sums = b.xor(sums, lanes(key_words, 16))
                prime = _splat(_P32_1)
                upper = b.shl(b.mul(b.lshr(sums, half), prime), half)
                sums = b.add(b.mul(b.and_(sums, low), prime), upper)

        sums = b.xor(sums, lanes(key_words, _MERGE_AT))
        wide, narrow = ir.IntType(128), ir.IntType(64)
        parts = [
            b.zext(b.extract_element(sums, ir.Constant(ir.IntType(32), i)), wide)
            for i in range(8)
        ]
        digest = ir.Constant(narrow, PAGE_SIZE * _P64_1 % (1 << 64))
        for i in range(0, 8, 2):
            product = b.mul(parts[i], parts[i + 1])
            folded = b.xor(product, b.lshr(product, ir.Constant(wide, 64)))
            digest = b.add(digest, b.trunc(folded, narrow))
        digest = b.xor(digest, b.lshr(digest, ir.Constant(narrow, 37)))
        digest = b.mul(digest, ir.Constant(narrow, _AVALANCHE))
        return b.xor(digest, b.lshr(digest, ir.Constant(narrow, 32)))

    return types.int64(words, types.intp, secret), generate


def _data(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    return arrayobj.make_array(kind)(context, builder, array).data


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """*function* compiled, and kept on disk where there is a place to keep it.

    Compiling takes seconds, so the machine code is cached beside the source or under
    the user's cache folder; a user who can write to neither compiles every time.
    """
    settings = {"nogil": True, "error_model": "numpy", "boundscheck": False}
    try:
        compiled: Callable[..., Any] = njit(cache=True, **settings)(function)
    except RuntimeError:
        compiled = njit(**settings)(function)
    return compiled


def _page_digests(
    words: Words,
    count: int,
    secret: Words,
    zero: int,
    digests: npt.NDArray[np.int64],
    fills: npt.NDArray[np.uint8],
) -> None:
    for page in range(count):
        at = page * 512
        first = words[at]
        fills[page] = 0
        # Most pages differ from a fill in their first word, so that looking for fills
        # and zero pages costs nothing; a zero page is then not hashed.
        if first == (first & np.uint64(255)) * np.uint64(0x0101010101010101):
            same = True
            for block in range(at, at + 512, 64):
                difference = np.uint64(0)
                for word in range(block, block + 64):
                    difference |= words[word] ^ first
                if difference != 0:
                    same = False
                    break
            if same and first == 0:
                digests[page] = zero
                continue
            fills[page] = same
        digests[page] = _xxh3_page(words, at, secret)


page_digests: Final = _compiled(_page_digests)
"""`(words, count, secret, zero, digests, fills)`: digest *count* pages of *words*.

*words* uint64, 512 a page; *secret* from `page_secret`; *zero* the stored zero digest;
fills *digests* (int64) and *fills* (uint8: 1 where all bytes are equal and not zero).
Runs without the interpreter lock.
"""

# ssize_t process_vm_readv(pid, local, 1, remote, count, 0); pointers as addresses.
_process_vm_readv: Final = types.ExternalFunction(
    "process_vm_readv",
    types.intp(
        types.int32, types.voidptr, types.uint64, types.voidptr, types.uint64,
        types.uint64,
    ),
)  # fmt: skip


# ssize_t pread(fd, buffer, count, offset).
_pread: Final = types.ExternalFunction(
    "pread", types.intp(types.int32, types.voidptr, types.uint64, types.int64)
)


@intrinsic
def _address(_context: Any, array: Any, _at: Any) -> Any:
    """Where element *at* of a word array lies, as a C pointer."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = _data(context, builder, signature.args[0], args[0])
        place = builder.gep(data, [args[1]])
        return builder.bitcast(place, cgutils.voidptr_t)

    return types.voidptr(array, types.intp), generate


def _remote_digests(
    pid: int,
    extents: Words,
    chunks: npt.NDArray[np.int64],
    words: Words,
    secret: Words,
    zero: int,
    digests: npt.NDArray[np.int64],
    fills: npt.NDArray[np.uint8],
    done: npt.NDArray[np.int64],
) -> None:
    local = np.empty(2, np.uint64)
    row = 0
    for chunk in range(len(chunks) - 1):
        first, end = chunks[chunk], chunks[chunk + 1]
        size = 0
        for extent in range(first, end):
            size += int(extents[2 * extent + 1])
        local[0] = words.ctypes.data
        local[1] = np.uint64(size)
        got = _process_vm_readv(
            np.int32(pid),
            _address(local, 0),
            np.uint64(1),
            _address(extents, 2 * first),
            np.uint64(end - first),
            np.uint64(0),
        )
        pages = max(got, 0) // 4096
        page_digests(words, pages, secret, zero, digests[row:], fills[row:])
        done[chunk] = pages
        row += size // 4096


remote_digests: Final = _compiled(_remote_digests)
"""Digest the pages of another process, without the interpreter lock.

`(pid, extents, chunks, words, secret, zero, digests, fills, done)`: *extents* are the
`struct iovec` pairs (address, bytes) of whole pages in row order, chunk *i* being
`extents[chunks[i]:chunks[i + 1]]`, at most 1024 of them and no more pages than *words*
holds. Fills *digests* and *fills* a row per page, and *done* with the pages of each
chunk that could be read, always its first ones.
"""


def _file_digests(
    file: int,
    extents: Words,
    chunks: npt.NDArray[np.int64],
    words: Words,
    secret: Words,
    zero: int,
    digests: npt.NDArray[np.int64],
    fills: npt.NDArray[np.uint8],
    done: npt.NDArray[np.int64],
) -> None:
    row = 0
    for chunk in range(len(chunks) - 1):
        size = 0
        full = 0
        for extent in range(chunks[chunk], chunks[chunk + 1]):
            wanted = int(extents[2 * extent + 1])
            if size == full:
                got = _pread(
                    np.int32(file),
                    _address(words, full // 8),
                    np.uint64(wanted),
                    np.int64(extents[2 * extent]),
                )
                full += max(got, 0)
            size += wanted
        pages = full // 4096
        page_digests(words, pages, secret, zero, digests[row:], fills[row:])
        done[chunk] = pages
        row += size // 4096


file_digests: Final = _compiled(_file_digests)
"""As `remote_digests`, through an open /proc/PID/mem instead of a pid."""
