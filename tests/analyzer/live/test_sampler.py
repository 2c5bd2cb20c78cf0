"""What looks at a host tell: the files' own figures, and nothing made up."""

from pathlib import Path

import pytest
from live_host import COUNTERS, KNOBS, KSMD, LiveHost, live_host

from analyzer.counters import KsmCounters
from analyzer.live.sample import ProcessSample, rates
from analyzer.live.sampler import PARTS, Sampler
from traces.capture import procfs
from traces.errors import InputError


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LiveHost:
    return live_host(tmp_path, monkeypatch)


def pids(sampler: Sampler) -> list[int]:
    return [process.pid for process in sampler.look().processes]


def test_a_look_tells_what_the_files_say(host: LiveHost) -> None:
    host.process(
        7, "web", merging=12, items=30, zero=2, profit=-8, offered=True,
        cgroup="/system.slice/web.service",
    )  # fmt: skip
    sample = Sampler().look()
    # rmap_items is no file: every item is in one of four counters.
    assert sample.counters == COUNTERS | {"rmap_items": 10 + 90 + 300 + 100}
    assert tuple(sample.counters) == KsmCounters._fields
    assert sample.run == 1
    # Knobs that the kernel lacks are not made up.
    assert sample.settings == KNOBS | {"advisor_mode": "none"}
    assert sample.knobs is not None
    assert sample.knobs.use_zero_pages
    assert sample.ksmd_cpu_ns == 2_000_000_000
    assert sample.limits == ()
    assert sample.processes == (
        ProcessSample(7, 5, "web", "web.service", 12, 30, 2, -8, True, True),
    )


def test_missing_files_are_told_and_never_zero(host: LiveHost) -> None:
    (host.ksm / "pages_skipped").unlink()
    (host.ksm / "general_profit").unlink()
    sample = Sampler().look()
    assert sample.counters["pages_skipped"] is None
    assert sample.counters["general_profit"] is None
    assert sample.limits == ("this kernel does not tell pages_skipped, general_profit",)


def test_items_are_unknown_where_a_part_of_them_is(host: LiveHost) -> None:
    (host.ksm / "pages_volatile").unlink()
    assert Sampler().look().counters["rmap_items"] is None


def test_a_kernel_of_5_19_tells_merging_pages_only(host: LiveHost) -> None:
    host.process(7, merging=12, items=30)
    host.process(8, merging=0, items=30)
    for pid in ("self", "7", "8", str(KSMD)):
        (host.proc / pid / "ksm_stat").unlink()
    sample = Sampler().look()
    assert [(p.pid, p.ksm_merging_pages) for p in sample.processes] == [(7, 12)]
    assert sample.processes[0][5:] == (None, None, None, None, None)
    assert sample.limits == (
        "this kernel has no ksm_stat (6.1 has): merging pages only",
    )


def test_a_kernel_of_6_1_has_items_and_a_file_for_the_rest(host: LiveHost) -> None:
    host.process(7, merging=12)
    (host.proc / "7" / "ksm_stat").write_text("ksm_rmap_items 30\n")
    (process,) = Sampler().look().processes
    assert process[4:8] == (12, 30, None, None)


def test_a_kernel_without_figures_of_processes(host: LiveHost) -> None:
    for name in ("ksm_stat", "ksm_merging_pages"):
        (host.proc / "self" / name).unlink()
    host.process(7, merging=12)
    sample = Sampler().look()
    assert sample.processes == ()
    assert "single processes" in sample.limits[0]


def test_a_host_without_ksm(host: LiveHost) -> None:
    for file in host.ksm.iterdir():
        file.unlink()
    host.ksm.rmdir()
    with pytest.raises(InputError, match="has no KSM") as told:
        Sampler()
    assert "\n" not in str(told.value)


def test_ksm_that_goes_away_is_an_error_of_one_line(host: LiveHost) -> None:
    sampler = Sampler()
    (host.ksm / "run").unlink()
    with pytest.raises(InputError, match="cannot read") as told:
        sampler.look()
    assert "\n" not in str(told.value)


