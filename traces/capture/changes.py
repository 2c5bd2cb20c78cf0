"""What has changed since the epoch before: the pages to be stored, and who is gone.

Of the epoch before, 24 bytes per page are kept, in arrays as long as the pieces in
which the pages came: a piece of the present epoch uses them up and leaves its own.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from traces.capture.continuity import Known, continued
from traces.capture.partial import EpochFile
from traces.schema import MAPPINGS, PROCESSES, UNKNOWN, PageFlag, Pages
from traces.writer import row_of

Vpns = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_KSM_BIT: Final = np.int64(1)


class Stored(NamedTuple):
    """Pages of a process as the trace says they are, ascending: 24 bytes each."""

    key: npt.NDArray[np.int64]
    """Virtual page number, and below it a bit that says whether ksmd had merged it."""
    digest: npt.NDArray[np.int64]
    frame: npt.NDArray[np.int32]
    folio: npt.NDArray[np.int32]

    @property
    def vpn(self) -> Vpns:
        """Virtual page numbers."""
        vpn: Vpns = self.key >> _KSM_BIT
        return vpn

    def where(self, rows: Mask | slice) -> "Stored":
        """Some of the pages."""
        return Stored._make(np.ascontiguousarray(column[rows]) for column in self)


@dataclass(slots=True)
class _Memory:
    """A process in the epoch before."""

    number: int
    mappings: list[Known] = field(default_factory=list)
    stored: deque[Stored] = field(default_factory=deque)


class Changes:
    """Takes a capture epoch after epoch and passes on what is different; a `Sink`.

    Call `begin_epoch`, let a `Capture` fill it, call `end_epoch`. After an epoch that
    was broken off no other can follow. *fresh* makes numbers for the frames of pages
    that ksmd had merged, which are nobody's but the page's.
    """

    def __init__(self, fresh: Callable[[int], npt.NDArray[np.int64]]) -> None:
        self._fresh = fresh
        self._before: dict[tuple[int, int], _Memory] = {}
        self._now: dict[tuple[int, int], _Memory] = {}
        self._next_process = self._next_mapping = 0
        self.rows = 0
        """Rows of the present epoch so far."""

    def begin_epoch(self, file: EpochFile) -> None:
        """Pass the next epoch on to *file*."""
        self._file = file
        self.rows = 0
        self.processes: list[dict[str, Any]] = []
        self.mappings: list[dict[str, Any]] = []
        self.ended: list[int] = []
        self._old: _Memory | None = None

    def end_epoch(self) -> None:
        """What was not seen in this epoch is gone."""
        self._conclude()
        self._before, self._now = self._now, {}

    def add_process(
        self, process: Mapping[str, Any], mappings: Sequence[Mapping[str, Any]]
    ) -> int:
        """Announce a process and its mappings, in ascending address order."""
        self._conclude()
        name = process["pid"], process["start_ticks"]
        old = self._before.pop(name, None)
        if old is None:
            old = _Memory(self._next_process)
            self._next_process += 1
        self._old, self._new = old, _Memory(old.number)
        self._now[name] = self._new
        self.processes.append(row_of(PROCESSES, process, process=old.number))
        self._continue_mappings(mappings)
        return 0

    def amend_process(self, **columns: Any) -> None:
        """Set columns of the process announced last."""
        self.processes[-1].update(columns)

    def add_pages(self, pages: Pages) -> None:
        """Pages of the process announced last, in ascending order."""
        if not len(pages.vpn):
            return
        assert self._old is not None
        waiting = self._old.stored
        while waiting and int(waiting[0].vpn[-1]) < int(pages.vpn[0]):
            self._lose(waiting.popleft())
        before = _taken(waiting, int(pages.vpn[-1]))
        place = np.searchsorted(self._starts, pages.vpn, side="right") - 1
        ksm = (pages.flags & PageFlag.KSM) != 0
        twin, same = _compared(before, pages, ksm)
        frame = pages.frame.astype(np.int32)
        frame[same] = before.frame[twin[same]]
        changed = np.flatnonzero(~same)
        fresh = changed[ksm[changed]]
        frame[fresh] = self._fresh(len(fresh))
        self._new.stored.append(
            Stored(
                pages.vpn << _KSM_BIT | ksm,
                pages.digest,
                frame,
                pages.folio,
            )
        )
        rows = Pages._make(column[changed] for column in pages)
        rows = rows._replace(frame=frame[changed].astype(np.int64))
        gone = np.ones(len(before.key), bool)
        gone[twin[twin >= 0]] = False
        lost = before.vpn[gone]
        self._write(rows, place[changed], lost, int(place[-1]))

    def _continue_mappings(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Learn which mappings there are now; forget the pages of those that are gone,
        and set aside what others have lost at their ends."""
        assert self._old is not None
        known: list[Known] = []
        cut: list[tuple[int, int, int]] = []
        alive: set[int] = set()
        for continuation in continued(self._old.mappings, rows):
            now, before, row = continuation
            if before is None:
                now = now._replace(number=self._next_mapping)
                self._next_mapping += 1
            else:
                alive.add(now.number)
                if now.end < before.end:
                    cut.append((now.end, before.end, len(known)))
            if continuation.is_news:
                numbers = {"mapping": now.number, "process": self._old.number}
                self.mappings.append(row_of(MAPPINGS, row, **numbers))
            known.append(now)
        for mapping in self._old.mappings:
            if mapping.number not in alive:
                self.ended.append(mapping.number)
                cut.append((mapping.start, mapping.end, UNKNOWN))
        self._new.mappings = known
        self._starts = np.array([mapping.start for mapping in known], np.int64)
        self._numbers = np.array([mapping.number for mapping in known], np.int32)
        self._cut_off: deque[tuple[int, Vpns]] = deque()
        if cut:
            self._cut(sorted(cut))

    def _cut(self, ranges: list[tuple[int, int, int]]) -> None:
        """Take the pages in *ranges* (first page, one after the last, place of their
        mapping) out of what is remembered."""
        assert self._old is not None
        starts, ends, places = np.array(ranges, np.int64).T
        lost: dict[int, list[Vpns]] = {}
        for _ in range(len(self._old.stored)):
            stored = self._old.stored.popleft()
            vpn = stored.vpn
            at = np.searchsorted(starts, vpn, side="right") - 1
            inside = (at >= 0) & (vpn < ends[at])
            if inside.any():
                for place in np.unique(places[at[inside]]).tolist():
                    some = vpn[inside & (places[at] == place)]
                    lost.setdefault(place, []).append(some)
                stored = stored.where(~inside)
            if len(stored.key):
                self._old.stored.append(stored)
        # The pages of mappings that are gone have gone with them.
        lost.pop(UNKNOWN, None)
        self._cut_off.extend(
            (place, np.concatenate(parts)) for place, parts in sorted(lost.items())
        )

    def _conclude(self) -> None:
        """What of the last process has not been seen is gone."""
        if self._old is None:
            return
        while self._old.stored:
            self._lose(self._old.stored.popleft())
        nothing = np.empty(0, np.int64)
        self._write(_absent(nothing), nothing, nothing, len(self._numbers))
        self._old = None

    def _lose(self, stored: Stored) -> None:
        """All of *stored*, which no page of the present epoch comes before, is gone."""
        vpn = stored.vpn
        last = int(np.searchsorted(self._starts, vpn[-1], side="right")) - 1
        nothing = np.empty(0, np.int64)
        self._write(_absent(nothing), nothing, vpn, last)

    def _write(
        self, rows: Pages, places: npt.NDArray[np.int64], lost: Vpns, last: int
    ) -> None:
        """Store *rows* and that the pages *lost* are gone, in order of their mappings,
        and what mappings before *last* have lost at their ends."""
        gone = [(np.searchsorted(self._starts, lost, side="right") - 1, lost)]
        while self._cut_off and self._cut_off[0][0] < last:
            place, vpns = self._cut_off.popleft()
            gone.append((np.full(len(vpns), place), vpns))
        vpn = np.concatenate([vpns for _, vpns in gone])
        if len(vpn):
            places = np.concatenate([places, *(place for place, _ in gone)])
            rows = _joined(rows, _absent(vpn))
            order = np.lexsort((rows.vpn, places))
            places = places[order]
            rows = Pages._make(column[order] for column in rows)
        self.rows += len(places)
        self._file.add_pages(rows._replace(mapping=self._numbers[places]))


