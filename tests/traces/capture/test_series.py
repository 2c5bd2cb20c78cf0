"""Epochs of live processes that change under the test's control between them."""

import os
import shutil
import signal
import stat
from pathlib import Path

import numpy as np
import pytest
from epochs import numbered, rows_of, states

from traces.capture.live import Capture, Settings
from traces.capture.partial import Partial
from traces.capture.select import Reselection, Selection, select
from traces.capture.series import Grid, Series
from traces.errors import InputError, OutputError
from traces.schema import PageFlag
from traces.trace import Trace

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="frames are known to root only")

OBEYS = """
m = area("some", 16)
for i in range(16): put(m, i, page(100 + i))
obey()
"""


class Film:
    """A series of snapshots of what is selected, taken one at a time."""

    def __init__(self, path: Path, *pids: int, **selectors: object) -> None:
        selection = Selection(pids=frozenset(pids), **selectors)
        self.path = path
        self.now = select(selection)
        self.again = Reselection(selection, self.now)
        self.series = Series(path, Settings())
        self.told: list[int] = []

    def __enter__(self) -> "Film":
        self.series.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.series.__exit__(*error)

    def snap(self) -> None:
        if self.series.epochs:
            self.now, exited = self.again.now()
            self.told += exited
        for _ in self.series.snapshot(self.now):
            pass

    def trace(self) -> Trace:
        self.series.finish()
        return Trace.open(self.path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.parquet"


def news(trace: Trace, epoch: int, first: int, count: int) -> dict[int, int]:
    """Pages of an area that have a row in *epoch* → the row's flags."""
    return {
        row["vpn"] - first: row["flags"]
        for row in rows_of(trace, epoch)
        if first <= row["vpn"] < first + count
    }


def test_only_what_was_written_mapped_and_freed_is_stored(start, path):
    child = start(OBEYS)
    with Film(path, child.pid) as film:
        film.snap()
        film.snap()
        child.do("put(m, 3, page(1)); put(m, 4, page(104))")
        film.snap()
        libc_free = "libc.madvise(ctypes.c_void_p((areas['some'] + 5) * 4096), 8192, 4)"
        child.do(libc_free)
        film.snap()
        child.do("new = area('new', 4); put(new, 2, page(7))")
        film.snap()
        child.do("libc.munmap(ctypes.c_void_p(areas['new'] * 4096), 4 * 4096)")
        film.snap()
        trace = film.trace()

    some, new = child.areas["some"], child.areas["new"]
    assert list(news(trace, 0, some, 16)) == list(range(16))
    assert news(trace, 1, some, 16) == {}
    assert news(trace, 2, some, 16) == {3: 0}
    assert news(trace, 3, some, 16) == {5: PageFlag.ABSENT, 6: PageFlag.ABSENT}
    assert news(trace, 4, some, 16) == {}
    assert news(trace, 4, new, 4) == {2: 0}
    assert news(trace, 5, some, 16) == {}
    there = [{key[2] for key in state} for state in states(path)]
    assert [new + 2 in vpns for vpns in there] == [0, 0, 0, 0, 1, 0]
    assert trace.epochs["kind"].to_list() == ["complete"] + 5 * ["delta"]
    assert (np.diff(trace.epochs["t_ns"].to_numpy()) > 0).all()
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_last_epoch_is_what_a_capture_finds(start, path, tmp_path):
    child = start(OBEYS)
    with Film(path, child.pid) as film:
        film.snap()
        child.do("put(m, 3, page(1)); big = area('big', 600, huge=True)")
        film.snap()
        child.do("for i in range(500): put(big, i, page(i // 3))")
        film.snap()
        film.trace()
    single = tmp_path / "single.parquet"
    list(Capture(film.now, Settings()).write(single))
    assert numbered(states(path)[-1:]) == numbered(states(single))


@needs_root
def test_forks_join_share_frames_and_leave(start, path):
    child = start(OBEYS)
    with Film(path, child.pid, children=True) as film:
        film.snap()
        fork = """
answer = os.fork()
if not answer:
    put(m, 0, page(1)); time.sleep(600)
time.sleep(0.2)
"""
        other = child.do(fork)
        film.snap()
        os.kill(other, signal.SIGKILL)
        child.do("os.waitpid(-1, 0)")
        film.snap()
        trace = film.trace()

    spans = trace.processes.select("pid", "first_epoch", "last_epoch").rows()
    assert spans == [(child.pid, 0, 2), (other, 1, 1)]
    some = child.areas["some"]
    shared = [
        {key[0]: value[1] for key, value in states(path)[1].items() if key[2] == vpn}
        for vpn in (some, some + 1)
    ]
    assert shared[0][child.pid] != shared[0][other]
    assert shared[1][child.pid] == shared[1][other]
    assert {key[0] for key in states(path)[2]} == {child.pid}


def test_a_named_process_that_exits_is_told_once_and_ends_it(start, path):
    first, second = start(OBEYS), start(OBEYS)
    with Film(path, first.pid, second.pid) as film:
        film.snap()
        first.end()
        film.snap()
        film.snap()
        assert film.told == [first.pid]
        assert not film.again.exhausted
        second.end()
        film.snap()
        assert film.told == [first.pid, second.pid]
        assert film.again.exhausted
        trace = film.trace()
    lasts = dict(trace.processes.select("pid", "last_epoch").rows())
    assert lasts == {first.pid: 0, second.pid: 2}
    assert states(path)[3] == {}


def test_epochs_that_were_left_make_the_same_trace(start, path, tmp_path):
    child = start(OBEYS)
    with Film(path, child.pid) as film:
        for number in range(4):
            child.do(f"put(m, {number}, page({number}))")
            film.snap()
        left = Partial(tmp_path / "left.parquet")
        shutil.copytree(film.series.folder, left.folder)
        (left.folder / ".epoch-0004.parquet.x.tmp").write_bytes(b"half")
        film.trace()
    left.join()
    assert left.path.read_bytes() == path.read_bytes()
    assert sorted(tmp_path.iterdir()) == [left.path, path]


def test_the_folder_is_private_and_is_not_taken_over(start, path):
    child = start(OBEYS)
    with Film(path, child.pid) as film:
        film.snap()
        modes = [film.series.folder, *film.series.folder.iterdir()]
        assert [stat.S_IMODE(p.stat().st_mode) for p in modes] == [0o700, 0o600]
        with (
            pytest.raises(OutputError, match="interrupted") as raised,
            Film(path, child.pid),
        ):
            pass
        assert "--recover" in raised.value.hint
        assert film.series.folder.exists()
        film.trace()
    assert not film.series.folder.exists()


def test_an_epoch_given_up_is_dropped_and_the_others_stay(start, path):
    child = start(OBEYS)
    with Film(path, child.pid) as film:
        film.snap()
        steps = film.series.snapshot(film.now)
        next(steps)
        steps.close()
        names = [file.name for file in film.series.folder.iterdir()]
        assert names == ["epoch-0000.parquet"]
    assert film.series.folder.exists()
    Partial(path).join()
    assert Trace.open(path).epochs.height == 1


def test_nothing_is_left_of_a_series_without_an_epoch(start, path):
    child = start(OBEYS)
    with Film(path, child.pid) as film:
        film.series.snapshot(film.now).close()
    assert list(path.parent.iterdir()) == []


def spoil(folder: Path, how: str) -> None:
    first, second = sorted(folder.iterdir())
    if how == "missing":
        first.unlink()
    elif how == "flipped":
        data = bytearray(second.read_bytes())
        data[data.rindex(b"ksm_analyze.facts") + 30] ^= 1
        second.write_bytes(data)
    else:
        second.write_bytes(b"PAR1")


@pytest.mark.parametrize("how", ["missing", "flipped", "torn"])
def test_what_cannot_be_recovered_stays_where_it_is(start, path, how):
    child = start(OBEYS)
    with Film(path, child.pid) as film:
        film.snap()
        film.snap()
    spoil(film.series.folder, how)
    with pytest.raises(InputError, match=r"t\.parquet\.partial"):
        Partial(path).join()
    assert film.series.folder.exists()
    assert not path.exists()


def test_there_may_be_nothing_to_recover(path):
    with pytest.raises(InputError, match=r"partial: No such file"):
        Partial(path).join()


def test_epochs_keep_to_the_grid():
    grid = Grid(100.0, 10.0)
    assert grid.after(103.0) == (110.0, 0)
    assert grid.after(119.9) == (120.0, 0)
    # What took longer than an interval delays the next to the following moment.
    assert grid.after(135.0) == (140.0, 1)
    assert grid.after(141.0) == (150.0, 0)
