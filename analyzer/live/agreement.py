"""What a kernel and the model said, figure by figure: the evidence for the model."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple

from analyzer.report.escape import printable

SCHEMA: Final = "ksm-analyze/proof/1"


class Row(NamedTuple):
    """One figure after one full scan."""

    full_scan: int
    """From 1."""
    figure: str
    """A file of /sys/kernel/mm/ksm, or a line of /proc/PID/ksm_stat."""
    process: str
    """`P0 python3`; empty for a figure of the whole machine."""
    kernel: int
    model: int

    @property
    def agrees(self) -> bool:
        """Whether both are equal; there is no tolerance."""
        return self.kernel == self.model


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A real ksmd and the simulated one, side by side over some full scans."""

    kernel: str
    """The release that ran."""
    profile: str
    """The kernel version whose ksmd was simulated."""
    measured_at: str
    """ISO 8601, UTC."""
    knobs: dict[str, int]
    """Under which both ran."""
    full_scans: int
    processes: tuple[str, ...]
    pages: int
    """Offered to ksmd, of all processes together."""
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    """What was not compared, and why, in sentences."""

    @property
    def agrees(self) -> bool:
        """Whether there are figures, and every one is equal."""
        return bool(self.rows) and all(row.agrees for row in self.rows)

    @property
    def agreeing(self) -> int:
        """Figures that are equal."""
        return sum(row.agrees for row in self.rows)

    def text(self) -> str:
        """For people, and to be attached to a report: every machine-wide figure, and
        those of processes that differ."""
        return "\n".join([*self._head(), *self._scans(), *self._end()]) + "\n"

    def as_dict(self) -> dict[str, Any]:
        """For programs: everything, under the names of the fields."""
        document = asdict(self)
        rows = [{**row._asdict(), "agrees": row.agrees} for row in self.rows]
        verdict = {"agrees": self.agrees, "agreeing": self.agreeing}
        return {"schema": SCHEMA, **verdict, **document, "rows": rows}

    def _head(self) -> Iterator[str]:
        yield f"Linux {printable(self.kernel)}, simulated as {self.profile}"
        scans = f"{self.full_scans} full scans of {self.pages:,} pages"
        yield f"{self.measured_at}, {scans}"
        yield f"processes: {', '.join(map(printable, self.processes))}"
        yield "knobs: " + " ".join(f"{name}={n}" for name, n in self.knobs.items())

    def _scans(self) -> Iterator[str]:
        for number, found in groupby(self.rows, attrgetter("full_scan")):
            rows = list(found)
            title = f"full scan {number}"
            yield f"\n{title:<44}{'kernel':>14}{'model':>14}"
            yield from map(_line, _worth_a_line(rows))
            own = [row for row in rows if row.process]
            equal = sum(row.agrees for row in own)
            yield f"  figures of processes: {equal} of {len(own)} agree"

    def _end(self) -> Iterator[str]:
        yield f"\n{self.agreeing} of {len(self.rows)} figures agree"
        yield from (f"note: {note}" for note in self.notes)


def _worth_a_line(rows: Sequence[Row]) -> list[Row]:
    if all(row.process for row in rows):
        return list(rows)
    return [row for row in rows if not row.process or not row.agrees]


def _line(row: Row) -> str:
    name = f"{printable(row.process)} {row.figure}" if row.process else row.figure
    differs = "" if row.agrees else f"  differs by {row.model - row.kernel:+,}"
    return f"  {name:<42}{row.kernel:>14,}{row.model:>14,}{differs}"
