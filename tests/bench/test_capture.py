"""Capturing a process of known memory, beside reading it and doing nothing more."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import xxhash
from bench import victim
from bench.measure import Ledger
from bench.remote import BareReader

from traces.capture import procfs
from traces.capture.live import Capture, Settings


class Victim(NamedTuple):
    """The running process and where its known pages lie."""

    pid: int
    address: int
    layout: victim.Layout

    def addresses(self) -> npt.NDArray[np.int64]:
        """Of every page that holds something."""
        return self.address + self.layout.written() * 4096


@pytest.fixture(scope="module")
def prey(ledger: Ledger) -> Iterator[Victim]:
    """1 GiB, or 16 MiB where nothing is measured."""
    pages = 1 << 18 if ledger.full else 1 << 12
    with subprocess.Popen(
        [sys.executable, victim.__file__, str(pages)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        yield Victim(process.pid, told["address"], victim.Layout.of(pages))
        process.stdin.close()


@pytest.fixture
def bare(prey: Victim) -> Iterator[Callable[[int], BareReader]]:
    """Makes yardsticks."""
    readers: list[BareReader] = []

    def make(threads: int) -> BareReader:
        readers.append(BareReader(prey.pid, prey.addresses(), threads))
        return readers[-1]

    try:
        make(1)()
    except OSError as error:
        pytest.skip(f"process_vm_readv: {error.strerror}")
    yield make
    for reader in readers:
        reader.close()


def test_capture_against_bare_reading(
    prey: Victim,
    bare: Callable[[int], BareReader],
    ledger: Ledger,
    tmp_path: Path,
) -> None:
    path = tmp_path / "capture.parquet"

    def capture(threads: int) -> None:
        settings = Settings(threads=threads)
        for _ in Capture([procfs.process(prey.pid)], settings).write(path):
            pass

    capture(1)
    check(path, prey)
    captured = pl.scan_parquet(path).select(pl.len()).collect().item()
    one, two = bare(1), bare(2)
    took = ledger.race(
        "capture of 1 GiB",
        {
            "process_vm_readv, 1 thread": one,
            "ksm-analyze, 1 reading thread": lambda: capture(1),
            "process_vm_readv, 2 threads": two,
            "ksm-analyze, 2 reading threads": lambda: capture(2),
        },
        rounds=11,
    )
    reference = took["process_vm_readv, 1 thread"]
    # A capture also reads the victim's interpreter, and what is said is per byte.
    more = captured / len(prey.addresses())
    for name, target in (("1 reading thread", 0.8), ("2 reading threads", 1.6)):
        ratio = took[f"ksm-analyze, {name}"].ratio(reference, "wall")
        ledger.at_least(f"capture, {name} / bare one thread", more / ratio, target)
    for what, name in (
        ("bare two threads", "process_vm_readv, 2 threads"),
        ("capture, 1 reading thread", "ksm-analyze, 1 reading thread"),
        ("capture, 2 reading threads", "ksm-analyze, 2 reading threads"),
    ):
        scale = more if name.startswith("ksm") else 1.0
        cpu = took[name].ratio(reference) / scale
        ledger.context(f"CPU per byte: {what} / bare one thread", cpu)
    ledger.context(
        "bare two threads / bare one thread",
        1 / took["process_vm_readv, 2 threads"].ratio(reference, "wall"),
    )
    ledger.context(
        "bare process_vm_readv, one thread",
        one() / reference.median("wall") / 1e9,
        "GB/s",
    )


def check(path: Path, prey: Victim) -> None:
    """Every page that holds something is there, with the right digest."""
    first = prey.address // 4096
    rows = (
        pl.scan_parquet(path)
        .select("vpn", "digest")
        .with_columns(pl.col("vpn") - first)
        .filter(pl.col("vpn").is_between(0, len(prey.layout.kind) * victim.RUN - 1))
        .collect()
    )
    assert np.array_equal(rows["vpn"].to_numpy(), prey.layout.written())
    digests = rows["digest"].to_numpy().view(np.uint64).reshape(-1, victim.RUN)
    runs = rows["vpn"].to_numpy()[:: victim.RUN] // victim.RUN
    data = prey.layout.kind[runs] == victim.Kind.DATA
    assert (digests[~data] == xxhash.xxh3_64_intdigest(bytes(4096))).all()
    for at in np.flatnonzero(data)[::97].tolist():
        pages = victim.content(int(runs[at])).reshape(victim.RUN, 512)
        expected = [xxhash.xxh3_64_intdigest(page.tobytes()) for page in pages]
        assert digests[at].tolist() == expected
