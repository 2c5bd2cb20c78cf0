"""Light modules stay light: what they import is looked at in a fresh interpreter."""

import subprocess
import sys
from pkgutil import iter_modules

import pytest

import analyzer.cli

HEAVY = ("llvmlite", "numba", "numpy", "polars", "pyarrow", "rich", "textual", "xxhash")
LIGHT = [
    "analyzer.cli",
    *(f"analyzer.cli.{module.name}" for module in iter_modules(analyzer.cli.__path__)),
    "analyzer.knobs",
    "analyzer.report.escape",
    "traces.errors",
    "traces.page",
]


def loaded_by(code: str) -> set[str]:
    probe = f"import sys\n{code}\nprint('\\n'.join(sys.modules), file=sys.stderr)"
    run = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )
    return set(run.stderr.split())


@pytest.mark.parametrize("module", LIGHT)
def test_is_light(module: str) -> None:
    assert not loaded_by(f"import {module}") & set(HEAVY)


@pytest.mark.parametrize("arguments", [["--help"], ["replay", "--help"]])
def test_help_is_light(arguments: list[str]) -> None:
    code = (
        f"sys.argv[1:] = {arguments!r}\n"
        "from analyzer.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass"
    )
    assert not loaded_by(code) & set(HEAVY)


def test_replaying_does_not_load_the_screen() -> None:
    assert not loaded_by("import analyzer.replay") & {"textual", "rich", "click"}


def test_the_screen_is_painted_before_files_can_be_read() -> None:
    heavy = {"llvmlite", "numba", "numpy", "polars", "pyarrow", "xxhash"}
    assert not loaded_by("import tui.app") & heavy


def test_looking_at_a_result_loads_no_compiler() -> None:
    code = "import analyzer.moment, analyzer.pages, analyzer.result"
    assert not loaded_by(code) & {"numba", "llvmlite", "textual", "rich", "click"}
