"""Snapshots of whole machines: written as traces, and made up by hypothesis."""

from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from builders import Proc, trace_file
from hypothesis import strategies as st
from reference import Page

from analyzer.knobs import KsmKnobs

T = TypeVar("T")

Snapshot = list[list[Page]]
"""Processes in the order of registration."""


def write_trace(
    path: Path, snapshot: Sequence[Sequence[Page]], pids: Sequence[int] | None = None
) -> Path:
    """*snapshot* as a capture stores it, frames numbered by first sight."""
    pages = [page for process in snapshot for page in process]
    frame = _numbered(page.frame for page in pages)
    folio = _numbered(page.folio for page in pages if page.folio is not None)
    procs = [
        Proc(
            contents=[int(page.content) for page in process],
            pid=pid,
            workload=f"w{pid % 2}",
            vpns=[page.vpn for page in process],
            frames=[frame[page.frame] for page in process],
            folios=[folio.get(page.folio, -1) for page in process],
        )
        for pid, process in zip(pids or range(1, 1000), snapshot, strict=bool(pids))
    ]
    return trace_file(path, *procs)


@st.composite
def snapshots(
    draw: st.DrawFn,
    *,
    forks: bool = True,
    folios: bool = True,
    nodes: int = 1,
    most_frames: int = 48,
) -> Snapshot:
    """Small machines, full of what makes ksmd's life hard.

    Processes map frames of few contents, 0 being zero bytes.
    With *forks* several processes may map a frame, with *folios* frames may be parts
    of a huge page. Frames are spread over *nodes* NUMA nodes.
    """
    content = st.integers(0, draw(st.integers(0, 8)))
    folio = st.sampled_from([None, None, "a", "b", "c"]) if folios else st.none()
    frames = _some(
        draw, st.tuples(content, folio, st.integers(0, nodes - 1)), most_frames
    )
    machine = []
    unused = set(range(len(frames)))
    for _ in range(draw(st.integers(1, 4))):
        order = draw(st.permutations(sorted(unused)))
        mapped = order[: draw(st.integers(0, len(order)))]
        if not forks:
            unused -= set(mapped)
        machine.append(
            [Page(vpn, frame, *frames[frame]) for vpn, frame in enumerate(mapped, 3)]
        )
    return machine


def knobs(*, merge_across_nodes: bool = True) -> st.SearchStrategy[KsmKnobs]:
    """Knobs at which small machines show what large ones do."""
    return st.builds(
        KsmKnobs,
        pages_to_scan=st.integers(1, 30) | st.just(1_000_000),
        max_page_sharing=st.integers(2, 5) | st.just(256),
        use_zero_pages=st.booleans(),
        smart_scan=st.booleans(),
        merge_across_nodes=st.just(merge_across_nodes),
    )


def _numbered(names: Iterable[Hashable]) -> dict[Hashable, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def _some(draw: st.DrawFn, strategy: st.SearchStrategy[T], most: int) -> list[T]:
    """A list of any length, the long ones as likely as the short."""
    length = draw(st.integers(0, most))
    return draw(st.lists(strategy, min_size=length, max_size=length))
