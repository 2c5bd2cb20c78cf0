"""Tables of digests become the traces that they describe, or are refused in a line."""

import gzip
import hashlib
import random
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pytest
import xxhash
from builders import Proc, trace_file
from hypothesis import HealthCheck, example, given, settings
from tables import (
    Row,
    converted,
    epochs,
    text_of,
    write_csv,
    write_json,
    write_parquet,
)

from analyzer.policy import MergePolicy, Offer
from analyzer.replay import replay
from traces.digest import zero_digest
from traces.dumps.layout import Layout
from traces.errors import InputError, KsmAnalyzeError, UsageError
from traces.schema import PageFlag

ZERO = bytes(4096)
PAGES = [bytes([n]) * 4096 for n in range(8)]
_QUICK = settings(
    max_examples=70,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


def md5(page: bytes) -> str:
    return hashlib.md5(page).hexdigest()


def word(digest: str, seed: int = 0) -> int:
    """What a digest of hexadecimal digits is in a trace, plainly."""
    raw = bytes.fromhex(digest.zfill(len(digest) + len(digest) % 2))
    if len(raw) <= 8 and not seed:
        return signed(int(digest, 16))
    return signed(xxhash.xxh3_64_intdigest(raw.rjust(8, b"\0"), seed=seed))


def digests(path: Path, **options: Any) -> list[int]:
    trace, _ = converted(path, **options)
    (told,) = epochs(trace)
    return [told[key]["digest"] for key in sorted(told)]


def refusal(path: Path, **options: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        converted(path, **options)
    assert "\n" not in str(caught.value)
    assert not path.with_name(f"{path.name}.trace").exists()
    return caught.value


def table(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


WRITERS = {"csv": write_csv, "ndjson": write_json, "parquet": write_parquet}


@pytest.fixture(params=WRITERS)
def written(request: pytest.FixtureRequest, tmp_path: Path):
    """Writes rows in each of the formats."""

    def write(rows: Sequence[Row]) -> Path:
        return WRITERS[request.param](tmp_path / "dump", rows)

    return write


# What a table may say.


def test_rows_become_pages_of_their_processes(written) -> None:
    rows = [
        {"process": "b", "pid": 7, "addr": "0x3000", "digest": "00000000000000aa"},
        {"process": "a", "pid": 8, "addr": "4096", "digest": "ffffffffffffffff"},
        {"process": "b", "pid": 7, "addr": "0x1000", "digest": "12345678901234e5"},
    ]
    trace, done = converted(written(rows))
    (told,) = epochs(trace)
    found = {key: row["digest"] for key, row in told.items()}
    assert found == {
        ("", "", 7, "b", 3): 0xAA,
        ("", "", 7, "b", 1): 0x12345678901234E5,
        ("", "", 8, "a", 1): -1,
    }
    assert trace.processes["comm"].to_list() == ["b", "a"]
    assert (done.account.pages, done.rows, done.processes) == (3, 3, 2)
    assert trace.facts.source == "table"
    assert trace.facts.digest == "digest-64"


def test_columns_can_be_called_anything(written) -> None:
    path = written([{"sum": md5(page), "who": "x"} for page in PAGES])
    trace, _ = converted(
        path, form="table", columns={"digest": "sum", "process": "who"}
    )
    assert trace.processes["comm"].to_list() == ["x"]
    assert trace.facts.digest == "md5→xxh3-64", "by the digest of the zero page"


def test_without_addresses_pages_follow_each_other_in_each_process(written) -> None:
    rows = [
        {"process": name, "digest": f"{at:016x}", "count": count}
        for at, (name, count) in enumerate([("a", 2), ("b", 1), ("a", 1), ("b", 3)])
    ]
    trace, done = converted(written(rows))
    (told,) = epochs(trace)
    found = {(key[3], key[4]): row["digest"] for key, row in told.items()}
    assert found == {
        ("a", 0): 0, ("a", 1): 0, ("a", 2): 2,
        ("b", 0): 1, ("b", 1): 3, ("b", 2): 3, ("b", 3): 3,
    }  # fmt: skip
    assert done.account.pages == 7
    assert any("no addresses" in text for text in trace.facts.limits)


def test_mappings_are_those_that_are_told(written) -> None:
    area = {"vma_start": "0x10000", "vma_end": "0x20000", "vma_name": "[heap]"}
    other = {"vma_start": "0x20000", "vma_end": "0x24000", "vma_name": "/lib/x.so"}
    rows = [
        {**other, "vma_flags": "rd ex", "addr": 0x20000, "digest": "0" * 8},
        {**area, "vma_flags": "rd wr mr mg", "addr": 0x1F000, "digest": "1" * 8},
        {**area, "vma_flags": "rd wr mr mg", "addr": 0x10000, "digest": "1" * 8},
    ]
    trace, _ = converted(written(rows))
    found = trace.mappings.select(
        "start_vpn", "pages", "perms", "kind", "name", "mergeable"
    ).rows()
    assert found == [
        (16, 16, "rw-p", "heap", "[heap]", True),
        (32, 4, "r-xp", "file", "/lib/x.so", False),
    ]


def test_mappings_of_names_alone_are_what_lies_side_by_side(tmp_path: Path) -> None:
    rows = [
        {"addr": at << 12, "vma_name": name, "digest": f"{at:08x}"}
        for at, name in enumerate(["a", "a", "b", "a"])
    ]
    trace, _ = converted(write_csv(tmp_path / "t", rows))
    found = trace.mappings.select("start_vpn", "pages", "name").rows()
    assert found == [(0, 2, "a"), (2, 1, "b"), (3, 1, "a")]


def test_what_ksmd_does_not_look_at_is_left_out_and_counted(written) -> None:
    def row(at: int, **columns: Any) -> Row:
        told = {"present": True, "anon": True, "eligible": None, "vma_flags": "rd"}
        return {"addr": at << 12, "digest": f"{at:08x}", **told, **columns}

    rows = [
        row(1),
        row(2, present=False),
        row(3, anon=False),
        row(4, eligible=False),
        row(5, vma_flags="rd sh ms"),
        row(6, vma_flags="rd ht"),
        row(7, anon=None),
        row(8, anon=None, eligible=True),
    ]
    trace, done = converted(written(rows))
    (told,) = epochs(trace)
    flags = {key[-1]: row["flags"] for key, row in told.items()}
    assert flags == {1: 0, 7: PageFlag.ANON_UNKNOWN, 8: 0}
    assert (done.account.pages, done.account.absent) == (8, 1)
    assert sum(done.account.skipped.values()) == 4
    assert sum(trace.facts.skipped.values()) == 4


def test_a_zero_page_of_unknown_presence_is_marked(written) -> None:
    rows = [
        {"addr": at << 12, "digest": md5(page), "present": present, "zero": None}
        for at, (page, present) in enumerate(
            [(ZERO, True), (ZERO, None), (PAGES[1], None), (PAGES[1], True)]
        )
    ]
    trace, _ = converted(written(rows))
    (told,) = epochs(trace)
    unknown = PageFlag.PRESENCE_UNKNOWN
    assert [told[key]["flags"] for key in sorted(told)] == [0, unknown, 0, 0]


def test_frames_are_numbered_anew_on_each_host(written) -> None:
    rows = [
        {"host": host, "pid": pid, "addr": 0, "digest": digest, "frame": frame}
        for host, pid, digest, frame in [
            ("x", 1, "a" * 8, 900),
            ("x", 2, "a" * 8, 900),
            ("y", 1, "b" * 8, 900),
            ("y", 2, "b" * 8, None),
            ("y", 3, "c" * 8, 7),
            ("y", 4, "d" * 8, 7),
        ]
    ]
    trace, _ = converted(written(rows))
    (told,) = epochs(trace)
    assert [row["frame"] for row in told.values()] == [0, 0, 1, -1, -1, -1]
    assert any("2 pages are said to be in frames" in t for t in trace.facts.limits)


def test_times_become_epochs(written) -> None:
    def row(time: str, at: int, digest: int) -> Row:
        return {"time": time, "addr": at << 12, "digest": f"{digest:08x}"}

    first, second = "2026-01-31T12:00:00.000000001Z", "2026-01-31T13:00:30+01:00"
    rows = [row(second, 1, 5), row(first, 1, 5), row(first, 2, 6), row(second, 3, 7)]
    trace, _ = converted(written(rows))
    assert trace.epochs["t_ns"].to_list() == [0, 30 * 10**9 - 1]
    assert trace.epochs["kind"].to_list() == ["complete", "delta"]
    assert trace.epochs["rows"].to_list() == [2, 2], "one is new, one is gone"
    then, now = (
        {key[-1]: row["digest"] for key, row in told.items()} for told in epochs(trace)
    )
    assert (then, now) == ({1: 5, 2: 6}, {1: 5, 3: 7})
    assert trace.facts.captured_at == "2026-01-31T12:00:00+00:00"


# Digests.


@pytest.mark.parametrize("name", ["md5", "sha1", "sha256", "blake2s", "sha3_256"])
def test_long_digests_are_hashed_again(tmp_path: Path, name: str) -> None:
    texts = [hashlib.new(name, page).hexdigest() for page in PAGES]
    path = write_csv(tmp_path / "t", [{"digest": text.upper()} for text in texts])
    trace, _ = converted(path)
    assert digests(path) == [word(text) for text in texts]
    assert trace.facts.digest == f"{name.replace('_', '-')}→xxh3-64"
    assert trace.facts.zero_digest == word(hashlib.new(name, ZERO).hexdigest())


def test_our_own_digests_can_be_joined_with_captures(tmp_path: Path) -> None:
    rows = [{"digest": xxhash.xxh3_64_hexdigest(page)} for page in PAGES]
    trace, _ = converted(write_csv(tmp_path / "t", rows))
    assert (trace.facts.digest, trace.facts.seed_id) == ("xxh3-64", "0")
    assert trace.facts.zero_digest == zero_digest(0)


def test_digests_as_numbers_or_bytes_are_those_in_hexadecimal(tmp_path: Path) -> None:
    numbers = [xxhash.xxh64_intdigest(page) for page in PAGES]
    expected = [signed(number) for number in numbers]
    rows = [{"digest": number} for number in numbers]
    unsigned = pa.schema([("digest", pa.uint64())])
    assert digests(write_json(tmp_path / "j", rows)) == expected
    assert digests(write_parquet(tmp_path / "p", rows, unsigned)) == expected
    raw = [{"digest": number.to_bytes(8, "big")} for number in numbers]
    fixed = pa.schema([("digest", pa.binary(8))])
    assert digests(write_parquet(tmp_path / "b", raw, fixed)) == expected


def test_a_seed_salts_digests_of_any_length(tmp_path: Path) -> None:
    for at, hashed in enumerate((zlib.crc32, xxhash.xxh64_intdigest)):
        rows = [{"digest": f"{hashed(page):0{8 << at}x}"} for page in PAGES]
        path = write_csv(tmp_path / "t", rows)
        expected = [word(str(row["digest"]), seed=9) for row in rows]
        assert digests(path, seed=9) == expected
        trace, _ = converted(path, seed=9)
        assert trace.facts.zero_digest == expected[0]
        assert trace.facts.digest.endswith("→xxh3-64")
        assert trace.facts.seed_id != "0"
        rows = [{"digest": hashed(page)} for page in PAGES]
        assert digests(write_json(tmp_path / "n", rows), seed=9) == expected


def test_digests_of_32_bits_say_how_many_agree_by_chance(tmp_path: Path) -> None:
    rows = [{"digest": f"{n:08x}"} for n in range(1 << 16)]
    trace, _ = converted(write_csv(tmp_path / "t", rows))
    (told,) = (t for t in trace.facts.limits if "32 bits" in t)
    assert "among 65536 contents some 0.5 pairs" in told


def test_the_zero_digest_is_known_by_its_column_option_or_hash(tmp_path: Path) -> None:
    strange = [f"{n:016x}" for n in range(4)]
    rows = [{"digest": text, "zero": text == strange[2]} for text in strange]
    trace, _ = converted(write_csv(tmp_path / "column", rows))
    assert trace.facts.zero_digest == 2
    rows = [{"digest": text} for text in strange]
    trace, _ = converted(write_csv(tmp_path / "option", rows), zero_digest=strange[3])
    assert trace.facts.zero_digest == 3
    rows = [{"MD5": md5(page)} for page in PAGES[1:]]
    path = write_csv(tmp_path / "name", rows)
    trace, _ = converted(path, "table", columns={"digest": "MD5"})
    assert trace.facts.zero_digest == word(md5(ZERO)), "though no page is zero"


def test_a_zero_page_nobody_knows_is_said_to_be_unknown(tmp_path: Path) -> None:
    rows = [{"digest": "f" * 16}, {"digest": "0" * 16}]
    trace, _ = converted(write_csv(tmp_path / "t", rows))
    assert any("which page is zero is not known" in t for t in trace.facts.limits)
    assert trace.facts.zero_digest not in (0, -1)


@pytest.mark.parametrize(
    ("rows", "options", "told"),
    [
        ([("a" * 8, True), ("b" * 8, True)], {}, "2 digests are said to be zero"),
        ([("a" * 8, True), ("a" * 8, False)], {}, "but false in column zero"),
        ([("a" * 8, True)], {"zero_digest": "b" * 8}, "and --zero-digest"),
        ([("a" * 8, None)], {"zero_digest": "b" * 16}, "--zero-digest has 16"),
    ],
)
def test_what_contradicts_itself_about_zero_is_refused(
    tmp_path: Path, rows: list[Any], options: dict[str, str], told: str
) -> None:
    path = write_csv(
        tmp_path / "t", [{"digest": digest, "zero": zero} for digest, zero in rows]
    )
    assert told in str(refusal(path, **options))


# What is refused.


def test_a_missing_column_of_digests_is_told_with_what_there_is(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "ts,pid,addr,crc32\n1,2,4096,00000000\n")
    error = refusal(path)
    assert str(error) == f"{path}: column digest missing (found ts, pid, addr, crc32)"
    assert error.hint == "ksm-analyze convert --map digest=crc32 t.csv"


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("digest", "", "digest nothing, expected 8 hexadecimal digits"),
        ("digest", "xyz", "digest 'xyz', expected 8 hexadecimal digits"),
        ("digest", "0" * 16, "expected 8 hexadecimal digits, as in the rows before"),
        ("addr", "", "addr nothing"),
        ("addr", "4097", "addr '4097', expected a multiple of 4096"),
        ("addr", "-4096", "expected a decimal or 0x hexadecimal number below 2^63"),
        ("addr", "7ffc0000", "addr '7ffc0000', expected a decimal or 0x"),
        ("addr", "0x8000000000000000", "below 2^63"),
        ("addr", "9223372036854775808", "below 2^63"),
        ("addr", "4096.0", "expected a decimal"),
        ("addr", "NaN", "expected a decimal"),
        ("pid", "-1", "expected a whole number from 0 to 2147483647"),
        ("pid", "nan", "expected a whole number"),
        ("count", "0", "expected a whole number from 1 to 4294967295"),
        ("count", "4294967296", "expected a whole number from 1 to 4294967295"),
        ("frame", "1e3", "expected a whole number"),
        ("zero", "maybe", "expected true or false"),
        ("time", "yesterday", "expected nanoseconds, or RFC 3339"),
        ("time", "2026-01-31T12:00:00", "expected nanoseconds, or RFC 3339"),
        ("time", "2026-13-31T12:00:00Z", "expected nanoseconds, or RFC 3339"),
        ("vma_start", "0x9000", "expected an address from vma_start on"),
        ("vma_end", "0x1000", "expected pages below vma_end"),
    ],
)
def test_a_wrong_value_is_told_with_its_line(
    tmp_path: Path, column: str, value: str, told: str
) -> None:
    good = {
        "digest": "0" * 8, "addr": "0x5000", "pid": "1", "count": "1", "frame": "",
        "zero": "", "time": "5", "vma_start": "", "vma_end": "",
    }  # fmt: skip
    bad = {**good, "addr": "0x6000", column: value}
    error = refusal(write_csv(tmp_path / "t", [good, bad]))
    assert str(error).startswith(f"{tmp_path / 't'}: line 3: ")
    assert told in str(error)


def test_the_first_ten_wrong_rows_are_told(tmp_path: Path) -> None:
    rows = [{"digest": "0" * 8 if n % 3 else "bad"} for n in range(60)]
    error = refusal(write_csv(tmp_path / "t", rows))
    assert "line 2: digest 'bad', expected 8 hex" in str(error)
    assert error.hint is not None
    lines = error.hint.split("\n")
    assert [line.split(":")[0] for line in lines[:-1]] == [
        f"line {2 + 3 * n}" for n in range(1, 10)
    ]
    assert lines[-1] == "and perhaps more behind them"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("digest,addr\n", "a table without rows"),
        ("digest,addr\n00000000,0\n00000001\n", "line 3: '00000001', expected a line"),
        ("digest,addr\n00000000,0,7\n", "line 2: '00000000,0,7', expected a line"),
        ("digest,addr\n00000000,0\n\n00000001,4096\n", "line 3: empty, expected"),
        (
            'digest,process\n00000000,"a\nb"\n',
            "line 2: '00000000,\"a', expected a line",
        ),
        ("digest,vma_start\n00000000,0\n", "column vma_start, but no addr"),
        ('{"digest":' + "[" * 60_000 + "\n", "expected a JSON object"),
        ('{"digest":"0"}\n{"digest":' + "[" * 60_000 + "\n", "expected a JSON object"),
        ("digest,digest\n00000000,0\n", "2 columns digest, expected one"),
        ("digest,addr\n00000000,0\n00000000,0\n", "page 0x0 of 'process without a na"),
        ("digest,count\n00000000,4294967295\n00000000,9\n", "pages and more, expected"),
        ('{"digest":"00000000"}\n[1]\n', "line 2: '[1]', expected a JSON object"),
        ('{"digest":"00000000"}\n\n{}\n', "line 2: empty, expected a JSON object"),
        ('{"digest":"00000000"}\n{"digest":NaN}\n', "line 2: '{\"digest\":NaN}'"),
        ('{"digest":"00000000"}\n{"digest":-1}\n', "line 2: digest '-1'"),
        ('{"digest":5}\n{"digest":18446744073709551616}\n', "below 2^64"),
        ('{"digest":"00000000"}\n{"digest":"00000000","pid":1}\n', "line 2: has pid"),
        ('{"digest":"00000000","pid":1}\n{"pid":1}\n', "line 2: digest nothing"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str, told: str) -> None:
    assert told in str(refusal(table(tmp_path / "t", text), form="table"))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_bytes(b"digest,process\n00000000,\xff\xfe\n")
    assert "line 2: '00000000,\\\\xff" in str(refusal(path))
    path.write_bytes("digest\n00000000\n".encode("utf-16"))
    assert "expected a line of CSV" in str(refusal(path, form="table"))
    path.write_bytes(b"digest\n" + b"0" * (3 << 20))
    assert "a line longer than" in str(refusal(path))


def test_a_trace_is_no_table(tmp_path: Path) -> None:
    path = trace_file(tmp_path / "trace.parquet", Proc("AB"))
    assert "is a trace already" in str(refusal(path))


def test_a_parquet_file_of_lists_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "t", [{"digest": ["00000000"]}])
    assert "column digest is list" in str(refusal(path))


