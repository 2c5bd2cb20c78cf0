"""`ksm-analyze report`: reports to hand on, over one capture or many."""

import os
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from analyzer.cli.exit_codes import ExitCode
from analyzer.cli.folder import check_folder, made, publish, staging
from analyzer.cli.narration import failure, note, working
from analyzer.cli.options import (
    CONTENTS,
    PATH,
    check_table,
    given,
    knob_options,
    knobs_of,
    ksmd_options,
    policy_of,
    policy_options,
    table_options,
    where_of,
)
from analyzer.cli.output import (
    SUFFIXES,
    ascii_of,
    check_writable,
    colour_of,
    format_of,
    height_of,
    is_terminal,
    width_of,
    write,
)
from analyzer.cli.signals import ending_on_signals
from traces.errors import InputError, UsageError

if TYPE_CHECKING:
    from analyzer.batch.one import Drawing, Replaying
    from analyzer.batch.sources import Origin, Origins
    from analyzer.report.batch.entry import Entry
    from analyzer.report.layout import Layout

FORMATS: Final = ("text", "html", "md", "json", "csv", "parquet", "openmetrics")
"""`analyzer.report.document.FORMATS`, spelled again so that help stays fast."""
_SUMMARY: Final = "summary"
_PAGE_CONTENTS: Final = 1000
"""Rows of contents for a page: as many as a saved result keeps."""
_OF_ONE_RUN: Final = frozenset({"output", "out_dir", "jobs", "quiet", "color"})
_OF_A_REPORT: Final = _OF_ONE_RUN | {"form", "strict", "by", "rows", "where"}
"""Options that say nothing of how to replay; all others do."""


@click.command("report", short_help="Reports to hand on, over one capture or many.")
@click.argument("sources", nargs=-1, required=True, metavar="[NAME=]SOURCE...")
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="[default: by the suffix of -o; html with --out-dir; else text]",
)
@click.option(
    "-o",
    "--output",
    type=PATH,
    metavar="FILE",
    help="Write the report, or the summary over several sources, there instead of to "
    "stdout.",
)
@click.option(
    "--out-dir",
    type=PATH,
    metavar="DIR",
    help="Write a report for each source there, and a summary over all.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Sources replayed at a time.  [default: one per CPU]",
)
@click.option(
    "--strict", is_flag=True, help="Refuse a truncated dump, instead of what is left."
)
@table_options
@policy_options
@ksmd_options
@knob_options
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="When to colour; auto respects NO_COLOR.  [default: auto]",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but what failed.")
def command(sources: tuple[str, ...], **options: Any) -> int:
    """Replay each SOURCE on its own and report on it.

    A SOURCE is a trace, a result that replay --save kept, or a dump as convert takes
    them; or a folder, for everything in it that is one of these. NAME= says what it is
    called. One that fails is told, and the others go on.
    """
    context = click.get_current_context()
    output: Path | None = options["output"]
    out_dir: Path | None = options["out_dir"]
    if output and out_dir:
        raise UsageError(
            "-o and --out-dir exclude each other", hint="the summary is in --out-dir"
        )
    form = _form(options)
    knobs_of(options)
    where_of(options)
    policy_of(options)
    words = given(context, _OF_ONE_RUN)

    from analyzer.batch.one import Drawing, again
    from analyzer.batch.sources import origins

    found = origins(sources)
    for path, why in found.skipped:
        if not options["quiet"]:
            note(f"skipped: {path}: {why}")
    if not found.found:
        raise InputError(f"{' '.join(sources)}: nothing in it is a source known here")
    one = len(found.found) == 1 and not found.folders and out_dir is None
    drawn = one or out_dir is not None
    if drawn:
        check_table(form, options["by"])
    check_writable(output, *(path for at in found.found for path in at.named.paths))
    replaying = _replaying(context, options, form if drawn else "")
    layout = _layout(options)
    if options["form"] is None:
        words = (*words, "--format", form)
    drawing = Drawing(form=form, layout=layout, options=words)
    with ending_on_signals():
        if one:
            _report(found.found[0], replaying, drawing, output, options["quiet"])
            return ExitCode.OK
        return _reports(found, replaying, drawing, again(sources, words), options)


def _form(options: dict[str, Any]) -> str:
    output: Path | None = options["output"]
    if options["out_dir"] is not None:
        return options["form"] or "html"
    form = format_of(options["form"], output, FORMATS)
    if form == "parquet" and is_terminal(output):
        raise UsageError("parquet is not for terminals", hint="say -o FILE")
    return form


