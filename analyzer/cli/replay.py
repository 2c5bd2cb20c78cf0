"""`ksm-analyze replay`: the question the program is for."""

import shlex
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from analyzer.cli.narration import note, tell_if_none, working
from analyzer.cli.options import (
    CONTENTS,
    PATH,
    check_table,
    knob_options,
    knobs_of,
    ksmd_options,
    output_options,
    policy_of,
    policy_options,
    table_options,
    where_of,
)
from analyzer.cli.output import (
    ascii_of,
    check_writable,
    colour_of,
    format_of,
    height_of,
    is_terminal,
    width_of,
    write,
)
from analyzer.cli.sources import named_or_demo
from analyzer.report.escape import printable

if TYPE_CHECKING:
    from analyzer.expression.expression import Expression
    from analyzer.policy import MergePolicy
    from analyzer.result import ReplayResult

_FORMATS: Final = ("text", "json", "csv", "md", "openmetrics")
_SAVED: Final = 1000
"""Rows of contents that a saved result keeps."""


@click.command(short_help="What ksmd would merge, and what that saves.")
@click.argument("traces", nargs=-1, type=PATH, metavar="[TRACE]...")
@table_options
@policy_options
@ksmd_options
@knob_options
@output_options(*_FORMATS)
@click.option(
    "--save",
    type=PATH,
    metavar="FILE",
    help="Keep the whole result as well, as Parquet; info reads it.",
)
def command(traces: tuple[Path, ...], **options: Any) -> None:
    """Replay captures through a simulated ksmd and print what it would save.

    Several traces are joined into one host; their digests must have been made with
    the same seed. Without a trace, a small one that comes with the program is used.
    """
    output: Path | None = options["output"]
    form = format_of(options["form"], output, _FORMATS)
    knobs_of(options)
    where = where_of(options)
    policy = policy_of(options)
    check_table(form, options["by"])
    for path in (output, options["save"]):
        check_writable(path, *traces)
    with named_or_demo(traces, "replay") as paths:
        result = _replayed(paths, policy, options)
        if options["save"]:
            result.save(options["save"])
            note(f"saved {options['save']}")
        shown = replace(result, contents=result.contents.head(_shown(options)))
        write(_drawn(shown, form, traces, where, options), output)
        if where is not None and form in ("csv", "json"):
            tell_if_none(shown, options["by"], where)


def _replayed(
    paths: list[Path], policy: "MergePolicy", options: dict[str, Any]
) -> "ReplayResult":
    what = paths[0].name if len(paths) == 1 else f"{len(paths)} traces"
    saved = options["save"] is not None
    with ExitStack() as stack:
        stack.enter_context(working(f"replaying {what}"))
        from analyzer.engine.compiling import announce
        from analyzer.replay import run

        stack.enter_context(announce(_compiling))
        return run(
            paths,
            knobs_of(options),
            policy,
            passes=options["passes"],
            contents=max(_SAVED if saved else 0, _shown(options)),
            kernel=options["kernel"],
            detail=saved,
        )


def _shown(options: dict[str, Any]) -> int:
    """Rows of contents: no more for being saved too."""
    return max(CONTENTS, options["rows"] or 0)


def _compiling() -> None:
    note("compiling the engine, first run only…")


def _drawn(
    result: "ReplayResult",
    form: str,
    traces: tuple[Path, ...],
    where: "Expression | None",
    options: dict[str, Any],
) -> str:
    from analyzer.report import drawn
    from analyzer.report.layout import Layout

    output: Path | None = options["output"]
    colour = colour_of(options["color"], output)
    layout = Layout(
        by=options["by"],
        rows=options["rows"],
        where=where,
        width=width_of(output),
        height=height_of(output),
        colour=colour,
        ascii=ascii_of(colour, output),
        hint=_hint(traces, options["by"]) if is_terminal(output) else "",
    )
    return drawn(result, form, layout)


def _hint(traces: tuple[Path, ...], by: str) -> str:
    """What most people look at after the table they have just seen."""
    following = {"workload": "process", "process": "mapping", "mapping": "content"}
    again = shlex.join(["ksm-analyze", "replay", *map(str, traces)])
    return f"{printable(again)} --by {following.get(by, 'workload')}"