# How it is written.


def test_lines_may_be_compressed_end_in_crlf_and_begin_with_a_mark(
    tmp_path: Path,
) -> None:
    rows = [{"process": 'a "b", c', "digest": f"{n:08x}"} for n in range(9)]
    text = "\ufeff" + text_of(rows).replace("\n", "\r\n")
    path = tmp_path / "t.gz"
    path.write_bytes(gzip.compress(text.encode()))
    assert digests(path) == list(range(9))
    trace, _ = converted(path)
    assert trace.processes["comm"].to_list() == ['a "b", c']


def test_columns_without_a_header_have_numbers(tmp_path: Path) -> None:
    path = table(tmp_path / "t", "x;00000005\ny;00000006\n")
    columns = {"digest": "2", "process": "1"}
    trace, _ = converted(path, "table", columns=columns, header=False, delimiter=";")
    assert trace.processes["comm"].to_list() == ["x", "y"]


def test_a_line_that_has_no_end_is_left_out_and_told(tmp_path: Path) -> None:
    path = table(tmp_path / "t", "digest,addr\n00000000,0x1000\n00000000,0x70")
    trace, done = converted(path)
    assert done.rows == 1
    assert done.account.truncated
    assert "its last line has no end" in trace.facts.limits[0]
    path = table(tmp_path / "j", '{"digest":"00000000"}\n{"digest":"00000001"}')
    trace, done = converted(path)
    assert (done.rows, done.account.truncated) == (2, False)


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_a_table_cut_anywhere_gives_its_whole_lines_or_is_refused(
    tmp_path: Path, form: str
) -> None:
    rows = [{"addr": hex(n << 12), "digest": f"{n:08x}"} for n in range(40)]
    whole = WRITERS[form](tmp_path / "whole", rows).read_bytes()
    for cut in random.Random(1).sample(range(len(whole)), 40):
        path = tmp_path / "cut"
        path.write_bytes(whole[:cut])
        try:
            trace, done = converted(path, "table")
        except InputError:
            continue
        (told,) = epochs(trace)
        assert all(row["digest"] == key[-1] for key, row in told.items())
        rows_there = whole[:cut].count(b"\n") - (form == "csv")
        if form == "ndjson" and whole[cut:].startswith(b"\n"):
            rows_there += 1
        assert len(told) == rows_there
        whole_lines = b"\n" in (whole[cut - 1 : cut], whole[cut : cut + 1])
        assert done.account.truncated or whole_lines


