"""What a dump of CRIU holds comes back, wherever it lies; what is cut is told."""

import gzip
import json
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import criu_images as made
import numpy as np
import pytest
from criu_images import Dump, Task, Vma, digest, image, message, tarred
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from traces.dumps import opened
from traces.dumps.conversion import Conversion, Named, Settings
from traces.dumps.digesting import Digester
from traces.dumps.dump import Account, Asked, Dumped
from traces.errors import InputError, KsmAnalyzeError
from traces.schema import PageFlag
from traces.trace import Trace


@dataclass
class Reading:
    """What came of a dump."""

    account: Account
    captured_at: str = ""
    processes: list[Mapping[str, Any]] = field(default_factory=list)
    mappings: list[list[Mapping[str, Any]]] = field(default_factory=list)
    pages: dict[tuple[int, int], int] = field(default_factory=dict)
    """(pid, vpn) → digest."""
    flags: set[int] = field(default_factory=set)


def read(path: Path, form: str | None = None) -> Reading:
    with Named(path).opened() as source:
        dump = opened(source, Asked(name="x"), form)
        found = Reading(dump.account)
        last = (-1, -1)
        for step in dump.steps(Digester(0)):
            if isinstance(step, Dumped):
                found.processes.append(step.process)
                found.mappings.append(list(step.mappings))
                last = (-1, -1)
                continue
            pid = found.processes[-1].get("pid", -1)
            for mapping, vpn, one, flag in zip(
                step.mapping.tolist(), step.vpn.tolist(), step.digest.tolist(),
                step.flags.tolist(), strict=True,
            ):  # fmt: skip
                row = found.mappings[-1][mapping]
                assert row["start_vpn"] <= vpn < row["start_vpn"] + row["pages"]
                assert last < (mapping, vpn)
                last = (mapping, vpn)
                found.pages[pid, vpn] = one
                found.flags.add(flag)
        found.captured_at = dump.captured_at
    return found


def truth(dump: Dump, *parents: Dump) -> dict[tuple[int, int], int]:
    """(pid, vpn) → digest, of the pages ksmd could look at."""
    kinds = (made.ANON, made.FILE, made.HEAP)
    found = {}
    for task in dump.tasks:
        for vma in task.vmas:
            for vpn, content in enumerate(vma.contents, vma.start):
                if vma.status in kinds and content != "." and not vma.flags & 0x40000:
                    found[task.pid, vpn] = digest(
                        _below(task.pid, vpn, content, parents)
                    )
    return found


def _below(pid: int, vpn: int, content: str, parents: tuple[Dump, ...]) -> str:
    while content == "^":
        nearest, *others = parents
        content = next(
            vma.contents[vpn - vma.start]
            for task in nearest.tasks if task.pid == pid
            for vma in task.vmas if 0 <= vpn - vma.start < len(vma.contents)
        )  # fmt: skip
        parents = tuple(others)
    return content


ONE = Dump(
    [
        Task(
            7,
            [Vma(16, "AABZ.fA"), Vma(32, "..C"), Vma(64, "A", made.FILE, file=5)],
        )
    ],
    files={5: "/lib/a"},
)
FAMILY = Dump(
    [
        Task(40, [Vma(16, "ABZ")], comm="parent"),
        Task(9, [Vma(16, "ABC.."), Vma(1 << 34, "Q")], ppid=40, comm="child"),
    ]
)


def in_folder(where: Path, dump: Dump) -> Path:
    return dump.written(where / "images")


def above_folder(where: Path, dump: Dump) -> Path:
    dump.written(where / "web" / "checkpoint")
    return where / "web"


def in_tar(where: Path, dump: Dump) -> Path:
    path = where / "dump.tar"
    path.write_bytes(tarred({f"d/{n}": b for n, b in dump.images().items()}))
    return path


def in_gzip(where: Path, dump: Dump) -> Path:
    """The pages first, as nobody promises an order."""
    path = where / "dump.tar.gz"
    images = dict(sorted(dump.images().items(), reverse=True))
    path.write_bytes(gzip.compress(tarred({f"./{n}": b for n, b in images.items()}), 1))
    return path


