"""What a trace holds comes back; what is no trace is refused in one line."""

import errno
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import FACTS, Proc, digest, trace_file

from traces.errors import InputError, OutputError
from traces.schema import FACTS_KEY, FORMAT_KEY, PAGES, Pages
from traces.table import footer_values
from traces.trace import Trace
from traces.writer import TraceWriter


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return trace_file(
        tmp_path / "a.parquet", Proc("AABZ"), Proc("AC", pid=2, comm="b", workload="v")
    )


def test_rows_come_back(path: Path) -> None:
    trace = Trace.open(path)
    (chunk,) = trace.chunks(Pages._fields)
    assert chunk["mapping"].tolist() == [0, 0, 0, 0, 1, 1]
    assert chunk["vpn"].tolist() == [0, 1, 2, 3, 0, 1]
    assert chunk["digest"].tolist() == [digest(c) for c in "AABZAC"]
    assert chunk["frame"].tolist() == list(range(6))
    assert trace.processes["pid"].to_list() == [1, 2]
    assert trace.mappings["process"].to_list() == [0, 1]
    assert trace.epochs["rows"].to_list() == [6]
    assert trace.facts == FACTS


def test_a_person_can_query_it(path: Path) -> None:
    counted = pl.read_parquet(path).group_by("workload", "comm").len()
    assert set(counted.rows()) == {("w", "a", 4), ("v", "b", 2)}