def test_a_compressed_table_that_is_cut_is_told_to_be(tmp_path: Path) -> None:
    path = tmp_path / "t.gz"
    rows = [{"addr": hex(n << 12), "md5": md5(b"%d" % n)} for n in range(20_000)]
    packed = gzip.compress(text_of(rows).encode())
    path.write_bytes(packed[: len(packed) // 2])
    trace, done = converted(path, "table", columns={"digest": "md5"})
    assert 0 < done.rows < len(rows)
    (told,) = epochs(trace)
    assert {key[-1]: row["digest"] for key, row in told.items()} == {
        at: word(str(row["md5"])) for at, row in enumerate(rows[: done.rows])
    }
    assert "gzip stream is truncated" in trace.facts.limits[0]


def test_a_parquet_file_that_is_cut_is_refused(tmp_path: Path) -> None:
    whole = write_parquet(tmp_path / "t", [{"digest": "0" * 8}] * 9).read_bytes()
    for cut in range(4, len(whole), 7):
        (tmp_path / "cut").write_bytes(whole[:cut])
        refusal(tmp_path / "cut")


def test_timestamps_of_parquet_are_times(tmp_path: Path) -> None:
    for zone in (None, "UTC", "Asia/Tokyo"):
        schema = pa.schema(
            [("digest", pa.string()), ("time", pa.timestamp("ns", zone))]
        )
        rows = [{"digest": "0" * 8, "time": 10**18 + n} for n in (7, 0)]
        trace, _ = converted(write_parquet(tmp_path / "t", rows, schema))
        assert trace.epochs["t_ns"].to_list() == [0, 7]
        assert trace.facts.captured_at == "2001-09-09T01:46:40+00:00"


@_QUICK
@given(st.integers(0, 2**20), st.integers(0, 255), st.sampled_from(sorted(WRITERS)))
def test_flipped_bytes_are_refused_or_change_what_they_say(
    tmp_path: Path, at: int, value: int, form: str
) -> None:
    rows = [{"addr": hex(n << 12), "pid": 1, "digest": f"{n:08x}"} for n in range(20)]
    path = WRITERS[form](tmp_path / "t", rows)
    data = bytearray(path.read_bytes())
    data[at % len(data)] = value
    path.write_bytes(data)
    try:
        trace, _ = converted(path, "table")
    except KsmAnalyzeError:
        return
    list(epochs(trace))


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ({"maps": ["digest"]}, "expected COLUMN=NAME"),
        ({"maps": ["dgst=md5"]}, "there is no 'dgst'"),
        ({"zero_digest": "xyz"}, "expected 8 to 64 hexadecimal digits"),
        ({"delimiter": ";;"}, "expected one character"),
    ],
)
def test_options_that_make_no_sense_are_refused(given_: Any, told: str) -> None:
    plain: dict[str, Any] = {
        "maps": (), "zero_digest": "", "delimiter": ",", "header": True,
        "header_bytes": 0, "trailer_bytes": 0,
    }  # fmt: skip
    with pytest.raises(UsageError, match=told):
        Layout.asked(**plain | given_)
    fine = Layout.asked(**plain | {"maps": ["digest=a,addr=b", "pid=c"]})
    assert fine.columns == {"digest": "a", "addr": "b", "pid": "c"}