PLACES = [in_folder, above_folder, in_tar, in_gzip]
Place = Callable[[Path, Dump], Path]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("dump", [ONE, FAMILY], ids=["one", "family"])
def test_all_pages_come_back_wherever_a_dump_lies(
    place: Place, dump: Dump, tmp_path: Path
) -> None:
    found = read(place(tmp_path, dump))
    assert found.pages == truth(dump)
    assert [p["pid"] for p in found.processes] == [task.pid for task in dump.tasks]
    assert [p["comm"] for p in found.processes] == [task.comm for task in dump.tasks]
    assert found.account.pages == len(found.pages)
    assert not found.account.truncated
    assert found.flags <= {0, int(PageFlag.FILL)}


@pytest.mark.parametrize("spelling", ["flags", "in_parent", "wide", "plain"])
@pytest.mark.parametrize("first", [made.COMMON, None], ids=["new", "old"])
def test_entries_are_read_as_any_release_wrote_them(
    spelling: str, first: int | None, tmp_path: Path
) -> None:
    dump = replace(ONE, spelling=spelling, first=first)
    assert read(in_folder(tmp_path, dump)).pages == truth(dump)


def test_processes_are_named_by_group_container_and_pod(tmp_path: Path) -> None:
    files = {1: "/usr/bin/web", 5: "/lib/libc.so"}
    task = Task(
        7,
        [Vma(16, "A", made.FILE, file=5), Vma(32, "B", advice=made.MERGEABLE, prot=5)],
        ppid=3, cg_set=2, exe=1, uid=33,
    )  # fmt: skip
    groups = {1: {"": "/other"}, 2: {"": "/system.slice/web.service"}}
    dump = Dump([task], files=files, cgroups=groups)
    found = read(dump.written(tmp_path / "plain"))
    process = found.processes[0]
    assert (process["ppid"], process["uid"], process["exe"]) == (3, 33, "/usr/bin/web")
    assert process["unit"] == "web.service"
    file, anon = found.mappings[0]
    assert (file["kind"], file["name"], file["perms"]) == ("file", files[5], "rw-p")
    assert (anon["kind"], anon["perms"], anon["mergeable"]) == ("anon", "r-xp", True)
    assert not file["mergeable"]
    assert anon["vm_flags"] == "rd ex mg"

    config = {"id": "0123456789abcdef", "name": "k8s_web", "checkpointedTime": _TIME}
    notes = {"io.kubernetes.container.name": "nginx", "io.kubernetes.pod.name": "web-1"}
    notes["io.kubernetes.pod.namespace"] = "prod"
    beside = {
        "config.dump": json.dumps(config).encode(),
        "spec.dump": json.dumps({"annotations": notes}).encode(),
    }
    images = {f"checkpoint/{name}": data for name, data in dump.images().items()}
    (tmp_path / "pod.tar").write_bytes(tarred({**beside, **images}))
    dump.written(tmp_path / "pod" / "checkpoint")
    for name, data in beside.items():
        (tmp_path / "pod" / name).write_bytes(data)
    for path in ("pod.tar", "pod", "pod/checkpoint"):
        found = read(tmp_path / path)
        assert found.processes[0]["container"] == "nginx 0123456789ab"
        assert found.processes[0]["pod"] == "prod/web-1"
        assert found.captured_at == "2026-03-01T11:00:00+00:00"


def test_users_of_a_namespace_are_not_those_of_the_host(tmp_path: Path) -> None:
    images = ONE.images()
    (tmp_path / "d.tar").write_bytes(tarred(images))
    assert read(tmp_path / "d.tar").processes[0]["uid"] == 1000
    (tmp_path / "d.tar").write_bytes(tarred({**images, "userns-9.img": b"x"}))
    assert read(tmp_path / "d.tar").processes[0]["uid"] == -1


_TIME = "2026-03-01T12:00:00+01:00"


