"""Guests' memory as ELF cores."""

import gzip

import pytest
from core_files import Form, Notes, Segment, core
from dumping import PAGE, attempted, converted, digest, page

from traces.errors import InputError

NOTES = Notes().prstatus().add(b"QEMU", 0, bytes(440))
GIB = 1 << 30
DEVICE = 0xFD00_0000


def ram(paddr: int, *pages: bytes, vaddr: int = 0) -> Segment:
    return Segment(vaddr, pages, paddr=paddr)


@pytest.fixture(params=["plain", "packed"])
def written(request: pytest.FixtureRequest, tmp_path):
    def write(image):
        path = tmp_path / "guest.elf"
        data = image.bytes()
        path.write_bytes(gzip.compress(data) if request.param == "packed" else data)
        return path

    return write


def test_ram_below_and_above_the_devices(tmp_path, written):
    image = core(
        [
            ram(0, page(1), page(0), page(2)),
            ram(DEVICE, page(9), page(9)),
            ram(4 * GIB, page(1), page(3)),
        ],
        NOTES,
    )
    seen = converted(tmp_path, f"web={written(image)}")
    high = 4 * GIB // PAGE
    assert seen.digests == {
        0: digest(page(1)), 1: digest(page(0)), 2: digest(page(2)),
        high: digest(page(1)), high + 1: digest(page(3)),
    }  # fmt: skip
    assert seen.unknown == [1]
    assert seen.account.skipped == {"pages of devices (ROM, video memory)": 2}
    assert seen.account.pages == 7
    assert seen.adds_up()
    process = seen.trace.processes.row(0, named=True)
    assert (process["vm"], process["workload"]) == ("web", "web")
    assert seen.trace.mappings["pages"].to_list() == [high + 2]
    assert seen.converted[0].format == "guest-elf"


def test_ram_that_reaches_beyond_3_gib_is_ram(tmp_path, written):
    image = core(
        [
            ram(3 * GIB - PAGE, page(1), page(2)),
            ram(3 * GIB + PAGE, page(3)),
            ram(3 * GIB + 3 * PAGE, page(9)),
        ],
        NOTES,
    )
    seen = converted(tmp_path, written(image))
    first = 3 * GIB // PAGE - 1
    assert seen.digests == {first + n: digest(page(n + 1)) for n in range(3)}
    assert seen.account.skipped == {"pages of devices (ROM, video memory)": 1}


def test_pages_mapped_more_than_once_are_one(tmp_path, written):
    # With paging=true a segment is a mapping, and the same bytes are in several.
    first = -(-(64 + 5 * 56 + len(NOTES.data)) // PAGE) * PAGE
    whole = ram(0, *(page(n) for n in range(1, 7)))
    whole.offset = first
    again = [
        Segment(
            0x1000 * n, [page(2), page(3), page(4)], paddr=PAGE, offset=first + PAGE
        )
        for n in range(2)
    ]
    beyond = Segment(0, [page(6), page(7)], paddr=5 * PAGE, offset=first + 5 * PAGE)
    image = core([*again, beyond, whole], NOTES)
    seen = converted(tmp_path, written(image))
    assert seen.digests == {n: digest(page(n + 1)) for n in range(7)}
    assert seen.account.skipped == {"pages mapped more than once": 7}
    assert seen.account.pages == 14
    assert seen.adds_up()


def test_where_no_physical_address_is_known(tmp_path, written):
    image = core([ram((1 << 64) - 1, page(1)), ram(0, page(2))], NOTES)
    seen = converted(tmp_path, written(image))
    assert seen.digests == {0: digest(page(2))}
    assert seen.account.skipped == {"pages without a physical address": 1}
    assert seen.adds_up()


def test_32_bit_and_big_endian_guests(tmp_path, written):
    for form in (Form(wide=False), Form(order=">"), Form(wide=False, order=">")):
        notes = Notes(form).prstatus().add(b"QEMU", 0, bytes(440))
        image = core([ram(0, page(1), page(2))], notes, form)
        seen = converted(tmp_path, written(image))
        assert seen.digests == {0: digest(page(1)), 1: digest(page(2))}


@pytest.mark.parametrize("note", [b"VBCORE", b"VMCOREINFO"])
def test_other_programs_that_write_them(tmp_path, written, note):
    image = core([ram(0, page(1))], Notes().add(note, 1, b"x"))
    seen = converted(tmp_path, written(image))
    assert seen.converted[0].format == "guest-elf"


def test_virtualbox_leaves_the_version_at_zero(tmp_path):
    image = core([ram(0, page(1))], Notes().add(b"VBCORE", 0xB00, bytes(24)))
    data = bytearray(image.bytes())
    data[6] = data[20] = 0
    path = tmp_path / "vm.core"
    path.write_bytes(data)
    assert converted(tmp_path, path).digests == {0: digest(page(1))}


def test_ram_may_reach_beyond_three_gigabytes(tmp_path, written):
    edge = 0xC000_0000
    segments = [ram(edge - PAGE, page(1), page(2)), ram(edge + 9 * PAGE, page(3))]
    seen = converted(tmp_path, written(core(segments, NOTES)))
    first = edge // PAGE - 1
    assert seen.digests == {first: digest(page(1)), first + 1: digest(page(2))}


def test_a_guest_cut_anywhere(tmp_path):
    image = core([ram(0, page(1), page(0)), ram(4 * GIB, page(3), page(1))], NOTES)
    whole = image.bytes()
    path = tmp_path / "cut"
    path.write_bytes(whole)
    truth = set(converted(tmp_path, path).rows)
    first = image.marks[-8]
    places = {mark + n for mark in image.marks for n in (-1, 0, 1)}
    for at in sorted(place for place in places if 0 <= place < len(whole)):
        path.write_bytes(whole[:at])
        seen = attempted(tmp_path, path)
        if seen is None:
            assert at < first
            continue
        assert seen.account.missing_bytes == len(whole) - max(at, first)
        assert set(seen.rows) <= truth
        assert seen.adds_up()


def test_encrypted_memory_is_refused(tmp_path, written):
    image = core([ram(0, *(page(n) for n in range(1, 1100)))], NOTES)
    with pytest.raises(InputError, match="encrypted guest"):
        converted(tmp_path, written(image))
