"""Numbers are written by the page's script as they are by the program."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, NODE, ran

from analyzer.report import web
from analyzer.report.web.figures import UNITS, drawn
from traces.schema import UNKNOWN

EDGES = [0, 1, 2, 999, 1000, 1023, 1024, 1025, 9994, 9995, 9999, 10_000, 10_005, 99_950]


def cases() -> Iterator[tuple[str, list[Any]]]:
    """A unit and its values: edges of every scale, ties, and many others."""
    rng = random.Random(0)
    numbers = {*EDGES}
    for base in (1000, 1024):
        for power in range(1, 6):
            for digits in (1, 1.125, 1.375, 9.995, 10.25, 99.75, 99.95, 999.5, 1023.5):
                middle = int(digits * base**power)
                numbers |= {middle + step for step in range(-2, 3)}
    numbers |= {rng.randrange(2 ** rng.randrange(1, 53)) for _ in range(4000)}
    # Bytes of so many pages are a tie as often as not.
    numbers |= {256 * step + 32 for step in range(2000)}
    for number in sorted(numbers):
        for value in (number, -number):
            for unit in ("count", "bytes", "profit"):
                yield unit, [value]
            if abs(value) < 2**41:
                yield "pages", [value]
        if number < 2**45:
            yield "address", [number]
        yield "duration", [number]
        if number < 2**53:
            yield "number", [number]
        whole = rng.choice([0, 1, 8, 80, 1000, 4096, rng.randrange(1, 2**50)])
        # A tenth of a share above that is less than a script can tell.
        for part in (number, -number) if number < max(whole, 1) << 40 else ():
            yield "share", [part, whole]
            yield "ratio", [part, whole]
    for thousandths in range(-2100, 2100):
        yield "percent", [thousandths / 2000]
        yield "share", [thousandths, 2000]
    yield "number", [UNKNOWN]
    yield "share", [0, -7]
    yield "text", ["-a"]


def test_the_script_writes_what_the_program_writes(tmp_path: Path) -> None:
    if NODE is None and CHROMIUM is None:
        pytest.skip("neither node nor chromium on PATH")
    asked = list(cases())
    assert {unit for unit, _ in asked} == set(UNITS)
    source = (Path(web.__path__[0]) / "units.js").read_text()
    call = f"JSON.stringify({json.dumps(asked)}.map(([unit, v]) => drawn(unit, v)))"
    found = ran(tmp_path, f"{source};{call}")
    wrong = [
        (unit, values, drawn(unit, *values), text)
        for (unit, values), text in zip(asked, found, strict=True)
        if drawn(unit, *values) != text
    ]
    assert not wrong, wrong[:5]