def test_what_ksmd_never_looks_at_is_counted(tmp_path: Path) -> None:
    areas = [
        Vma(16, "AB"),
        Vma(17, ".", made.GUARD),
        Vma(32, "CD", made.VDSO),
        Vma(48, "E", flags=made.PRIVATE | made.HUGETLB),
        Vma((1 << 52) - 2048, ".", 0x204),
    ]
    ended = Task(8, [], ppid=7, state=6)
    dump = Dump([Task(7, areas), ended], shared="ABC")
    found = read(dump.written(tmp_path / "d"))
    assert set(found.pages) == {(7, 16), (7, 17)}
    assert found.account.skipped == {
        "pages of special mappings (vdso, vsyscall)": 2,
        "pages of hugetlb": 1,
        "pages of shared memory": 3,
        "processes that had ended": 1,
    }
    assert found.account.pages == 5
    assert not found.account.truncated


def test_pages_outside_of_every_mapping_are_counted(tmp_path: Path) -> None:
    folder = ONE.written(tmp_path / "d")
    elsewhere = replace(ONE, tasks=[Task(7, [Vma(16, "......"), Vma(64, "A")])])
    (folder / "mm-7.img").write_bytes(elsewhere.images()["mm-7.img"])
    found = read(folder)
    assert found.account.skipped == {"pages outside of every mapping": 2}
    assert found.account.pages == 8
    assert len(found.pages) == 6


# -- chains ------------------------------------------------------------------------

FIRST = Dump([Task(7, [Vma(16, "ABCDEF"), Vma(32, "ZZ")])])
SECOND = Dump([Task(7, [Vma(16, "^X^^E."), Vma(32, "^^")])])
THIRD = Dump([Task(7, [Vma(16, "^^Y^^."), Vma(32, "^W")]), Task(8, [Vma(16, "AB")])])


def chain(where: Path) -> Path:
    FIRST.written(where / "1")
    SECOND.written(where / "2", "../1")
    return THIRD.written(where / "3", "../2")


def chained(links: bool = True) -> bytes:
    found: dict[str, bytes | str] = {}
    for name, dump, parent in (("1", FIRST, ""), ("2", SECOND, "1"), ("3", THIRD, "2")):
        if parent and links:
            found[f"./x/{name}/parent"] = f"../{parent}"
        # A pre-dump has no tree.
        found |= {
            f"./x/{name}/{image}": data
            for image, data in dump.images().items()
            if name == "3" or image != "pstree.img"
        }
    return tarred(found)


def test_a_chain_of_parents_is_followed(tmp_path: Path) -> None:
    whole = truth(THIRD, SECOND, FIRST)
    assert whole[7, 17] == digest("X")
    assert read(chain(tmp_path)).pages == whole
    (tmp_path / "c.tar").write_bytes(chained())
    (tmp_path / "c.tgz").write_bytes(gzip.compress(chained()))
    for name in ("c.tar", "c.tgz"):
        found = read(tmp_path / name)
        assert found.pages == whole
        assert not found.account.truncated


def test_holes_that_deduplication_made_are_never_looked_at(tmp_path: Path) -> None:
    folder = chain(tmp_path)
    pages = tmp_path / "1" / "pages-1.img"
    data = bytearray(pages.read_bytes())
    data[4096:8192] = bytes(4096)  # B, of which the second dump has another one
    data[5 * 4096 : 6 * 4096] = bytes(4096)  # F, which is gone
    pages.write_bytes(data)
    assert read(folder).pages == truth(THIRD, SECOND, FIRST)


def test_a_parent_that_is_missing_is_told(tmp_path: Path) -> None:
    (tmp_path / "c.tar").write_bytes(chained(links=False))
    found = read(tmp_path / "c.tar")
    missing = sum(vma.contents.count("^") for vma in THIRD.tasks[0].vmas)
    assert found.account.missing_bytes == missing * 4096
    assert f"{missing} pages are in no parent" in found.account.damage
    whole = truth(THIRD, SECOND, FIRST)
    assert found.pages.items() < whole.items()
    assert len(found.pages) == len(whole) - missing


def test_parents_in_a_circle_are_refused(tmp_path: Path) -> None:
    FIRST.written(tmp_path / "1", "../2")
    SECOND.written(tmp_path / "2", "../1")
    with pytest.raises(InputError, match="circle"):
        read(tmp_path / "2")


# -- archives ------------------------------------------------------------------------


