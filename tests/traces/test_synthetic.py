"""The answer key must be right, by counting what a written trace really holds."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import xxhash
from click.testing import CliRunner

from analyzer.cli import synth
from traces.errors import UsageError
from traces.schema import UNKNOWN
from traces.synthetic import (
    SCENARIOS,
    SEEDS,
    ZERO_DIGEST,
    Answer,
    digests,
    write_synthetic,
)
from traces.trace import Trace

PAGES = 40_000


def counted(path: Path) -> Answer:
    """The answer the slow way: one row per frame, counted by digest."""
    rows = pl.read_parquet(path, columns=["frame", "digest"])
    known = rows.filter(pl.col("frame") != UNKNOWN).unique("frame")
    frames = pl.concat([known, rows.filter(pl.col("frame") == UNKNOWN)])
    nonzero = frames.filter(pl.col("digest") != ZERO_DIGEST)
    return Answer(
        pages=rows.height,
        frames=frames.height,
        processes=Trace.open(path).processes.height,
        pages_saved_zero=frames.height - nonzero.height,
        pages_saved_nonzero=nonzero.height - nonzero["digest"].n_unique(),
        distinct_contents=frames["digest"].n_unique(),
    )


@pytest.mark.parametrize("frames", [True, False])
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("pages", [1024, 4099, PAGES])
def test_the_answer_is_what_the_trace_holds(
    tmp_path: Path, scenario: str, pages: int, frames: bool
) -> None:
    path = tmp_path / "t.parquet"
    answer = write_synthetic(path, scenario, pages, seed=3, frames=frames)
    assert answer == counted(path)
    assert answer.pages == pages


def test_a_trace_larger_than_a_row_group_has_a_right_answer(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    assert write_synthetic(path, "mix", (1 << 21) + 7) == counted(path)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_equal_arguments_give_equal_bytes(tmp_path: Path, scenario: str) -> None:
    first, again, other = (tmp_path / name for name in ("first", "again", "other"))
    write_synthetic(first, scenario, PAGES, seed=1)
    write_synthetic(again, scenario, PAGES, seed=1)
    write_synthetic(other, scenario, PAGES, seed=2)
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()


def test_two_seeds_share_the_software_but_not_the_data(tmp_path: Path) -> None:
    contents = []
    for seed in (1, 2):
        write_synthetic(tmp_path / "t", "fleet", PAGES, seed=seed)
        rows = pl.read_parquet(tmp_path / "t", columns=["digest"])
        contents.append(rows.group_by("digest").len())
    shared = contents[0].join(contents[1], on="digest")
    assert 0.1 < shared.height / contents[0].height < 0.6


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_rows_are_in_address_order_inside_their_mappings(
    tmp_path: Path, scenario: str
) -> None:
    path = tmp_path / "t.parquet"
    write_synthetic(path, scenario, PAGES)
    trace = Trace.open(path)
    rows = pl.read_parquet(path, columns=["mapping", "vpn", "pid"])
    assert rows.equals(rows.sort("mapping", "vpn"))
    assert rows.select("mapping", "vpn").is_unique().all()
    inside = rows.join(trace.mappings, on="mapping").select(
        (pl.col("vpn") >= pl.col("start_vpn"))
        & (pl.col("vpn") < pl.col("start_vpn") + pl.col("pages"))
    )
    assert inside.to_series().all()
    apart = trace.mappings.select(
        pl.col("start_vpn").shift(-1).over("process")
        > pl.col("start_vpn") + pl.col("pages")
    )
    assert apart.to_series().drop_nulls().all()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_frames_are_numbered_in_order_of_first_sight(
    tmp_path: Path, scenario: str
) -> None:
    path = tmp_path / "t.parquet"
    answer = write_synthetic(path, scenario, PAGES)
    frame = pl.read_parquet(path, columns=["frame"])["frame"].to_numpy()
    _, first_rows = np.unique(frame, return_index=True)
    assert frame[np.sort(first_rows)].tolist() == list(range(answer.frames))


def test_workers_share_frames_with_their_parent_at_the_same_address(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.parquet"
    answer = write_synthetic(path, "prefork", PAGES)
    rows = pl.read_parquet(path, columns=["frame", "vpn", "digest"])
    shared = rows.group_by("frame").agg(
        pl.len(), pl.col("vpn").n_unique(), pl.col("digest").n_unique()
    )
    assert 0.35 < answer.frames / answer.pages < 0.55
    assert shared["len"].max() > 10
    assert shared["vpn"].max() == shared["digest"].max() == 1


def test_the_mix_is_the_one_the_benchmarks_name(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_synthetic(path, "mix", 1 << 20)
    counts = pl.read_parquet(path, columns=["digest"])["digest"].value_counts()
    zero = counts.filter(pl.col("digest") == ZERO_DIGEST)["count"].sum()
    unique = (counts["count"] == 1).sum()
    assert zero / (1 << 20) == pytest.approx(0.25, abs=0.02)
    assert unique / (1 << 20) == pytest.approx(0.47, abs=0.02)


def test_the_zero_page_has_its_real_digest_and_nothing_else_has() -> None:
    real = np.uint64(xxhash.xxh3_64_intdigest(bytes(4096))).view(np.int64)
    numbers = np.arange(100_000, dtype=np.uint64)
    assert int(real) == ZERO_DIGEST == int(digests(numbers)[0])
    assert len(np.unique(digests(numbers))) == len(numbers)


def test_the_number_that_mixes_to_the_zero_digest_is_never_dealt() -> None:
    colliding = np.array([0x46C0AEEFE0ECFF87], np.uint64)
    assert digests(colliding)[0] == ZERO_DIGEST
    assert int(colliding[0]) > (SEEDS + 1) << 40


@pytest.mark.parametrize(
    ("scenario", "pages", "seed"),
    [("nginx", 4096, 0), ("mix", 1023, 0), ("mix", 4096, -1), ("mix", 4096, SEEDS)],
)
def test_senseless_arguments_are_refused(
    tmp_path: Path, scenario: str, pages: int, seed: int
) -> None:
    with pytest.raises(UsageError, match="expected"):
        write_synthetic(tmp_path / "t", scenario, pages, seed=seed)
    assert not list(tmp_path.iterdir())


def test_the_command_offers_every_scenario() -> None:
    assert set(synth.SCENARIOS) == set(SCENARIOS)


def test_the_command_prints_the_answer_as_json(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    arguments = ["mix", "-o", str(path), "--pages", "4Ki", "--format", "json"]
    done = CliRunner().invoke(synth.command, arguments, catch_exceptions=False)
    told = json.loads(done.stdout)
    known = {"file": str(path), "scenario": "mix", "seed": 0}
    assert Answer(**{k: v for k, v in told.items() if k not in known}) == counted(path)
    assert known.items() <= told.items()


def test_the_command_needs_only_a_file_name(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    done = CliRunner().invoke(synth.command, ["-o", str(path)], catch_exceptions=False)
    assert done.exit_code == 0
    assert f"{counted(path).pages_saved_nonzero:,}" in done.stdout


@pytest.mark.parametrize(
    ("text", "pages"),
    [("5000", 5000), ("64Ki", 65536), ("2k", 2000), ("1M", 10**6), ("16Mi", 1 << 24)],
)
def test_pages_are_read_with_units(text: str, pages: int) -> None:
    assert synth.PageCount().convert(text, None, None) == pages


@pytest.mark.parametrize("text", ["", "Mi", "-5", "1.5Mi", "3 Mi", "5i", "7XB"])
def test_what_is_no_number_of_pages_is_refused(tmp_path: Path, text: str) -> None:
    arguments = ["-o", str(tmp_path / "t"), "--pages", text]
    done = CliRunner().invoke(synth.command, arguments)
    assert done.exit_code == 2
    assert "expected a number like" in done.output
