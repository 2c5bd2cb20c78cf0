"""Captured dumps → traces: the one list of readers, and which of them reads a file.

A reader is known by what a file holds, never by what it is called.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from traces.dumps import archive
from traces.dumps.cores import elf, late, xen
from traces.dumps.criu import checkpoint, images
from traces.dumps.dump import Asked, Dump
from traces.dumps.kdump import memory
from traces.dumps.physical import layers, lime, microvm, raw
from traces.dumps.qemu import libvirt, qcow2, sections
from traces.dumps.qemu.mapped_ram import CAPABILITY, MappedRam
from traces.dumps.qemu.migration import Migration
from traces.dumps.refused import refusal_of
from traces.dumps.source import Folder, Source
from traces.dumps.tables import records, table, umass
from traces.errors import InputError

_CRIU: Final = "criu"


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
    if xen.is_xen(source.peek()):
        return xen.XenCore(source, asked.name)
    found = elf.read_elf(source)
    return late.LateCore(found, asked) if found.late else late.known(found, asked)


def _lime(source: Source, asked: Asked) -> Dump:
    return lime.PhysicalRanges(source, asked.name)


def _migration(source: Source, asked: Asked) -> Dump:
    found = sections.configuration_of(source.peek(), source.path)
    if CAPABILITY in found.capabilities:
        return MappedRam(source, asked.name, "qemu-mapped-ram")
    return Migration(source, asked.name, "qemu-migration")


def _image(source: Source, _: Asked) -> Dump:
    raise checkpoint.refused(source)


def _images(folder: Folder, _: Asked) -> Dump:
    return checkpoint.open_folder(folder)


class FolderReader(NamedTuple):
    """One family of formats whose dumps are folders."""

    name: str
    recognises: Callable[[Folder], bool]
    open: Callable[[Folder, Asked], Dump]


READERS: Final[Sequence[Reader]] = (
    Reader("elf", elf.is_core, _elf),
    Reader(_CRIU, checkpoint.is_single, _image),
    Reader("kdump", memory.is_kdump, memory.opened, split=True),
    Reader("lime", lime.is_lime, _lime),
    Reader("qemu", sections.is_stream, _migration),
    Reader("libvirt", libvirt.is_save, libvirt.open_save),
    Reader("qcow2", qcow2.is_qcow2, qcow2.Savevm),
    Reader("table", records.is_table, table.Table),
)


def _cloud_hypervisor(folder: Folder, asked: Asked) -> Dump:
    return microvm.CloudHypervisor(folder, asked.name)


def _firecracker(folder: Folder, asked: Asked) -> Dump:
    return microvm.Firecracker(folder, asked.name, holes=asked.holes)


def _raw(source: Source, asked: Asked) -> Dump:
    if source.parts:
        return layers.Layers(source, asked.name, holes=asked.holes)
    dump = raw.RawMemory(source, asked.name, holes=asked.holes)
    for reader in READERS:
        if reader.recognises(source.peek()):
            told = f"what was read as memory without a header may be of {reader.name}"
            dump.account.limits.append(f"{told}: it begins so")
    return dump


# What does not tell what it is, and is taken for it at its user's word.
_AT_WORD: Final[Mapping[str, Callable[[Source, Asked], Dump]]] = {
    "raw": _raw,
    "table": table.Table,
    "umass": umass.Umass,
}


FOLDERS: Final[Sequence[FolderReader]] = (
    FolderReader(_CRIU, checkpoint.recognises_folder, _images),
    FolderReader("cloud-hypervisor", microvm.is_cloud_hypervisor, _cloud_hypervisor),
    FolderReader("firecracker", microvm.is_firecracker, _firecracker),
)

_NAMES: Final = [reader.name for reader in READERS] + [r.name for r in FOLDERS]
FORMATS: Final = (*dict.fromkeys([*_NAMES, *_AT_WORD]),)


def recognised(source: Source | Folder) -> bool:
    """Whether what is in *source* is a dump by its own account, readable or not."""
    if isinstance(source, Folder):
        return any(reader.recognises(source) for reader in FOLDERS)
    if archive.is_tar(source.peek()):
        return _holds_dump(source)
    return _reader(source.peek(), None) is not None


def _holds_dump(source: Source) -> bool:
    """Of an archive; read up to the first one."""
    for member in archive.Archive(source):
        head = source.peek() if member.size and not member.link else b""
        if images.is_image(member.name) or head.startswith(images.MAGICS):
            return True
        if head and _reader(head, None):
            return True
    return False


def opened(source: Source | Folder, asked: Asked, form: str | None = None) -> Dump:
    """The dump in *source*, recognised by its content or taken for *form*.

    Raises InputError where it is none, or none that can be read.
    """
    if isinstance(source, Folder):
        return _opened_folder(source, asked, form)
    if archive.is_tar(source.peek()):
        return _opened_archive(source, asked, form)
    return _opened_file(source, asked, form)


def _opened_file(source: Source, asked: Asked, form: str | None) -> Dump:
    head = source.peek()
    if not head:
        what = source.cut or "is empty"
        raise InputError(f"{source.path}: {what}, expected a dump")
    if form is not None and form in _AT_WORD:
        if form != "raw":
            _require_one_file(source, form)
        return _AT_WORD[form](source, asked)
    if reader := _reader(head, form):
        if not reader.split:
            _require_one_file(source, reader.name)
        return reader.open(source, asked)
    if form is not None:
        raise InputError(f"{source.path}: is no {form} dump: begins with {head[:8]!r}")
    if refusal := refusal_of(head):
        raise InputError(f"{source.path}: {refusal.what}", hint=refusal.hint or None)
    raise InputError(
        f"{source.path}: begins with {head[:8]!r}, which is no dump known here",
        hint=f"known are {', '.join(FORMATS)}; memory as it is, without a header, is "
        "read with --format raw",
    )


def _require_one_file(source: Source, form: str) -> None:
    if source.parts:
        raise InputError(
            f"{source.path}: of format {form}, of which a dump is one file, not "
            f"{1 + len(source.parts)} joined with +"
        )


def _reader(head: bytes, form: str | None) -> Reader | None:
    for reader in READERS:
        if form in (None, reader.name) and reader.recognises(head):
            return reader
    return None


def _opened_archive(source: Source, asked: Asked, form: str | None) -> Dump:
    """The one dump in an archive: images of CRIU, or a file of another format."""
    if source.parts:
        raise InputError(
            f"{source.path}: an archive, and {source.parts[0]}, expected one file",
            hint="unpack archives that belong together into one folder",
        )
    tar = archive.Archive(source)
    kept = images.Unpacked(tar)
    found: Source | None = None
    for member in tar:
        head = source.peek() if member.size and not member.link else b""
        of_criu = images.is_image(member.name) or head.startswith(images.MAGICS)
        of_criu = of_criu and form in (None, _CRIU)
        if of_criu and found is None:
            return checkpoint.open_archive(tar, kept, member)
        if of_criu or (head and (form in _AT_WORD or _reader(head, form))):
            if found is not None:
                raise InputError(
                    f"{source.path}: an archive of several dumps: {found.path.name}, "
                    f"{member.name}",
                    hint="unpack it with GNU tar, which keeps holes, and name them all",
                )
            found = archive.unpacked(member, source)
        else:
            kept.keep(member)
    if found is None:
        why = source.cut or tar.cut
        raise InputError(
            f"{source.path}: an archive that holds no dump known here"
            + (f", and {why}" if why else ""),
            hint="unpack it with GNU tar, which keeps holes, and name the dump",
        )
    dump = _opened_file(found, asked, form)
    dump.account.damage = source.cut or tar.cut
    return dump


def _opened_folder(folder: Folder, asked: Asked, form: str | None) -> Dump:
    for reader in FOLDERS:
        if form in (None, reader.name) and reader.recognises(folder):
            return reader.open(folder, asked)
    raise InputError(f"{folder.path}: a folder, and none that is a dump known here")
