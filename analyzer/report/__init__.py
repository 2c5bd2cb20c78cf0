"""Results as text: each format is a function of a result and a layout.

Named by module, so that what only needs `escape` does not load tables.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from analyzer.report.layout import Layout
    from analyzer.result import ReplayResult

FORMATS: Final[Mapping[str, tuple[str, str]]] = {
    "text": ("analyzer.report.text", "text"),
    "json": ("analyzer.report.machine", "replay_json"),
    "csv": ("analyzer.report.machine", "replay_csv"),
    "md": ("analyzer.report.markdown", "markdown"),
    "openmetrics": ("analyzer.report.openmetrics", "openmetrics"),
}
"""What `--format` can name → the module and function that draw it."""


def drawn(result: "ReplayResult", form: str, layout: "Layout") -> str:
    """*result* in the format *form*; ends with a newline."""
    module, name = FORMATS[form]
    draw: Callable[[ReplayResult, Layout], str] = getattr(import_module(module), name)
    return draw(result, layout)
