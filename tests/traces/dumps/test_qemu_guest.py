"""Dumps that QEMU itself makes of a guest, beside the host's own files of its RAM."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from qemu_files import expected, read, save
from qemu_guest import LOADED_AT, Guest, loaded_pages, running


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    with running(tmp_path_factory.mktemp("stopped")) as guest:
        guest.ask("stop")
        yield guest


# For a processor, the frame buffer of the VGA hides the RAM there.
HIDDEN = range(0xA0, 0xC0)


def check(dump: Path, memory: bytes, hidden: Sequence[int] = ()) -> None:
    found = read(dump)
    pages = np.arange(len(memory) // 4096)
    assert found.vpn.tolist() == np.setdiff1d(pages, hidden).tolist()
    wrong = np.flatnonzero(found.digest != expected(memory)[found.vpn])
    assert not len(wrong), wrong
    assert not found.account.truncated


def test_the_guest_has_the_memory_it_was_given(stopped: Guest) -> None:
    loaded = loaded_pages()
    assert stopped.memory()[LOADED_AT : LOADED_AT + len(loaded)] == loaded


def test_elf_dump(stopped: Guest, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    stopped.ask("dump-guest-memory", paging=False, protocol=f"file:{dump}")
    check(dump, stopped.memory(), HIDDEN)


def test_raw_dump(stopped: Guest, tmp_path: Path) -> None:
    dump, memory = tmp_path / "dump", stopped.memory()
    stopped.ask("pmemsave", val=0, size=len(memory), filename=str(dump))
    found = read(dump, "raw")
    seen = ~np.isin(found.vpn, HIDDEN)
    assert (found.digest == expected(memory)[found.vpn])[seen].all()


def test_savevm(stopped: Guest) -> None:
    stopped.say("savevm before")
    stopped.say("savevm after")
    check(stopped.disk, stopped.memory())
    assert "'after'" in read(stopped.disk).account.limits[-1]


def test_migration_of_a_guest_that_keeps_running(tmp_path: Path) -> None:
    with running(tmp_path, blocks=2) as guest:
        guest.ask("migrate-set-parameters", **{"max-bandwidth": 40 << 20})
        guest.migrate(f"exec:cat > {tmp_path / 'dump'}")
        check(tmp_path / "dump", guest.memory())
        names = [row["name"] for row in read(tmp_path / "dump").mappings]
        assert names == ["m0", "m1"]


@pytest.mark.parametrize("also", [[], ["multifd"]], ids=["alone", "multifd"])
def test_mapped_ram_of_a_guest_that_keeps_running(
    tmp_path: Path, also: list[str]
) -> None:
    with running(tmp_path, blocks=2) as guest:
        if not guest.can("mapped-ram"):
            pytest.skip("this QEMU has no mapped-ram: it came with 9.0")
        guest.migrate(f"file:{tmp_path / 'dump'}", "mapped-ram", *also)
        check(tmp_path / "dump", guest.memory())


def test_memory_that_is_not_plugged_in(tmp_path: Path) -> None:
    more = ["-object", "memory-backend-ram,id=more,size=256M"]
    more += ["-device", "virtio-mem-pci,memdev=more,requested-size=0"]
    with running(tmp_path, more=more) as guest:
        guest.migrate(f"exec:cat > {tmp_path / 'dump'}")
        memory = guest.memory()
    found = read(tmp_path / "dump")

    # Larger, it comes first.
    unplugged, ram = found.mappings
    assert unplugged["name"].endswith("/more")
    assert ram["name"] == "m0"
    assert found.digest.tolist() == expected(memory).tolist()
    assert found.vpn[0] == unplugged["pages"] == 256 << 8
    reason = next(why for why in found.account.skipped if "plugged in" in why)
    assert found.account.skipped[reason] == 256 << 8


def test_a_save_as_libvirt_has_qemu_write_it(tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    begin = save(b"", 6, xml="<domain><name>tiny</name></domain>".ljust(4003))
    assert len(begin) == 4096
    with running(tmp_path) as guest:
        if not guest.can("mapped-ram"):
            pytest.skip("this QEMU has no mapped-ram: it came with 9.0")
        guest.migrate(f"file:{dump},offset=4096", "mapped-ram")
        with dump.open("r+b") as file:
            file.write(begin)
        check(dump, guest.memory())
    assert read(dump).name == "tiny"
