"""What the program does with this machine's own ksmd, and how it leaves it behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from analyzer.knobs import SYSFS, KsmKnobs
from analyzer.live import ksmd as ksmd_module
from analyzer.live import offer
from analyzer.live.calibration import calibrate
from analyzer.live.ksmd import KHUGEPAGED, Ksmd, read
from analyzer.live.model import Played
from analyzer.live.programs import Program, stopped, workload
from analyzer.live.proof import prove
from traces.capture import procfs
from traces.errors import InputError, UsageError

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("ksmd_is_ours")]

KILLED = """
import sys
from pathlib import Path
from analyzer.knobs import KsmKnobs
from analyzer.live import ksmd
from analyzer.live.programs import Program, stopped, workload
ksmd.LOCK = Path(sys.argv[1])
with stopped([Program("data", workload("data", "1"))]) as pids:
    with ksmd.Ksmd(KsmKnobs(use_zero_pages=True, max_page_sharing=7)) as driven:
        driven.full_scan()
        driven.full_scan()
        print(pids[0], driven.counters()["ksm_zero_pages"], flush=True)
        sys.stdin.read()
"""

RUNNING = "import time; kept = bytearray(b'7' * 3_000_000)\nwhile True: time.sleep(0.1)"

Settings = dict[str, str]


@pytest.fixture(autouse=True)
def own_lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The real one is held by these tests as a whole."""
    monkeypatch.setattr(ksmd_module, "LOCK", tmp_path / "lock")
    return tmp_path / "lock"


@pytest.fixture(autouse=True)
def unchanged() -> Iterator[None]:
    """Whatever a test does, all settings are as they were."""
    before = settings()
    yield
    assert settings() == before


def settings() -> Settings:
    names = ("run", *ksmd_module._SAVED)
    found = {name: read(name) for name in names if (SYSFS / name).exists()}
    if KHUGEPAGED.exists():
        found["khugepaged"] = KHUGEPAGED.read_text()
    return found


@pytest.fixture
def somebody() -> Iterator[int]:
    """A process that offers its memory, and runs."""
    with subprocess.Popen(offer.command([sys.executable, "-c", RUNNING])) as process:
        while procfs.process(process.pid).anon_pages < 3_000_000 // 4096:
            time.sleep(0.01)
        # Its start is over once it sleeps.
        time.sleep(0.2)
        yield process.pid
        process.kill()


@pytest.mark.usefixtures("ksmd_is_the_models")
@pytest.mark.parametrize("use_zero_pages", [False, True])
def test_a_proof_agrees_and_can_be_kept(use_zero_pages: bool, tmp_path: Path) -> None:
    kept = tmp_path / "proof.json"
    knobs = KsmKnobs(use_zero_pages=use_zero_pages)
    proof = prove(None, knobs, 4, kept, False)
    assert [row for row in proof.rows if not row.agrees] == []
    assert f"{len(proof.rows)} of {len(proof.rows)} figures agree" in proof.text()
    assert proof.as_dict()["agrees"] is True
    document = json.loads(kept.read_text())
    snapshot, scan = document["steps"]
    assert sum(len(each["vpn"]) for each in snapshot["procs"]) == proof.pages
    last = {row.figure: row.kernel for row in proof.rows if not row.process}
    assert scan["observed"][-1]["global"] == last
    assert document["knobs"]["use_zero_pages"] == use_zero_pages


@pytest.mark.usefixtures("ksmd_is_the_models")
def test_the_machine_of_older_kernels_agrees_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("analyzer.live.proof.model_of", Played)
    proof = prove(None, KsmKnobs(use_zero_pages=True), 4, None, False)
    assert [row for row in proof.rows if not row.agrees] == []
    assert proof.agrees


@pytest.mark.usefixtures("ksmd_is_the_models")
def test_a_named_process_is_held_still_and_runs_on(somebody: int) -> None:
    proof = prove([somebody], KsmKnobs(), 3, None, False)
    assert proof.agrees
    assert procfs.process(somebody).state == "S"
    assert int(procfs.ksm_stat(somebody)["ksm_merging_pages"]) == 0


def test_a_process_that_has_offered_nothing_is_refused() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        with pytest.raises(InputError, match="has offered no memory"):
            prove([process.pid], KsmKnobs(), 1, None, False)
        process.kill()


