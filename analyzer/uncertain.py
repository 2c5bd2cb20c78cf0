"""Rows of which a capture cannot tell whether they count."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from traces.schema import PageFlag
from traces.trace import Columns


@dataclass(frozen=True, slots=True)
class UncertainRows:
    """Those of some captures, joined into one host."""

    kept_out: bool
    """Whether they are missing among the host's rows."""
    zero: npt.NDArray[np.int64]
    """[mapping] zero pages that may never have been touched."""
    mapping: npt.NDArray[np.int32]
    """[row] of the others, which may be of the file cache."""
    digest: npt.NDArray[np.uint64]
    """[row]"""

    @classmethod
    def none(cls, mappings: int) -> "UncertainRows":
        """Of a host of so many mappings."""
        return cls(
            True,
            np.zeros(mappings, np.int64),
            np.empty(0, np.int32),
            np.empty(0, np.uint64),
        )

    @property
    def others(self) -> npt.NDArray[np.int64]:
        """int64[mapping]: pages that may be of the file cache."""
        return np.bincount(self.mapping, minlength=len(self.zero))

    def __len__(self) -> int:
        return int(self.zero.sum()) + len(self.mapping)

    def within(self, mappings: npt.NDArray[np.bool_]) -> "UncertainRows":
        """Those of some *mappings* only: bool[mapping]."""
        mine = mappings[self.mapping]
        return replace(
            self,
            zero=np.where(mappings, self.zero, 0),
            mapping=self.mapping[mine],
            digest=self.digest[mine],
        )


def untouched(rows: Columns) -> npt.NDArray[np.bool_]:
    """Which of uncertain *rows* may never have been touched; the others are there, and
    may be of the file cache."""
    zero: npt.NDArray[np.bool_] = (rows["flags"] & PageFlag.PRESENCE_UNKNOWN) != 0
    return zero


class Found:
    """Uncertain rows as they are read, chunk by chunk."""

    def __init__(self, mappings: int, kept_out: bool) -> None:
        self._kept_out = kept_out
        self._zero = np.zeros(mappings, np.int64)
        self._mapping: list[npt.NDArray[np.int32]] = [np.empty(0, np.int32)]
        self._digest: list[npt.NDArray[np.int64]] = [np.empty(0, np.int64)]

    def add(self, rows: Columns) -> None:
        """Take in `mapping`, numbered through, `digest` and `flags` of some."""
        zero = untouched(rows)
        mapping = rows["mapping"]
        self._zero += np.bincount(mapping[zero], minlength=len(self._zero))
        self._mapping.append(mapping[~zero])
        self._digest.append(rows["digest"][~zero])

    def rows(self) -> UncertainRows:
        return UncertainRows(
            self._kept_out,
            self._zero,
            np.concatenate(self._mapping),
            np.concatenate(self._digest).view(np.uint64),
        )


class Sighted:
    """The uncertain rows among all that captures over time have shown last."""

    def __init__(self) -> None:
        columns = {"mapping": pl.Int32, "vpn": pl.Int64, "digest": pl.Int64}
        self._rows = pl.DataFrame(schema={**columns, "flags": pl.UInt16})

    def see(self, chunk: Columns, uncertain: Columns | None) -> None:
        """Take in the rows of a *chunk*, and those among them that are uncertain."""
        if self._rows.height:
            told = pl.DataFrame({name: chunk[name] for name in ("mapping", "vpn")})
            self._rows = self._rows.join(told, on=["mapping", "vpn"], how="anti")
        if uncertain is not None:
            more = {name: uncertain[name] for name in self._rows.columns}
            self._rows = self._rows.vstack(pl.DataFrame(more))

    def rows(self, lasting: npt.NDArray[np.bool_], kept_out: bool) -> UncertainRows:
        """Those of the *lasting* mappings, bool[mapping]."""
        found = Found(len(lasting), kept_out)
        mine = self._rows.filter(pl.Series(lasting[self._rows["mapping"].to_numpy()]))
        found.add({name: mine[name].to_numpy() for name in mine.columns})
        return found.rows()
