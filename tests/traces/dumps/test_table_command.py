"""`convert` of tables, as people call it."""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tables import write_csv

from analyzer.cli import main
from traces.trace import Trace

Run = Callable[..., tuple[int, str]]
MD5 = [hashlib.md5(bytes([n]) * 4096).hexdigest() for n in range(4)]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`convert` with arguments: its exit code, and what it says."""

    def running(*arguments: object) -> tuple[int, str]:
        argv = ["ksm-analyze", "convert", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return running


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_csv(
        tmp_path / "pages.csv",
        [{"who": f"p{n % 2}", "md5": text} for n, text in enumerate(MD5)],
    )


def test_columns_are_mapped(run: Run, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    code, said = run("--map", "digest=md5,process=who", table, "-o", out)
    assert code == 0, said
    assert "pages.csv: table, 4 pages, 4 of them in the trace" in said
    assert "limit: the table does not say which pages were present" in said
    trace = Trace.open(out)
    assert trace.processes["workload"].to_list() == ["p0", "p1"]


def test_tables_of_one_hash_make_one_trace(
    run: Run, table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.parquet"
    other = write_csv(tmp_path / "other.csv", [{"md5": MD5[1]}])
    code, said = run("--map", "digest=md5", f"a={table}", f"b={other}", "-o", out)
    assert code == 0, said
    trace = Trace.open(out)
    assert trace.facts.digest == "md5→xxh3-64"
    assert trace.processes["workload"].to_list() == ["a", "b"]


def test_tables_of_two_hashes_make_none(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    first = write_csv(tmp_path / "a.csv", [{"digest": "0" * 16}])
    second = write_csv(tmp_path / "b.csv", [{"digest": "0" * 8}])
    code, said = run(first, second, "-o", out)
    assert code == 4
    assert f"error: {second}: digest digest-32, but {first} has digest-64" in said
    assert not out.exists()


def test_wrong_rows_are_told_in_lines(run: Run, tmp_path: Path) -> None:
    rows = [{"digest": "0" * 8}, {"digest": "\x1b[31m"}, {"digest": "1"}]
    path = write_csv(tmp_path / "t", rows)
    code, said = run(path, "-o", tmp_path / "out.parquet")
    assert code == 3
    expected = "expected 8 hexadecimal digits, as in the rows before"
    assert said.splitlines() == [
        f"error: {path}: line 3: digest '\\x1b[31m', {expected}",
        f"hint: line 4: digest '1', {expected}",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--map", "digest"], "expected COLUMN=NAME"),
        (["--format", "raw", "--no-header"], "are not of raw dumps"),
        (["--format", "elf", "--zero-digest", "00000000"], "is not of elf dumps"),
        (["--header-bytes", "5"], "are of --format umass"),
    ],
)
def test_options_of_other_formats_are_refused(
    run: Run, table: Path, tmp_path: Path, arguments: list[str], told: str
) -> None:
    code, said = run(*arguments, table, "-o", tmp_path / "out.parquet")
    assert code == 2
    assert told in said
