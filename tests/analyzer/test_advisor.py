"""The scan-time advisor in its own integers."""

from pathlib import Path

from builders import Proc, trace_file
from hypothesis import given
from hypothesis import strategies as st

from analyzer.engine.advisor import Advisor
from analyzer.knobs import KsmKnobs
from analyzer.pace import Pace
from analyzer.replay import run

S = 1_000_000_000


def advisor() -> Advisor:
    return Advisor(target_scan_time=200, max_cpu=70, max_pages_to_scan=30000)


def test_the_first_advice_after_a_scan_in_time_keeps_a_third() -> None:
    """The smoothed change starts at 0, so the first advice is 30 % of the plain one."""
    assert advisor().advise(1000, 200 * S, 70 * S) == 300


def test_a_slow_scan_asks_for_more() -> None:
    one = advisor()
    one.change = 100
    one.last_scan_time = 400
    # factor 200 * 100 / 400 = 50, change (70 * 100 + 30 * 100) / 100 = 100.
    assert one.advise(1000, 400 * S, 40 * S) == 2000


def test_cpu_is_capped() -> None:
    """A scan that took a whole CPU may go on with 70 % of its pages."""
    one = advisor()
    one.change = one.last_scan_time = 100
    assert one.advise(1000, 100 * S, 100 * S) == min(1000 * 100 // 200, 10 * 70)


def test_too_little_cpu_is_raised_to_a_tenth_per_percent() -> None:
    assert advisor().advise(500, 1 * S, 3 * S) == max(
        500 * 100 // 20000 * 30 // 100, 10
    )


@given(
    pages=st.integers(1, 10**6),
    scan=st.integers(0, 10**12),
    cpu=st.integers(0, 10**12),
)
def test_never_more_than_its_most(pages: int, scan: int, cpu: int) -> None:
    assert 0 <= advisor().advise(pages, scan, cpu) <= 30000


def test_it_starts_with_its_least() -> None:
    pace = Pace(KsmKnobs(advisor_mode="scan-time"))
    assert pace.pages_to_scan == 500
    pace.after_scan(200 * S, 70 * S)
    assert pace.pages_to_scan == 150


def test_without_it_the_knob_stays() -> None:
    pace = Pace(KsmKnobs(pages_to_scan=77))
    pace.after_scan(200 * S, S)
    assert pace.pages_to_scan == 77


def test_a_replay_follows_it(tmp_path: Path) -> None:
    trace = trace_file(tmp_path / "t.parquet", Proc(range(1, 2000)))
    result = run([trace], KsmKnobs(advisor_mode="scan-time"), passes=2)
    # 1999 pages by 500 take 4 wake-ups. That scan took a percent of a CPU, of which
    # the advisor wants at least ten: 5000 pages, and the next scan takes one.
    assert result.passes["wakeups"].to_list() == [4, 5]
