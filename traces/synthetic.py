"""Seeded workloads whose savings are known before any analysis.

A trace from here is its own answer key: contents are numbers, dealt out page by
page, and what is dealt is tallied as it is dealt. So tests can hold the engine
against figures that no digest was counted for, and benchmarks of any size need no
captured host. Equal arguments give equal files, byte for byte.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from traces.errors import UsageError
from traces.schema import ROW_GROUP_ROWS, UNKNOWN, Facts, Pages
from traces.tool import tool
from traces.writer import TraceWriter

ZERO_DIGEST: Final = int(np.uint64(0x93D76FE148C689BA).view(np.int64))
"""Digest of the zero page under seed 0, signed as stored."""

LEAST_PAGES: Final = 1024
"""The smallest trace in which every scenario still has all its parties."""

SEEDS: Final = 1 << 20
"""Seeds are 0 to SEEDS - 1."""

_RUN: Final = 8
"""Pages of a shared run: what one allocation or one read of a file brings in."""
_OWN: Final = 1 << 40
"""Content numbers of a process's own pages start at (seed + 1) * _OWN."""
_FAMILY: Final = 17
"""A prefork server: the parent and its workers."""

_Numbers = npt.NDArray[np.uint64]
_Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a merger without any limit saves on a synthetic trace, in pages.

    The fields that `analyzer.result.Ideal` has too mean the same there.
    """

    pages: int
    """Rows of the trace."""
    frames: int
    """Physical pages behind them; without frames in the trace, each row is one."""
    processes: int
    pages_saved_zero: int
    pages_saved_nonzero: int
    distinct_contents: int
    """The zero page included, if there is one."""


def write_synthetic(
    path: Path, scenario: str, pages: int, *, seed: int = 0, frames: bool = True
) -> Answer:
    """Write a trace of *pages* pages to *path* and tell what it would save.

    *scenario* is a key of `SCENARIOS`. Without *frames* the column holds -1, as in a
    capture without the right to read page frame numbers. Two seeds share the
    contents that two hosts with the same software would share, nothing else.

    Memory stays bounded whatever *pages* is. Raises UsageError for an unknown
    scenario or a number out of range, OutputError where *path* cannot be written.
    """
    if scenario not in SCENARIOS:
        raise UsageError(
            f"no scenario {scenario!r}, expected one of {', '.join(SCENARIOS)}"
        )
    if pages < LEAST_PAGES:
        raise UsageError(f"{pages} pages, expected at least {LEAST_PAGES}")
    if not 0 <= seed < SEEDS:
        raise UsageError(f"seed {seed}, expected 0 to {SEEDS - 1}")
    rng = np.random.default_rng(seed)
    with TraceWriter(path) as writer:
        writer.begin_epoch(0)
        host = _Host(writer, rng, seed, pages, frames)
        for member in SCENARIOS[scenario](pages, rng):
            host.add(member)
        writer.finish(_facts(seed, frames))
    return host.answer()


def digests(contents: _Numbers) -> _Indices:
    """The digest of each content number; 0 is the zero page.

    The mixing is a bijection (splitmix64), so different contents never collide.
    The one number that it maps to the zero page's digest is above all numbers
    that are dealt.
    """
    mixed = contents + np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    signed = mixed.view(np.int64)
    signed[contents == 0] = ZERO_DIGEST
    return signed


class _Pool(NamedTuple):
    """Shared runs that several processes draw from: a library, a guest image."""

    weight: float
    """How often it is drawn from, beside the other pools of a process."""
    first: int
    runs: int
    skew: float
    """Exponent of the Zipf law by which runs are popular; 0: all alike."""


class _Blend(NamedTuple):
    """What fills a process; the rest of its pages are its own."""

    zero: float
    shared: float
    zero_run: float = 24.0
    """Mean pages of a run of zero pages."""
    own_run: float = 12.0


@dataclass(frozen=True, slots=True)
class _Member:
    """One process of a scenario."""

    name: str
    workload: str
    pages: int
    blend: _Blend
    pools: tuple[_Pool, ...]
    forks: bool = False
    """Whether the next members are its children; then it fits one row group."""
    kept: float = 0.0
    """Fraction of its parent's pages a child has not written to; 0: no child."""
    guest: str = ""
    """Name of the virtual machine whose memory this is."""


