"""Who is offered to ksmd."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from analyzer.expression.expression import Expression
from traces.errors import UsageError


class Offer(StrEnum):
    """What is offered before anybody is asked for by name."""

    ALL = "all"
    """As if every process had called prctl(PR_SET_MEMORY_MERGE), its main stack
    included: every compatible mapping, present and future."""
    CAPTURED = "captured"
    """Only mappings whose VmFlags held `mg` when they were captured."""
    NONE = "none"
    """Nothing."""


class Uncertain(StrEnum):
    """What becomes of pages of which a capture cannot tell whether they count."""

    KEEP_OUT = "keep-out"
    """They are never offered, so that what is found is there at least."""
    COUNT_IN = "count-in"
    """They are taken for present and anonymous."""


_WORDS: Final = ("workload", "comm")
"""Where a word alone is looked for: a file's name shall not opt in its users."""
_OF_PROCESSES: Final = (
    *_WORDS,
    *("pid", "user", "unit", "container", "pod", "vm", "host", "cgroup", "pages"),
)
_OF_MAPPINGS: Final = ("kind", "name")
_REASON: Final = "who is offered is decided before a replay"

_PART: Final = re.compile(r'(?:[^;"]|"(?:\\.|[^"\\])*")+', re.DOTALL)
"""What stands between semicolons that no quoted text holds."""
_LARGEST_PID: Final = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class MergePolicy:
    """Which mappings' pages are offered to ksmd: what *offer* says, *trees* and what
    fits *opt_in* as well, but nothing that fits *opt_out*.

    Conditions on processes mean all their mappings, as prctl(PR_SET_MEMORY_MERGE)
    does; with `kind` or `name` they mean these mappings, as madvise(MADV_MERGEABLE)
    does. Raises UsageError for an expression that is none, or that names what is not
    known before a replay, and for a PID that can be none.
    """

    offer: Offer = Offer.ALL
    opt_in: str = ""
    """An expression, kept as `str` of it; empty for none."""
    opt_out: str = ""
    trees: tuple[int, ...] = ()
    """PIDs of processes that are opted in with all their descendants: the prctl is
    inherited by fork."""
    uncertain: Uncertain = Uncertain.KEEP_OUT

    def __post_init__(self) -> None:
        for name in ("opt_in", "opt_out"):
            text = getattr(self, name)
            if text:
                expression = Expression.parse(text)
                _condition(expression)
                object.__setattr__(self, name, str(expression))
        for pid in self.trees:
            if not 0 < pid <= _LARGEST_PID:
                raise UsageError(f"PID {pid}, expected 1 to {_LARGEST_PID}")
        object.__setattr__(self, "trees", tuple(sorted(set(self.trees))))

    @classmethod
    def parse(cls, text: str) -> "MergePolicy":
        """The policy whose `str` is *text*. Raises UsageError for anything else."""
        offer, *parts = _PART.findall(text) or [""]
        given: dict[str, str] = {}
        trees = []
        for part in parts:
            name, _, value = part.strip().partition(" ")
            if name == "opt-in-tree" and value.isascii() and value.isdecimal():
                trees.append(int(value))
            elif name in ("opt-in", "opt-out", "uncertain"):
                given[name.replace("-", "_")] = value
        try:
            uncertain = Uncertain(given.pop("uncertain", Uncertain.KEEP_OUT))
            made = cls(Offer(offer), trees=tuple(trees), uncertain=uncertain, **given)
        except ValueError:
            made = None
        if made is None or str(made) != text:
            raise UsageError(f"{text!r} is no policy")
        return made

    @property
    def sized(self) -> bool:
        """Whether `offered` must know how large processes are."""
        return any("size" in Expression.parse(text).names() for text in self._asked())

    def offered(
        self, processes: pl.DataFrame, mappings: pl.DataFrame
    ) -> npt.NDArray[np.bool_]:
        """One bool per row of *mappings*. A trace holds compatible mappings only.

        Both are tables of a trace; *processes* has a column `pages` too, those it has
        present, where the policy is `sized`. Raises UsageError for a tree whose
        process is not in them.
        """
        base = self._base(mappings)
        if not (self.trees or self.opt_in or self.opt_out):
            return base
        table = _described(processes, mappings)
        if self.trees:
            base = base | self._descended(processes)[table["process"].to_numpy()]
        if self.opt_in:
            base = base | _fitting(self.opt_in, table)
        if self.opt_out:
            base = base & ~_fitting(self.opt_out, table)
        return base

    def idle(self, processes: pl.DataFrame, mappings: pl.DataFrame) -> list[str]:
        """A sentence for each expression that no mapping fits, as `offered`."""
        asked = list(self._asked())
        if not asked:
            return []
        table = _described(processes, mappings)
        return [
            f"no mapping of the trace fits {text}"
            for text in asked
            if not _fitting(text, table).any()
        ]

    def _asked(self) -> Iterator[str]:
        yield from filter(None, (self.opt_in, self.opt_out))

    def _base(self, mappings: pl.DataFrame) -> npt.NDArray[np.bool_]:
        match self.offer:
            case Offer.ALL:
                return np.ones(mappings.height, np.bool_)
            case Offer.CAPTURED:
                return mappings["mergeable"].to_numpy().astype(np.bool_)
            case Offer.NONE:
                return np.zeros(mappings.height, np.bool_)

    def _descended(self, processes: pl.DataFrame) -> npt.NDArray[np.bool_]:
        """bool[processes]: in one of the trees.

        A parent is who had that PID when its child was first seen; one that had ended
        before is not known, as its children have been given another.
        """
        rows = processes.select(
            "host", "pid", "ppid", "first_epoch", "last_epoch"
        ).rows()
        children: dict[tuple[str, int], list[int]] = {}
        for child, (host, _, ppid, _, _) in enumerate(rows):
            children.setdefault((host, ppid), []).append(child)
        reached = np.zeros(len(rows), np.bool_)
        for root in self.trees:
            found = [at for at, row in enumerate(rows) if row[1] == root]
            if not found:
                raise _no_such_pid(root, processes)
            while found:
                at = found.pop()
                if reached[at]:
                    continue
                reached[at] = True
                host, pid, _, first, last = rows[at]
                found += [
                    child
                    for child in children.get((host, pid), ())
                    if first <= rows[child][3] <= last
                ]
        return reached

    def __str__(self) -> str:
        parts = [self.offer.value, *(f"opt-in-tree {pid}" for pid in self.trees)]
        if self.opt_in:
            parts.append(f"opt-in {self.opt_in}")
        if self.opt_out:
            parts.append(f"opt-out {self.opt_out}")
        if self.uncertain is not Uncertain.KEEP_OUT:
            parts.append(f"uncertain {self.uncertain.value}")
        return "; ".join(parts)


def _condition(expression: Expression) -> pl.Expr:
    columns = (*_OF_PROCESSES, *_OF_MAPPINGS)
    return expression.over(columns, _REASON, _WORDS)


def _fitting(text: str, table: pl.DataFrame) -> npt.NDArray[np.bool_]:
    fits = table.select("process", _condition(Expression.parse(text)).alias("fits"))
    found: npt.NDArray[np.bool_] = fits["fits"].to_numpy()
    return found


def _described(processes: pl.DataFrame, mappings: pl.DataFrame) -> pl.DataFrame:
    """A row per mapping, and what is known of its process."""
    known = [name for name in _OF_PROCESSES if name in processes.columns]
    table: pl.DataFrame = mappings.select("process", *_OF_MAPPINGS).join(
        processes.select("process", *known),
        on="process",
        how="left",
        maintain_order="left",
    )
    return table


def _no_such_pid(pid: int, processes: pl.DataFrame) -> UsageError:
    near = processes.sort((pl.col("pid") - pid).abs()).head(1)
    hint = None
    if near.height:
        found = near.row(0, named=True)
        hint = f"the nearest is {found['pid']}, {found['comm']}"
    return UsageError(f"no process {pid} in the trace", hint=hint)
