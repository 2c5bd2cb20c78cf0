"""`ksm-analyze verify` as people and scripts run it."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from analyzer.cli import program
from analyzer.knobs import KsmKnobs

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "analyzer" / "recordings"
FORK = SHIPPED / "6.18" / "g14_fork.json.gz"


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


def test_known_residues_fail_only_if_that_is_asked_for(tmp_path):
    path = SHIPPED / "6.18" / "g37_mid_scan_write.json.gz"
    document = json.loads(gzip.decompress(path.read_bytes()))
    unsorted = tmp_path / "unsorted.json"
    unsorted.write_text(json.dumps({**document, "contents_sorted": False}))
    ran = ksm(unsorted)
    assert ran.returncode == 0
    assert "5 simulated (+3)  known: changed in mid-scan" in ran.stdout
    assert ksm(unsorted, "--strict").returncode == 1
    assert ksm(path, "--strict").returncode == 0


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
        (["--live", "--pid", "1", "--strict"], "--strict has no meaning with --live"),
    ],
)
def test_options_that_contradict_each_other_are_refused(arguments, complaint):
    ran = ksm(*arguments)
    assert ran.returncode == 2
    assert complaint in ran.stderr


@pytest.fixture
def told(monkeypatch):
    """`prove` as the command calls it; what it answers is `told["agrees"]`."""
    told = {"agrees": True}

    class Proof:
        agrees = property(lambda _: told["agrees"])

        def text(self):
            return "a proof\n"

        def as_dict(self):
            return {"schema": "proof"}

    def prove(*arguments):
        told["arguments"] = arguments
        return Proof()

    monkeypatch.setattr("analyzer.live.proof.prove", prove)
    return told


def live(*arguments):
    return CliRunner().invoke(
        program, ["verify", "--live", *map(str, arguments)], standalone_mode=False
    )


def test_live_hands_over_what_was_asked_for(told, tmp_path):
    record = tmp_path / "run.json"
    ran = live("--pid", 7, "--pid", 8, "--record", record, "--pages-to-scan", 9)
    assert (ran.return_value, ran.stdout) == (0, "a proof\n")
    knobs = KsmKnobs(pages_to_scan=9)
    assert told["arguments"] == ((7, 8), knobs, 10, record, False)


def test_live_without_processes_lets_the_proof_choose(told):
    assert live("--full-scans", 3, "--even-if-in-use").return_value == 0
    assert told["arguments"] == (None, KsmKnobs(), 3, None, True)


def test_live_answers_no_where_figures_differ(told):
    told["agrees"] = False
    ran = live("--format", "json")
    assert ran.return_value == 1
    assert json.loads(ran.stdout) == {"schema": "proof"}
