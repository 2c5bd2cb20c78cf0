"""The bytes of every format for one fixed result.

UPDATE_GOLDEN=1 rewrites the files; what changed is then for `git diff` to show.
"""

import importlib.metadata
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from builders import FACTS
from results import HOSTILE, other_result, result, uncertain_result

from analyzer.compare import compare
from analyzer.report import drawn
from analyzer.report.batch.document import drawn as batch_drawn
from analyzer.report.batch.entry import Batch, Skipped, entry_of, failed
from analyzer.report.compare import drawn as compare_drawn
from analyzer.report.info import (
    info_json,
    info_text,
    inventory_of_result,
    inventory_of_trace,
)
from analyzer.report.layout import Layout

FOLDER = Path(__file__).parents[2] / "golden"


class Found:
    info = result().trace
    zero_pages = 12_345
    distinct_contents = 67_890
    uncertain_zero_pages = 0
    uncertain_pages = 0


class Uncertain(Found):
    uncertain_zero_pages = 1
    uncertain_pages = 2_345


def compared(form, layout, a=None, b=None):
    a = a or result()
    b = b or other_result()
    return compare_drawn(compare(a, b), form, layout)


def summary(form):
    """Two sources, one of them with a report beside it, one that failed."""
    entries = [
        entry_of("vm", "vm.elf", "elf-vmcore", other_result()),
        failed("x", "x.parquet", "x.parquet: is empty"),
        replace(entry_of("web", "web.parquet", "trace", result()), report="web.html"),
    ]
    batch = Batch(
        entries=entries, skipped=[Skipped("notes", "no source")], command="again"
    )
    return batch_drawn(batch, form, Layout()).decode()


DRAWINGS: dict[str, Callable[[], str]] = {
    "replay.txt": lambda: drawn(result(), "text", Layout()),
    "replay-110-colour.txt": lambda: drawn(
        result(),
        "text",
        Layout(width=110, colour=True, ascii=False, hint="ksm-analyze replay"),
    ),
    "replay-110-process.txt": lambda: drawn(
        result(), "text", Layout(by="process", width=110, ascii=False)
    ),
    "replay.md": lambda: drawn(result(), "md", Layout()),
    "replay-hostile.md": lambda: drawn(result(HOSTILE), "md", Layout(by="process")),
    "replay.csv": lambda: drawn(result(), "csv", Layout()),
    "replay-hostile.csv": lambda: drawn(result(HOSTILE), "csv", Layout(by="process")),
    "replay.prom": lambda: drawn(result(), "openmetrics", Layout(rows=3)),
    "replay.json": lambda: drawn(result(), "json", Layout()),
    "summary.txt": lambda: summary("text"),
    "summary.md": lambda: summary("md"),
    "summary.csv": lambda: summary("csv"),
    "summary.json": lambda: summary("json"),
    "summary.prom": lambda: summary("openmetrics"),
    "replay-uncertain.txt": lambda: drawn(uncertain_result(), "text", Layout()),
    "replay-uncertain.md": lambda: drawn(
        uncertain_result(), "md", Layout(by="process")
    ),
    "replay-uncertain.csv": lambda: drawn(uncertain_result(), "csv", Layout()),
    "compare-uncertain.txt": lambda: compared("text", Layout(), b=uncertain_result()),
    "compare-uncertain.md": lambda: compared("md", Layout(), b=uncertain_result()),
    "compare.txt": lambda: compared("text", Layout()),
    "compare-110-colour.txt": lambda: compared(
        "text", Layout(by="process", width=110, colour=True, ascii=False)
    ),
    "compare.md": lambda: compared("md", Layout(rows=2)),
    "compare.csv": lambda: compared("csv", Layout()),
    "compare.json": lambda: compared("json", Layout()),
    "compare-hostile.md": lambda: compared(
        "md", Layout(by="process"), result(HOSTILE[:6]), result(HOSTILE[4:])
    ),
    "info.txt": lambda: info_text(inventory_of_trace(FACTS, Found()), 80),
    "info.json": lambda: info_json(inventory_of_trace(FACTS, Found())),
    "info-result.txt": lambda: info_text(inventory_of_result(result()), 80),
    "info-uncertain.txt": lambda: info_text(
        inventory_of_result(uncertain_result()), 80
    ),
    "info-uncertain-trace.txt": lambda: info_text(
        inventory_of_trace(FACTS, Uncertain()), 80
    ),
    "info-result.json": lambda: info_json(inventory_of_result(result())),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_bytes_are_the_recorded_ones(name, monkeypatch):
    monkeypatch.setattr("traces.tool.version", lambda _: "1.2.3")
    drawing = DRAWINGS[name]().encode()
    if os.environ.get("UPDATE_GOLDEN"):
        (FOLDER / name).write_bytes(drawing)
    assert drawing == (FOLDER / name).read_bytes()


def test_the_version_is_this_distributions():
    from traces.tool import tool

    try:
        version = importlib.metadata.version("ksm-analyze")
    except importlib.metadata.PackageNotFoundError:
        assert tool() == "ksm-analyze"
    else:
        assert tool() == f"ksm-analyze {version}"