def _replaying(
    context: click.Context, options: dict[str, Any], form: str
) -> "Replaying":
    """How to replay for a report in the format *form*; empty for figures alone."""
    from analyzer.batch.one import Replaying

    return Replaying(
        knobs=knobs_of(options),
        policy=policy_of(options),
        passes=options["passes"],
        kernel=options["kernel"],
        asked=given(context, _OF_A_REPORT),
        strict=options["strict"],
        contents=_PAGE_CONTENTS if form == "html" else _contents(options),
        detail=form == "html",
    )


def _contents(options: dict[str, Any]) -> int:
    return max(CONTENTS, options["rows"] or 0)


def _layout(options: dict[str, Any]) -> "Layout":
    from analyzer.report.layout import Layout

    # A folder is no terminal either.
    output: Path | None = options["output"] or options["out_dir"]
    colour = colour_of(options["color"], output)
    return Layout(
        by=options["by"],
        rows=options["rows"],
        where=where_of(options),
        width=width_of(output),
        height=height_of(output),
        colour=colour,
        ascii=ascii_of(colour, output),
    )


def _report(
    origin: "Origin",
    replaying: "Replaying",
    drawing: "Drawing",
    output: Path | None,
    quiet: bool,
) -> None:
    """The report on a single source."""
    with ExitStack() as stack:
        folder = stack.enter_context(staging(output.parent if output else None))
        if not quiet:
            stack.enter_context(working(f"reporting on {origin.name}"))
        from analyzer.batch.one import drawn, replayed
        from analyzer.engine.compiling import announce

        compiling = "compiling the engine, first run only…"
        stack.enter_context(announce(lambda: None if quiet else note(compiling)))
        _, result = replayed(origin, replaying, folder)
        data = drawn(origin, result, drawing)
    write(data if drawing.form == "parquet" else data.decode(), output, quiet)


def _reports(
    found: "Origins",
    replaying: "Replaying",
    drawing: "Drawing",
    command: str,
    options: dict[str, Any],
) -> int:
    """Reports on several sources, and their summary; the exit code."""
    from analyzer.report.batch.document import drawn
    from analyzer.report.batch.entry import Batch
    from analyzer.report.units import counted

    output: Path | None = options["output"]
    out_dir: Path | None = options["out_dir"]
    suffix = _suffix(drawing.form)
    summary = f"{_SUMMARY}{suffix}"
    names = _names(found, suffix, summary)
    with ExitStack() as stack:
        if out_dir is not None:
            stack.enter_context(made(out_dir))
            inputs = [path for at in found.found for path in at.named.paths]
            check_folder(out_dir, [*names, summary], inputs)
        folder = stack.enter_context(
            staging(out_dir or (output.parent if output else None))
        )
        entries = _entries(
            found, names, folder, replaying, drawing if out_dir else None, options
        )
        batch = Batch(entries=entries, skipped=found.skipped, command=command)
        data = drawn(batch, drawing.form, drawing.layout)
        if out_dir is not None:
            publish(folder, [of.report for of, _ in batch.good], out_dir)
            write(data, out_dir / summary, quiet=True)
    if out_dir is None:
        text = data if drawing.form == "parquet" else data.decode()
        write(text, output, options["quiet"])
    elif not options["quiet"]:
        note(f"wrote {counted(len(batch.good), 'report')} and {out_dir / summary}")
    if not batch.good:
        return ExitCode.INPUT
    return ExitCode.PARTIAL if batch.bad else ExitCode.OK


def _suffix(form: str) -> str:
    return next(suffix for suffix, name in SUFFIXES.items() if name == form)


def _names(found: "Origins", suffix: str, summary: str) -> list[str]:
    """The file of each source's report."""
    from analyzer.batch.names import file_names

    called = (
        one.named.name or one.named.path.name.removesuffix(".parquet")
        for one in found.found
    )
    return file_names(called, suffix, [summary])


def _entries(
    found: "Origins",
    names: Sequence[str],
    folder: Path,
    replaying: "Replaying",
    drawing: "Drawing | None",
    options: dict[str, Any],
) -> list["Entry"]:
    """What came of each source, in the order they were named; failures are told as
    they happen."""
    from analyzer.batch.one import Task
    from analyzer.batch.workers import side_by_side

    tasks = [
        Task(
            origin=origin,
            replaying=replaying,
            drawing=drawing,
            folder=folder / str(number),
            report=folder / name,
        )
        for number, (origin, name) in enumerate(zip(found.found, names, strict=True))
    ]
    jobs = min(options["jobs"] or len(os.sched_getaffinity(0)), len(tasks))
    entries: dict[int, Entry] = {}
    with ExitStack() as stack:
        if not options["quiet"]:
            told = f"of {len(tasks)} sources done"
            stack.enter_context(working(lambda: f"{len(entries)} {told}"))
        for number, entry in stack.enter_context(closing(side_by_side(tasks, jobs))):
            entries[number] = entry
            if entry.error:
                failure(entry.error, entry.hint)
    return [entries[number] for number in range(len(tasks))]
