"""The pages that every contender of a benchmark gets, in the shape each likes best."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from traces.trace import Trace


@dataclass(frozen=True)
class Host:
    """One trace's digests in memory, and which rows are whose."""

    digest: npt.NDArray[np.uint64]
    zero: np.uint64
    segment_row: npt.NDArray[np.int64]
    """[segments + 1] the first row of each mapping."""
    segment_process: npt.NDArray[np.int32]
    segment_kind: npt.NDArray[np.uint8]
    workload: npt.NDArray[np.int32]
    """[processes]"""
    kinds: int
    """Kinds of mappings."""

    @classmethod
    def read(cls, path: Path) -> "Host":
        """Every digest of the trace at *path*, whatever its frames."""
        trace = Trace.open(path)
        chunks = list(trace.chunks(["digest", "mapping"]))
        mapping = np.concatenate([chunk["mapping"] for chunk in chunks])
        rows = np.bincount(mapping, minlength=trace.mappings.height)
        kinds = trace.mappings["kind"].cast(pl.Categorical).to_physical()
        names = sorted(set(trace.processes["workload"]))
        return cls(
            digest=np.concatenate([chunk["digest"] for chunk in chunks]).view(
                np.uint64
            ),
            zero=np.int64(trace.facts.zero_digest).view(np.uint64),
            segment_row=np.concatenate(([0], np.cumsum(rows))).astype(np.int64),
            segment_process=trace.mappings["process"].to_numpy().astype(np.int32),
            segment_kind=(kinds - kinds.min()).to_numpy().astype(np.uint8),
            workload=np.array(
                [names.index(name) for name in trace.processes["workload"]], np.int32
            ),
            kinds=kinds.n_unique(),
        )

    def frame(self) -> pl.DataFrame:
        """A row per page in the narrowest types, which dataframes are fastest with."""
        rows = np.diff(self.segment_row)
        process = np.repeat(self.segment_process.astype(np.uint16), rows)
        return pl.DataFrame(
            {
                "digest": self.digest,
                "process": process,
                "workload": self.workload.astype(np.uint8)[process],
                "kind": np.repeat(self.segment_kind, rows),
            }
        )
