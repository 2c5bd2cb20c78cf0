"""The programs that a proof brings along, and those this machine has beside them: in
C, where there is a compiler, in other languages, and with huge pages."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from analyzer.live.programs import Program, builtin

SOURCES: Final = Path(__file__).parent / "sources"


def available(build: Path) -> list[Program]:
    """What can be run here; C is compiled into *build*."""
    programs = [
        *builtin(),
        Program("huge pages", _python("huge")),
        Program("huge pages, forked", [*_python("huge"), "fork"], processes=2),
    ]
    if compiler := shutil.which("cc"):
        programs += [
            Program("equal pages, in C", _compiled(compiler, "equal", build)),
            Program("a family, in C", _compiled(compiler, "family", build), 3),
        ]
    if node := shutil.which("node"):
        programs.append(Program("node", [node, str(SOURCES / "objects.js")]))
    if perl := shutil.which("perl"):
        programs.append(Program("perl", [perl, str(SOURCES / "words.pl")]))
    return programs


SPARSE: Final = Program(
    "sparse huge pages", [sys.executable, str(SOURCES / "sparse.py")]
)
"""Huge pages that are mostly zero."""

LOCKED: Final = Program("sparse huge pages, mlocked", [*SPARSE.command, "lock"])
"""Their zero subpages stay, whatever is split."""


def _python(name: str) -> list[str]:
    return [sys.executable, str(SOURCES / f"{name}.py")]


def _compiled(compiler: str, name: str, build: Path) -> list[str]:
    target = build / name
    source = SOURCES / f"{name}.c"
    subprocess.run([compiler, "-O1", "-o", target, source], check=True)
    return [str(target)]