def test_holes_in_an_archive_are_zeros(tmp_path: Path) -> None:
    """GNU tar cuts at blocks of 512 bytes where it looks for zeros itself."""
    dump = Dump([Task(7, [Vma(16, "AZZBZ")])])
    images = dump.images()
    pages = images.pop("pages-1.img")
    torn = bytearray(pages)
    torn[512 : 4096 - 512] = bytes(4096 - 1024)
    pieces = [
        (0, bytes(torn[:512])),
        (3584, bytes(torn[3584:4096])),
        (3 * 4096, bytes(torn[3 * 4096 : 4 * 4096])),
    ]
    member = made.sparse("d/pages-1.img", pieces, len(pages))
    rest = tarred({f"d/{name}": data for name, data in images.items()})
    whole = replace(dump).written(tmp_path / "d")
    (whole / "pages-1.img").write_bytes(torn)
    expected = read(whole).pages
    assert list(expected.values())[1:] == [digest(c) for c in "ZZBZ"]
    for name, data in (
        ("s.tar", member + rest),
        ("s.tgz", gzip.compress(member + rest)),
    ):
        (tmp_path / name).write_bytes(data)
        found = read(tmp_path / name)
        assert found.pages == expected
        assert not found.account.truncated


def test_a_dump_of_another_kind_is_read_out_of_an_archive(tmp_path: Path) -> None:
    memory = b"".join(map(made.page, "ABZA"))
    notes = {"notes.txt": b"what it was", "empty": b""}
    (tmp_path / "m.tar").write_bytes(tarred({"vm.mem": memory}))
    with Named(tmp_path / "m.tar").opened() as source:
        dump = opened(source, Asked(name="vm"), "raw")
        _, pages = dump.steps(Digester(0))
    assert pages.digest.tolist() == [digest(c) for c in "ABZA"]
    (tmp_path / "m.tar").write_bytes(tarred({**notes, "vm.mem": memory}))
    with pytest.raises(InputError, match=r"several dumps: notes\.txt, vm\.mem"):
        read(tmp_path / "m.tar", "raw")
    with pytest.raises(InputError, match="no dump known here"):
        read(tmp_path / "m.tar")


def test_the_holes_of_an_archived_dump_tell_what_was_absent(tmp_path: Path) -> None:
    pieces = [(4096, made.page("A")), (4 * 4096, made.page("Z") + made.page("B"))]
    member = made.sparse("vm.mem", pieces, 8 * 4096)
    (tmp_path / "m.tar").write_bytes(member + bytes(1024))
    with Named(tmp_path / "m.tar").opened() as source:
        dump = opened(source, Asked(name="vm"), "raw")
        _, pages = dump.steps(Digester(0))
    assert pages.vpn.tolist() == [1, 4, 5]
    assert pages.digest.tolist() == [digest(c) for c in "AZB"]
    assert not pages.flags.any()
    assert (dump.account.pages, dump.account.absent) == (8, 5)


def test_an_archived_dump_that_is_cut_says_so(tmp_path: Path) -> None:
    memory = b"".join(map(made.page, "ABZA"))
    (tmp_path / "m.tar").write_bytes(tarred({"vm.mem": memory})[: 512 + 3 * 4096 + 5])
    with Named(tmp_path / "m.tar").opened() as source:
        dump = opened(source, Asked(name="vm"), "raw")
        _, pages = dump.steps(Digester(0))
    assert pages.digest.tolist() == [digest(c) for c in "ABZ"]
    assert "archive is cut" in dump.account.damage


def test_where_what_is_around_an_archive_is_damaged_that_is_told(
    tmp_path: Path,
) -> None:
    memory = random.Random(1).randbytes(100 * 4096)
    packed = bytearray(gzip.compress(tarred({"vm.mem": memory})))
    packed[-8] ^= 1
    (tmp_path / "m.tar.gz").write_bytes(packed)
    with Named(tmp_path / "m.tar.gz").opened() as source:
        dump = opened(source, Asked(name="vm"), "raw")
        list(dump.steps(Digester(0)))
    assert "any page of it may be wrong" in dump.account.damage


