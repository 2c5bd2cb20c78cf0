"""The state of every page, against a slow ksmd that knows it too."""

import contextlib
import stat
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from builders import Proc, trace_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lives import Event, doings, over_time
from outcomes import finished
from reference import UNSTABLE, ZERO, Ksmd, Node
from snapshots import Snapshot, knobs, snapshots, write_trace

from analyzer.costs import Costs
from analyzer.knobs import KsmKnobs
from analyzer.pages import PageState, PageStates, write_pages
from analyzer.policy import MergePolicy, Offer
from analyzer.profile import profile_of
from analyzer.replay import Staged, open_traces
from analyzer.timeline import Timeline
from traces.errors import InputError, OutputError

EASY = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

States = list[dict[int, PageState]]


def slow_states(ksmd: Ksmd) -> States:
    first: set[Node] = set()
    found: States = []
    for process, before in zip(ksmd.processes, ksmd.tables_before, strict=True):
        states = {}
        for vpn in sorted(before):
            item = process.items.get(vpn)
            place = item.place if item else None
            zero = isinstance(place, Node) and place.frame.content == ZERO
            if zero or vpn not in process.table:
                states[vpn] = PageState.ZERO
            elif isinstance(place, Node):
                states[vpn] = PageState.SAVED if place in first else PageState.KEPT
                first.add(place)
            elif place is UNSTABLE:
                states[vpn] = PageState.UNSHARED
            else:
                states[vpn] = PageState.VOLATILE if item else PageState.UNSCANNED
        found.append(states)
    return found


def read_states(path: Path, mappings: int) -> States:
    """By mapping; each test process has one."""
    pages = PageStates.open(path)
    found = []
    for mapping in range(mappings):
        vpns, states = pages.of(mapping)
        assert (vpns.dtype, states.dtype) == (np.int64, np.uint8)
        assert np.all(np.diff(vpns) > 0)
        pairs = zip(vpns.tolist(), states.tolist(), strict=True)
        found.append({vpn: PageState(state) for vpn, state in pairs})
    return found


@EASY
@given(snapshot=snapshots(), knobs_=knobs(), scans=st.integers(1, 5))
def test_the_states_of_a_snapshot_equal_the_slow_ones(
    snapshot: Snapshot, knobs_: KsmKnobs, scans: int, tmp_path: Path
) -> None:
    trace = write_trace(tmp_path / "t.parquet", snapshot)
    staged = finished(trace, knobs_, passes=scans)
    write_pages(tmp_path / "pages", staged.outcome())
    reference = Ksmd(snapshot, knobs_)
    for _ in range(staged.result().passes.height):
        reference.full_scan()
    assert read_states(tmp_path / "pages", len(snapshot)) == slow_states(reference)
    line = Timeline(
        open_traces([trace]),
        knobs_,
        MergePolicy(),
        profile_of("6.18"),
        Costs.default(),
    )
    for _ in line.passes(scans):
        pass
    write_pages(tmp_path / "again", line.outcome())
    assert read_states(tmp_path / "again", len(snapshot)) == slow_states(reference)


@EASY
@given(events=doings(), scans=st.integers(1, 6))
def test_the_states_through_time_are_those_of_the_pages_there_are(
    events: list[Event], scans: int, tmp_path: Path
) -> None:
    trace = over_time(events, tmp_path / "t.parquet")
    slow = KsmKnobs(sleep_millisecs=300_000)
    staged = finished(trace, slow, passes=scans)
    write_pages(tmp_path / "pages", staged.outcome())
    result = staged.result()
    found = read_states(tmp_path / "pages", result.processes.height)
    everything = [state for states in found for state in states.values()]
    for states, row in zip(found, result.processes.rows(named=True), strict=True):
        assert len(states) == row["pages"]
        merged = {PageState.KEPT, PageState.SAVED, PageState.ZERO}
        count = sum(state in merged for state in states.values())
        assert count == row["ksm_merging_pages"] + row["ksm_zero_pages"]
    assert everything.count(PageState.UNSHARED) == result.counters.pages_unshared


def written(folder: Path) -> Path:
    procs = Proc("AAZ"), Proc("AB", pid=2, mergeable=False)
    trace = trace_file(folder / "t.parquet", *procs)
    staged = Staged([trace], policy=MergePolicy(Offer.CAPTURED))
    for _ in staged:
        pass
    write_pages(folder / "pages", staged.outcome())
    return folder / "pages"


def test_pages_nobody_offered_say_so(tmp_path: Path) -> None:
    assert read_states(written(tmp_path), 2) == [
        {0: PageState.KEPT, 1: PageState.SAVED, 2: PageState.UNSHARED},
        {0: PageState.NOT_OFFERED, 1: PageState.NOT_OFFERED},
    ]


def test_only_the_row_groups_of_a_mapping_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analyzer.pages._ROWS", 2)
    pages = PageStates.open(written(tmp_path))
    assert pages.spans.tolist() == [[0, 0], [0, 1], [1, 1]]
    assert [len(pages.of(mapping)[0]) for mapping in (0, 1, 2)] == [3, 2, 0]


def test_the_file_is_private_and_takes_its_name_last(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pages", "t.parquet"]
    staged = finished(tmp_path / "t.parquet", KsmKnobs())
    with pytest.raises(OutputError):
        write_pages(tmp_path / "no" / "pages", staged.outcome())


def test_page_numbers_take_little_room(tmp_path: Path) -> None:
    column = pq.ParquetFile(written(tmp_path)).metadata.row_group(0).column(1)
    assert "DELTA_BINARY_PACKED" in column.encodings


def test_a_trace_is_no_file_of_states(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(InputError, match="no file of page states"):
        PageStates.open(tmp_path / "t.parquet")


@EASY
@given(data=st.data())
def test_no_damage_gives_anything_but_an_input_error(
    data: st.DataObject, tmp_path: Path
) -> None:
    content = bytearray(written(tmp_path).read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1
    path = tmp_path / "damaged"
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        PageStates.open(path).of(0)
