"""Files that are something else: each is told by its name, with what to do."""

import pytest
from core_files import Segment, core
from dumping import converted, page

from traces.dumps import FORMATS, READERS
from traces.dumps.refused import refusal_of
from traces.errors import InputError

OTHERS = {
    b"PAGEDU64": "crash dump of Windows",
    b"PAGEDUMP": "crash dump of Windows",
    b"MDMP\x93\xa7": "minidump",
    b"HIBR": "hibernation file of Windows",
    bytes(4086) + b"S1SUSPEND\0": "hibernation image of Linux",
    b"\xcf\xfa\xed\xfe\x07\0\0\x01": "Mach-O",
    b"\x14\x20\x28\x01": "Hyper-V",
    b"\x00\x00\x64\x86\x84\x19\x10\x07": "Firecracker",
    b"\x00\x00\xaa\xaa\x84\x19\x10\x07": "Firecracker",
    b"\xd2\xbe\xd2\xbe\x08\0\0\0": "VMware",
    b"\xd0\xbe\xd2\xbe\x08\0\0\0": "VMware",
    b"\x7fVirtualBox SavedState V2.0\n": "VirtualBox",
    b"Xen saved domain, xl format\n \0 \r": "Xen",
    b"LibxlFmt": "Xen",
    b"KDMV\x01\0\0\0": "disk image",
    b"vhdxfile": "disk image",
    b"PK\x03\x04": "archive",
    b"\x89LZO\x00\r\n\x1a\n": "compressed in a way not known",
    b"SQLite format 3\0": "SQLite",
}


@pytest.mark.parametrize("head", OTHERS, ids=lambda head: repr(head[-12:]))
def test_what_is_something_else(tmp_path, head):
    path = tmp_path / "dump"
    path.write_bytes(head.ljust(8192, b"\0"))
    with pytest.raises(InputError) as told:
        converted(tmp_path, path)
    assert str(told.value).startswith(f"{path}: ")
    assert OTHERS[head] in str(told.value)


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_programs_libraries_and_kernels_are_no_cores(tmp_path, kind):
    image = core([Segment(0x10000, [page(1)])], kind=kind)
    with pytest.raises(InputError, match="an ELF file, but no core"):
        converted(tmp_path, image.write(tmp_path / "vmlinux"))


def test_a_trace_is_one_already(tmp_path):
    path = core([Segment(0x10000, [page(1)])]).write(tmp_path / "core")
    seen = converted(tmp_path, path)
    trace = seen.trace.path.rename(tmp_path / "trace")
    with pytest.raises(InputError, match="is a trace already"):
        converted(tmp_path, trace)


def test_no_reader_takes_what_is_refused():
    for head in OTHERS:
        assert refusal_of(head)
        assert not any(reader.recognises(head) for reader in READERS)


def test_what_nobody_knows_is_told_what_is_known(tmp_path):
    path = tmp_path / "dump"
    path.write_bytes(b"\x01\x02\x03\x04" * 2048)
    with pytest.raises(InputError, match="no dump known here") as told:
        converted(tmp_path, path)
    assert all(name in str(told.value.hint) for name in FORMATS)


def test_a_dump_read_as_raw_memory_is_remarked(tmp_path):
    path = core([Segment(0x10000, [page(1)])]).write(tmp_path / "core")
    seen = converted(tmp_path, path, form="raw")
    assert any("header may be of elf" in text for text in seen.account.limits)
