"""`ksm-analyze calibrate` around its measurement: where it is kept, when it refuses."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from analyzer.cli import program
from analyzer.costs import Calibration, Costs
from analyzer.live import calibration as calibration_module
from analyzer.live import ksmd as ksmd_module
from traces.errors import InputError

MEASURED = Calibration(
    host="lab",
    kernel="6.18.44",
    measured_at="2026-11-22T22:00:00+00:00",
    pages=4096,
    checksum=1000.0,
    search=7000.0,
    merge=4000.0,
    merged=400.0,
)


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "new"))
    monkeypatch.setattr(calibration_module, "calibrate", lambda _: MEASURED)
    return tmp_path / "new" / "ksm-analyze" / "costs.json"


def test_it_is_kept_for_its_user_alone(config: Path) -> None:
    run = CliRunner().invoke(program, ["calibrate", "--memory", "16"])
    assert config.stat().st_mode & 0o777 == 0o600
    assert list(config.parent.iterdir()) == [config]
    assert Costs.load() == MEASURED.costs()
    assert "7,000 ns" in run.stdout


def test_json_is_what_is_kept(config: Path) -> None:
    run = CliRunner().invoke(program, ["calibrate", "-f", "json"])
    assert run.stdout == config.read_text()
    assert json.loads(run.stdout)["merged"] == 400.0


def test_a_kernel_without_ksm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ksmd_module, "SYSFS", tmp_path / "ksm")
    with pytest.raises(InputError, match="has no KSM"):
        calibration_module.calibrate()


def test_not_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ksmd_module, "SYSFS", tmp_path)
    with pytest.raises(InputError, match="only root"):
        calibration_module.calibrate()