@pytest.mark.parametrize("size", [1 << 40, 1 << 61, (1 << 63) - 1, 1 << 80])
def test_a_size_that_is_only_claimed_costs_nothing(size: int, tmp_path: Path) -> None:
    """Of a file of pages and of another dump, both mostly holes."""
    images = {f"d/{name}": data for name, data in ONE.images().items()}
    pages = images.pop("d/pages-1.img")
    for name, data in (("d/pages-1.img", pages), ("vm.mem", made.page("A"))):
        member = bytearray(made.sparse(name, [(0, data)], 0))
        member[483:495] = b"\x80" + size.to_bytes(11, "big")
        member[148:156] = b" " * 8
        member[148:156] = b"%06o\0 " % sum(member[:512])
        if name == "vm.mem":
            images = {}
        (tmp_path / "d.tar").write_bytes(bytes(member) + tarred(images))
        found = read_or_refused(tmp_path / "d.tar", None if images else "raw")
        assert found is None or found.account.truncated or found.account.absent


# -- refusals ------------------------------------------------------------------------


def test_what_is_no_whole_dump_is_refused(tmp_path: Path) -> None:
    folder = ONE.written(tmp_path / "failed")
    (folder / "pstree.img").unlink()
    with pytest.raises(InputError, match=r"no pstree\.img"):
        read(folder)
    sent = ONE.written(tmp_path / "sent")
    (sent / "pagemap-7.img").unlink()
    (sent / "pages-1.img").unlink()
    with pytest.raises(InputError, match="page server"):
        read(sent)
    single = ONE.written(tmp_path / "one") / "pstree.img"
    with pytest.raises(InputError, match="expected its folder"):
        read(single)
    stream = tmp_path / "stream"
    stream.write_bytes(b"\x10\0\0\0\x08\x01\x12\x0ccore-272.img" + bytes(100))
    with pytest.raises(InputError, match="criu-image-streamer"):
        read(stream)
    with pytest.raises(InputError, match="none that is a dump"):
        read(ONE.written(tmp_path / "dump"), "elf")


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        (message((1, 16 << 12), (2, 4), (4, made.LAZY)), "lazy dump"),
        (message((1, 16 << 12), (2, 4), (4, 8)), "newer CRIU"),
        (
            message((1, 16 << 12), (2, 4), (4, made.PRESENT), (6, "x")),
            "newer CRIU|damaged",
        ),
        (message((1, 16 << 12), (2, 4), (4, made.PRESENT), (7, 1)), "newer CRIU"),
        (message((1, 16 << 12), (5, 1 << 60), (4, made.PRESENT)), "address space"),
        (message((1, 1 << 63), (2, 1), (4, made.PRESENT)), "address space"),
        (message((1, 1), (2, 1), (4, made.PRESENT)), "where pages do"),
        (message((1, 15 << 12), (2, 2), (4, made.PRESENT)), "twice"),
    ],
)
def test_entries_that_make_no_sense_are_refused(
    entry: bytes, what: str, tmp_path: Path
) -> None:
    folder = Dump([Task(7, [Vma(16, "A")])]).written(tmp_path / "d")
    first = message((1, 16 << 12), (2, 1), (4, made.PRESENT))
    bad = image(made.PAGEMAP, message((1, 1)), first, entry)
    (folder / "pagemap-7.img").write_bytes(bad)
    with pytest.raises(InputError, match=what) as refused:
        read(folder)
    assert "\n" not in str(refused.value)
    assert "pagemap-7.img" in str(refused.value)


def test_a_dump_without_an_inventory_says_so(tmp_path: Path) -> None:
    found = read(replace(ONE, inventory=False).written(tmp_path / "d"))
    assert found.pages == truth(ONE)
    assert any("inventory.img" in limit for limit in found.account.limits)


def test_a_pagemap_that_ends_early_is_found_by_criu_s_own_count(
    tmp_path: Path,
) -> None:
    """Its last entries were in the parent, so that the file of pages lacks nothing."""
    FIRST.written(tmp_path / "1")
    folder = SECOND.written(tmp_path / "2" / "checkpoint", "../../1")
    whole = read(folder)
    assert not whole.account.truncated
    pagemap = folder / "pagemap-7.img"
    pagemap.write_bytes(pagemap.read_bytes()[:-12])
    (folder / "stats-dump").rename(tmp_path / "2" / "stats-dump")
    found = read(folder)
    assert found.account.damage == "stats-dump tells of 7 pages, the images of 5"
    assert found.pages.items() < whole.pages.items()


