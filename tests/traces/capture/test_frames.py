import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.capture import frames
from traces.capture.frames import FirstSight, Nodes, PageFlags

HEAD, TAIL = 1 << 15, 1 << 16


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=0, max_size=30),
        max_size=4,
    )
)
def test_numbers_follow_first_sight_and_own_ones_are_fresh(batches):
    sight = FirstSight()
    known: dict[int, int] = {}
    used = 0
    for batch in batches:
        things = np.array([thing for thing, _ in batch], np.int64)
        own = np.array([single for _, single in batch], bool)
        wanted = []
        for thing, single in batch:
            if single or thing not in known:
                number, used = used, used + 1
                if not single:
                    known[thing] = number
            else:
                number = known[thing]
            wanted.append(number)
        assert sight.number(things, own).tolist() == wanted


def test_frames_beyond_the_first_table_are_numbered_too():
    sight = FirstSight()
    things = np.array([5, 3 << 20, 5, 9 << 20], np.int64)
    assert sight.number(things).tolist() == [0, 1, 0, 2]
    assert sight.number(things[::-1]).tolist() == [2, 0, 1, 0]


def page_flags(folder: Path, table: dict[int, int], size: int = 4096) -> PageFlags:
    flags = np.zeros(size, np.uint64)
    for frame, value in table.items():
        flags[frame] = value
    file = folder / "kpageflags"
    flags.tofile(file)
    made = object.__new__(PageFlags)
    made._file = os.open(file, os.O_RDONLY)
    return made


def test_a_tail_finds_its_head_wherever_reading_began(tmp_path):
    folio = {512: HEAD} | dict.fromkeys(range(513, 1024), TAIL)
    small = {1024: HEAD, 1025: TAIL, 1026: TAIL, 1027: TAIL}
    flags = page_flags(tmp_path, folio | small | {1028: 1, 600 - 512: 1})
    asked = np.array([1027, 700, 88, 1023, 1028, 512, 1024, 900], np.int64)
    facts = flags.of(asked, singly=True)
    flags.close()
    assert facts.head.tolist() == [1024, 512, -1, 512, -1, 512, 1024, 512]
    assert facts.flags.tolist() == [TAIL, TAIL, 1, TAIL, 1, HEAD, HEAD, TAIL]


def test_a_block_of_512_is_known_by_its_first_frame(tmp_path):
    huge = {512: HEAD | frames.ANON} | dict.fromkeys(range(513, 1024), TAIL)
    zero = {1024: HEAD | frames.ZERO_PAGE} | dict.fromkeys(range(1025, 1536), TAIL)
    of_a_file = {1536: HEAD, 1537: TAIL, 1538: frames.ANON}
    flags = page_flags(tmp_path, huge | zero | of_a_file | {7: frames.ANON})
    facts = flags.of(np.array([1538, 700, 7, 1030, 512], np.int64), singly=False)
    flags.close()
    assert facts.head.tolist() == [-1, 512, -1, -1, 512]
    wanted = [frames.ANON] * 3 + [frames.ZERO_PAGE, frames.ANON]
    assert facts.flags.tolist() == wanted


def test_frames_past_the_end_have_no_flags(tmp_path):
    flags = page_flags(tmp_path, {}, size=8)
    facts = flags.of(np.array([3, 4000], np.int64), singly=True)
    flags.close()
    assert facts.flags.tolist() == [0, 0]
    assert facts.head.tolist() == [-1, -1]


@given(st.data())
def test_flags_are_those_of_the_frames_asked_for(tmp_path_factory, data):
    table = data.draw(
        st.dictionaries(st.integers(0, 2000), st.sampled_from([1, 7, 1 << 12]))
    )
    asked = data.draw(st.lists(st.integers(0, 2000), max_size=40))
    flags = page_flags(tmp_path_factory.mktemp("flags"), table)
    facts = flags.of(np.array(asked, np.int64), singly=True)
    flags.close()
    assert facts.flags.tolist() == [table.get(frame, 0) for frame in asked]


def test_a_host_of_one_node_needs_no_frames(tmp_path):
    (tmp_path / "node/node0").mkdir(parents=True)
    assert Nodes(tmp_path).of(None, 2).tolist() == [0, 0]


def test_frames_are_on_the_node_of_their_memory_block(tmp_path):
    for node, blocks in {0: [0, 2], 1: [1]}.items():
        for block in blocks:
            (tmp_path / f"node/node{node}/memory{block}").mkdir(parents=True)
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory/block_size_bytes").write_text("8000000\n")
    nodes = Nodes(tmp_path)
    per_block = 0x8000000 // 4096
    asked = np.array([0, per_block, 2 * per_block, 3 * per_block, per_block - 1])
    assert nodes.of(asked, 5).tolist() == [0, 1, 0, -1, 0]
    assert nodes.of(None, 2).tolist() == [-1, -1]


@pytest.mark.skipif(os.geteuid() != 0, reason="kpageflags is for root")
def test_this_hosts_flags_can_be_read():
    flags = PageFlags()
    facts = flags.of(np.arange(4096), singly=True)
    flags.close()
    assert facts.flags.any()
    assert frames.ANON == 1 << 12
