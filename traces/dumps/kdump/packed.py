"""Pages that were compressed one by one → digests.

Compressions: makedumpfile's diskdump_mod.h (DUMP_DH_COMPRESSED_*).
"""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from traces.dumps.digesting import Digested, Digester
from traces.dumps.kdump.flattened import Image
from traces.errors import InputError
from traces.schema import PAGE_SIZE

_Unpack = Callable[[bytes], Any]

_AT_A_TIME: Final = 256
"""Pages unpacked before they are digested: they stay in the processor's cache."""
_SNAPPY_PAGE: Final = b"\x80\x20"
"""How a page that was compressed begins: its length, which arrow does not check."""


class Unpacker:
    """Digests compressed pages of *image*, the dump *path*."""

    def __init__(self, path: Path, image: Image, digester: Digester) -> None:
        self._path, self._image, self._digester = path, image, digester
        self._unpacks: dict[int, _Unpack] = {}
        self._errors: tuple[type[Exception], ...] = (zlib.error, OSError, ValueError)

    def digested(
        self,
        offset: npt.NDArray[np.int64],
        size: npt.NDArray[np.int64],
        flags: npt.NDArray[np.int64],
    ) -> Digested:
        """The pages in *size* bytes from *offset* on each, ascending, compressed as
        *flags* say; `read` is False for those that are not there or no page comes out
        of.

        Raises InputError where a compression needs what is not installed.
        """
        count = len(offset)
        digest, fill = np.zeros(count, np.int64), np.zeros(count, bool)
        read = np.zeros(count, bool)
        for first in range(0, count, _AT_A_TIME):
            some = slice(first, first + _AT_A_TIME)
            data = self._data(offset[some].tolist(), size[some].tolist())
            pages, rows = [], []
            for row, (packed, kind) in enumerate(
                zip(data, flags[some].tolist(), strict=True), first
            ):
                page = self._page(packed, kind) if packed else b""
                if len(page) == PAGE_SIZE:
                    pages.append(page)
                    rows.append(row)
            found = self._digester.of_bytes(b"".join(pages))
            digest[rows], fill[rows], read[rows] = found.digest, found.fill, True
        return Digested(digest, fill, read)

    def _data(self, offset: list[int], size: list[int]) -> list[bytes]:
        """Each piece; empty where not all of it is there."""
        start = offset[0]
        span = offset[-1] + size[-1] - start
        if span <= _AT_A_TIME * PAGE_SIZE:
            data = self._image.read(start, span)
            if len(data) == span:
                return [
                    data[at - start : at - start + length]
                    for at, length in zip(offset, size, strict=True)
                ]
        pieces = map(self._image.read, offset, size)
        return [
            data if len(data) == length else b""
            for data, length in zip(pieces, size, strict=True)
        ]

    def _page(self, data: bytes, kind: int) -> Any:
        """The page in *data*; empty where there is none."""
        unpack = self._unpacks.get(kind) or self._unpack(kind)
        try:
            return unpack(data)
        except self._errors:
            return b""

    def _unpack(self, kind: int) -> _Unpack:
        made: _Unpack
        match kind:
            case 0:
                made = bytes
            case 1:
                made = _zlib
            case 2:
                made, error = _lzo(self._path)
                self._errors += (error,)
            case 4:
                made = _snappy()
            case 0x20:
                made = _arrow("zstd")
            case _:
                made = _unknown
        self._unpacks[kind] = made
        return made


def _unknown(_: bytes) -> bytes:
    return b""


def _zlib(data: bytes) -> bytes:
    return zlib.decompress(data, bufsize=PAGE_SIZE)


def _arrow(name: str) -> _Unpack:
    codec = pa.Codec(name)
    return lambda data: codec.decompress(data, PAGE_SIZE)


def _snappy() -> _Unpack:
    unpack = _arrow("snappy")
    return lambda data: unpack(data) if data.startswith(_SNAPPY_PAGE) else b""


def _lzo(path: Path) -> tuple[_Unpack, type[Exception]]:
    try:
        from lzallright import LZOCompressor, LZOError
    except ImportError as error:
        raise InputError(
            f"{path}: its pages are compressed with LZO, which needs lzallright",
            hint="pip install 'ksm-analyze[lzo]'",
        ) from error
    return LZOCompressor.decompress, LZOError