def test_archives_are_not_joined(tmp_path: Path) -> None:
    path = in_tar(tmp_path, ONE)
    with (
        Named.parse(f"{path}+{path}").opened() as source,
        pytest.raises(InputError, match="expected one file"),
    ):
        opened(source, Asked(name="x"))


def test_several_dumps_in_an_archive_are_refused(tmp_path: Path) -> None:
    images = {f"{d}/{n}": b for d in "ab" for n, b in ONE.images().items()}
    (tmp_path / "two.tar").write_bytes(tarred(images))
    with pytest.raises(InputError, match="several dumps of CRIU: a, b"):
        read(tmp_path / "two.tar")
    core = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x04" + bytes(100)
    (tmp_path / "mixed.tar").write_bytes(tarred({"core": core, **images}))
    with pytest.raises(InputError, match="several dumps: core, a/"):
        read(tmp_path / "mixed.tar")


# -- damage ------------------------------------------------------------------------


def read_or_refused(path: Path, form: str | None = None) -> Reading | None:
    """None where it was refused, in one line."""
    try:
        return read(path, form)
    except KsmAnalyzeError as error:
        message = str(error)
    assert "\n" not in message
    return None


def check_partial(path: Path, whole: Reading) -> bool:
    """Whether *path* gives a part of *whole*; all of it where it is not told to be."""
    found = read_or_refused(path)
    if found is None:
        return True
    account = found.account
    assert found.pages.items() <= whole.pages.items()
    skipped = sum(n for why, n in account.skipped.items() if why in _OF_PAGES)
    assert account.pages == len(found.pages) + skipped + account.missing_bytes // 4096
    if not account.truncated:
        assert found.pages == whole.pages
        assert found.processes == whole.processes
        assert found.mappings == whole.mappings
    return account.truncated


# Shared memory has images of its own, of which these dumps have none.
_OF_PAGES = {
    "pages of special mappings (vdso, vsyscall)",
    "pages of hugetlb",
    "pages of shared memory",
    "pages outside of every mapping",
}

RICH = Dump(
    [
        Task(7, [Vma(16, "^^A", file=2), Vma(32, "C", made.FILE, file=5)], cg_set=1),
        Task(8, [Vma(16, "B^"), Vma(40, "V", made.VDSO)], ppid=7),
    ],
    files={5: "/lib/a"},
    cgroups={1: {"": "/a.service"}},
)
BELOW = Dump([Task(7, [Vma(16, "ABZ")]), Task(8, [Vma(16, "ZZ")])])


def rich(where: Path) -> Path:
    BELOW.written(where / "1")
    return RICH.written(where / "2", "../1")


def test_every_image_cut_anywhere_is_told(tmp_path: Path) -> None:
    whole = read(rich(tmp_path))
    assert whole.pages == truth(RICH, BELOW)
    for path in [*(tmp_path / "2").iterdir(), *(tmp_path / "1").glob("p*")]:
        if path.is_dir() or path.name in ("inventory.img", "stats-dump"):
            continue
        data = path.read_bytes()
        ends = range(len(data)) if len(data) < 1000 else range(0, len(data), 1023)
        for end in ends:
            path.write_bytes(data[:end])
            told = check_partial(tmp_path / "2", whole)
            # What a parent loses may be what nobody asks it for.
            assert told or path.parent.name == "1", (path.name, end)
        path.write_bytes(data)


@pytest.mark.parametrize("left", [0, 2, 4, 6, 8, 10])
def test_one_process_s_loss_is_not_the_others_(left: int, tmp_path: Path) -> None:
    folder = FAMILY.written(tmp_path / "d")
    os.truncate(folder / "pagemap-40.img", left)
    found = read(folder)
    others = {at: one for at, one in truth(FAMILY).items() if at[0] != 40}
    assert found.pages == others
    assert "pagemap-40.img is cut" in found.account.damage