def test_the_file_is_private(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_every_epoch_is_read_apart(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "t.parquet") as writer:
        for epoch, contents in enumerate(("AB", "CDE")):
            writer.begin_epoch(epoch * 10)
            first = writer.add_process({"pid": epoch}, [{"name": "", "kind": "anon"}])
            writer.add_pages(pages(first, contents))
            writer.end_epoch(5)
        writer.finish(FACTS)
    trace = Trace.open(tmp_path / "t.parquet")
    assert trace.epochs["t_ns"].to_list() == [0, 10]
    assert trace.epochs["duration_ns"].to_list() == [5, 5]
    for epoch, contents in enumerate(("AB", "CDE")):
        (chunk,) = trace.chunks(["digest"], epoch)
        assert chunk["digest"].tolist() == [digest(c) for c in contents]


def pages(mapping: int, contents: str) -> Pages:
    n = len(contents)
    return Pages(
        mapping=np.full(n, mapping, np.int32),
        vpn=np.arange(n),
        digest=np.array([digest(c) for c in contents]),
        frame=np.arange(n),
        folio=np.full(n, -1, np.int32),
        nid=np.zeros(n, np.int8),
        flags=np.zeros(n, np.uint16),
    )


def test_many_row_groups_keep_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("traces.writer.ROW_GROUP_ROWS", 10)
    contents = [number + 1 for number in range(37)]
    procs = [Proc(contents, pid=1), Proc(contents[:5], pid=2), Proc(contents, pid=3)]
    trace = Trace.open(trace_file(tmp_path / "t.parquet", *procs))
    assert trace.metadata.num_row_groups == 8
    chunks = list(trace.chunks(["digest", "mapping", "vpn"]))
    expected = [digest(c) for c in (*contents, *contents[:5], *contents)]
    assert np.concatenate([c["digest"] for c in chunks]).tolist() == expected


def rewritten(
    path: Path,
    change: Callable[[pa.Table], pa.Table] = lambda table: table,
    **footer: str | None,
) -> Path:
    """The trace with other rows or footer values, as another program wrote it."""
    table = pq.read_table(path)
    metadata = pq.read_metadata(path).metadata
    values = {k.decode(): v for k, v in metadata.items()}
    values.pop("ksm_analyze.checksum")
    values |= {k.replace("__", "."): v for k, v in footer.items()}
    table = change(table).replace_schema_metadata(
        {k: v for k, v in values.items() if v is not None and k != "ARROW:schema"}
    )
    pq.write_table(table, path)
    return path


def drop(column: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.drop_columns(column)


def cast(column: str, kind: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        at = table.column_names.index(column)
        return table.set_column(at, column, table[column].cast(kind))

    return change


def replace(column: str, values: list[int | None]) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        at = table.column_names.index(column)
        kind = PAGES.field(column).type
        return table.set_column(at, column, pa.array(values, kind))

    return change


def other_table(name: str, **columns: pa.Array) -> dict[str, str]:
    return footer_values(name, pa.table(columns))


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda p: p.unlink(), "No such file or directory"),
    "a folder": (lambda p: (p.unlink(), p.mkdir()), "is a directory"),
    "empty": (lambda p: p.write_bytes(b""), "is empty, expected a Parquet file"),
    "text": (
        lambda p: p.write_text("pid,addr\n"),
        "begins with b'pid,', expected a Parquet file",
    ),
    "truncated": (
        lambda p: p.write_bytes(p.read_bytes()[:-100]),
        "truncated, the Parquet footer at its end is missing",
    ),
    "not a trace": (
        lambda p: pq.write_table(pa.table({"a": [1]}), p),
        "not a ksm-analyze trace: its footer has no ksm_analyze.kind",
    ),
    "a result": (
        lambda p: rewritten(p, ksm_analyze__kind="result"),
        "a ksm-analyze result, expected a trace",
    ),
    "newer": (
        lambda p: rewritten(p, ksm_analyze__format="2"),
        "trace format 2, expected 1 to 1",
    ),
    "no column": (lambda p: rewritten(p, drop("digest")), "column digest missing"),
    "wrong type": (
        lambda p: rewritten(p, cast("vpn", pa.float64())),
        "column vpn is double, expected int64",
    ),
    "damaged facts": (
        lambda p: rewritten(p, ksm_analyze__facts="{"),
        "capture facts are damaged",
    ),
    "no side table": (
        lambda p: rewritten(p, **{"ksm_analyze__table__epochs__0": None}),
        "the footer has no table 'epochs'",
    ),
    "damaged side table": (
        lambda p: rewritten(p, **{"ksm_analyze__table__epochs__0": "AAAA"}),
        "the footer's table 'epochs' is damaged",
    ),
    "foreign side table": (
        lambda p: rewritten(
            p,
            **{
                k.replace(".", "__"): v
                for k, v in other_table(
                    "processes", process=pa.array([0], pa.int32())
                ).items()
            },
        ),
        "table processes: column host missing",
    ),
    "rows missing": (
        lambda p: rewritten(p, lambda table: table.slice(0, 3)),
        "3 rows, expected 6",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_when_opened(path: Path, case: str) -> None:
    spoil, message = REFUSED[case]
    spoil(path)
    with pytest.raises(InputError) as refusal:
        Trace.open(path)
    text = str(refusal.value)
    assert text.startswith(f"{path}: ")
    assert message in text
    assert "\n" not in text


SPOILT_ROWS: dict[str, tuple[str, list[int | None], str]] = {
    "pages out of order": (
        "vpn",
        [0, 2, 1, 3, 0, 1],
        "rows out of order: mapping 0 page 1 after mapping 0 page 2",
    ),
    "a page twice": ("vpn", [0, 1, 1, 3, 0, 1], "rows out of order"),
    "mappings out of order": ("mapping", [0, 0, 1, 0, 1, 1], "rows out of order"),
    "an unknown mapping": (
        "mapping",
        [0, 0, 0, 0, 1, 2],
        "a page of mapping 2, expected 0 to 1",
    ),
    "a negative mapping": ("mapping", [-1, 0, 0, 0, 1, 1], "mapping -1"),
    "a null": ("vpn", [0, None, 2, 3, 0, 1], "null values"),
}


@pytest.mark.parametrize("case", SPOILT_ROWS)
def test_is_refused_when_read(path: Path, case: str) -> None:
    column, values, message = SPOILT_ROWS[case]
    rewritten(path, replace(column, values))
    with pytest.raises(InputError, match=message) as refusal:
        list(Trace.open(path).chunks(Pages._fields))
    assert "\n" not in str(refusal.value)


def test_order_is_checked_across_row_groups(path: Path) -> None:
    table = pq.read_table(path)
    metadata = dict(pq.read_metadata(path).metadata)
    spoilt = replace("vpn", [0, 1, 3, 2, 0, 1])(table)
    pq.write_table(spoilt.replace_schema_metadata(metadata), path, row_group_size=3)
    with pytest.raises(InputError, match="page 2 after mapping 0 page 3"):
        list(Trace.open(path).chunks(["mapping", "vpn"]))


def test_a_dump_is_told_what_makes_a_trace_of_it(tmp_path: Path) -> None:
    path = tmp_path / "core"
    path.write_bytes(b"\x7fELF\2\1\1" + bytes(100))
    with pytest.raises(InputError, match="expected a Parquet file") as refusal:
        Trace.open(path)
    assert "ksm-analyze convert" in (refusal.value.hint or "")


def test_a_mapping_of_an_unknown_process_is_refused(path: Path) -> None:
    table = pl.read_parquet_metadata(path)
    assert "ksm_analyze.table.mappings.0" in table
    mappings = Trace.open(path).mappings.with_columns(process=pl.Series([0, 7]))
    arrow = mappings.with_columns(pl.col("process").cast(pl.Int32)).to_arrow()
    values = footer_values("mappings", arrow)
    rewritten(path, **{k.replace(".", "__"): v for k, v in values.items()})
    with pytest.raises(InputError, match="a mapping of process 7, expected 0 to 1"):
        Trace.open(path)


def test_a_flipped_bit_in_the_footer_is_refused(path: Path) -> None:
    metadata = dict(pq.read_metadata(path).metadata)
    name = b"ksm_analyze.table.mappings.0"
    table = metadata[name]
    metadata[name] = table[:400] + bytes([table[400] ^ 1]) + table[401:]
    pq.write_table(pq.read_table(path).replace_schema_metadata(metadata), path)
    with pytest.raises(InputError, match="damaged: its footer's checksum differs"):
        Trace.open(path)


def two_epochs(path: Path, first: str = "complete", second_ns: int = 10) -> Path:
    with TraceWriter(path) as writer:
        for t_ns, kind in ((0, first), (second_ns, "delta")):
            writer.begin_epoch(t_ns, kind)
            mapping = writer.add_process({}, [{}])
            writer.add_pages(pages(mapping, "AB"))
        writer.finish(FACTS)
    return path


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"second_ns": 0}, "epoch 1 at 0 ns after epoch 0 at 0 ns, expected later"),
        ({"first": "delta"}, "epoch 0 is 'delta', expected 'complete'"),
    ],
)
def test_epochs_out_of_order_are_refused(
    tmp_path: Path, made: dict[str, str | int], message: str
) -> None:
    path = two_epochs(tmp_path / "t.parquet", **made)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        Trace.open(path)


