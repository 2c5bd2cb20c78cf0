"""Dumps made by tests, and what came of them: pages one knows, a file with holes, and
the rows of its trace."""

import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from traces.dumps.conversion import Conversion, Converted, Named, Settings
from traces.dumps.dump import Account
from traces.errors import KsmAnalyzeError
from traces.schema import PageFlag, Pages
from traces.trace import Trace

PAGE = 4096


def page(number: int) -> bytes:
    """4 KiB that differ for each number; 0 is the page of zeros."""
    return number.to_bytes(8, "little") * (PAGE // 8)


def noise(number: int, size: int = PAGE) -> bytes:
    """Bytes that no compression makes smaller."""
    seeds = (f"{number}/{at}".encode() for at in range(-(-size // 8)))
    return b"".join(xxhash.xxh3_64_digest(seed) for seed in seeds)[:size]


def digest(data: bytes, seed: int = 0) -> int:
    """As it is stored, by the xxhash library."""
    word = xxhash.xxh3_64_intdigest(data, seed=seed)
    return word - (1 << 64) if word >> 63 else word


@dataclass
class Image:
    """A file in the making: what it holds, where, and where its structures begin."""

    pieces: list[tuple[int, bytes]] = field(default_factory=list)
    size: int = 0
    marks: list[int] = field(default_factory=list)
    """Bytes at which a structure begins or ends."""

    def put(self, data: bytes, at: int | None = None) -> int:
        """Add *data* at its end, or *at* a place behind it; where that is."""
        place = self.size if at is None else at
        self.pieces.append((place, data))
        self.marks += [place, place + len(data)]
        self.size = max(self.size, place + len(data))
        return place

    def bytes(self) -> bytes:
        """The file, its holes filled."""
        file = io.BytesIO()
        self._write(file)
        return file.getvalue().ljust(self.size, b"\0")

    def write(self, path: Path) -> Path:
        """The file, with its holes."""
        with path.open("wb", buffering=0) as file:
            self._write(file)
            file.truncate(self.size)
            os.fsync(file.fileno())
        return path

    def _write(self, file: Any) -> None:
        for place, data in self.pieces:
            file.seek(place)
            file.write(data)


class Row(NamedTuple):
    """A page of a trace."""

    mapping: int
    vpn: int
    digest: int
    flags: PageFlag


@dataclass
class Seen:
    """A trace that came of dumps, and what was said of each of them."""

    trace: Trace
    converted: Sequence[Converted]

    @property
    def account(self) -> Any:
        """Of the only dump."""
        (only,) = self.converted
        return only.account

    @property
    def rows(self) -> list[Row]:
        """All rows."""
        return list(self._rows())

    @property
    def digests(self) -> dict[int, int]:
        """Page number → digest; for dumps of one address space."""
        rows = self.rows
        found = {row.vpn: row.digest for row in rows}
        assert len(found) == len(rows)
        return found

    @property
    def unknown(self) -> list[int]:
        """Pages of which it is not known whether they were there."""
        return [r.vpn for r in self.rows if PageFlag.PRESENCE_UNKNOWN in r.flags]

    def _rows(self) -> Iterator[Row]:
        for chunk in self.trace.chunks(Pages._fields):
            columns = [chunk[n].tolist() for n in ("mapping", "vpn", "digest", "flags")]
            for mapping, vpn, value, flags in zip(*columns, strict=True):
                yield Row(mapping, vpn, value, PageFlag(flags))

    def adds_up(self) -> bool:
        """Whether every page of every dump is a row, or counted as something else."""
        return all(adds_up(one.account, one.rows) for one in self.converted)


def adds_up(account: Account, rows: int) -> bool:
    """Whether every page of a dump is one of *rows*, or counted as something else."""
    reasons = account.skipped.items()
    skipped = sum(n for why, n in reasons if why.startswith("pages "))
    rest = account.pages - rows - account.absent - skipped
    return rest == 0 or (rest > 0 and account.truncated)


def converted(tmp_path: Path, *dumps: Path | str, **settings: Any) -> Seen:
    """The trace of *dumps*."""
    path = tmp_path / "converted.parquet"
    conversion = Conversion(
        [Named.parse(str(dump)) for dump in dumps], Settings(**settings)
    )
    for _ in conversion.write(path):
        pass
    return Seen(Trace.open(path), conversion.converted)


def attempted(tmp_path: Path, dump: Path, **settings: Any) -> Seen | None:
    """The trace of *dump*, or None where it was refused in a line that names it."""
    try:
        return converted(tmp_path, dump, **settings)
    except KsmAnalyzeError as error:
        told = str(error)
    assert "\n" not in told
    assert str(dump) in told
    return None
