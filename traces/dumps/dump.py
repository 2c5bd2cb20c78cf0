"""What every reader of dumps gives: processes, and their pages as live capture has
them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from traces.dumps.digesting import Digested, Digester
from traces.dumps.extents import StoredZeros
from traces.dumps.hashes import Hashing
from traces.dumps.layout import Layout
from traces.schema import UNKNOWN, PageFlag, Pages

UNTOUCHED: Final = (
    "the dump does not tell a page of zeros that its guest uses from one it never "
    "touched, which takes no memory on the host"
)
"""A limit of most dumps of guests."""
OFFERED: Final = (
    "whether the host offers a guest's memory to ksmd (QEMU's mem-merge), and whether "
    "it is shared or of huge pages, stands in no dump of it"
)
"""A limit of all of them."""

HOLES_OF_ZEROS: Final = (
    "its holes may be zeros that cp, xz -d, zstd -d or the like left out "
    "of it: a page of zeros may be one that was never touched"
)
"""A limit of a sparse file that may have been copied or unpacked."""

_PLAIN: Final = Layout()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How a dump is to be read."""

    name: str
    """What its workload or virtual machine is called."""
    given: bool = False
    """Whether the user called it so; else it is the file's name."""
    private: bool = False
    """Leave out command lines."""
    layout: Layout = _PLAIN
    """Of tables and files of digests: what they do not tell themselves."""
    holes: bool = True
    """Whether a hole in a file says that the page was not there."""


class Dumped(NamedTuple):
    """A process of a dump, or a virtual machine as the process it is on its host."""

    process: Mapping[str, Any]
    """Columns of `schema.PROCESSES`; what is left out is unknown."""
    mappings: Sequence[Mapping[str, Any]]
    """Columns of `schema.MAPPINGS`, in ascending address order."""


class Announced(NamedTuple):
    """All processes and mappings of a dump at once, where it knows them beforehand or
    is of several epochs; its pages name mappings by their numbers here."""

    processes: Sequence[Mapping[str, Any]]
    """Columns of `schema.PROCESSES`, with the epochs."""
    mappings: Sequence[Mapping[str, Any]]
    """All columns of `schema.MAPPINGS`."""


class Epoch(NamedTuple):
    """What follows is of a later epoch, of which it tells the differences."""

    t_ns: int
    """Nanoseconds since the first, which begins of itself."""


Step = Dumped | Announced | Epoch | Pages
"""What a dump gives of itself."""


@dataclass(slots=True, kw_only=True)
class Account:
    """What a dump held, and what became of it; complete once it was read."""

    pages: int = 0
    """4 KiB pages for which the dump has room, absent ones among them."""
    absent: int = 0
    """Those of them that it says were not there."""
    zeros: StoredZeros | None = None
    """Whether holes can be believed; None where it is not holes that say so."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Other pages that are no rows: reason → count, the unit is part of the reason."""
    missing_bytes: int = 0
    """Bytes it should have and has not, where it is truncated."""
    damage: str = ""
    """Why it ends early, where that is not for want of bytes alone."""
    limits: list[str] = field(default_factory=list)
    """What it cannot tell, in sentences."""
    hashing: Hashing | None = None
    """How its digests were made, where it has digests instead of pages."""

    @property
    def truncated(self) -> bool:
        """Whether some of the dump is missing."""
        return bool(self.missing_bytes or self.damage)


class Dump(Protocol):
    """One dump, opened: what it is is known, its pages are not read."""

    format: str
    """What it is, such as `elf-core`: `Facts.source`."""
    account: Account
    host: str
    """Where it was taken; empty where it does not say."""
    kernel: str
    """Release of the kernel whose ksmd would look at it; empty where unknown."""
    captured_at: str
    """ISO 8601, UTC; empty where it does not say."""

    def steps(self, digester: Digester) -> Iterator[Step]:
        """Each process, and behind it its pages: ascending by (mapping, vpn), the
        mappings numbered from 0 in each process; or all processes, and behind them the
        pages. No pages at all say that reading goes on. Read once.

        Raises InputError where what it holds makes no sense at all; one that only
        ends early says so in its account.
        """


def no_pages() -> Pages:
    """Pages of no rows."""
    nothing = np.empty(0, np.int64)
    return Pages(
        mapping=nothing.astype(np.int32),
        vpn=nothing,
        digest=nothing,
        frame=nothing,
        folio=nothing.astype(np.int32),
        nid=nothing.astype(np.int8),
        flags=nothing.astype(np.uint16),
    )


def page_rows(
    mapping: int | npt.NDArray[np.int32],
    vpn: npt.NDArray[np.int64],
    digested: Digested,
    *,
    zero: int,
    presence_known: bool,
    anon_known: bool | npt.NDArray[np.bool_] = True,
    frame: npt.NDArray[np.int64] | None = None,
) -> Pages:
    """Rows of pages that were read, all of *mapping* or one of each.

    Where presence is not known, that concerns pages of *zero* content only: what is
    in the others somebody has written.
    """
    rows = len(vpn)
    unknown = np.zeros(rows, bool) if presence_known else digested.digest == zero
    flags = np.where(digested.fill, PageFlag.FILL, 0)
    flags |= np.where(unknown, PageFlag.PRESENCE_UNKNOWN, 0)
    flags |= np.where(anon_known, 0, PageFlag.ANON_UNKNOWN)
    return Pages(
        mapping=np.broadcast_to(np.asarray(mapping, np.int32), rows),
        vpn=vpn,
        digest=digested.digest,
        frame=np.full(rows, UNKNOWN, np.int64) if frame is None else frame,
        folio=np.full(rows, UNKNOWN, np.int32),
        nid=np.full(rows, UNKNOWN, np.int8),
        flags=flags.astype(np.uint16),
    )


def guest(name: str, mappings: Sequence[Mapping[str, Any]], host: str = "") -> Dumped:
    """A virtual machine: on its host one process, each mapping a block of its RAM."""
    row = {"host": host, "comm": name, "vm": name}
    return Dumped(row, mappings)


def ram(name: str, start_vpn: int, pages: int) -> dict[str, Any]:
    """A block of a guest's RAM as a mapping of its virtual machine's process; page
    numbers are those of guest-physical memory."""
    return {
        "start_vpn": start_vpn,
        "pages": pages,
        "perms": "rw-p",
        "kind": "anon",
        "name": name,
        "vm_flags": "",
    }