def test_how_many_bytes_are_missing_is_exact(tmp_path: Path) -> None:
    folder = ONE.written(tmp_path / "d")
    os.truncate(folder / "pages-1.img", 3 * 4096 + 100)
    found = read(folder)
    assert found.account.missing_bytes == 5 * 4096
    assert found.pages.items() < truth(ONE).items()
    assert len(found.pages) == 3


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_an_archive_cut_anywhere_is_told(packed: bool, tmp_path: Path) -> None:
    images = {f"2/{name}": data for name, data in RICH.images().items()}
    images |= {
        f"1/{name}": data for name, data in BELOW.images().items() if name[0] != "m"
    }
    images = {n: b for n, b in images.items() if n != "1/pstree.img"}
    data = tarred({"2/parent": "../1", **images}, end=False) + bytes(1024)
    path = tmp_path / "d.tar"
    path.write_bytes(data)
    whole = read(path)
    assert whole.pages == truth(RICH, BELOW)
    data = gzip.compress(data, 1) if packed else data
    ends = random.Random(1).sample(range(400 if packed else 512, len(data)), 60)
    ends += [] if packed else range(512, len(data) - 1024, 512)
    for end in ends:
        path.write_bytes(data[:end])
        # The end mark is two blocks, of which one tells it.
        assert check_partial(path, whole) or len(data) - end <= 512


@settings(
    max_examples=100, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(st.data())
def test_flipped_bits_raise_nothing_else(tmp_path: Path, data: st.DataObject) -> None:
    images = RICH.images()
    name = data.draw(st.sampled_from(sorted(n for n in images if n[:5] != "pages")))
    changed = bytearray(images[name])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at] ^= 1 << data.draw(st.integers(0, 7))
    if not (tmp_path / "1").exists():
        BELOW.written(tmp_path / "1")
        RICH.written(tmp_path / "2", "../1")
    RICH.written(tmp_path / "2")
    (tmp_path / "2" / name).write_bytes(changed)
    check_sane(tmp_path / "2")


@settings(
    max_examples=100, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(st.data())
def test_flipped_bits_of_archives_raise_nothing_else(
    tmp_path: Path, data: st.DataObject
) -> None:
    member = made.sparse("d/pages-9.img", [(4096, made.page("A"))], 1 << 20)
    whole = member + tarred({f"d/{n}": b for n, b in ONE.images().items()})
    headers = [
        at for at in range(0, len(whole), 512) if whole[at + 257 :][:5] == b"ustar"
    ]
    changed = bytearray(whole)
    at = data.draw(st.sampled_from(headers)) + data.draw(st.integers(0, 511))
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    if data.draw(st.booleans()):
        # A header whose sum is right again.
        head = at // 512 * 512
        changed[head + 148 : head + 156] = b" " * 8
        total = sum(changed[head : head + 512])
        changed[head + 148 : head + 156] = b"%06o\0 " % total
    (tmp_path / "d.tar").write_bytes(changed)
    check_sane(tmp_path / "d.tar")


def check_sane(path: Path) -> None:
    found = read_or_refused(path)
    if found is None:
        return
    account = found.account
    skipped = sum(n for why, n in account.skipped.items() if why in _OF_PAGES)
    assert account.pages == len(found.pages) + skipped + account.missing_bytes // 4096


def test_a_conversion_makes_a_trace_of_it(tmp_path: Path) -> None:
    dump = replace(FAMILY, cgroups={1: {"": "/a.service"}})
    conversion = Conversion([Named(dump.written(tmp_path / "web"))], Settings())
    for done in conversion.write(tmp_path / "t.parquet"):
        assert done <= conversion.total
    trace = Trace.open(tmp_path / "t.parquet")
    assert trace.facts.source == "criu"
    assert trace.processes["pid"].to_list() == [40, 9]
    (told,) = (limit for limit in trace.facts.limits if "since fork" in limit)
    # What fork may share is in the most, not in the least.
    assert "a lower and an upper bound" in told
    found = np.concatenate([c["digest"] for c in trace.chunks(["digest"])])
    assert sorted(found.tolist()) == sorted(truth(dump).values())
