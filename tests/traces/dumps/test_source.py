"""A dump's bytes, whatever they are packed in."""

import bz2
import gzip
import lzma
import os
import socket
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from dumping import noise
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from traces.dumps import source as module
from traces.dumps.source import Folder, Source
from traces.errors import InputError


def _arrow(name: str) -> Callable[[bytes], bytes]:
    def pack(data: bytes) -> bytes:
        packed = pa.BufferOutputStream()
        with pa.CompressedOutputStream(packed, name) as out:
            out.write(data)
        return packed.getvalue().to_pybytes()

    return pack


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "zstd": _arrow("zstd"),
    "lz4": _arrow("lz4"),
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "zlib": zlib.compress,
}
# Not a multiple of anything, larger than any buffer, and some of it incompressible.
DATA = noise(1, 100_001) + bytes(150_000) + noise(2, 77_777)


@pytest.fixture
def packed(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        path = tmp_path / "dump"
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize("name", PACKERS)
def test_what_was_packed_comes_out(packed, name):
    with Source(packed(PACKERS[name](DATA))) as source:
        assert source.packing == [name]
        assert source.read(1 << 30) == DATA
        assert source.read(1) == b""
        assert (source.at, source.cut, source.done) == (len(DATA), "", source.size)


@pytest.mark.parametrize("outer", PACKERS)
@pytest.mark.parametrize("inner", PACKERS)
def test_one_packing_in_another(packed, outer, inner):
    with Source(packed(PACKERS[outer](PACKERS[inner](DATA)))) as source:
        assert source.packing == [outer, inner]
        assert source.read(len(DATA) + 1) == DATA
        assert source.cut == ""


@pytest.mark.parametrize("name", ["zstd", "lz4", "gzip", "xz", "bzip2"])
def test_several_streams_one_behind_the_other_are_one(packed, name):
    pack = PACKERS[name]
    with Source(packed(pack(DATA[:70_000]) + pack(DATA[70_000:]))) as source:
        assert source.read(1 << 30) == DATA
        assert source.cut == ""


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("part", [0.02, 0.3, 0.77, 0.999])
def test_a_cut_stream_gives_what_is_there_and_says_so(packed, name, part):
    whole = PACKERS[name](DATA)
    with Source(packed(whole[: int(len(whole) * part)])) as source:
        got = source.read(1 << 30)
        assert DATA.startswith(got)
        assert len(got) < len(DATA)
        assert source.cut == f"its {name} stream is truncated"
        assert source.read(1) == b""
        assert source.read_into(memoryview(bytearray(10))) == 0


@pytest.mark.parametrize("name", PACKERS)
def test_a_damaged_stream_never_passes_for_a_whole_one(packed, name):
    whole = bytearray(PACKERS[name](DATA))
    whole[len(whole) // 2] ^= 0x10
    with Source(packed(bytes(whole))) as source:
        got = source.read(1 << 30)
        assert source.cut or got == DATA or name in ("zstd", "lz4")


def test_where_a_checksum_at_the_end_differs_any_page_may_be_wrong(packed):
    whole = bytearray(gzip.compress(DATA))
    whole[-8] ^= 1
    with Source(packed(bytes(whole))) as source:
        source.read(1 << 30)
        told = "its gzip stream is damaged, so any page of it may be wrong"
        assert source.cut == told


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["read", "peek", "skip", "into"]),
        st.one_of(st.integers(0, 300), st.integers(0, 200_000)),
    ),
    max_size=12,
)


@pytest.mark.parametrize("name", [None, *PACKERS])
@given(steps=_STEPS)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_reading_is_that_of_plain_bytes(tmp_path_factory, name, steps):
    path = tmp_path_factory.getbasetemp() / f"steps-{name}"
    if not path.exists():
        path.write_bytes(PACKERS[name](DATA) if name else DATA)
    at = 0
    with Source(path) as source:
        for what, count in steps:
            expected = DATA[at : at + count]
            if what == "peek":
                assert source.peek(count) == expected
                continue
            if what == "read":
                assert source.read(count) == expected
            elif what == "skip":
                assert source.skip(count) == len(expected)
            else:
                room = bytearray(count)
                assert source.read_into(memoryview(room)) == len(expected)
                assert room.startswith(expected)
            at += len(expected)
            assert source.at == at
        assert source.read(1 << 30) == DATA[at:]
        assert source.cut == ""


@pytest.mark.parametrize("name", [None, *PACKERS])
def test_a_file_to_jump_about_in(packed, name):
    with Source(packed(PACKERS[name](DATA) if name else DATA)) as source:
        source.peek(10)
        file = source.file()
        assert source.file() == file
        assert os.pread(file, 1 << 20, 0) == DATA
        assert os.pread(file, 7, 170_000) == DATA[170_000:170_007]
    if name:
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(file)


def test_too_much_is_not_unpacked_into_memory(packed, monkeypatch):
    monkeypatch.setattr(module, "MOST_UNPACKED", 100_000)
    with (
        Source(packed(PACKERS["zstd"](DATA))) as source,
        pytest.raises(InputError, match=r"dump: zstd, .* larger than 0 MiB") as told,
    ):
        source.file()
    assert told.value.hint == "decompress it first"


def test_bytes_that_look_like_zlib_by_chance(packed):
    data = b"\x78\x9c" + noise(3, 9000)
    with Source(packed(data)) as source:
        assert source.plain
        assert source.read(1 << 20) == data


@pytest.mark.parametrize("data", [b"", b"\x28\xb5\x2f\xfd", b"BZh", b"\x1f\x8b\x08"])
def test_next_to_nothing(packed, data):
    with Source(packed(data)) as source:
        assert source.peek() == b""
        assert bool(source.cut) == bool(data)


def test_what_is_no_file(tmp_path):
    with pytest.raises(InputError, match="nowhere: No such file or directory"):
        Source(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is no regular file"):
        Source(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe: is no regular file"):
        Source(tmp_path / "pipe")
    with pytest.raises(InputError, match="zero: is no regular file"):
        Source(Path("/dev/zero"))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        with pytest.raises(InputError, match="socket: is no regular file"):
            Source(tmp_path / "socket")


def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(b"x")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root may read everything")
    with pytest.raises(InputError, match="secret: Permission denied"):
        Source(path)


def test_a_folder_and_its_files(tmp_path):
    (tmp_path / "b").write_bytes(bytes(10))
    (tmp_path / "a").write_bytes(bytes(3))
    (tmp_path / "c").mkdir()
    with Folder(tmp_path) as folder:
        assert (folder.names, folder.size) == (["a", "b"], 13)
        folder.at = 20
        assert folder.done == 13
