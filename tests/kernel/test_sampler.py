"""What the sampler tells of this machine is what its files say."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from analyzer.knobs import SYSFS, KsmKnobs
from analyzer.live.history import History
from analyzer.live.ksmd import Ksmd
from analyzer.live.programs import Program, stopped, workload
from analyzer.live.sample import ProcessSample, Sample
from analyzer.live.sampler import Sampler

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("ksmd_is_ours")]

EQUAL = Program("equal and zero pages", workload("equal"))
KNOBS = KsmKnobs(use_zero_pages=True)


@pytest.fixture(autouse=True)
def unchanged() -> Iterator[None]:
    """Whatever a test does, all settings are as they were."""
    before = settings()
    yield
    assert settings() == before


def settings() -> dict[str, str]:
    names = ("run", *KsmKnobs.__slots__)
    return {name: file(name) for name in names if (SYSFS / name).exists()}


def file(name: str) -> str:
    return (SYSFS / name).read_text().strip()


def one(sample: Sample, pid: int) -> ProcessSample:
    (found,) = [process for process in sample.processes if process.pid == pid]
    return found


def test_figures_are_those_of_the_files() -> None:
    with stopped([EQUAL]) as (pid,), Ksmd(KNOBS) as ksmd:
        for _ in range(3):
            ksmd.full_scan()
        # ksmd sleeps for ten minutes now: nothing moves while both are read.
        sample = Sampler().look()
        for name, value in sample.counters.items():
            if name != "rmap_items" and (SYSFS / name).exists():
                assert value == int(file(name)), name
        assert sample.counters["pages_sharing"]
        assert sample.run == 1
        assert sample.knobs == KsmKnobs.from_sysfs()
        process = one(sample, pid)
        stat = Path(f"/proc/{pid}/ksm_stat").read_text().replace(":", "")
        said = dict(line.split() for line in stat.splitlines())
        for name in ("rmap_items", "merging_pages", "zero_pages", "process_profit"):
            told = getattr(process, f"ksm_{name}")
            if f"ksm_{name}" in said:
                assert told == int(said[f"ksm_{name}"]), name
        assert process.ksm_merging_pages > 0
        assert sample.counters["rmap_items"] == process.ksm_rmap_items
        assert process.comm == Path(f"/proc/{pid}/comm").read_text().strip()
        if "ksm_merge_any" in said:
            assert process.merge_any is (said["ksm_merge_any"] == "yes")


def test_what_moves_is_seen_to_move() -> None:
    history, sampler = History(), Sampler()
    with stopped([EQUAL]) as (pid,), Ksmd(KNOBS) as ksmd:
        history.add(sampler.look())
        for _ in range(3):
            ksmd.full_scan()
        history.add(sampler.look())
        moved = history.rates()
        assert moved.pages_scanned is not None
        assert moved.pages_scanned > 0
        assert moved.pages_merged is not None
        assert moved.pages_merged > 0
        assert moved.cpu_share is None or moved.cpu_share > 0
        assert history.last is not None
        merging = one(history.last, pid).ksm_merging_pages
        assert merging > 0
        # All comes apart, and is told as it is.
        ksmd.start_over()
        history.add(sampler.look())
        again = history.rates()
        assert again.pages_merged is not None
        assert again.pages_merged < 0
        left = [p for p in history.last.processes if p.pid == pid]
        assert all(process.ksm_merging_pages == 0 for process in left)
    assert pid not in {process.pid for process in sampler.look().processes}
