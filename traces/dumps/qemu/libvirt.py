"""What `virsh save` and `virsh managedsave` write: the domain, then a migration stream.

Layout: libvirt's src/qemu/qemu_saveimage.h and qemu_saveimage_format.h.
"""

import html
import re
import struct
from typing import Final, NamedTuple

from traces.dumps.dump import Asked, Dump
from traces.dumps.qemu.mapped_ram import MappedRam
from traces.dumps.qemu.migration import Migration
from traces.dumps.qemu.sections import ANOTHER_WAY, is_stream
from traces.dumps.source import Source
from traces.errors import InputError

MAGIC: Final = b"LibvirtQemudSave"
_PARTIAL: Final = b"LibvirtQemudPart"
_VERSION: Final = 2
_HEADER: Final = 92
_MOST_XML: Final = 16 << 20
_FORM: Final = "libvirt-save"

_RAW, _SPARSE = 0, 6
_FORMATS: Final = {1: "gzip", 2: "bzip2", 3: "xz", 5: "zstd"}
_REFUSED: Final = {4: "lzop"}

_NAME: Final = re.compile(rb"<domain\b[^>]*>.*?<name>([^<]+)</name>", re.DOTALL)


class _Header(NamedTuple):
    version: int
    data_len: int
    was_running: int
    format: int
    cookie_offset: int


def is_save(head: bytes) -> bool:
    """Whether *head* begins a saved domain, finished or not."""
    return head.startswith((MAGIC, _PARTIAL))


def open_save(source: Source, asked: Asked) -> Dump:
    """The domain in *source*, called as in its XML unless the user named it.

    Raises InputError for one whose saving was cut, or that is packed in a way that
    cannot be undone here.
    """
    path = source.path
    head = source.peek(_HEADER)
    if head.startswith(_PARTIAL):
        raise InputError(
            f"{path}: a libvirt save that was not completed", hint="save it again"
        )
    if len(head) < _HEADER:
        raise InputError(f"{path}: a libvirt save cut within its header")
    header = _header(head)
    if header.version > _VERSION:
        raise InputError(
            f"{path}: a libvirt save of version {header.version}, expected {_VERSION}"
        )
    if header.data_len > _MOST_XML:
        raise InputError(
            f"{path}: a libvirt save with {header.data_len} bytes of XML, expected at "
            f"most {_MOST_XML}"
        )
    begin = _HEADER + header.data_len
    found = _NAME.search(source.peek(begin)[_HEADER:])
    name = asked.name
    if found and not asked.given:
        name = html.unescape(found[1].decode("utf-8", "replace"))
    if header.format == _SPARSE:
        return MappedRam(source, name, _FORM, begin)
    source.read(begin)
    _unpack(source, header.format)
    return Migration(source, name, _FORM)


def _header(head: bytes) -> _Header:
    """In the byte order of the host that wrote it, which the version tells."""
    header = _Header(*struct.unpack_from("<5I", head, len(MAGIC)))
    if header.version >> 16:
        header = _Header(*struct.unpack_from(">5I", head, len(MAGIC)))
    return header


def _unpack(source: Source, form: int) -> None:
    if form in _REFUSED:
        raise InputError(
            f"{source.path}: a libvirt save packed by {_REFUSED[form]}, which is not "
            "read here",
            hint=f"set save_image_format to zstd and save again, or {ANOTHER_WAY}",
        )
    if form != _RAW and form not in _FORMATS:
        raise InputError(f"{source.path}: a libvirt save of unknown format {form}")
    layers = len(source.packing)
    if form != _RAW:
        source.unpack()
    packed = source.packing[layers:]
    expected = [_FORMATS[form]] if form != _RAW else []
    head = source.peek(8)
    if packed != expected or (head and not is_stream(head)):
        raise InputError(
            f"{source.path}: a libvirt save of format {form}, whose migration stream "
            f"begins with {head!r}"
        )
