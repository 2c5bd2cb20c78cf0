"""Snapshots that are folders: Cloud Hypervisor's and Firecracker's."""

import json
from pathlib import Path
from typing import Any

import pytest
from dumping import PAGE, Image, attempted, converted, digest, page

from traces.errors import InputError

LOW, HIGH = 0, 1 << 32
MEMORY = [page(1), page(0), page(2), page(1), page(3)]
RANGES = [{"gpa": LOW, "length": 3 * PAGE}, {"gpa": HIGH, "length": 2 * PAGE}]
VMSTATE = b"\x00\x00\x64\x86\x84\x19\x10\x07" + bytes(100)


@pytest.fixture
def snapshot(tmp_path):
    def write(memory: bytes, state: Any) -> Path:
        folder = tmp_path / "snapshot"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text("{}")
        (folder / "memory-ranges").write_bytes(memory)
        text = state if isinstance(state, str) else json.dumps(state)
        (folder / "state.json").write_text(text)
        return folder

    return write


def state(ranges: Any) -> Any:
    """As version 30 and later write it: JSON within JSON."""
    table = {"memory_ranges": {"data": ranges}, "selected_slot": 2}
    manager = {"snapshots": {}, "snapshot_data": {"state": json.dumps(table)}}
    return {"id": "vm", "snapshots": {"vcpu": {}, "memory-manager": manager}}


def test_ranges_stand_where_the_state_says(tmp_path, snapshot):
    seen = converted(tmp_path, f"vm={snapshot(b''.join(MEMORY), state(RANGES))}")
    high = HIGH // PAGE
    assert seen.digests == {
        0: digest(page(1)), 1: digest(page(0)), 2: digest(page(2)),
        high: digest(page(1)), high + 1: digest(page(3)),
    }  # fmt: skip
    assert seen.unknown == [1]
    assert seen.converted[0].format == "cloud-hypervisor"
    assert seen.trace.processes["vm"].to_list() == ["vm"]
    assert (seen.account.pages, seen.account.truncated) == (5, False)
    assert seen.adds_up()


def test_ranges_in_another_order(tmp_path, snapshot):
    seen = converted(tmp_path, snapshot(b"".join(MEMORY), state(RANGES[::-1])))
    high = HIGH // PAGE
    assert seen.digests[high] == digest(page(1))
    assert [row.vpn for row in seen.rows] == [0, 1, 2, high, high + 1]
    assert seen.digests[0] == digest(page(2))


@pytest.mark.parametrize("cut", [1, PAGE, PAGE + 5, 3 * PAGE, 5 * PAGE - 1])
def test_memory_that_is_cut(tmp_path, snapshot, cut):
    memory = b"".join(MEMORY)
    whole = converted(tmp_path, snapshot(memory, state(RANGES))).digests
    seen = converted(tmp_path, snapshot(memory[:-cut], state(RANGES)))
    assert seen.account.missing_bytes == cut
    assert len(seen.rows) == (5 * PAGE - cut) // PAGE
    assert seen.digests.items() <= whole.items()
    assert seen.adds_up()


def test_more_memory_than_ranges(tmp_path, snapshot):
    seen = converted(tmp_path, snapshot(b"".join(MEMORY), state(RANGES[:1])))
    assert seen.account.damage == f"{2 * PAGE} bytes more than its state tells of"
    assert len(seen.rows) == 3


def test_a_state_of_a_version_without_words(tmp_path, snapshot):
    old = {"id": "vm", "snapshots": {"memory-manager": {"snapshot": [1, 2, 3]}}}
    seen = converted(tmp_path, snapshot(b"".join(MEMORY), old))
    assert [row.digest for row in seen.rows] == [digest(data) for data in MEMORY]
    assert any("page numbers are those of its file" in t for t in seen.account.limits)


@pytest.mark.parametrize(
    "ranges",
    [
        [{"gpa": 0, "length": 3}],
        [{"gpa": 1, "length": PAGE}],
        [{"gpa": 0, "length": -PAGE}],
        [{"gpa": 0, "length": 0}],
        [{"gpa": 1 << 60, "length": PAGE}],
        [{"gpa": 0, "length": 2 * PAGE}, {"gpa": PAGE, "length": PAGE}],
        [{"gpa": 0}],
        ["memory"],
        [{"gpa": "x", "length": PAGE}],
        [{"gpa": 1e400, "length": PAGE}],
    ],
)
def test_ranges_that_make_no_sense(tmp_path, snapshot, ranges):
    folder = snapshot(b"".join(MEMORY), state(ranges))
    assert attempted(tmp_path, folder) is None


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '"memory_ranges', "\xff"])
def test_a_state_that_is_none(tmp_path, snapshot, text):
    assert attempted(tmp_path, snapshot(b"".join(MEMORY), text)) is None


def test_firecrackers_folder(tmp_path):
    folder = tmp_path / "fc"
    folder.mkdir()
    (folder / "state").write_bytes(VMSTATE)
    with pytest.raises(InputError, match="found none"):
        converted(tmp_path, folder)
    (folder / "mem").write_bytes(b"".join(MEMORY))
    seen = converted(tmp_path, folder)
    assert [row.digest for row in seen.rows] == [digest(data) for data in MEMORY]
    assert seen.converted[0].format == "firecracker"
    assert (seen.account.pages, seen.unknown) == (5, [1])
    (folder / "mem2").write_bytes(b"".join(MEMORY))
    with pytest.raises(InputError, match="found mem, mem2") as told:
        converted(tmp_path, folder)
    assert "--format raw" in str(told.value.hint)
    with pytest.raises(InputError, match=r"state: the state of a Firecracker microVM"):
        converted(tmp_path, folder / "state")


def test_a_diff_of_firecracker_is_remarked(tmp_path):
    folder = tmp_path / "fc"
    folder.mkdir()
    (folder / "state").write_bytes(VMSTATE)
    image = Image([(PAGE, page(7))], 9 * PAGE)
    if image.write(folder / "mem").stat().st_blocks * 512 != PAGE:
        pytest.skip("this file system keeps no holes of one page")
    seen = converted(tmp_path, folder)
    assert any("BASE+DIFF" in text for text in seen.account.limits)


def test_a_folder_and_a_file_are_not_one_dump(tmp_path, snapshot):
    folder = snapshot(b"".join(MEMORY), state(RANGES))
    with pytest.raises(InputError, match="a folder is a dump of its own"):
        converted(tmp_path, f"{folder}+{folder / 'memory-ranges'}")


def test_folders_of_anything_else(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "short").write_bytes(b"x")
    with pytest.raises(InputError, match="none that is a dump known here"):
        converted(tmp_path, folder)
