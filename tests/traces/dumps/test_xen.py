"""Xen's cores of domains, made by the test from the documentation."""

import gzip

import pytest
from dumping import attempted, converted, digest, page
from xen_files import NOWHERE, xen_core

from traces.errors import InputError

PAGES = [(7, page(1)), (0, page(0)), (300, page(2)), (NOWHERE, page(9)), (8, page(1))]
EXPECTED = {n: digest(data) for n, data in PAGES if n != NOWHERE}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("p2m", [False, True])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_pages_are_where_the_table_says(tmp_path, order, p2m, pack):
    path = tmp_path / "domain.core"
    path.write_bytes(pack(xen_core(PAGES, order=order, p2m=p2m).bytes()))
    seen = converted(tmp_path, f"web={path}")
    assert seen.digests == EXPECTED
    assert seen.unknown == [0]
    assert seen.converted[0].format == "xen-core"
    assert (seen.account.pages, seen.account.absent) == (5, 1)
    assert seen.trace.mappings["pages"].to_list() == [301]
    assert seen.trace.processes["vm"].to_list() == ["web"]
    assert seen.adds_up()


def test_many_pages_in_reverse(tmp_path):
    pages = [(n, page(n % 700)) for n in reversed(range(3000))]
    path = xen_core(pages).write(tmp_path / "core")
    seen = converted(tmp_path, path)
    assert seen.digests == {n: digest(page(n % 700)) for n in range(3000)}


def test_a_page_twice_is_the_first(tmp_path):
    pages = [(1, page(1)), (2, page(2)), (1, page(3))]
    seen = converted(tmp_path, xen_core(pages).write(tmp_path / "core"))
    assert seen.digests == {1: digest(page(1)), 2: digest(page(2))}
    assert seen.account.skipped == {"pages that occur twice": 1}


def test_cut_anywhere_its_tables_are_missing(tmp_path):
    image = xen_core(PAGES)
    whole = image.bytes()
    path = tmp_path / "core"
    places = {mark + n for mark in image.marks for n in (-1, 0, 1)}
    for at in sorted(place for place in places if 0 <= place < len(whole)):
        path.write_bytes(whole[:at])
        assert attempted(tmp_path, path) is None


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (xen_core(PAGES, page_size=16384), "pages of 16384 bytes, expected 4096"),
        (xen_core(PAGES, said=4), "header tells of 4 pages, its table of 5"),
        (xen_core(PAGES, said=1 << 60), "header tells of 1152921504606846976 pages"),
        (xen_core([(1 << 41, page(1))]), "a page of number 2199023255552"),
    ],
)
def test_what_contradicts_itself(tmp_path, image, told):
    with pytest.raises(InputError, match=told):
        converted(tmp_path, image.write(tmp_path / "core"))
