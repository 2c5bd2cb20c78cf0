"""`ksm-analyze verify` as people and scripts run it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "analyzer" / "recordings"
FORK = SHIPPED / "6.18" / "g14_fork.json.gz"
MID_SCAN = SHIPPED / "6.18" / "g37_mid_scan_write.json.gz"


def ksm(*arguments):
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from analyzer.cli import main; main()",
            "verify",
            *map(str, arguments),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def wrong(tmp_path):
    """A recording of a kernel that cannot count."""
    path = tmp_path / "wrong.json"
    steps = [
        {"op": "spawn", "proc": "A"},
        {"op": "scan", "observed": [{"global": {"pages_shared": 7}}]},
    ]
    path.write_text(json.dumps({"kernel": "6.18", "steps": steps}))
    return path


def test_alone_it_proves_the_model():
    ran = ksm()
    assert ran.returncode == 0
    assert ran.stdout.splitlines()[-1] == "0 failures"
    assert ran.stdout.startswith("5.10/")
    assert "step" not in ran.stdout.splitlines()[0]


def test_named_recordings_are_told_step_by_step():
    ran = ksm(FORK)
    assert ran.returncode == 0
    assert "  step 5, scan x 3: all 69 figures agree" in ran.stdout
    assert "step 5" not in ksm(FORK, "--no-steps").stdout


def test_a_folder_is_searched():
    ran = ksm(SHIPPED / "6.1", "--no-steps")
    assert ran.returncode == 0
    assert "36 recordings" in ran.stdout


def test_a_difference_is_the_answer_no(wrong):
    ran = ksm(wrong)
    assert ran.returncode == 1
    assert "pages_shared is 7 in the kernel, 0 simulated (-7)  FAILURE" in ran.stdout
    assert "error" not in ran.stderr


def test_a_mistake_is_told_before_anything_is_replayed(tmp_path, wrong):
    broken = tmp_path / "broken.json"
    broken.write_text('{"kernel": "6.18", "steps": [{"op": "exit", "proc": "B"}]}')
    ran = ksm(wrong, broken)
    assert ran.returncode == 3
    assert ran.stdout == ""
    assert ran.stderr == (
        f"error: {broken}: step 1: there is no process 'B', expected: none lives\n"
    )


def test_json_goes_to_a_file(tmp_path):
    output = tmp_path / "verdict.json"
    assert ksm(FORK, "-o", output).returncode == 0
    document = json.loads(output.read_text())
    assert document["agrees"] is True
    assert [each["recording"] for each in document["recordings"]] == ["g14_fork"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--pid", "1"], "--pid has no meaning without --live"),
        (["--pages-to-scan", "9"], "--pages-to-scan has no meaning without --live"),
        (["--live", FORK], "--live replays no recordings"),
        (["--live"], "--live needs processes"),
        (["--live", "--pid", "1", "--strict"], "--strict has no meaning with --live"),
    ],
)
def test_options_that_contradict_each_other_are_refused(arguments, complaint):
    ran = ksm(*arguments)
    assert ran.returncode == 2
    assert complaint in ran.stderr
