"""Dumps → one trace: each read on its own, several side by side, joined in order."""

import contextlib
import os
import signal
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from traces.digest import seed_id
from traces.dumps import opened
from traces.dumps.digesting import Digester
from traces.dumps.dump import Account, Announced, Asked, Dump, Dumped, Epoch
from traces.dumps.hashes import Hashing
from traces.dumps.join import join
from traces.dumps.layout import Layout
from traces.dumps.source import Folder, Source, folder_size
from traces.errors import DefectError, InputError, OutputError, UsageError
from traces.schema import OF_THE_REST, PROCESSES, Facts, Pages
from traces.tool import tool
from traces.workload import Names, label
from traces.writer import TraceWriter, row_of

_ALONE: Final = 512 << 20
"""Bytes in all below which starting workers takes longer than reading."""
_BEAT: Final = 0.1
_SAMPLE: Final = 1 << 16
"""Pages of a guest that are looked at for signs of encryption."""
_FEW: Final = 1024
_ENCRYPTED: Final = (
    "all pages differ and none is zero, as in an encrypted guest (SEV, TDX)"
)
_NO_KERNEL: Final = (
    "the dump does not tell its host's kernel: unless --kernel does, ksmd is simulated "
    "as in the newest one known"
)
_MOST_HOLES: Final = 16 << 20
"""Pages of holes that are read as the zeros they may be: 64 GiB."""
_TOO_MANY_HOLES: Final = (
    "its holes may be zeros that cp, xz -d, zstd -d or the like left out "
    "of it: up to {absent} more pages of zeros may be saved than is told"
)

_PLAIN: Final = Layout()


