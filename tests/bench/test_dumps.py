"""Converting dumps, beside reading them and doing nothing more."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import xxhash
from bench.measure import ROOT, Ledger
from core_files import Notes, Segment, core
from criu_images import Dump, Task, Vma
from dumping import PAGE

from traces.dumps.conversion import Conversion, Named, Settings

_PIECE = 1 << 16


@pytest.fixture(scope="module")
def memory(ledger: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A guest's memory, 1 GiB, or 16 MiB where nothing is measured: a quarter zero, the
    rest what the files of a Python installation hold, which compress as memory does."""
    size = 1 << 30 if ledger.full else 1 << 24
    path = tmp_path_factory.mktemp("dumps") / "memory.raw"
    contents = bytearray()
    for file in sorted(Path(pa.__file__).parents[1].rglob("*.*")):
        if file.is_file() and len(contents) < size // 4:
            contents += file.read_bytes()
    del contents[len(contents) // _PIECE * _PIECE :]
    with path.open("wb") as target:
        while target.tell() < size:
            target.write(contents[: size * 3 // 4])
            target.write(bytes(len(contents) // 3))
        target.truncate(size)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def packed(memory: Path) -> Path:
    """The same, compressed."""
    path = memory.with_suffix(".zst")
    with (
        memory.open("rb") as file,
        pa.CompressedOutputStream(str(path), "zstd") as stream,
    ):
        while data := file.read(1 << 20):
            stream.write(data)
    return path


def converting(path: Path, target: Path, form: str | None) -> Callable[[], None]:
    def convert() -> None:
        for _ in Conversion([Named(path)], Settings(form=form)).write(target):
            pass

    return convert


def test_raw_memory_against_bare_hashing(
    memory: Path, ledger: Ledger, tmp_path: Path
) -> None:
    target = tmp_path / "raw.parquet"
    buffer = bytearray(1 << 20)
    pages = [memoryview(buffer)[at : at + 4096] for at in range(0, 1 << 20, 4096)]

    def bare() -> list[int]:
        found = []
        with memory.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                found += [xxhash.xxh3_64_intdigest(page) for page in pages]
        return found

    convert = converting(memory, target, "raw")
    took = ledger.race(
        "1 GiB of raw memory",
        {"read and xxhash": bare, "ksm-analyze convert": convert},
    )
    digests = pl.read_parquet(target)["digest"].to_numpy().view(np.uint64)
    assert digests.tolist() == bare()
    size = memory.stat().st_size / 1e9
    ours = took["ksm-analyze convert"]
    ledger.at_least("raw → trace, one core", size / ours.median("cpu"), 3, "GB/s")
    ledger.context("convert / read and xxhash", ours.ratio(took["read and xxhash"]))


def test_a_kernel_core_against_bare_hashing(
    memory: Path, ledger: Ledger, tmp_path: Path
) -> None:
    pages = memory.stat().st_size // PAGE
    notes = Notes().prstatus().prpsinfo(7, "prog", "prog").auxv(PAGESZ=PAGE)
    notes = notes.files((0x400000, 0x401000, b"/usr/bin/prog"))
    there, absent = Segment(1 << 32, [None] * pages), Segment(1 << 40, [None] * 4096)
    path = core([there, absent], notes).write(tmp_path / "core")
    with path.open("r+b") as file, memory.open("rb") as source:
        file.seek(path.stat().st_size - (pages + 4096) * PAGE)
        shutil.copyfileobj(source, file, 1 << 20)
    target = tmp_path / "core.parquet"
    took = ledger.race("a core of 1 GiB", {"convert": converting(path, target, None)})
    assert pl.scan_parquet(target).select(pl.len()).collect().item() == pages
    size = memory.stat().st_size / 1e9
    speed = size / took["convert"].median("cpu")
    ledger.at_least("kernel core → trace, one core", speed, 3, "GB/s")


def test_criu_images_against_bare_hashing(
    memory: Path, ledger: Ledger, tmp_path: Path
) -> None:
    pages = memory.stat().st_size // PAGE
    folder = tmp_path / "images"
    folder.mkdir()
    for name, data in Dump([Task(7, [Vma(16, "Z" * pages)])]).images().items():
        if name != "pages-1.img":
            (folder / name).write_bytes(data)
    os.link(memory, folder / "pages-1.img")
    target = tmp_path / "criu.parquet"
    took = ledger.race("1 GiB of CRIU", {"convert": converting(folder, target, None)})
    assert pl.scan_parquet(target).select(pl.len()).collect().item() == pages
    speed = memory.stat().st_size / 1e9 / took["convert"].median("cpu")
    ledger.at_least("CRIU → trace, one core", speed, 1.5, "GB/s")


def test_compressed_memory_against_decompression(
    packed: Path, ledger: Ledger, tmp_path: Path
) -> None:
    target = tmp_path / "packed.parquet"

    def bare() -> int:
        size, buffer = 0, bytearray(_PIECE)
        with pa.input_stream(str(packed), compression="zstd") as stream:
            while got := stream.readinto(buffer):
                size += got
        return size

    took = ledger.race(
        "1 GiB of memory in zstd",
        {
            "decompress": bare,
            "ksm-analyze convert": converting(packed, target, "raw"),
        },
    )
    assert pl.read_parquet(target).height == bare() // 4096
    ratio = took["ksm-analyze convert"].ratio(took["decompress"], "wall")
    ledger.at_most("zstd → trace / decompression alone", ratio, 1.3)


def test_a_large_sparse_file_takes_little_memory(
    ledger: Ledger, tmp_path: Path
) -> None:
    size = 20 << 30 if ledger.full else 1 << 30
    path = tmp_path / "sparse.raw"
    with path.open("wb") as file:
        file.truncate(size)
        # Stored zeros: the holes are none of a program that leaves zeros out.
        os.pwrite(file.fileno(), bytes(2 * PAGE), 0)
        for at in range(0, size, 1 << 20):
            os.pwrite(file.fileno(), at.to_bytes(8, "little") * 2048, at + (1 << 14))
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from traces.dumps.conversion import Conversion, Named, Settings\n"
        "dump = [Named(Path(sys.argv[1]))]\n"
        "for _ in Conversion(dump, Settings(form='raw')).write(Path(sys.argv[2])):\n"
        "    pass\n"
        "status = Path('/proc/self/status').read_text()\n"
        "print(status.partition('VmHWM:')[2].split()[0])"
    )
    command = [sys.executable, "-c", code, path, tmp_path / "sparse.parquet"]
    run = subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
    path.unlink()
    rows = pl.scan_parquet(tmp_path / "sparse.parquet").select(pl.len())
    assert rows.collect().item() == size // (1 << 20) * 4 + 2
    ledger.at_most(
        "peak memory, 20 GiB of sparse memory", int(run.stdout) / 1024, 400, "MiB"
    )
