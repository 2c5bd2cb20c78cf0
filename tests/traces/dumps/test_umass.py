"""Files built as the traces of Memory Buddies are described; none of theirs was at
hand."""

import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import xxhash

from traces.dumps.conversion import Conversion, Converted, Named, Settings
from traces.dumps.layout import Layout
from traces.errors import InputError
from traces.schema import PageFlag, Pages
from traces.trace import Columns, Trace

HEAD = b"Linux web1 2.6.24 i686\nPID CMD\n1 init\n" * 4
HASHES = [0, 0xDEADBEEF, 7, 7, 0xFFFFFFFF, *range(100, 160), 0]
BLOOM = b"\xaa\x55" * 33


def written(path: Path, head: bytes = HEAD, trailer: bytes = BLOOM) -> Path:
    path.write_bytes(head + struct.pack(f"<{len(HASHES)}I", *HASHES) + trailer)
    return path


def converted(
    path: Path, seed: int = 0, name: str = "", **layout: object
) -> tuple[Trace, Columns, Converted]:
    out = path.with_name("out.parquet")
    plain = {"header_bytes": len(HEAD), "trailer_bytes": len(BLOOM)}
    settings = Settings(
        seed=seed,
        form="umass",
        layout=Layout(**{**plain, **layout}),  # type: ignore[arg-type]
    )
    conversion = Conversion([Named(path, name)], settings)
    for _ in conversion.write(out):
        pass
    trace = Trace.open(out)
    (chunk,) = trace.chunks(Pages._fields)
    return trace, chunk, conversion.converted[0]


def test_every_hash_is_a_page_of_one_machine(tmp_path: Path) -> None:
    trace, rows, done = converted(written(tmp_path / "web1"), name="web1")
    assert rows["digest"].tolist() == HASHES
    assert rows["vpn"].tolist() == list(range(len(HASHES)))
    assert (rows["flags"] == PageFlag.ANON_UNKNOWN).all()
    assert done.account.pages == len(HASHES)
    assert trace.processes["workload"].to_list() == ["web1"]
    assert trace.facts.digest == "umass-32"
    assert trace.facts.zero_digest not in HASHES
    limits = " ".join(trace.facts.limits)
    assert "which page is zero is not known" in limits
    contents = len(set(HASHES))
    assert f"among {contents} contents some {contents**2 / 2**33:.3g} pairs" in limits


def test_the_hash_of_a_zero_page_can_be_told(tmp_path: Path) -> None:
    trace, rows, _ = converted(written(tmp_path / "web1"), zero_digest="00000000")
    assert trace.facts.zero_digest == 0
    zero = rows["flags"] & PageFlag.PRESENCE_UNKNOWN != 0
    assert zero.tolist() == [number == 0 for number in HASHES]


def test_a_seed_salts_the_hashes(tmp_path: Path) -> None:
    trace, rows, _ = converted(written(tmp_path / "web1"), seed=3)
    expected = [
        xxhash.xxh3_64_intdigest(struct.pack(">Q", number), seed=3) for number in HASHES
    ]
    assert rows["digest"].view(np.uint64).tolist() == expected
    assert trace.facts.digest == "umass-32→xxh3-64"
    counts = Counter(rows["digest"].tolist()).values()
    assert sorted(counts) == sorted(Counter(HASHES).values())


def test_a_head_that_was_forgotten_is_seen(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="where hashes should begin") as caught:
        converted(written(tmp_path / "web1"), header_bytes=0)
    assert caught.value.hint is not None
    assert "--header-bytes" in caught.value.hint


def test_one_cut_anywhere_is_partial_or_refused(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole", trailer=b"").read_bytes()
    for size in range(0, len(whole), 7):
        path = tmp_path / "cut"
        path.write_bytes(whole[:size])
        if size <= len(HEAD) + 3:
            with pytest.raises(InputError):
                converted(path, trailer_bytes=0)
            continue
        _, rows, done = converted(path, trailer_bytes=0)
        pages = (size - len(HEAD)) // 4
        assert rows["digest"].tolist() == HASHES[:pages]
        assert done.account.truncated == ((size - len(HEAD)) % 4 != 0)


def test_a_trailer_larger_than_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected hashes and"):
        converted(written(tmp_path / "web1"), trailer_bytes=10**9)
