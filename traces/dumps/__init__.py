"""Captured dumps → traces: the one list of readers, and which of them reads a file.

A reader is known by what a file holds, never by what it is called.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from traces.dumps import elf, kdump, late, lime, raw
from traces.dumps.dump import Asked, Dump
from traces.dumps.source import Folder, Source
from traces.errors import InputError


class Reader(NamedTuple):
    """One family of formats."""

    name: str
    """What `--format` calls it."""
    recognises: Callable[[bytes], bool]
    """Whether the first bytes of a file are its own."""
    open: Callable[[Source, Asked], Dump]
    """Raises InputError for a file that is broken, or of a kind it cannot read."""
    split: bool = False
    """Whether one dump may be of several files."""


def _elf(source: Source, asked: Asked) -> Dump:
    found = elf.read_elf(source)
    return late.LateCore(found, asked) if found.late else late.known(found, asked)


class FolderReader(NamedTuple):
    """One family of formats whose dumps are folders."""

    name: str
    recognises: Callable[[Folder], bool]
    open: Callable[[Folder, Asked], Dump]


def _lime(source: Source, asked: Asked) -> Dump:
    return lime.PhysicalRanges(source, asked.name)


READERS: Final[Sequence[Reader]] = (
    Reader("elf", elf.is_core, _elf),
    Reader("kdump", kdump.is_kdump, kdump.opened, split=True),
    Reader("lime", lime.is_lime, _lime),
)

FOLDERS: Final[Sequence[FolderReader]] = ()

_RAW: Final = "raw"
_NAMES: Final = [reader.name for reader in READERS] + [r.name for r in FOLDERS]
FORMATS: Final = (*dict.fromkeys(_NAMES), _RAW)


def recognised(source: Source | Folder) -> bool:
    """Whether what is in *source* is a dump by its own account, readable or not."""
    if isinstance(source, Folder):
        return any(reader.recognises(source) for reader in FOLDERS)
    head = source.peek()
    return any(reader.recognises(head) for reader in READERS)


def opened(source: Source | Folder, asked: Asked, form: str | None = None) -> Dump:
    """The dump in *source*, recognised by its content or taken for *form*.

    Raises InputError where it is none, or none that can be read.
    """
    if isinstance(source, Folder):
        return _opened_folder(source, asked, form)
    head = source.peek()
    if not head:
        what = source.cut or "is empty"
        raise InputError(f"{source.path}: {what}, expected a dump")
    if form == _RAW:
        _require_one_file(source, form)
        return raw.RawMemory(source, asked.name)
    for reader in READERS:
        if form in (None, reader.name) and reader.recognises(head):
            if not reader.split:
                _require_one_file(source, reader.name)
            return reader.open(source, asked)
    if form is not None:
        raise InputError(f"{source.path}: is no {form} dump: begins with {head[:8]!r}")
    raise InputError(
        f"{source.path}: begins with {head[:8]!r}, which is no dump known here",
        hint="memory as it is, without a header, is read with --format raw",
    )


def _require_one_file(source: Source, form: str) -> None:
    if source.parts:
        raise InputError(
            f"{source.path}: of format {form}, of which a dump is one file, not "
            f"{1 + len(source.parts)} joined with +"
        )


def _opened_folder(folder: Folder, asked: Asked, form: str | None) -> Dump:
    for reader in FOLDERS:
        if form in (None, reader.name) and reader.recognises(folder):
            return reader.open(folder, asked)
    raise InputError(f"{folder.path}: a folder, and none that is a dump known here")
