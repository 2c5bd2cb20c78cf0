import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from qemu_files import NAME, expected, mapped, read, record, save, stream

from traces.dumps.conversion import Conversion, Named, Settings
from traces.errors import InputError
from traces.trace import Trace

NOISE = np.random.default_rng(1).bytes(3 * 4096)
MEMORY = NOISE + bytes(4096)
STREAM = stream(
    {"pc.ram": 4, "pc.bios": 1},
    [
        record(0, NOISE[:4096], "pc.ram"),
        record(1, NOISE[4096:8192]),
        record(2, NOISE[8192:]),
        record(3, b"\0"),
    ],
)


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as out:
        out.write(data)
    return bytes(sink.getvalue())


PACKED: dict[int, Callable[[bytes], bytes]] = {
    0: bytes, 1: gzip.compress, 2: bz2.compress, 3: lzma.compress, 5: zstd,
}  # fmt: skip


@pytest.fixture
def dump(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        (tmp_path / "dump").write_bytes(data)
        return tmp_path / "dump"

    return write


@pytest.mark.parametrize("form", PACKED)
@pytest.mark.parametrize("order", ["little", "big"])
def test_all_it_is_packed_by(
    dump: Callable[[bytes], Path], form: int, order: str
) -> None:
    found = read(dump(save(PACKED[form](STREAM), form, order=order)))

    assert found.format == "libvirt-save"
    assert found.name == "a & b"
    assert found.digest.tolist() == expected(MEMORY).tolist()
    assert found.account.pages == 5
    assert not found.account.truncated


def test_a_save_in_an_archive_of_its_own(dump: Callable[[bytes], Path]) -> None:
    found = read(dump(gzip.compress(save(gzip.compress(STREAM), 1))))

    assert found.digest.tolist() == expected(MEMORY).tolist()


def test_sparse(dump: Callable[[bytes], Path]) -> None:
    begin = len(save(b"", 6))
    found = read(dump(save(mapped({"pc.ram": MEMORY}, begin), 6)))

    assert found.name == "a & b"
    assert found.digest.tolist() == expected(MEMORY).tolist()
    assert not found.account.truncated


def test_the_users_name_stands(dump: Callable[[bytes], Path]) -> None:
    assert read(dump(save(STREAM)), name="mine").name == "mine"
    assert read(dump(save(STREAM, xml="<domain/>"))).name == NAME


@pytest.mark.parametrize(("prefix", "name"), [("", "a & b"), ("mine=", "mine")])
def test_its_workload_is_the_domain(
    dump: Callable[[bytes], Path], tmp_path: Path, prefix: str, name: str
) -> None:
    named = Named.parse(f"{prefix}{dump(save(STREAM))}")
    for _ in Conversion([named], Settings()).write(tmp_path / "trace"):
        pass
    trace = Trace.open(tmp_path / "trace")

    assert trace.processes["workload"].to_list() == [name]
    assert trace.facts.source == "libvirt-save"


def test_cut(dump: Callable[[bytes], Path]) -> None:
    said, begin = save(STREAM), len(save(b""))
    for size in [*range(16, begin + 60), begin + 3000, len(said) - 5000]:
        try:
            found = read(dump(said[:size]))
        except InputError:
            assert size < begin + 80
            continue
        assert "pages of RAM are not in it" in found.account.damage
        assert (found.digest == expected(MEMORY)[found.vpn]).all()


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (save(STREAM, magic=b"LibvirtQemudPart"), "not completed"),
        (save(STREAM, 4), "lzop"),
        (save(STREAM, 7), "unknown format 7"),
        (save(STREAM, 1), "format 1, whose migration stream"),
        (save(gzip.compress(STREAM), 5), "format 5, whose"),
        (save(gzip.compress(STREAM), 0), "format 0, whose"),
        (save(STREAM, version=3), "version 3"),
        (save(b"noise" * 99), "begins with"),
        (save(STREAM)[:20] + b"\xff" * 4 + bytes(200), "bytes of XML"),
    ],
)
def test_refused(dump: Callable[[bytes], Path], said: bytes, what: str) -> None:
    with pytest.raises(InputError, match=what):
        read(dump(said))
