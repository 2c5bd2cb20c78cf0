"""A whole report as the bytes of a file, in any format."""

from collections.abc import Callable
from importlib import import_module
from typing import Final

from analyzer.report import FORMATS as TEXTS
from analyzer.report import drawn
from analyzer.report.layout import Layout
from analyzer.result import ReplayResult

FORMATS: Final = ("html", *TEXTS, "parquet")


def document(result: ReplayResult, form: str, layout: Layout, command: str) -> bytes:
    """*result* in the format *form*; *command* is what makes it again.

    `parquet` is the table *layout.by*, as `csv`.
    """
    if form == "parquet":
        from analyzer.report.machine import replay_parquet

        return replay_parquet(result, layout)
    if form == "html":
        # Drawn with more than the others need.
        page: Callable[[ReplayResult, str], str] = import_module(
            "analyzer.report.html"
        ).page
        return page(result, command).encode()
    return drawn(result, form, layout).encode()
