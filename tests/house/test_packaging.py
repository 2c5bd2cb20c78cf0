"""What a user installs: three packages, a capture, recordings, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    (built,) = WheelBuilder(str(ROOT)).build(
        directory=str(folder), versions=["standard"]
    )
    return Path(built)


def test_the_wheel_holds_three_packages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "analyzer",
        "traces",
        "tui",
    }
    known = (".css", ".js", ".json.gz", ".parquet", ".py", ".tcss")
    strange = [n for n in names if not n.endswith(known)]
    assert all(".dist-info/" in name for name in strange), strange
    assert "traces/demo.parquet" in names
    assert "analyzer/recordings/6.18/g14_fork.json.gz" in names
    assert {f"analyzer/report/web/page.{kind}" for kind in ("css", "js")} <= set(names)
    assert "tui/app.tcss" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_shipped_capture_is_small() -> None:
    assert (ROOT / "traces" / "demo.parquet").stat().st_size < 1 << 20


def test_the_shipped_recordings_are_small() -> None:
    recordings = list((ROOT / "analyzer" / "recordings").rglob("*.json.gz"))
    assert len(recordings) == 232
    assert sum(path.stat().st_size for path in recordings) < 400_000


def test_the_wheel_runs(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
    code += "import analyzer.cli as cli; print(cli.__file__); cli.main()"
    run = subprocess.run(
        [sys.executable, "-c", code, "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert run.stdout.startswith(str(tmp_path))
    assert "replay" in run.stdout


def test_only_registries_of_packages_have_code() -> None:
    """An __init__.py holds a docstring; these hold one registry each."""
    registries = {
        "analyzer/cli/__init__.py",
        "analyzer/report/__init__.py",
        "traces/dumps/__init__.py",
        "tui/views/__init__.py",
    }
    for package in ("traces", "analyzer", "tui"):
        for init in (ROOT / package).rglob("__init__.py"):
            if str(init.relative_to(ROOT)) not in registries:
                text = init.read_text().strip()
                assert text.startswith('"""'), init
                assert text.endswith('"""'), init
                assert text.count('"""') == 2, init