# Any table at all.

_NAMES = st.text(
    st.characters(
        codec="utf-8", exclude_characters="\0\r\n", exclude_categories=["Cs"]
    ),
    max_size=5,
)
_PROCESSES = st.lists(
    st.tuples(st.integers(0, 3), _NAMES), min_size=1, max_size=3, unique=True
)


def digest_frame(draw: st.DrawFn, digest: str) -> int:
    """A frame that holds nothing else."""
    return int(digest[:4], 16) * 10 + draw(st.integers(0, 2))


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    """Runs of pages of some processes at some times, none of them twice."""
    processes = draw(_PROCESSES)
    rows = []
    for time in range(draw(st.integers(1, 3))):
        for pid, name in processes:
            at = 0
            for _ in range(draw(st.integers(0, 4))):
                at += draw(st.integers(0, 3))
                count = draw(st.integers(1, 4))
                digest = draw(st.sampled_from(["00000000deadbeef", "ff" * 8, "1" * 16]))
                rows.append(
                    {
                        "time": time * 1000 + 5,
                        "pid": pid,
                        "process": name,
                        "addr": hex(at << 12),
                        "digest": digest,
                        "count": count,
                        "frame": None if count > 1 else digest_frame(draw, digest),
                        "vma_name": draw(st.sampled_from(["", "[heap]"])),
                    }
                )
                at += count
    return draw(st.permutations(rows))


