"""`ksm-analyze info`: what a file is and holds, without a replay."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from analyzer.cli.narration import note, working
from analyzer.cli.options import PATH
from analyzer.cli.output import (
    check_writable,
    format_of,
    is_terminal,
    width_of,
    write,
)
from analyzer.cli.sources import named_or_demo
from traces.errors import UsageError

if TYPE_CHECKING:
    from analyzer.report.info import Inventory

_FORMATS: Final = ("text", "json")
_TABLE_FORMATS: Final = ("csv", "parquet")
_TABLES: Final = ("processes", "mappings", "epochs")


@click.command(short_help="What is in a file, without a replay.")
@click.argument("file", required=False, type=PATH, metavar="[FILE]")
@click.option(
    "--table",
    type=click.Choice(_TABLES),
    help="Take out one of a trace's tables, as csv or parquet.",
)
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice([*_FORMATS, *_TABLE_FORMATS]),
    help="[default: text, or csv with --table]",
)
@click.option(
    "-o",
    "--output",
    type=PATH,
    metavar="FILE",
    help="Write there instead of to stdout; the suffix tells the format.",
)
def command(
    file: Path | None, table: str | None, form: str | None, output: Path | None
) -> None:
    """Say whether FILE is a trace or a saved result, and what is in it.

    Without a file, this is told of the small trace that comes with the program.
    """
    formats = _TABLE_FORMATS if table else _FORMATS
    form = format_of(form, output, formats)
    if form not in formats:
        asked = f"--table {table}" if table else "without --table"
        raise UsageError(f"{asked} there is no {form}, only {' and '.join(formats)}")
    if form == "parquet" and is_terminal(output):
        raise UsageError("parquet is not for terminals", hint="say -o FILE")
    named = [file] if file else []
    check_writable(output, *named)
    with named_or_demo(named, "info") as (path,):
        if table:
            _write_table(path, table, form, output)
            return
        inventory = _inventory(path)
    from analyzer.report.info import info_json, info_text

    if form == "json":
        write(info_json(inventory), output)
    else:
        write(info_text(inventory, width_of(output)), output)


def _inventory(path: Path) -> "Inventory":
    with working(f"reading {path.name}"):
        from analyzer.engine.compiling import announce
        from analyzer.replay import survey
        from analyzer.report.info import inventory_of_result, inventory_of_trace
        from analyzer.result import ReplayResult
        from traces.schema import KIND_KEY
        from traces.table import open_parquet
        from traces.trace import Trace

        with open_parquet(path) as file:
            kind = (file.metadata.metadata or {}).get(KIND_KEY)
        if kind == b"result":
            return inventory_of_result(ReplayResult.load(path))
        with announce(lambda: note("compiling the engine, first run only…")):
            return inventory_of_trace(Trace.open(path).facts, survey([path]))


def _write_table(path: Path, name: str, form: str, output: Path | None) -> None:
    import sys

    from analyzer.report.machine import csv_text
    from traces.table import replacing
    from traces.trace import Trace

    frame: Any = getattr(Trace.open(path), name)
    if form == "csv":
        write(csv_text(frame.columns, frame.iter_rows()), output)
    elif output is None:
        frame.write_parquet(sys.stdout.buffer)
    else:
        with replacing(output) as temporary:
            frame.write_parquet(temporary)
        note(f"wrote {output}")
