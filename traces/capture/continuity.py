"""Which mapping of this epoch is which of the epoch before.

The kernel joins neighbouring mappings and lengthens them at either end as a process
asks for memory. Only growth at the end leaves a mapping what it was to the reader of a
trace: its start is part of its name, and the order of mappings that of addresses. So a
mapping in which one known from before begins is cut there: what was known goes on under
its number, and its pages need not be stored again.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple


class Known(NamedTuple):
    """A mapping that is there now."""

    number: int
    """Provisional, of the whole capture; -1 until it is given one."""
    start: int
    """First page."""
    end: int
    """One after its last page now."""
    largest: int
    """Pages, when it had most."""
    traits: tuple[Any, ...]
    """Kind, name, perms, mergeable: with these it remains the same mapping."""
    vm_flags: str


class Continuation(NamedTuple):
    """A mapping of the present epoch beside what it was before."""

    now: Known
    before: Known | None
    row: Mapping[str, Any]
    """Columns of `schema.MAPPINGS`."""

    @property
    def is_news(self) -> bool:
        """Whether it is new, larger than ever, or has other flags than before."""
        return (
            self.before is None
            or self.now.largest > self.before.largest
            or self.now.vm_flags != self.before.vm_flags
        )


def continued(
    before: Sequence[Known], rows: Sequence[Mapping[str, Any]]
) -> Iterator[Continuation]:
    """The mappings in *rows*, as /proc shows them, cut where those known *before* go
    on; both ascending by address, and so is what comes."""
    starts = [known.start for known in before]
    for row in rows:
        start, end = row["start_vpn"], row["start_vpn"] + row["pages"]
        traits = row["kind"], row["name"], row["perms"], row["mergeable"]
        first, after = bisect_left(starts, start), bisect_left(starts, end)
        same = {k.start: k for k in before[first:after] if k.traits == traits}
        for at, until in pairwise(sorted({start, *same, end})):
            old = same.get(at)
            now = Known(
                number=old.number if old else -1,
                start=at,
                end=until,
                largest=max(until - at, old.largest if old else 0),
                traits=traits,
                vm_flags=row["vm_flags"],
            )
            columns = {"start_vpn": at, "pages": now.largest}
            yield Continuation(now, old, {**row, **columns})