def test_a_thread_that_cannot_be_seen_is_told(host: LiveHost) -> None:
    host.gone(KSMD)
    sample = Sampler().look()
    assert sample.ksmd_cpu_ns is None
    assert sample.limits == ("the kernel's thread ksmd cannot be seen from here",)


def test_knobs_no_replay_ends_with_are_told(host: LiveHost) -> None:
    host.set(pages_to_scan=0)
    sample = Sampler().look()
    assert sample.knobs is None
    assert sample.settings["pages_to_scan"] == "0"
    assert "pages_to_scan is 0" in sample.limits[0]


def test_what_only_root_may_read_is_counted(
    host: LiveHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.process(7, merging=1)
    host.process(8, merging=1)
    host.thread(9, "kworker")
    denied = {8, 9}
    reading = procfs.ksm_figures

    def ksm_figures(pid: int) -> dict[str, str]:
        if pid in denied:
            raise PermissionError
        return reading(pid)

    monkeypatch.setattr(procfs, "ksm_figures", ksm_figures)
    sampler = Sampler()
    sample = sampler.look()
    assert [process.pid for process in sample.processes] == [7]
    # A thread of the kernel has no memory that one could miss.
    assert sample.unreadable == 1
    assert sample.limits == ("processes that only root may read: 1",)
    host.gone(8)
    assert sampler.look().unreadable == 0


def test_only_those_that_concern_ksmd_are_listed(host: LiveHost) -> None:
    host.process(3)
    host.process(5, offered=True)
    host.process(4, items=1)
    assert pids(Sampler()) == [4, 5]


def test_a_new_process_is_seen_at_once(host: LiveHost) -> None:
    sampler = Sampler()
    assert pids(sampler) == []
    host.process(PARTS * 3 + 2, offered=True)
    assert pids(sampler) == [PARTS * 3 + 2]


def test_who_offers_itself_later_is_seen_within_a_round(host: LiveHost) -> None:
    others = range(100, 100 + PARTS)
    for pid in others:
        host.process(pid)
    sampler = Sampler()
    sampler.look()
    for pid in others:
        host.process(pid, items=1)
    assert [len(pids(sampler)) for _ in others] == list(range(1, PARTS + 1))


def test_who_is_known_is_asked_every_time(host: LiveHost) -> None:
    sampler = Sampler()
    for merging in range(1, PARTS + 2):
        host.process(101, merging=merging)
        (process,) = sampler.look().processes
        assert process.ksm_merging_pages == merging


def test_a_vanished_process_is_no_error(host: LiveHost) -> None:
    host.process(7, merging=1)
    host.process(8, merging=1)
    sampler = Sampler()
    assert pids(sampler) == [7, 8]
    host.gone(7)
    # Its folder is still there, and its files say that it is gone.
    (host.proc / "8" / "ksm_stat").unlink()
    (host.proc / "8" / "ksm_merging_pages").unlink()
    assert pids(sampler) == []


def test_a_reused_number_is_another_process(host: LiveHost) -> None:
    host.process(7, "web", merging=1, cgroup="/system.slice/web.service")
    sampler = Sampler()
    (before,) = sampler.look().processes
    host.process(7, "db", merging=1, born=6)
    (after,) = sampler.look().processes
    assert before.key != after.key
    assert (after.comm, after.workload) == ("db", "db")


def test_rates_are_differences(host: LiveHost) -> None:
    sampler = Sampler()
    before = sampler.look()
    host.set(pages_scanned=7000, pages_sharing=80)
    host.cpu(2_100_000_000)
    after = sampler.look()
    seconds = (after.clock_ns - before.clock_ns) / 1e9
    found = rates(before, after)
    assert found.pages_scanned == pytest.approx(2000 / seconds)
    # What came apart is told as it is.
    assert found.pages_merged == pytest.approx(-10 / seconds)
    assert found.cpu_share == pytest.approx(0.1 / seconds)


def test_what_is_not_told_has_no_rate(host: LiveHost) -> None:
    (host.ksm / "pages_scanned").unlink()
    host.gone(KSMD)
    sampler = Sampler()
    found = rates(sampler.look(), sampler.look())
    assert found.pages_scanned is None
    assert found.cpu_share is None
    assert found.pages_merged == 0
