"""Where ksmd's costs come from: the user's calibration, or a stated default."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from analyzer.costs import Calibration, Costs, path_of_calibration
from traces.errors import InputError

MEASURED = Calibration(
    host="lab",
    kernel="6.18.44",
    measured_at="2026-11-22T22:00:00+00:00",
    pages=32768,
    checksum=900.5,
    search=6000.0,
    merge=4100.0,
    merged=400.0,
)


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = path_of_calibration()
    path.parent.mkdir()
    return path


def test_without_a_calibration_the_default_says_so(stored: Path) -> None:
    assert not stored.exists()
    assert Costs.load() == Costs.default()
    assert "default" in Costs.default().source


def test_a_calibration_comes_back_with_where_it_is_from(stored: Path) -> None:
    stored.write_text(MEASURED.as_json())
    costs = Costs.load()
    assert (costs.checksum, costs.search) == (900.5, 6000.0)
    assert (costs.merge, costs.merged) == (4100.0, 400.0)
    for word in ("lab", "6.18.44", "2026-11-22"):
        assert word in costs.source


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no calibration"),
        ("[1]", "no calibration"),
        ("{}", "no calibration"),
        ('{"schema": "other/1"}', "its schema"),
        ('{"schema": "ksm-analyze-costs/1"}', "lacks a figure"),
        (replace(MEASURED, merge=-1).as_json(), "merge is -1"),
        (MEASURED.as_json().replace("4100.0", '"soon"'), "merge is 'soon'"),
        (MEASURED.as_json().replace("4100.0", "NaN"), "merge is nan"),
    ],
)
def test_a_damaged_calibration_is_refused(stored: Path, text: str, why: str) -> None:
    stored.write_text(text)
    with pytest.raises(InputError, match=why) as caught:
        Costs.load()
    assert "calibrate" in (caught.value.hint or "")


def test_an_unreadable_calibration_is_refused(stored: Path) -> None:
    stored.mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        Costs.load()


def test_the_file_says_what_it_is() -> None:
    document = json.loads(MEASURED.as_json())
    assert document.pop("schema") == "ksm-analyze-costs/1"
    assert document == asdict(MEASURED)


@pytest.mark.parametrize("configured", ["", "relative/path"])
def test_without_a_configured_folder_it_is_the_usual_one(
    configured: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", configured)
    monkeypatch.setenv("HOME", "/home/someone")
    usual = Path("/home/someone/.config/ksm-analyze/costs.json")
    assert path_of_calibration() == usual


@pytest.mark.parametrize("module", ["analyzer.costs", "analyzer.live.watch"])
def test_what_commands_read_as_they_start_is_light(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"numpy", "polars", "pyarrow", "numba"} & set(run.stdout.split())
