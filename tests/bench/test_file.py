"""From a file: to the ideal, to the printed replay; and what a page takes on disk."""

import json
from pathlib import Path
from typing import Any

import polars as pl
from bench.host import Host
from bench.measure import Ledger, Timing, run_python
from bench.native import CSteady
from bench.peers import polars_totals

from analyzer.replay import survey
from traces.trace import Trace


def test_from_a_file_to_the_ideal(
    mix: Path, host: Host, ledger: Ledger, built: Any
) -> None:
    zero = Trace.open(mix).facts.zero_digest
    found = survey([mix])
    reference = built(CSteady)
    answer = reference(host)
    assert found.zero_pages == answer.process[:, 1].sum()
    assert found.distinct_contents == answer.totals[0] + 1
    assert polars_totals(mix, zero) == tuple(answer.totals.tolist())
    took = ledger.race(
        "ideal from a file",
        {
            "C, in memory": lambda: reference(host),
            "ksm-analyze": lambda: survey([mix]),
            "polars, streaming, totals only": lambda: polars_totals(mix, zero),
        },
        rounds=15,
    )
    ours, c = took["ksm-analyze"], took["C, in memory"]
    ledger.at_most("file to ideal: wall of ksm-analyze / C", ours.ratio(c, "wall"), 2)
    ledger.at_most("file to ideal: CPU of ksm-analyze / C", ours.ratio(c), 2)


def test_from_a_file_to_the_printed_replay(
    mix_with_frames: Path, mix: Path, pages: int, ledger: Ledger
) -> None:
    for path, name in ((mix_with_frames, "with frames"), (mix, "without frames")):
        command = ["-c", "from analyzer.cli import main; main()", "replay", str(path)]
        told = json.loads(run_python([*command, "--format", "json"]).stdout)
        assert str(pages) in json.dumps(told)
        runs = [run_python(command) for _ in range(5 if ledger.full else 1)]
        took = Timing([run.cpu_s for run in runs], [run.wall_s for run in runs])
        ledger.keep("printed replay of a file", {name: took})
        peak = max(run.peak_bytes for run in runs) / (1 << 30)
        ledger.at_most(f"printed replay, {name}", took.median("wall"), 4, "s")
        ledger.at_most(f"printed replay, {name}: peak", peak, 1.5, "GiB")


def test_bytes_per_page(
    mix: Path, mix_with_frames: Path, pages: int, ledger: Ledger
) -> None:
    with_frames, without = (p.stat().st_size / pages for p in (mix_with_frames, mix))
    assert pl.read_parquet(mix, columns=["digest"]).equals(
        pl.read_parquet(mix_with_frames, columns=["digest"])
    )
    ledger.at_most("a page on disk, with frames", with_frames, 6, "B")
    ledger.at_most("a page on disk, without frames", without, 5.3, "B")