def pages_of(rows: Sequence[Row], column: str) -> list[dict[Any, Any]]:
    """What is there at each time, page by page."""
    times = sorted({row["time"] for row in rows})
    told: list[dict[Any, Any]] = [{} for _ in times]
    for row in rows:
        for page in range(row["count"]):
            key = (
                "",
                "",
                row["pid"],
                row["process"],
                int(row["addr"], 16) // 4096 + page,
            )
            told[times.index(row["time"])][key] = (
                word(row["digest"]) if column == "digest" else row[column]
            )
    return told


@_QUICK
@given(tables(), st.sampled_from(sorted(WRITERS)))
@example([], "csv")
def test_any_table_is_told_page_by_page(
    tmp_path: Path, rows: list[Row], form: str
) -> None:
    if not rows:
        return
    trace, done = converted(WRITERS[form](tmp_path / "t", rows))
    told = list(epochs(trace))
    found = [{key: row["digest"] for key, row in each.items()} for each in told]
    assert found == pages_of(rows, "digest")
    frames = [{key: row["frame"] for key, row in each.items()} for each in told]
    for ours, theirs in zip(frames, pages_of(rows, "frame"), strict=True):
        pairs = {(ours[key], theirs[key]) for key in theirs}
        known = [pair for pair in pairs if None not in pair]
        assert len({one for one, _ in known}) == len({two for _, two in known})
        assert {(one == -1, two is None) for one, two in pairs} <= {
            (True, True), (False, False),
        }  # fmt: skip
        assert len(known) == len({one for one, _ in known})
    assert done.account.pages == sum(row["count"] for row in rows)
    assert done.rows == trace.epochs["rows"].sum()


# What comes of it.


def test_the_kernel_merged_the_same_of_a_page_of_seven_patterns(tmp_path: Path) -> None:
    # Linux 6.1 in a guest: 512 pages, page n filled with n modulo 7, were pages_shared
    # 7 and pages_sharing 505, with use_zero_pages off.
    area = {"vma_start": "0x7f0000000000", "vma_end": "0x7f0000200000"}
    rows = [
        {
            "addr": hex(0x7F0000000000 + (at << 12)),
            "md5": md5(bytes([at % 7]) * 4096),
            "present": 1,
            "vma_flags": "rd wr mr mw me ac sd mg",
            **area,
        }
        for at in range(512)
    ]
    path = write_csv(tmp_path / "t", rows)
    trace, _ = converted(path, "table", columns={"digest": "md5"})
    policy = MergePolicy(Offer.CAPTURED)
    *_, last = replay([trace.path], policy=policy, kernel="6.1")
    assert (last.counters.pages_shared, last.counters.pages_sharing) == (7, 505)
    assert last.counters.pages_unshared == last.counters.pages_volatile == 0
