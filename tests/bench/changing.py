"""A host whose memory changes: the synthetic mix, written to between epochs.

It knows what is on every page at the end, so that a replay of its trace can be held
against figures that nothing was replayed for.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from traces.schema import Facts, Pages
from traces.synthetic import write_synthetic
from traces.trace import Trace
from traces.writer import TraceWriter

RUN: Final = 8
"""Pages that change together: what one allocation or one write of a buffer takes."""
CHANGED: Final = 0.02
"""Of the pages, from one epoch to the next."""
SEEN_BEFORE: Final = 0.3
"""Of the changes: pages freed, cleared, or filled from the same file once more."""
APART_NS: Final = 60 * 10**9

_HALVES: Final = 2

Row = dict[str, Any]


class ChangingHost:
    """Sixteen processes of the mix, no page of which shares its frame."""

    def __init__(self, folder: Path, pages: int) -> None:
        """*folder* is where the synthetic traces are put for as long as it takes."""
        self._rng = np.random.default_rng(0)
        self.processes: list[Row] = []
        self.mappings: list[Row] = []
        halves = [self._add(half, folder, pages) for half in range(_HALVES)]
        self.mapping = np.concatenate([half.mapping for half in halves])
        self.vpn = np.concatenate([half.vpn for half in halves])
        self.digest = np.concatenate([half.digest for half in halves])
        self._seen = [self._runs(self.digest).copy()]

    def write(self, path: Path, epochs: int) -> None:
        """A trace of so many *epochs*, the first of which holds all pages; the host
        is then as the last one shows it."""
        last = {"last_epoch": epochs - 1}
        with TraceWriter(path) as writer:
            writer.announce(
                [row | last for row in self.processes],
                [row | last for row in self.mappings],
            )
            for epoch in range(epochs):
                rows = self._change() if epoch else np.arange(len(self.digest))
                kind = "delta" if epoch else "complete"
                writer.begin_epoch(epoch * APART_NS, kind)
                writer.add_pages(self._pages(rows))
            writer.finish(self._facts)

    def _add(self, half: int, folder: Path, pages: int) -> "_Half":
        """The mix has eight processes up to 2 Mi pages; two seeds have what two hosts
        with the same software would have in common."""
        path = folder / f"half-{half}.parquet"
        write_synthetic(path, "mix", pages // _HALVES, seed=half)
        trace = Trace.open(path)
        self._facts: Facts = replace(trace.facts, host="changing")
        process, mapping = len(self.processes), len(self.mappings)
        for row in trace.processes.to_dicts():
            moved = {"process": process + row["process"], "host": "changing"}
            apart = {name: row[name] + half * 100 for name in ("pid", "start_ticks")}
            self.processes.append(row | moved | apart)
        for row in trace.mappings.to_dicts():
            moved = {
                "process": process + row["process"],
                "mapping": mapping + row["mapping"],
            }
            self.mappings.append(row | moved)
        chunks = list(trace.chunks(["mapping", "vpn", "digest"]))
        path.unlink()
        return _Half(
            np.concatenate([chunk["mapping"] for chunk in chunks]) + np.int32(mapping),
            np.concatenate([chunk["vpn"] for chunk in chunks]),
            np.concatenate([chunk["digest"] for chunk in chunks]),
        )

    def _change(self) -> npt.NDArray[np.int64]:
        """Give some runs of pages other contents; their rows, ascending."""
        runs = self._runs(self.digest)
        count = round(len(runs) * CHANGED)
        some = np.sort(self._rng.choice(len(runs), count, replace=False))
        written = self._rng.integers(-(1 << 63), 1 << 63, (count, RUN), np.int64)
        again = self._rng.random(count) < SEEN_BEFORE
        epochs = self._rng.integers(0, len(self._seen), count)
        for at in np.flatnonzero(again):
            seen = self._seen[epochs[at]]
            written[at] = seen[self._rng.integers(len(seen))]
        runs[some] = written
        self._seen.append(written)
        return (some[:, None] * RUN + np.arange(RUN)).ravel()

    def _pages(self, rows: npt.NDArray[np.int64]) -> Pages:
        # Written in place: whoever has a frame alone keeps it.
        return Pages(
            mapping=self.mapping[rows],
            vpn=self.vpn[rows],
            digest=self.digest[rows],
            frame=rows,
            folio=np.full(len(rows), -1, np.int32),
            nid=np.zeros(len(rows), np.int8),
            flags=np.zeros(len(rows), np.uint16),
        )

    @property
    def zero_digest(self) -> int:
        """Signed, as stored."""
        return self._facts.zero_digest

    @staticmethod
    def _runs(digest: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return digest[: len(digest) // RUN * RUN].reshape(-1, RUN)


class _Half(NamedTuple):
    """One synthetic trace's rows, numbered as those of the whole host."""

    mapping: npt.NDArray[np.int32]
    vpn: npt.NDArray[np.int64]
    digest: npt.NDArray[np.int64]
