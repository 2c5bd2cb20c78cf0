"""Many epochs in one file: how they share row groups, how one of them is read, and how
little room they take."""

import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from builders import FACTS

from traces.capture.changes import Changes
from traces.capture.partial import EpochNews, Partial
from traces.schema import Pages
from traces.trace import Trace
from traces.writer import TraceWriter


def rows(count: int, start: int = 0) -> Pages:
    return Pages(
        mapping=np.zeros(count, np.int32),
        vpn=np.arange(start, start + count),
        digest=np.arange(count),
        frame=np.full(count, -1, np.int64),
        folio=np.full(count, -1, np.int32),
        nid=np.zeros(count, np.int8),
        flags=np.zeros(count, np.uint16),
    )


def epochs_of(path: Path, *sizes: int) -> Trace:
    with TraceWriter(path) as writer:
        for number, size in enumerate(sizes):
            writer.begin_epoch(number, "delta" if number else "complete")
            if number == 0:
                mapping = {"start_vpn": 0, "pages": max(sizes), "name": ""}
                writer.add_process({"pid": 1}, [mapping])
            # In two parts, as a process may come in several pieces.
            writer.add_pages(rows(size // 2))
            writer.add_pages(rows(size - size // 2, size // 2))
        writer.finish(FACTS)
    return Trace.open(path)


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [
        # Small epochs share a row group until it is large enough.
        ([100, 10, 0, 10], [120]),
        ([100, 39_000, 2_000, 500, 7], [41_100, 507]),
        # A large one has its own.
        ([50_000, 100, 100, 60_000, 5], [50_000, 200, 60_000, 5]),
        ([50_000, 50_000], [50_000, 50_000]),
        ([1 << 20, 100], [1 << 20, 100]),
        ([(1 << 20) + 7, 100], [1 << 20, 107]),
        ([(1 << 20) + 50_000, 100], [1 << 20, 50_000, 100]),
        ([100, (1 << 20) + 50_000], [100, 1 << 20, 50_000]),
    ],
)
def test_small_epochs_share_row_groups(tmp_path, sizes, groups):
    trace = epochs_of(tmp_path / "t.parquet", *sizes)
    metadata = trace.metadata
    found = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
    assert found == groups
    for epoch, size in enumerate(sizes):
        chunks = list(trace.chunks(["vpn"], epoch))
        vpns = np.concatenate([np.empty(0, int), *(chunk["vpn"] for chunk in chunks)])
        assert vpns.tolist() == list(range(size))


def test_a_reader_of_one_epoch_decodes_only_its_row_groups(tmp_path, monkeypatch):
    sizes = 50_000, 100, 200, 60_000, 5, 45_000
    trace = epochs_of(tmp_path / "t.parquet", *sizes)
    decoded: list[int] = []
    decode = Trace._decode

    def counting(self, group, columns, epoch):
        decoded.append(group)
        return decode(self, group, columns, epoch)

    monkeypatch.setattr(Trace, "_decode", counting)
    groups = []
    for epoch in range(len(sizes)):
        decoded.clear()
        list(trace.chunks(["digest"], epoch))
        groups.append(sorted(decoded))
    assert groups == [[0], [1], [1], [2], [3], [4]]


def test_without_statistics_every_row_group_is_looked_at(tmp_path):
    import pyarrow.parquet as pq

    trace = epochs_of(tmp_path / "t.parquet", 50_000, 100)
    table = pq.read_table(trace.path)
    foreign = tmp_path / "foreign.parquet"
    table = table.replace_schema_metadata(trace.metadata.metadata)
    pq.write_table(table, foreign, write_statistics=False)
    trace = Trace.open(foreign)
    assert trace.spans.tolist() == [[0, 1]]
    (chunk,) = trace.chunks(["vpn"], 1)
    assert len(chunk["vpn"]) == 100


_RUN = 8
Digests = npt.NDArray[np.int64]


class Host:
    """Pages of a busy host, of which some change: a quarter becomes zero, more than
    another quarter some content that there is elsewhere, the rest a new one."""

    def __init__(self, pages: int) -> None:
        self.chance = np.random.default_rng(1)
        self.pool = self.chance.integers(-(2**63), 2**63, (pages // 40, _RUN))
        self.digest = self.contents(pages // _RUN).ravel()

    def contents(self, runs: int) -> Digests:
        """Contents of *runs* runs of pages."""
        kind = self.chance.random((runs, 1))
        popular = (len(self.pool) * self.chance.random(runs) ** 3).astype(int)
        own = self.chance.integers(-(2**63), 2**63, (runs, _RUN))
        shared = np.where(kind < 0.53, self.pool[popular], own)
        return np.where(kind < 0.25, np.int64(FACTS.zero_digest), shared)

    def change(self, share: float) -> None:
        runs = len(self.digest) // _RUN
        some = self.chance.choice(runs, int(runs * share), replace=False)
        self.digest.reshape(-1, _RUN)[some] = self.contents(len(some))


def film(path: Path, pages: int, epochs: int, share: float) -> Trace:
    host = Host(pages)
    numbers = itertools.count()
    changes = Changes(lambda count: np.array([next(numbers) for _ in range(count)]))
    partial = Partial(path)
    partial.create()
    columns = rows(pages)._replace(frame=np.arange(pages))
    mapping = {"start_vpn": 0, "pages": pages, "kind": "anon", "name": ""}
    mapping |= {"perms": "rw-p", "vm_flags": "", "mergeable": True}
    for epoch in range(epochs):
        with partial.epoch(epoch) as file:
            changes.begin_epoch(file)
            changes.add_process({"pid": 1, "start_ticks": 1}, [mapping])
            changes.add_pages(columns._replace(digest=host.digest.copy()))
            changes.end_epoch()
            file.finish(
                EpochNews(
                    t_ns=epoch,
                    duration_ns=1,
                    processes=changes.processes,
                    mappings=changes.mappings,
                    ended=changes.ended,
                    facts=FACTS,
                )
            )
        host.change(share)
    partial.join()
    return Trace.open(path)


def test_a_hundred_epochs_take_a_fifth_of_a_hundred_snapshots(tmp_path):
    share, pages = 0.05, 1 << 16
    one = film(tmp_path / "one.parquet", pages, 1, share)
    many = film(tmp_path / "many.parquet", pages, 100, share)
    single, whole = (trace.path.stat().st_size for trace in (one, many))
    changed = many.epochs["rows"].sum() - pages

    assert changed > 90 * share * pages
    assert whole < 100 * single / 5
    assert (whole - single) / changed < 7.5