def test_rows_of_epochs_out_of_order_are_refused(tmp_path: Path) -> None:
    path = two_epochs(tmp_path / "t.parquet")
    rewritten(path, replace("epoch", [0, 1, 0, 1]))
    with pytest.raises(InputError, match="epochs out of order"):
        list(Trace.open(path).chunks(["digest"], 1))


def test_a_damaged_body_is_refused(path: Path) -> None:
    data = bytearray(path.read_bytes())
    chunk = pq.read_metadata(path).row_group(0).column(PAGES.names.index("digest"))
    end = chunk.data_page_offset + chunk.total_compressed_size
    data[end - 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="row group 0"):
        list(Trace.open(path).chunks(Pages._fields))


def test_another_writer_may_spell_names_as_plain_strings(path: Path) -> None:
    names = ("host", "comm", "workload", "mapping_name")

    def plain(table: pa.Table) -> pa.Table:
        for name in names:
            table = cast(name, pa.large_string())(table)
        return table

    assert Trace.open(rewritten(path, plain)).rows() == 6


def test_unknown_facts_are_passed_over(path: Path) -> None:
    facts = FACTS.to_json().replace("{", '{"moon": "full", ', 1)
    rewritten(path, **{FACTS_KEY.decode().replace(".", "__"): facts})
    assert Trace.open(path).facts == FACTS


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with TraceWriter(tmp_path / "t.parquet") as writer:
            writer.begin_epoch(0)
            first = writer.add_process({}, [{}])
            writer.add_pages(pages(first, "ABC"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_write_keeps_the_old_file_until_it_is_whole(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="finish"), TraceWriter(path):
        pass
    assert path.read_bytes() == before


def test_a_killed_writer_leaves_no_file_under_the_name(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from traces.writer import TraceWriter\n"
        "with TraceWriter(Path(sys.argv[1])) as writer:\n"
        "    writer.begin_epoch(0)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    final = tmp_path / "t.parquet"
    subprocess.run([sys.executable, "-c", code, str(final)], check=False)
    assert not final.exists()


def test_an_unwritable_folder_is_one_line(tmp_path: Path) -> None:
    final = tmp_path / "nowhere" / "t.parquet"
    with (
        pytest.raises(OutputError, match="cannot be written: No such file"),
        TraceWriter(final),
    ):
        pass


def test_a_device_is_left_in_its_place() -> None:
    with (
        pytest.raises(OutputError, match="no regular file"),
        TraceWriter(Path("/dev/null")),
    ):
        pass
    assert Path("/dev/null").is_char_device()


def test_a_full_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("traces.table.os.fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        trace_file(tmp_path / "t.parquet", Proc("AB"))
    assert list(tmp_path.iterdir()) == []


def test_a_column_that_does_not_exist_is_a_defect(tmp_path: Path) -> None:
    def write() -> None:
        with TraceWriter(tmp_path / "t.parquet") as writer:
            writer.begin_epoch(0)
            writer.add_process({"moon": 1}, [])

    with pytest.raises(ValueError, match="no such column: moon"):
        write()


def test_the_footer_says_its_version(path: Path) -> None:
    assert pq.read_metadata(path).metadata[FORMAT_KEY] == b"1"


def test_a_page_costs_little(tmp_path: Path) -> None:
    """Unique pages need their eight bytes, and next to nothing beside."""
    contents = range(1, 200_001)
    path = trace_file(tmp_path / "t.parquet", Proc(contents))
    assert path.stat().st_size < 200_000 * 8.3 + 20_000
