"""What was named on the way to a report: traces, saved results, dumps, or folders of
them, each known by what is in it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from analyzer.report.batch.entry import Skipped
from traces.dumps import recognised
from traces.dumps.conversion import Named
from traces.errors import InputError, UsageError
from traces.schema import KIND_KEY
from traces.table import open_parquet

DUMP: Final = "dump"
TRACE: Final = "trace"
RESULT: Final = "result"
_PARQUET: Final = b"PAR1"


class Origin(NamedTuple):
    """One thing to report on."""

    name: str
    """What it is called, different from all others."""
    named: Named

    @property
    def path(self) -> str:
        """Its file or files."""
        return "+".join(map(str, self.named.paths))

    @property
    def text(self) -> str:
        """What names it on a command line."""
        return f"{self.named.name}={self.path}" if self.named.name else self.path


class Origins(NamedTuple):
    """All that was named."""

    found: list[Origin]
    skipped: list[Skipped]
    """What lay in folders and is nothing known here."""
    folders: bool
    """Whether any folder was looked into."""


def origins(texts: Sequence[str]) -> Origins:
    """The sources that *texts* name, in that order; those of a folder by name.

    What cannot be read stays among them, for whoever reads it to fail. Raises
    UsageError for a text that names nothing, and for a folder with a name.
    """
    named: list[Named] = []
    skipped: list[Skipped] = []
    folders = False
    for text in texts:
        one = Named.parse(text)
        inside = None if one.parts else _inside(one.path)
        if inside is None:
            named.append(one)
            continue
        if one.name:
            raise UsageError(
                f"{text}: a folder of several sources cannot have one name",
                hint=f"name the folder alone, {one.path}, or its files",
            )
        folders = True
        for path in inside:
            why = _unknown(path)
            if why:
                skipped.append(Skipped(str(path), why))
            else:
                named.append(Named(path))
    names = _told_apart(one.name or Origin("", one).path for one in named)
    found = [Origin(name, one) for name, one in zip(names, named, strict=True)]
    return Origins(found, skipped, folders)


def kind_of(named: Named) -> str:
    """`TRACE`, `RESULT` or `DUMP`. Raises InputError where it is none of them, or
    cannot be read."""
    kind = None if named.parts else _kind(named.path)
    if kind is None and _is_dump(named):
        kind = DUMP
    if kind is None:
        raise InputError(
            f"{named.path}: neither a trace, nor a saved result, nor a dump known here",
            hint="memory without a header: ksm-analyze convert --format raw",
        )
    return kind


def _inside(path: Path) -> list[Path] | None:
    """What is in a folder that is no dump itself; None for anything else."""
    try:
        if not path.is_dir() or _is_dump(Named(path)):
            return None
        return sorted(path.iterdir())
    except (InputError, OSError):
        return None


def _unknown(path: Path) -> str:
    """Why *path*, found in a folder, is passed over; empty where it is not."""
    try:
        if path.is_dir():
            return "" if _is_dump(Named(path)) else "a folder, and no dump known here"
        if path.exists() and not path.is_file():
            return "no regular file"
        known = _kind(path) is not None or _is_dump(Named(path))
        return "" if known else "neither a trace, nor a saved result, nor a dump"
    except InputError:
        return ""


def _kind(path: Path) -> str | None:
    """What a Parquet file of ours is; None for any other file."""
    if path.is_dir():
        return None
    if path.exists() and not path.is_file():
        # Opening a pipe would wait for whoever writes it.
        raise InputError(f"{path}: no regular file, expected a trace or a dump")
    try:
        with path.open("rb") as file:
            if file.read(len(_PARQUET)) != _PARQUET:
                return None
    except FileNotFoundError as error:
        pid = str(path)
        live = pid.isdecimal() and Path("/proc", pid).is_dir()
        raise InputError(
            f"{path}: {error.strerror}",
            hint=f"of a live process: ksm-analyze capture --pid {pid} -o FILE first"
            if live
            else None,
        ) from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    with open_parquet(path) as file:
        kind = (file.metadata.metadata or {}).get(KIND_KEY)
    return kind.decode() if kind in (TRACE.encode(), RESULT.encode()) else None


def _is_dump(named: Named) -> bool:
    with named.opened() as source:
        return recognised(source)


def _told_apart(names: Iterable[str]) -> Iterator[str]:
    """*names*, those that were there before with a number."""
    seen: Counter[str] = Counter()
    taken: set[str] = set()
    for name in names:
        unique = name
        while unique in taken:
            seen[name] += 1
            unique = f"{name} ({seen[name] + 1})"
        taken.add(unique)
        yield unique
