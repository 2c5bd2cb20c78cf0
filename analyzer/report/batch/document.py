"""A whole summary as the bytes of a file, in any format."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from analyzer.report.batch.entry import Batch
    from analyzer.report.layout import Layout

FORMATS: Final[Mapping[str, tuple[str, str]]] = {
    "html": ("analyzer.report.batch.html", "page"),
    "text": ("analyzer.report.batch.text", "text"),
    "json": ("analyzer.report.batch.machine", "summary_json"),
    "csv": ("analyzer.report.batch.machine", "summary_csv"),
    "md": ("analyzer.report.batch.markdown", "markdown"),
    "openmetrics": ("analyzer.report.batch.openmetrics", "openmetrics"),
    "parquet": ("analyzer.report.batch.machine", "summary_parquet"),
}
"""The same formats as `document.FORMATS` → the module and function that draw them."""


def drawn(batch: "Batch", form: str, layout: "Layout") -> bytes:
    """The summary of *batch* in the format *form*."""
    module, name = FORMATS[form]
    draw: Callable[[Batch, Layout], str | bytes] = getattr(import_module(module), name)
    found = draw(batch, layout)
    return found if isinstance(found, bytes) else found.encode()