_NOTHING: Final = Stored(
    np.empty(0, np.int64),
    np.empty(0, np.int64),
    np.empty(0, np.int32),
    np.empty(0, np.int32),
)


def _taken(waiting: deque[Stored], last: int) -> Stored:
    """Take the pages up to *last* out of *waiting*."""
    parts = [_NOTHING]
    while waiting and int(waiting[0].vpn[0]) <= last:
        stored = waiting.popleft()
        count = int(np.searchsorted(stored.vpn, last, side="right"))
        if count < len(stored.key):
            waiting.appendleft(stored.where(slice(count, None)))
            stored = stored.where(slice(count))
        parts.append(stored)
    if len(parts) == 2:
        return parts[1]
    return Stored._make(map(np.concatenate, zip(*parts, strict=True)))


def _compared(
    before: Stored, pages: Pages, ksm: Mask
) -> tuple[npt.NDArray[np.int64], Mask]:
    """For each page the index of what it was *before* or -1, and whether it is that
    still."""
    vpn = before.vpn
    if np.array_equal(vpn, pages.vpn):
        twin = np.arange(len(vpn))
    else:
        twin = np.searchsorted(vpn, pages.vpn)
        twin[twin == len(vpn)] = UNKNOWN
        if len(vpn):
            twin[vpn[twin] != pages.vpn] = UNKNOWN
    if not len(vpn):
        return twin, np.zeros(len(twin), bool)
    same = (
        (twin >= 0)
        & (before.digest[twin] == pages.digest)
        & (before.folio[twin] == pages.folio)
        & ((before.key[twin] & _KSM_BIT) == ksm)
        # A merged page's frame is its own, however ksmd moves it about.
        & (ksm | (before.frame[twin] == pages.frame))
    )
    return twin, same


def _absent(vpns: Vpns) -> Pages:
    count = len(vpns)
    return Pages(
        mapping=np.zeros(count, np.int32),
        vpn=vpns,
        digest=np.zeros(count, np.int64),
        frame=np.full(count, UNKNOWN, np.int64),
        folio=np.full(count, UNKNOWN, np.int32),
        nid=np.full(count, UNKNOWN, np.int8),
        flags=np.full(count, PageFlag.ABSENT, np.uint16),
    )


def _joined(first: Pages, second: Pages) -> Pages:
    before, after = first._asdict(), second._asdict()
    return Pages(
        **{name: np.concatenate([before[name], after[name]]) for name in before}
    )
