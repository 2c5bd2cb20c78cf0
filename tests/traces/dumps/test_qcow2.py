from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qemu_files import Snap, expected, mapped, qcow2, read, record, stream

from traces.errors import InputError, KsmAnalyzeError

RAM = 24


def machine(seed: int) -> tuple[bytes, bytes]:
    """A stream of a machine's memory, and the memory."""
    rng = np.random.default_rng(seed)
    kinds = [bytes(4096), rng.bytes(4096), rng.bytes(64) + bytes(4032)]
    pages = [kinds[n] for n in rng.integers(0, 3, RAM).tolist()]
    records = [
        record(at, page if any(page) else b"\0", None if at else "pc.ram")
        for at, page in enumerate(pages)
    ]
    return stream({"pc.ram": RAM}, records), b"".join(pages)


OLD, NEW = machine(1), machine(2)
SNAPS = (Snap("new", 2_000_000_000, NEW[0]), Snap("old", 1_000_000_000, OLD[0]))


@pytest.fixture
def dump(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        (tmp_path / "dump").write_bytes(data)
        return tmp_path / "dump"

    return write


@pytest.mark.parametrize("bits", [9, 12, 16])
@pytest.mark.parametrize(("version", "wide"), [(2, True), (2, False), (3, True)])
def test_the_newest_machine(
    dump: Callable[[bytes], Path], bits: int, version: int, wide: bool
) -> None:
    found = read(dump(qcow2(*SNAPS, version=version, bits=bits, wide=wide)))

    assert found.format == "qcow2-savevm"
    assert found.digest.tolist() == expected(NEW[1]).tolist()
    assert found.captured_at == "2033-05-18T03:33:20+00:00"
    assert "2 snapshots" in found.account.limits[-1]
    assert "'new'" in found.account.limits[-1]
    assert not found.account.truncated


def test_snapshots_of_the_disk_alone_do_not_count(
    dump: Callable[[bytes], Path],
) -> None:
    found = read(dump(qcow2(Snap("disk", 2_100_000_000, b""), *SNAPS[1:])))

    assert found.digest.tolist() == expected(OLD[1]).tolist()
    assert len(found.account.limits) == 1


def test_cut_it_tells_what_is_missing(dump: Callable[[bytes], Path]) -> None:
    whole = qcow2(SNAPS[0])
    for size in [*range(0, 105, 7), *range(512, len(whole), 4999), len(whole) - 1]:
        try:
            found = read(dump(whole[:size]))
        except InputError:
            continue
        assert found.account.truncated or len(found.vpn) == RAM
        assert (found.digest == expected(NEW[1])[found.vpn]).all()


def test_a_cluster_behind_the_end(dump: Callable[[bytes], Path]) -> None:
    image = bytearray(qcow2(SNAPS[0]))
    # The reference to a cluster in the middle of the machine leads nowhere.
    middle = 512 + len(NEW[0]) // 1024 * 512
    reference = (middle | 1 << 63).to_bytes(8, "big")
    assert image.count(reference) == 1
    at = image.index(reference)
    image[at : at + 8] = (1 << 40 | 1 << 63).to_bytes(8, "big")
    found = read(dump(bytes(image)))

    assert "pages of RAM are not in it" in found.account.damage
    assert 0 < len(found.vpn) < RAM
    assert (found.digest == expected(NEW[1])[found.vpn]).all()


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_damage_is_told_or_harmless(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bad = bytearray(qcow2(*SNAPS))
    tables = len(bad) - 4 * 512
    places = st.one_of(st.integers(0, 80), st.integers(tables, len(bad) - 1))
    for _ in range(data.draw(st.integers(1, 3))):
        bad[data.draw(places)] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("damage") / "dump"
    path.write_bytes(bytes(bad))
    try:
        found = read(path)
    except KsmAnalyzeError:
        return
    account = found.account
    counted = len(found.vpn) + account.skipped.total()
    assert account.truncated or counted == account.pages


@pytest.mark.parametrize(
    ("image", "what"),
    [
        (qcow2(), "without a snapshot of memory"),
        (qcow2(Snap("disk", 1, b"")), "without a snapshot of memory"),
        (qcow2(*SNAPS, version=4), "version 4"),
        (qcow2(*SNAPS, crypt=2), "encrypted"),
        (qcow2(*SNAPS, features=1 << 2), "external data file"),
        (qcow2(*SNAPS, features=1 << 4), "extended L2"),
        (qcow2(*SNAPS, features=1 << 40), "unknown features"),
        (qcow2(*SNAPS, compressed=True), "compressed"),
        (qcow2(Snap("m", 1, mapped({"pc.ram": NEW[1]}))), "mapped-ram"),
    ],
)
def test_refused(dump: Callable[[bytes], Path], image: bytes, what: str) -> None:
    with pytest.raises(InputError, match=what):
        read(dump(image))
