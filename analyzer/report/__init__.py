"""Results as text: each format is a function of a result and a layout."""

from collections.abc import Callable, Mapping
from typing import Final

from analyzer.report.layout import Layout
from analyzer.report.machine import replay_csv, replay_json
from analyzer.report.markdown import markdown
from analyzer.report.text import text
from analyzer.result import ReplayResult

FORMATS: Final[Mapping[str, Callable[[ReplayResult, Layout], str]]] = {
    "text": text,
    "json": replay_json,
    "csv": replay_csv,
    "md": markdown,
}
"""What `--format` can name."""