def _mix(pages: int, rng: np.random.Generator) -> Iterator[_Member]:
    """A busy host: 25 % zero, 28 % duplicate, 47 % unique."""
    names = ["java", "mysqld", "nginx", "node", "php-fpm", "postgres", "python", "ruby"]
    count = min(max(pages >> 18, 8), 1024)
    runs = max(32, int(pages * 0.30 / 5 / _RUN))
    common = runs * 3 // 10
    each = (runs - common) // len(names)
    for index, size in enumerate(_sizes(pages, count, rng)):
        group = index * len(names) // count
        pools = (
            _Pool(0.3, 0, common, 0.8),
            _Pool(0.7, common + group * each, each, 0.8),
        )
        yield _Member(names[group], names[group], size, _Blend(0.25, 0.30), pools)


def _zeros(pages: int, rng: np.random.Generator) -> Iterator[_Member]:
    """Managed heaps: grown, collected, hardly used since."""
    count = min(max(pages >> 18, 4), 1024)
    blend = _Blend(0.82, 0.04, zero_run=min(512.0, pages / 64))
    pools = (_Pool(1.0, 0, max(8, pages // 400), 0.8),)
    for index, size in enumerate(_sizes(pages, count, rng)):
        yield _Member("java", f"service-{index % 4}", size, blend, pools)


def _fleet(pages: int, rng: np.random.Generator) -> Iterator[_Member]:  # noqa: ARG001
    """Virtual machines of three images, up to 4 GiB each."""
    guest = min(1 << 20, pages // 6)
    count = -(-pages // guest)
    blend = _Blend(0.35, 0.40, zero_run=min(256.0, pages / 64), own_run=16.0)
    runs = max(8, guest // 16)
    for index in range(count):
        image = index * 3 // count
        pools = (
            _Pool(0.2, 0, runs, 0.3),
            _Pool(0.8, (1 + image) * runs, runs, 0.3),
        )
        size = _share(pages, index, count)
        yield _Member(
            "qemu-system-x86",
            ("debian", "fedora", "windows")[image],
            size,
            blend,
            pools,
            guest=f"vm-{index}",
        )


def _prefork(pages: int, rng: np.random.Generator) -> Iterator[_Member]:  # noqa: ARG001
    """Servers that fork: workers keep most of the parent's frames, and write the
    same or their own contents into the others."""
    names = ("apache2", "gunicorn", "php-fpm", "postgres")
    heap = min(1 << 16, pages // _FAMILY)
    families = max(1, pages // (_FAMILY * heap))
    runs = max(8, heap // 20)
    parent = _Blend(0.15, 0.25)
    worker = _Blend(0.20, 0.50)
    for index in range(families):
        name = names[index % len(names)]
        pools = (
            _Pool(0.3, 0, runs, 0.8),
            _Pool(0.7, (1 + index % len(names)) * runs, runs, 0.8),
        )
        size = _share(pages, index, families)
        each = size // _FAMILY
        yield _Member(name, name, size - each * (_FAMILY - 1), parent, pools, True)
        for _ in range(_FAMILY - 1):
            yield _Member(name, name, each, worker, pools, kept=0.6)


SCENARIOS: Final[
    Mapping[str, Callable[[int, np.random.Generator], Iterator[_Member]]]
] = {
    "prefork": _prefork,
    "fleet": _fleet,
    "zeros": _zeros,
    "mix": _mix,
}
"""Name → how its processes are made up."""


def _share(total: int, index: int, count: int) -> int:
    return total * (index + 1) // count - total * index // count


def _sizes(pages: int, count: int, rng: np.random.Generator) -> list[int]:
    """Log-normal process sizes that add up to *pages*, none below 64."""
    weights = np.exp(rng.normal(0.0, 1.0, count))
    least = 64
    spare = pages - least * count
    cuts = np.floor(np.cumsum(weights) / weights.sum() * spare).astype(np.int64)
    cuts[-1] = spare
    return [least + int(size) for size in np.diff(cuts, prepend=0)]


class _Layout(NamedTuple):
    """Where a process's pages lie: mappings, each with evenly spread holes."""

    start: _Indices
    """First virtual page number of each mapping."""
    length: _Indices
    """Present pages of each mapping."""
    stride: int
    """Present pages between two holes."""
    hole: int
    """Pages of a hole."""

    def spans(self) -> _Indices:
        """Pages from the first to the last present page, holes included."""
        return self.length + (self.length - 1) // self.stride * self.hole

    def shortened(self, pages: int) -> "_Layout":
        """The same with *pages* fewer, all taken from the last mapping."""
        length = self.length.copy()
        length[-1] -= pages
        return self._replace(length=length)

    def groups(self) -> Iterator[slice]:
        """Consecutive mappings of about a row group, the unit of generation."""
        first = 0
        rows = 0
        for index, length in enumerate(self.length.tolist()):
            if rows and rows + length > ROW_GROUP_ROWS:
                yield slice(first, index)
                first, rows = index, 0
            rows += length
        yield slice(first, len(self.length))


def _lay_out(pages: int, rng: np.random.Generator, *, guest: bool) -> _Layout:
    if guest:
        memory = pages - pages // 64
        length = np.array([memory, pages - memory], np.int64)
    else:
        length = _lengths(pages, rng)
    stride = int(rng.integers(100, 1000))
    layout = _Layout(length, length, stride, stride // 10)
    apart = layout.spans() + rng.integers(1, 4096, len(length))
    base = 0x5_5000_0000 + int(rng.integers(0, 1 << 22))
    return layout._replace(start=base + np.cumsum(apart) - apart)


def _lengths(pages: int, rng: np.random.Generator) -> _Indices:
    """Log-normal mapping sizes that add up to *pages*: a few large, most small."""
    count = pages // 512 + 16
    ends = np.zeros(0, np.int64)
    while not len(ends) or ends[-1] < pages:
        drawn = np.exp(rng.normal(6.5, 1.6, count)).astype(np.int64)
        last = ends[-1] if len(ends) else 0
        more = last + np.cumsum(np.clip(drawn, 64, ROW_GROUP_ROWS))
        ends = np.concatenate((ends, more))
    whole = ends[ends <= pages - 64]
    return np.diff(np.append(whole, pages), prepend=0)


class _Parent(NamedTuple):
    """What a forked worker inherits."""

    pid: int
    layout: _Layout
    contents: _Numbers
    frames: _Indices


class _Host:
    """Deals contents and frames to processes, writes them, keeps the tally."""

    def __init__(
        self,
        writer: TraceWriter,
        rng: np.random.Generator,
        seed: int,
        pages: int,
        frames: bool,
    ) -> None:
        self._writer = writer
        self._rng = rng
        self._name = f"host-{seed}"
        self._own = (seed + 1) * _OWN
        self._first_own = self._own
        self._with_frames = frames
        self._parent: _Parent | None = None
        self._processes = 0
        self._rows = 0
        self._zero_rows = 0
        self._frames = 0
        self._zero_frames = 0
        self._own_contents = 0
        # Every scenario's pools hold fewer contents than the trace has pages; what
        # is never touched of this takes no memory.
        self._pool_dealt = np.zeros(pages + _RUN * 64, np.bool_)

    def answer(self) -> Answer:
        """The tally so far."""
        frames = self._frames if self._with_frames else self._rows
        zero = self._zero_frames if self._with_frames else self._zero_rows
        nonzero_contents = self._own_contents + int(self._pool_dealt.sum())
        return Answer(
            pages=self._rows,
            frames=frames,
            processes=self._processes,
            pages_saved_zero=zero,
            pages_saved_nonzero=frames - zero - nonzero_contents,
            distinct_contents=nonzero_contents + (zero > 0),
        )

    def add(self, member: _Member) -> None:
        """Write one process."""
        pid = 1000 + self._processes
        parent = self._parent if member.kept else None
        if parent:
            layout = parent.layout.shortened(len(parent.contents) - member.pages)
        else:
            layout = _lay_out(member.pages, self._rng, guest=bool(member.guest))
        mapping = self._announce(member, pid, parent.pid if parent else 1, layout)
        at = 0
        for group in layout.groups():
            rows = int(layout.length[group].sum())
            contents = self._paint(rows, member.blend, member.pools)
            if parent:
                part = slice(at, at + rows)
                kept = _runs_of_true(rows, member.kept, self._rng)
                contents = np.where(kept, parent.contents[part], contents)
                frames = self._tally(contents, ~kept)
                frames[kept] = parent.frames[part][kept]
            else:
                frames = self._tally(contents, np.ones(rows, np.bool_))
            if member.forks:
                self._parent = _Parent(pid, layout, contents, frames)
            self._write(layout, group, mapping, contents, frames)
            at += rows
        self._processes += 1

    def _announce(self, member: _Member, pid: int, ppid: int, layout: _Layout) -> int:
        columns = zip(layout.start.tolist(), layout.spans().tolist(), strict=True)
        kind, name = ("anon", "") if member.guest else ("heap", "[heap]")
        mappings = []
        for start, span in columns:
            mappings.append(
                {
                    "start_vpn": start,
                    "pages": span,
                    "perms": "rw-p",
                    "kind": kind,
                    "name": name,
                    "vm_flags": "rd wr mr mw me ac" + (" mg" if member.guest else ""),
                    "mergeable": bool(member.guest),
                }
            )
            kind, name = "anon", ""
        process = {
            "host": self._name,
            "pid": pid,
            "ppid": ppid,
            "start_ticks": pid,
            "comm": member.name[:15],
            "exe": f"/usr/bin/{member.name}",
            "cmdline": f"/usr/bin/{member.name}",
            "uid": 0,
            "user": "root",
            "vm": member.guest,
            "workload": member.workload,
        }
        return self._writer.add_process(process, mappings)

    def _paint(self, rows: int, blend: _Blend, pools: tuple[_Pool, ...]) -> _Numbers:
        """Content numbers of *rows* pages, in runs of zero, shared and own pages."""
        rng = self._rng
        fractions = np.array([blend.zero, blend.shared, 1 - blend.zero - blend.shared])
        means = np.array([blend.zero_run, _RUN, blend.own_run])
        odds = np.cumsum(fractions / means)
        kind_of, length, ends = _runs(rows, odds, means, rng)
        start = ends - length
        first = np.zeros(len(length), np.int64)
        shared = np.flatnonzero(kind_of == 1)
        first[shared] = 1 + _RUN * _drawn_runs(len(shared), pools, rng)
        own = kind_of == 2
        own_ends = np.cumsum(length[own])
        first[own] = self._own + own_ends - length[own]
        self._own += int(own_ends[-1]) if len(own_ends) else 0
        numbers = np.repeat(first - start, length) + np.arange(rows)
        numbers[np.repeat(kind_of == 0, length)] = 0
        return numbers.astype(np.uint64)

    def _tally(self, contents: _Numbers, private: npt.NDArray[np.bool_]) -> _Indices:
        """Give each *private* row a frame of its own and count what it holds."""
        frames = np.cumsum(private) + (self._frames - 1)
        dealt = contents[private]
        zeros = int((dealt == 0).sum())
        own = int((dealt >= self._first_own).sum())
        pool = dealt[(dealt > 0) & (dealt < self._first_own)]
        self._rows += len(contents)
        self._zero_rows += int((contents == 0).sum())
        self._frames += len(dealt)
        self._zero_frames += zeros
        self._own_contents += own
        self._pool_dealt[pool] = True
        return frames

    def _write(
        self,
        layout: _Layout,
        group: slice,
        mapping: int,
        contents: _Numbers,
        frames: _Indices,
    ) -> None:
        length = layout.length[group]
        rows = len(contents)
        ends = np.cumsum(length)
        index = np.arange(rows) - np.repeat(ends - length, length)
        vpn = np.repeat(layout.start[group], length) + index
        vpn += index // layout.stride * layout.hole
        numbers = np.arange(group.start, group.stop, dtype=np.int32) + np.int32(mapping)
        known = self._with_frames
        self._writer.add_pages(
            Pages(
                mapping=np.repeat(numbers, length),
                vpn=vpn,
                digest=digests(contents),
                frame=frames if known else np.full(rows, UNKNOWN, np.int64),
                folio=np.full(rows, UNKNOWN, np.int32),
                nid=np.full(rows, 0 if known else UNKNOWN, np.int8),
                flags=np.zeros(rows, np.uint16),
            )
        )


def _runs(
    rows: int,
    odds: npt.NDArray[np.float64],
    means: npt.NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[_Indices, _Indices, _Indices]:
    """Kind, length and end of consecutive runs that fill *rows* pages.

    *odds* is the cumulated frequency of each kind. Shared runs (kind 1) all have
    their mean length, the others are exponential.
    """
    count = int(rows * odds[-1] * 1.05) + 64
    kinds: list[_Indices] = []
    lengths: list[_Indices] = []
    total = 0
    while total < rows:
        kind = np.searchsorted(odds, rng.random(count) * odds[-1], side="right")
        drawn = rng.exponential(1.0, count) * means[kind] + 0.5
        length = np.where(kind == 1, _RUN, np.maximum(drawn, 1.0)).astype(np.int64)
        kinds.append(kind)
        lengths.append(length)
        total += int(length.sum())
    kind_of = np.concatenate(kinds)
    ends = np.minimum(np.cumsum(np.concatenate(lengths)), rows)
    last = int(np.searchsorted(ends, rows)) + 1
    ends = ends[:last]
    return kind_of[:last], np.diff(ends, prepend=0), ends


def _drawn_runs(
    count: int, pools: tuple[_Pool, ...], rng: np.random.Generator
) -> _Indices:
    """Numbers of *count* shared runs: first a pool is drawn, then a run of it."""
    weights = np.cumsum([pool.weight for pool in pools])
    choice = np.searchsorted(weights, rng.random(count) * weights[-1], side="right")
    drawn = rng.random(count)
    numbers = np.empty(count, np.int64)
    for index, pool in enumerate(pools):
        mine = choice == index
        power = 1.0 - pool.skew
        rank = (drawn[mine] * ((pool.runs + 1) ** power - 1.0) + 1.0) ** (1.0 / power)
        inside = np.minimum(rank.astype(np.int64) - 1, pool.runs - 1)
        numbers[mine] = pool.first + inside
    return numbers


def _runs_of_true(
    rows: int, fraction: float, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """*rows* bools, a *fraction* of them true, in runs of 32 on average; the false
    ones come in shared runs."""
    means = np.array([32.0, _RUN])
    odds = np.cumsum(np.array([fraction, 1.0 - fraction]) / means)
    kind_of, length, _ = _runs(rows, odds, means, rng)
    return np.repeat(kind_of == 0, length)


def _facts(seed: int, frames: bool) -> Facts:
    limits = ["Synthetic: made up by ksm-analyze synth, measured nowhere."]
    if not frames:
        limits.append(
            "Without frames: the answer known counts pages shared by fork as copies."
        )
    return Facts(
        host=f"host-{seed}",
        kernel="synthetic",
        captured_at="2026-01-01T00:00:00+00:00",
        source="synthetic",
        tool=tool(),
        zero_digest=ZERO_DIGEST,
        seed_id="0",
        limits=limits,
    )
