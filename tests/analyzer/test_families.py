"""Families and the frames supposed of them, against what their definition says."""

from itertools import product
from typing import NamedTuple

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from analyzer.families import SupposedFrames, families, sharers
from traces.schema import PageFlag
from traces.trace import RUNS, run_starts


class Process(NamedTuple):
    host: str
    pid: int
    ppid: int
    comm: str
    vm: str


processes = st.builds(
    Process,
    st.sampled_from("ab"),
    st.integers(-1, 6),
    st.integers(-1, 6),
    st.sampled_from(["x", "y"]),
    st.sampled_from(["", "", "", "guest"]),
)


def table(found: list[Process]) -> pl.DataFrame:
    kinds = {"host": pl.String, "pid": pl.Int32, "ppid": pl.Int32}
    names = {"comm": pl.String, "vm": pl.String}
    return pl.DataFrame(found, schema={**kinds, **names}, orient="row")


def related(one: Process, other: Process, everyone: list[Process]) -> bool:
    """Whether two processes are relatives at first hand."""
    if one.host != other.host or one.vm or other.vm:
        return False
    if one.pid == other.pid > 0:
        return True
    if one.ppid == other.pid > 0 or other.ppid == one.pid > 0:
        return True
    if one.ppid != other.ppid or one.ppid < 0:
        return False
    init_is_here = any(
        p.host == one.host and p.pid == one.ppid == 1 and not p.vm for p in everyone
    )
    return one.ppid > 1 or one.comm == other.comm or init_is_here


def closed(found: list[Process]) -> list[set[int]]:
    """The relatives of each, and of these, and so on."""
    near = [
        {at for at, other in enumerate(found) if related(one, other, found)} | {own}
        for own, one in enumerate(found)
    ]
    for _ in found:
        near = [set().union(*(near[at] for at in mine)) for mine in near]
    return near


@given(st.lists(processes, max_size=8))
def test_families_are_what_their_definition_says(found: list[Process]) -> None:
    family = families(table(found)).tolist()
    for own, mine in enumerate(closed(found)):
        together = {at for at, number in enumerate(family) if number == family[own]}
        if len(mine) == 1:
            assert family[own] == -1
        else:
            assert family[own] >= 0
            assert together == mine


def test_who_is_a_relative() -> None:
    found = table(
        [
            Process("h", 100, 1, "postgres", ""),
            Process("h", 101, 100, "worker", ""),
            Process("h", 200, 1, "nginx", ""),
            Process("h", 201, 1, "nginx", ""),
            Process("h", 300, 1, "cron", ""),
            Process("i", 102, 100, "worker", ""),
            Process("h", 401, -1, "x", ""),
            Process("h", 402, -1, "x", ""),
            Process("h", 501, 50, "one", ""),
            Process("h", 502, 50, "two", ""),
            Process("h", 103, 100, "qemu", "guest"),
        ]
    )
    postgres, _, nginx, *_ = family = families(found).tolist()
    sisters = family[8]
    assert len({postgres, nginx, sisters, -1}) == 4
    expected = [postgres] * 2 + [nginx] * 2 + [-1] * 4 + [sisters] * 2 + [-1]
    assert family == expected


FORKED = [
    Process("h", 10, 1, "x", ""),
    Process("h", 11, 10, "x", ""),
    Process("h", 12, 11, "x", ""),
    Process("h", 20, 1, "y", ""),
    Process("h", 21, 20, "y", ""),
    Process("h", 30, 1, "z", ""),
]
"""Two families, and one process alone."""

starts = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 6)), max_size=3)


@given(st.lists(starts, min_size=6, max_size=6), st.data())
def test_equal_pages_of_relatives_are_supposed_to_be_one_frame(
    places: list[list[tuple[int, int]]], data: st.DataObject
) -> None:
    family = families(table(FORKED)).tolist()
    mappings, rows = [], []
    for process, spans in enumerate(places):
        at = 0
        for gap, pages in spans:
            start, at = at + gap, at + gap + pages
            for vpn in range(start, at):
                digest = data.draw(st.sampled_from([0, 7, -7]))
                frame = data.draw(st.sampled_from([-1, -1, 3]))
                flag = st.sampled_from([0, 0, PageFlag.ABSENT, PageFlag.KSM])
                gone = data.draw(flag)
                rows.append((len(mappings), process, vpn, digest, frame, int(gone)))
            mappings.append((len(mappings), process, start, pages))
    supposed = SupposedFrames(
        table(FORKED),
        pl.DataFrame(
            mappings,
            schema={
                "mapping": pl.Int32,
                "process": pl.Int32,
                "start_vpn": pl.Int64,
                "pages": pl.Int64,
            },
            orient="row",
        ),
    )
    cut = data.draw(st.integers(0, len(rows)))
    frames: dict[int, int] = {}
    for at, part in ((0, rows[:cut]), (cut, rows[cut:])):
        columns = list(zip(*part, strict=True)) or [()] * 6
        mapping = np.array(columns[0], np.int32)
        found, numbers = supposed.of(
            {
                "mapping": mapping,
                RUNS: run_starts(mapping),
                "vpn": np.array(columns[2], np.int64),
                "digest": np.array(columns[3], np.int64),
                "frame": np.array(columns[4], np.int64),
                "flags": np.array(columns[5], np.uint16),
            }
        )
        pairs = zip(found.tolist(), numbers.tolist(), strict=True)
        frames |= {at + row: number for row, number in pairs}
    unknown = [at for at, row in enumerate(rows) if row[4] < 0 and not row[5]]
    for one, other in product(unknown, unknown):
        same = one == other or (
            family[rows[one][1]] == family[rows[other][1]] >= 0
            and rows[one][2:4] == rows[other][2:4]
        )
        if one != other and same:
            assert frames[one] == frames[other]
        elif not same:
            alone = one not in frames or other not in frames
            assert alone or frames[one] != frames[other]


def test_who_is_alone_in_a_frame_shares_none() -> None:
    frames = np.array([5, 2, 5, 3], np.int32)
    assert sharers(frames).tolist() == [True, False, True, False]