class Named(NamedTuple):
    """A dump, and what is in it called."""

    path: Path
    name: str = ""
    """Its workload; empty: what the dump itself tells."""
    parts: tuple[Path, ...] = ()
    """Further files of the same dump."""

    @classmethod
    def parse(cls, text: str) -> "Named":
        """`path`, `name=path`, or with several files `path+path`.

        What exists under the whole text is not cut. Raises UsageError for a name or
        file that is empty.
        """
        if os.path.lexists(text):
            return cls(Path(text))
        name, equals, path = text.rpartition("=")
        if equals and not name:
            raise UsageError(f"{text!r}: expected NAME=FILE, or FILE")
        files = [path] if os.path.lexists(path) else path.split("+")
        if not all(files):
            raise UsageError(f"{text!r}: expected FILE+FILE, or FILE")
        first, *others = map(Path, files)
        return cls(first, name, tuple(others))

    @property
    def paths(self) -> tuple[Path, ...]:
        """All its files."""
        return self.path, *self.parts

    @property
    def size(self) -> int:
        """Bytes of its files, or of the files of its folder; 0 where it has none."""
        return sum(map(_size_of, self.paths))

    def opened(self) -> Source | Folder:
        """Raises InputError where it cannot be read."""
        return (
            Folder(self.path) if self.path.is_dir() else Source(self.path, self.parts)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to convert."""

    seed: int = 0
    private: bool = False
    label_by: str = "auto"
    form: str | None = None
    """The format of all dumps; None: each tells its own."""
    strict: bool = False
    """Refuse a truncated dump instead of taking what is there."""
    jobs: int = 1
    """Dumps read at a time."""
    layout: Layout = _PLAIN
    """Of tables and files of digests: what they do not tell themselves."""


@dataclass(slots=True, kw_only=True)
class Converted:
    """What came of one dump."""

    path: Path
    format: str
    account: Account
    processes: int
    rows: int


class _HolesError(Exception):
    """The holes of a file may have been pages of zeros."""


class One:
    """One dump on its way into a trace of its own."""

    def __init__(self, dump: Named, settings: Settings) -> None:
        self._dump, self._settings = dump, settings
        self.processes = self.rows = self._zeros = 0
        self._account = Account()
        self._format = ""
        self._noise = False

    @property
    def converted(self) -> Converted:
        """What came of it, once written."""
        return Converted(
            path=self._dump.path,
            format=self._format,
            account=self._account,
            processes=self.processes,
            rows=self.rows,
        )

    def write(self, path: Path) -> Generator[int, None, None]:
        """Convert into *path*, yielding how many bytes of the file are done."""
        settings, named = self._settings, self._dump
        asked = Asked(
            name=_name_of(named),
            given=bool(named.name),
            private=settings.private,
            layout=settings.layout,
        )
        try:
            yield from self._written(path, asked)
        except _HolesError:
            self.processes = self.rows = self._zeros = 0
            yield from self._written(path, replace(asked, holes=False))

    def _written(self, path: Path, asked: Asked) -> Generator[int, None, None]:
        settings = self._settings
        digester = Digester(settings.seed)
        with self._dump.opened() as source, TraceWriter(path) as writer:
            dump = opened(source, asked, settings.form)
            writer.begin_epoch(0)
            yield from self._steps(dump, source, digester, writer)
            self._account, self._format = dump.account, dump.format
            self._check(asked)
            writer.end_epoch(0)
            writer.finish(self._facts(dump, digester))

    def _steps(
        self,
        dump: Dump,
        source: Source | Folder,
        digester: Digester,
        writer: TraceWriter,
    ) -> Generator[int, None, None]:
        first, guest, noise = 0, False, _Noise()
        for step in dump.steps(digester):
            if isinstance(step, Dumped):
                row = self._row(step.process)
                guest = bool(row["vm"])
                first = writer.add_process(row, step.mappings)
                self.processes += 1
            elif isinstance(step, Announced):
                rows = [
                    row_of(PROCESSES, self._row(row), process=number)
                    for number, row in enumerate(step.processes)
                ]
                writer.announce(rows, step.mappings)
                self.processes = len(rows)
            elif isinstance(step, Epoch):
                writer.end_epoch(0)
                writer.begin_epoch(step.t_ns, "delta")
            elif len(step.vpn):
                if guest:
                    noise.add(step)
                numbers = step.mapping + np.int32(first)
                writer.add_pages(step._replace(mapping=numbers))
                self.rows += len(step.vpn)
                self._zeros += int(np.count_nonzero(step.digest == digester.zero))
            yield source.done
        self._noise |= noise.heard() and not self._zeros

    def _row(self, process: Mapping[str, Any]) -> dict[str, Any]:
        """The process's columns, with the workload's name among them."""
        row = {"comm": "", "exe": "", "vm": "", **process}
        uid = row.get("uid", -1)
        row.setdefault("user", str(uid) if uid >= 0 else "")
        known = Names(*(row.get(name, "") for name in Names._fields))
        named = label(
            self._settings.label_by, known, row["comm"], row["user"], row["exe"]
        )
        row["workload"] = _text(self._dump.name) or named or _name_of(self._dump)
        return row

    def _check(self, asked: Asked) -> None:
        account, path = self._account, self._dump.path
        if self._noise and asked.holes and not account.absent:
            raise InputError(
                f"{path}: {_ENCRYPTED}, whose memory KSM cannot merge",
                hint="an encrypted guest can only be dumped from inside",
            )
        if self._noise:
            # What is there of a sparse file may be noise by chance.
            account.limits.append(_ENCRYPTED)
        # What tables of digests say of absent pages is no hole.
        if account.absent and not account.hashing and not account.zeros.vouch:
            if account.absent <= _MOST_HOLES:
                raise _HolesError
            told = _TOO_MANY_HOLES.format(absent=account.absent)
            account.limits.append(told)
        if not account.truncated:
            return
        told = truncation(account)
        if self._settings.strict:
            raise InputError(
                f"{path}: {told}", hint="without --strict what is there is taken"
            )
        account.limits.insert(0, f"{_text(path.name)}: {told}: {OF_THE_REST}")

    def _facts(self, dump: Dump, digester: Digester) -> Facts:
        own = Hashing("xxh3-64", digester.zero)
        hashing = self._account.hashing or own
        limits = self._account.limits + ([] if dump.kernel else [_NO_KERNEL])
        return Facts(
            host=dump.host,
            kernel=dump.kernel,
            captured_at=dump.captured_at or _changed(self._dump.path),
            source=dump.format,
            tool=tool(),
            zero_digest=hashing.zero,
            digest=hashing.name,
            seed_id=seed_id(self._settings.seed),
            label_by=self._settings.label_by,
            skipped={why: n for why, n in self._account.skipped.items() if n},
            limits=list(dict.fromkeys(limits)),
        )


class Conversion:
    """One conversion of *dumps*, in that order; `write` it once."""

    def __init__(self, dumps: Sequence[Named], settings: Settings) -> None:
        self._dumps, self._settings = dumps, settings
        self._sizes = [dump.size for dump in dumps]
        self.total = sum(self._sizes)
        """Bytes of all files."""
        self.converted: list[Converted] = []
        """What came of each dump, once written."""

    def write(self, path: Path) -> Generator[int, None, None]:
        """Convert into *path*, yielding how many bytes of `total` are done.

        Nothing is left at *path* unless the iterator is exhausted. Raises OutputError
        where it cannot be written, InputError for a dump that cannot be read.
        """
        if len(self._dumps) == 1:
            one = One(self._dumps[0], self._settings)
            yield from one.write(path)
            self.converted = [one.converted]
            return
        with _folder_beside(path) as folder:
            parts = [folder / f"{at}.parquet" for at in range(len(self._dumps))]
            if self._settings.jobs == 1 or self.total < _ALONE:
                yield from self._in_turn(parts)
            else:
                yield from self._side_by_side(parts)
            join(parts, path, [dump.path for dump in self._dumps])

    def _in_turn(self, parts: Sequence[Path]) -> Generator[int, None, None]:
        behind = 0
        for dump, size, part in zip(self._dumps, self._sizes, parts, strict=True):
            one = One(dump, self._settings)
            for done in one.write(part):
                yield behind + done
            self.converted.append(one.converted)
            behind += size

    def _side_by_side(self, parts: Sequence[Path]) -> Generator[int, None, None]:
        context = get_context("spawn")
        stop = context.Event()
        done = context.Array("Q", len(parts))
        with ProcessPoolExecutor(
            self._settings.jobs, context, _begin, (stop, done)
        ) as pool:
            try:
                futures = [
                    pool.submit(_convert, at, dump, self._settings, part)
                    for at, (dump, part) in enumerate(
                        zip(self._dumps, parts, strict=True)
                    )
                ]
                yield from _until_done(futures, done)
                self.converted = [future.result() for future in futures]
            except BrokenProcessPool as error:
                raise DefectError(
                    "a worker that read a dump was killed",
                    hint="is there enough memory? --jobs 1 takes least",
                ) from error
            finally:
                stop.set()
                pool.shutdown(cancel_futures=True)


def _until_done(futures: Sequence[Future[Converted]], done: Any) -> Iterator[int]:
    """Tells how far all are until the last is, or one has failed."""
    pending = set(futures)
    while pending:
        finished, pending = wait_for(pending, _BEAT, FIRST_EXCEPTION)
        for future in finished:
            future.result()
        yield sum(done)


_stop: Any = None
_done: Any = None


def _begin(stop: Any, done: Any) -> None:
    """In a worker: what it shares with the one that asked."""
    global _stop, _done
    _stop, _done = stop, done
    # The one in front of the terminal decides what an interrupt means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _convert(at: int, dump: Named, settings: Settings, part: Path) -> Converted:
    one = One(dump, settings)
    with contextlib.closing(one.write(part)) as steps:
        for _done[at] in steps:
            if _stop.is_set():
                raise DefectError("given up")
    return one.converted


class _Noise:
    """Tells memory that looks like noise, as an encrypted guest's does (AMD SEV, Intel
    TDX): no two pages are equal."""

    def __init__(self) -> None:
        self._digests: list[npt.NDArray[np.int64]] = []
        self._pages = 0

    def add(self, pages: Pages) -> None:
        if self._pages < _SAMPLE:
            self._digests.append(pages.digest)
            self._pages += len(pages.digest)

    def heard(self) -> bool:
        """Whether all pages seen are noise, and many enough to say so."""
        if self._pages < _FEW:
            return False
        digests = np.concatenate(self._digests)
        return len(np.unique(digests)) == len(digests)


def truncation(account: Account) -> str:
    """How a dump is cut, in words."""
    if account.missing_bytes:
        lost = f"{account.missing_bytes} bytes are missing"
        if account.missing_bytes == 1:
            lost = "1 byte is missing"
        return f"truncated, {lost}{f' ({account.damage})' if account.damage else ''}"
    return account.damage


def _size_of(path: Path) -> int:
    try:
        if path.is_dir():
            return folder_size(path)
        return path.stat().st_size
    except OSError:
        return 0


def _name_of(dump: Named) -> str:
    """What was asked for, or the file's own name."""
    return _text(dump.name or dump.path.name or str(dump.path))


def _text(name: str) -> str:
    """A name from the command line or the file system, which need not be Unicode, as
    a trace can hold it."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _changed(path: Path) -> str:
    when = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return when.isoformat(timespec="seconds")


@contextlib.contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """A private folder for the parts of *path*, gone afterwards."""
    try:
        made = tempfile.TemporaryDirectory(
            dir=path.parent, prefix=f".{path.name}.", ignore_cleanup_errors=True
        )
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
    with made as folder:
        yield Path(folder)
