"""A base and its diffs, as Firecracker writes them."""

import gzip
import random

import pytest
from dumping import PAGE, Image, converted, digest, page

from traces.errors import InputError


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "base"
    path.write_bytes(b"".join(page(n) for n in range(20)))
    return path


@pytest.fixture
def diff(tmp_path):
    def write(name: str, **pages: int):
        held = [(int(at[1:]) * PAGE, page(n)) for at, n in pages.items()]
        path = Image(held, 20 * PAGE).write(tmp_path / name)
        if path.stat().st_blocks * 512 >= 20 * PAGE:
            pytest.skip("this file system keeps no holes of one page")
        return path

    return write


def test_a_diff_replaces_pages_of_its_base(tmp_path, base, diff):
    first = diff("first", p1=101, p2=0, p19=119)
    second = diff("second", p2=202)
    seen = converted(tmp_path, f"vm={base}+{first}+{second}", form="raw")
    expected = {n: n for n in range(20)} | {1: 101, 2: 202, 19: 119}
    assert seen.digests == {at: digest(page(n)) for at, n in expected.items()}
    assert seen.unknown == [0]
    assert (seen.account.pages, seen.account.absent) == (20, 0)
    assert seen.adds_up()
    assert seen.trace.processes["vm"].to_list() == ["vm"]


def test_a_zero_page_of_a_diff_is_one(tmp_path, base, diff):
    seen = converted(tmp_path, f"{base}+{diff('first', p7=0)}", form="raw")
    assert seen.digests[7] == digest(page(0))


def test_as_written_one_over_the_other(tmp_path, diff):
    some = random.Random(4711)
    layers = [
        {at: some.randrange(1, 9) for at in some.sample(range(20), 8)} for _ in range(4)
    ]
    paths = [
        diff(f"layer{number}", **{f"p{at}": n for at, n in layer.items()})
        for number, layer in enumerate(layers)
    ]
    whole: dict[int, int] = {}
    for layer in layers:
        whole |= layer
    seen = converted(tmp_path, "+".join(map(str, paths)), form="raw")
    # No page of zeros vouches for the holes of the base.
    holes = [at for at in range(20) if at not in whole]
    told = dict.fromkeys(holes, 0) | whole
    assert seen.digests == {at: digest(page(n)) for at, n in told.items()}
    assert seen.unknown == holes
    assert seen.account.absent == 0
    assert seen.adds_up()


def test_the_holes_of_a_base_with_zeros_are_absent_pages(tmp_path, diff):
    first = diff("base", p0=0, p1=0, p2=7)
    seen = converted(tmp_path, f"{first}+{diff('over', p5=5)}", form="raw")
    assert seen.digests == {
        0: digest(page(0)), 1: digest(page(0)), 2: digest(page(7)),
        5: digest(page(5)),
    }  # fmt: skip
    assert seen.account.absent == 16


def test_what_is_no_diff(tmp_path, base, diff):
    good = diff("good", p1=1)
    full = tmp_path / "full"
    full.write_bytes(base.read_bytes())
    short = tmp_path / "short"
    short.write_bytes(page(1))
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(base.read_bytes()))
    for other, told in (
        (full, "full: without a hole"),
        (short, "short: of 4096 bytes, expected 81920"),
        (packed, "packed: gzip, and so has no holes"),
        (tmp_path / "nowhere", "nowhere: No such file"),
    ):
        with pytest.raises(InputError, match=told):
            converted(tmp_path, f"{base}+{good}+{other}", form="raw")
    with pytest.raises(InputError, match="packed: gzip, and so has no holes"):
        converted(tmp_path, f"{packed}+{good}", form="raw")
