"""The ideal: what a merger without limits would save, and what it might save at most.

Neither is simulated. Where a capture cannot tell which pages there are, or which of
them share a frame, the replay takes the least there can be; here is the most.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analyzer.engine import attribution
from analyzer.engine.steady import ROWS, ZERO, Segments, steady
from analyzer.outcome import Outcome
from analyzer.result import Ideal, Uncertainty


class Found(NamedTuple):
    """The ideal over the offered pages."""

    ideal: Ideal
    contents: int
    """Other than zero."""
    kept: npt.NDArray[np.float64]
    """[process] its share of the pages other than zero that would be left."""


def ideal_of(
    outcome: Outcome,
    before: npt.NDArray[np.uint32],
    zero_rows: npt.NDArray[np.bool_],
) -> Found:
    """The ideal over what *outcome* was offered; *before* counts each frame's rows."""
    found = steady(*_offered(outcome))
    zero = found.process[:, ZERO]
    zero_frames, others = _free(outcome, before, zero_rows)
    ideal = Ideal(
        pages_saved_zero=zero_frames,
        pages_saved_nonzero=others - found.distinct,
        distinct_contents=found.distinct + int(zero.sum() > 0),
    )
    # After merging, a content's one page is shared by all rows that hold it.
    return Found(ideal, found.distinct, found.process[:, ROWS] - zero - found.share)


def uncertainty(
    outcome: Outcome, zero_rows: npt.NDArray[np.bool_], found: Found
) -> Uncertainty:
    """What the captures cannot tell of what was offered, and the most it may save:
    every uncertain page counted in, and every unknown frame the page's own."""
    uncertain = outcome.uncertain
    zero, other = found.ideal[:2]
    shared = _shared(outcome)
    if shared is not None:
        apart = _apart(outcome, shared)
        before = attribution.mappings_before(apart.host.frame, apart.host.frames)
        zero, frames = _free(apart, before, zero_rows)
        other = frames - found.contents
    if uncertain.kept_out and len(uncertain):
        pages = uncertain.digest[uncertain.digest != outcome.host.zero]
        zero += len(uncertain) - len(pages)
        other += len(pages) - _more_contents(outcome, found, pages)
    return Uncertainty(
        zero_pages=int(uncertain.zero.sum()),
        other_pages=len(uncertain.mapping),
        shared_pages=0 if shared is None else int(np.count_nonzero(shared)),
        pages_saved_zero_at_most=zero,
        pages_saved_nonzero_at_most=other,
    )


def _offered(
    outcome: Outcome,
) -> tuple[npt.NDArray[np.uint64], np.uint64, Segments]:
    """The digests of the offered pages, and what `steady` needs beside them."""
    host, offered = outcome.host, outcome.offered
    segments = host.segments()
    if offered.all():
        return host.digest, host.zero, segments
    segments = segments._replace(
        start=np.concatenate(([0], np.cumsum(np.diff(host.start)[offered]))),
        process=segments.process[offered],
        kind=segments.kind[offered],
    )
    return host.digest[outcome.offered_rows()], host.zero, segments


def _shared(outcome: Outcome) -> npt.NDArray[np.bool_] | None:
    """bool[rows]: offered pages whose frame is supposed; None for none."""
    supposed = outcome.host.supposed
    if supposed is None:
        return None
    shared: npt.NDArray[np.bool_] = supposed & outcome.offered_rows()
    return shared if shared.any() else None


def _apart(outcome: Outcome, rows: npt.NDArray[np.bool_]) -> Outcome:
    """*outcome* with a frame of its own for each of *rows*."""
    host = outcome.host
    frame = host.frame.copy()
    own = int(np.count_nonzero(rows))
    frame[rows] = np.arange(host.frames, host.frames + own, dtype=np.int32)
    return replace(outcome, host=replace(host, frame=frame, frames=host.frames + own))


def _more_contents(
    outcome: Outcome, found: Found, pages: npt.NDArray[np.uint64]
) -> int:
    """How many of the contents of more *pages* no offered one has."""
    digests, zero, _ = _offered(outcome)
    together = np.concatenate([digests, pages])
    everything = Segments(
        start=np.array([0, len(together)]),
        process=np.zeros(1, np.int32),
        kind=np.zeros(1, np.uint8),
        workload=np.zeros(1, np.int32),
    )
    return steady(together, zero, everything).distinct - found.contents


def _free(
    outcome: Outcome,
    before: npt.NDArray[np.uint32],
    zero_rows: npt.NDArray[np.bool_],
) -> tuple[int, int]:
    """(zero, other) frames of offered pages, less those that stay whatever is merged.

    A frame that a page not offered maps too stays; the best such frame is the copy
    that the others come to share.
    """
    frame, zeros = outcome.host.frame, zero_rows
    if not outcome.offered.all():
        rows = outcome.offered_rows()
        frame, zeros = frame[rows], zeros[rows]
    used = np.zeros(outcome.host.frames, np.bool_)
    used[frame] = True
    everything = int(np.count_nonzero(used))
    used[:] = False
    used[frame[zeros]] = True
    zero = int(np.count_nonzero(used))
    stuck_zero, stuck_other = _stuck(outcome, before, zero_rows)
    return zero - stuck_zero, everything - zero - stuck_other


def _stuck(
    outcome: Outcome,
    before: npt.NDArray[np.uint32],
    zero_rows: npt.NDArray[np.bool_],
) -> tuple[int, int]:
    """(zero, other) frames that offered pages share with pages that are not."""
    host = outcome.host
    if outcome.offered.all():
        return 0, 0
    rows = outcome.offered_rows()
    inside = attribution.mappings_before(host.frame[rows], host.frames)
    held = (inside > 0) & (inside < before)
    first = rows & held[host.frame]
    _, at = np.unique(host.frame[first], return_index=True)
    digests = host.digest[first][at]
    zeros = zero_rows[first][at]
    others = digests[~zeros]
    return int(zeros.sum()), len(others) - len(np.unique(others))
