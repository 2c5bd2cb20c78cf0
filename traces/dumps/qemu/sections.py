"""The sections of a QEMU migration stream, up to the end of RAM.

Layout: QEMU's docs/devel/migration/main.rst, migration/savevm.c and
migration/qemu-file.c. What follows RAM, the devices' state, cannot be told apart
without QEMU itself, and nobody needs it here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from traces.dumps.qemu.stream import EndedError, HeadBytes, Stream
from traces.errors import InputError
from traces.page import PAGE_SIZE

MAGIC: Final = b"QEVM"
ANOTHER_WAY: Final = "dump it with dump-guest-memory, or virsh dump --memory-only"

_VERSION: Final = 3
_PLUGGED: Final = "virtio-mem-device-early"
_VERSIONS: Final = {"ram": 4, _PLUGGED: 1}
"""Sections that can be read, by the last part of their names."""
_MOST_BLOCKS: Final = 1 << 31
"""Of virtio-mem, which are of 1 MiB or more."""
_MOST_TEXT: Final = 1 << 12
_MOST_CAPABILITIES: Final = 256

_EOF, _START, _PART, _END, _FULL, _SUBSECTION = 0, 1, 2, 3, 4, 5
_CONFIGURATION, _COMMAND, _FOOTER = 7, 8, 0x7E
_MULTIFD: Final = 0x11223344
_COMMANDS: Final = {
    3: "postcopy", 4: "postcopy", 5: "postcopy", 6: "postcopy", 7: "postcopy",
    8: "postcopy", 9: "postcopy", 10: "COLO",
}  # fmt: skip
"""Commands of ways to migrate that leave no file behind (enum qemu_vm_cmd)."""


class Configuration(NamedTuple):
    """What a stream says of itself."""

    machine: str = ""
    """The machine type, such as pc-i440fx-7.2; empty where it does not say."""
    capabilities: frozenset[str] = frozenset()
    """Those that change the layout."""


def is_stream(head: bytes) -> bool:
    """Whether *head* begins a migration stream."""
    return head.startswith(MAGIC)


def configuration_of(head: bytes, path: Path) -> Configuration:
    """That of the stream in *path* which *head* begins; as far as it tells."""
    try:
        return read_configuration(Stream(HeadBytes(head), room=len(head)), path)
    except EndedError:
        return Configuration()


def read_configuration(stream: Stream, path: Path) -> Configuration:
    """The beginning of the stream in *path*, up to its first section.

    Raises InputError for a version or a page size that cannot be read.
    """
    if bytes(stream.take(4)) != MAGIC:
        raise InputError(f"{path}: no migration stream where one should begin")
    version = stream.number(4)
    if version != _VERSION:
        raise InputError(
            f"{path}: a migration stream of version {version}, expected {_VERSION}"
        )
    if stream.word() >> 56 != _CONFIGURATION:
        return Configuration()
    stream.skip(1)
    machine = bytes(stream.take(_sane(stream.number(4), _MOST_TEXT, path)))
    capabilities: list[str] = []
    while stream.word() >> 56 == _SUBSECTION:
        stream.skip(1)
        name = stream.text()
        stream.skip(4)
        if name == "configuration/capabilities":
            count = _sane(stream.number(4), _MOST_CAPABILITIES, path)
            capabilities += [stream.text() for _ in range(count)]
        elif name == "configuration/target-page-bits":
            _check_page_size(stream.number(4), path)
        elif name == "configuration/uuid":
            stream.skip(16)
        else:
            raise InputError(
                f"{path}: a migration stream configured by {name!r}, which is not "
                "known here",
                hint=ANOTHER_WAY,
            )
    name = machine.decode("utf-8", "replace")
    return Configuration(name, frozenset(capabilities))


def ram_sections(stream: Stream, path: Path) -> Iterator[None]:
    """Stops wherever the stream holds RAM, which whoever asks must read up to the end
    of its section; ends behind the last.

    Raises InputError for a stream that holds something else in between.
    """
    ram = -1
    while True:
        kind = stream.number(1)
        if kind in (_START, _FULL):
            number, name = stream.number(4), stream.text()
            _check_section(stream, path, name)
            if name.endswith(_PLUGGED):
                _pass_plugged(stream, path)
                continue
            ram = number
            yield
        elif kind in (_PART, _END):
            if stream.number(4) != ram:
                raise _strange(stream, path, "the state of a device within RAM")
            yield
            if kind == _END:
                return
        elif kind == _FOOTER:
            stream.skip(4)
        elif kind == _COMMAND:
            _check_command(stream, path)
        else:
            what = "its end" if kind == _EOF else f"a section of type {kind:#x}"
            raise _strange(stream, path, f"{what} before the end of RAM")


def _check_section(stream: Stream, path: Path, name: str) -> None:
    """Reads the rest of a section's head."""
    stream.skip(4)
    version = stream.number(4)
    expected = _VERSIONS.get(name.rpartition("/")[2])
    if expected is None:
        raise _strange(stream, path, f"the state of {name!r} before the end of RAM")
    if version != expected:
        raise InputError(
            f"{path}: {name} of version {version}, expected {expected}",
            hint=ANOTHER_WAY,
        )


def _pass_plugged(stream: Stream, path: Path) -> None:
    """Passes over what virtio-mem tells before RAM: where it is, and which of its
    blocks are plugged in (hw/virtio/virtio-mem.c)."""
    stream.skip(8)
    region, block = stream.number(8), stream.number(8)
    stream.skip(4 + 8)
    blocks = region // max(block, 1)
    if blocks > _MOST_BLOCKS:
        raise _strange(stream, path, f"{blocks} blocks of virtio-mem")
    stream.skip(-(-blocks // 64) * 8)


def _check_command(stream: Stream, path: Path) -> None:
    command, size = stream.number(2), stream.number(2)
    if command in _COMMANDS:
        raise refused(path, _COMMANDS[command])
    stream.skip(size)


def refused(path: Path, way: str) -> InputError:
    """For streams that are migrated in a way that leaves RAM elsewhere, or packed."""
    return InputError(
        f"{path}: a migration stream by way of {way}, which cannot be read here",
        hint=f"migrate without that capability, or {ANOTHER_WAY}",
    )


def _strange(stream: Stream, path: Path, what: str) -> InputError:
    return InputError(
        f"{path}: a migration stream with {what}, at byte {stream.at}",
        hint=f"if it is not damaged, {ANOTHER_WAY}",
    )


def _sane(count: int, most: int, path: Path) -> int:
    if count > most:
        raise InputError(f"{path}: a migration stream damaged in its configuration")
    return count


def _check_page_size(bits: int, path: Path) -> None:
    if 1 << min(bits, 64) != PAGE_SIZE:
        raise InputError(
            f"{path}: pages of 2^{bits} bytes, only those of {PAGE_SIZE} are read here"
        )