@pytest.mark.parametrize(
    ("pid", "error"), [(os.getpid(), UsageError), (2**22, InputError)]
)
def test_a_process_that_cannot_be_meant(pid: int, error: type[Exception]) -> None:
    with pytest.raises(error, match=str(pid)):
        prove([pid], KsmKnobs(), 1, None, False)


@pytest.fixture
def busy_ksmd() -> Iterator[int]:
    """Somebody else's process that this machine's ksmd works for."""
    with stopped([Program("data", workload("data", "3"))]) as (pid,):
        before = settings()
        try:
            (SYSFS / "pages_to_scan").write_text("5000")
            (SYSFS / "run").write_text("1")
            while int(read("full_scans")) < 4:
                time.sleep(0.02)
            yield pid
        finally:
            (SYSFS / "run").write_text("0")
            (SYSFS / "run").write_text("2")
            (SYSFS / "run").write_text("0")
            (SYSFS / "pages_to_scan").write_text(before["pages_to_scan"])


def test_nobody_is_disturbed_where_ksmd_is_in_use(busy_ksmd: int) -> None:
    merged = procfs.ksm_stat(busy_ksmd)["ksm_merging_pages"]
    assert int(merged) > 300
    before = settings()
    with pytest.raises(InputError, match="in use"):
        prove(None, KsmKnobs(), 3, None, False)
    with pytest.raises(InputError, match="in use"):
        calibrate(4096, rounds=1)
    assert settings() == before
    assert procfs.ksm_stat(busy_ksmd)["ksm_merging_pages"] == merged


@pytest.mark.usefixtures("ksmd_is_the_models")
def test_among_others_only_what_is_surely_ours_is_compared(busy_ksmd: int) -> None:
    merged = procfs.ksm_stat(busy_ksmd)["ksm_merging_pages"]
    before = settings()
    with pytest.raises(InputError, match="nothing can be compared"):
        prove([busy_ksmd], KsmKnobs(), 3, None, True)
    proof = prove(None, KsmKnobs(), 5, None, True)
    assert proof.rows
    assert all(row.process for row in proof.rows)
    assert proof.agrees
    assert max(row.kernel for row in proof.rows if "merging" in row.figure) > 1000
    assert any("in use" in note for note in proof.notes)
    assert settings() == before
    assert procfs.ksm_stat(busy_ksmd)["ksm_merging_pages"] == merged


def test_watching_a_program_shows_what_ksmd_does_with_it(tmp_path: Path) -> None:
    said = tmp_path / "stderr"
    program = [sys.executable, "-c", "from analyzer.cli import main; main()", "run"]
    watch = ["--watch", "--interval", "0.1", "--", sys.executable, "-c", RUNNING]
    with (
        Ksmd() as ksmd,
        said.open("w") as stderr,
        subprocess.Popen([*program, *watch], stderr=stderr) as watched,
    ):
        time.sleep(1)
        ksmd.full_scan()
        ksmd.full_scan()
        time.sleep(0.5)
        watched.terminate()
        assert watched.wait(10) == 128 + signal.SIGTERM
    last = said.read_text().splitlines()[-1].split()
    merged = int(last[3].replace(",", ""))
    assert merged >= 3_000_000 // 4096 - 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_settings_come_back_however_it_ends(
    how: signal.Signals, own_lock: Path
) -> None:
    before = settings()
    command = [sys.executable, "-c", KILLED, str(own_lock)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, stderr=subprocess.DEVNULL) as driver:  # type: ignore[call-overload]
        pid, merged = map(int, driver.stdout.readline().split())
        assert merged > 0
        assert read("max_page_sharing") == "7"
        driver.send_signal(how)
        driver.wait(30)
    for _ in range(500):
        if settings() == before and not Path(f"/proc/{pid}").exists():
            break
        time.sleep(0.02)
    assert settings() == before
    assert not Path(f"/proc/{pid}").exists()
    assert read("ksm_zero_pages") == "0"


def test_a_calibration_is_plausible() -> None:
    measured = calibrate(4096, rounds=1)
    assert 0 < measured.merged < measured.checksum < measured.search
    assert measured.checksum < measured.merge
    assert measured.kernel == os.uname().release
