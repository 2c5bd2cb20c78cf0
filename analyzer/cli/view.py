"""`ksm-analyze view`: a replay explored on the screen."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from analyzer.cli.exit_codes import ExitCode, exit_code_of
from analyzer.cli.narration import failure
from analyzer.cli.options import (
    PATH,
    knob_options,
    knobs_of,
    ksmd_options,
    policy_of,
    policy_options,
)
from analyzer.cli.sources import named_or_demo
from traces.errors import InputError, UsageError

if TYPE_CHECKING:
    from tui.app import KsmApp
    from tui.live.app import LiveApp

_VIEWS: Final = (
    "overview",
    "workloads",
    "sharing",
    "contents",
    "time",
    "what-if",
    "compare",
)
_THEMES: Final = ("ksm-dark", "ksm-light", "ksm-ansi")
_MAGIC: Final = b"PAR1"


@click.command("view", short_help="Explore a replay on the screen.")
@click.argument("files", nargs=-1, type=PATH, metavar="[TRACE|RESULT]...")
@click.option(
    "--view",
    "first",
    type=click.Choice(_VIEWS),
    help="What to look at first.  [default: overview]",
)
@click.option(
    "--live",
    is_flag=True,
    help="Show what this host's own ksmd does, moving; a trace or result is shown as "
    "the prediction beside it.",
)
@click.option(
    "--theme",
    type=click.Choice(_THEMES),
    help="Colours; ksm-ansi keeps to the terminal's sixteen.  [default: ksm-dark]",
)
@click.option("--ascii", "plain", is_flag=True, help="Draw with ASCII characters only.")
@click.option(
    "--filter",
    "where",
    metavar="EXPR",
    default="",
    help="Start with the rows for which EXPR holds.",
)
@policy_options
@ksmd_options
@knob_options
@click.option("--debug", is_flag=True, help="Print the traceback of a defect.")
def command(files: tuple[Path, ...], **options: Any) -> int:
    """Explore captures and saved results on the screen; ? there lists the keys.

    The first file is A, the second B, as its Compare shows them; each trace is
    replayed in the background. Without a file, the small trace that comes with the
    program is used.
    """
    for path in files:
        _check(path)
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise UsageError(
            "view draws on a terminal, and this is none", "ksm-analyze replay prints"
        )
    if options["live"]:
        return _live(files, options)
    knobs = knobs_of(options)
    policy = _policy(options, "all")
    with named_or_demo(files, "view") as paths:
        from tui.app import KsmApp
        from tui.variant import Settings

        app = KsmApp(
            paths,
            Settings(knobs, policy, options["kernel"], options["passes"]),
            view=(options["first"] or _VIEWS[0]).replace("-", "_"),
            theme=options["theme"],
            plain=options["plain"] or _needs_ascii(),
            where=options["where"],
        )
        try:
            app.run()
        finally:
            app.clean_up()
    return _ended(app, options["debug"])


def _live(files: tuple[Path, ...], options: dict[str, Any]) -> int:
    """The screen of this host; a trace is replayed as its ksmd is set, and offered
    what was offered when it was captured, unless told otherwise."""
    if options["first"]:
        raise UsageError("--view has no meaning with --live, which has one view")
    if len(files) > 1:
        raise UsageError(f"--live shows one prediction, not {len(files)}")
    from tui.live.app import LiveApp
    from tui.variant import Settings

    settings = Settings()
    if files:
        policy = _policy(options, "captured")
        knobs = knobs_of(options | {"from_sysfs": True})
        settings = Settings(knobs, policy, options["kernel"], options["passes"])
    app = LiveApp(
        files[0] if files else None,
        settings,
        theme=options["theme"],
        plain=options["plain"] or _needs_ascii(),
        where=options["where"],
    )
    app.run()
    return _ended(app, options["debug"])


def _check(path: Path) -> None:
    """Refuse at once what can be seen to be no Parquet file, before anything heavy is
    loaded and the screen is taken."""
    try:
        if path.is_fifo():
            raise InputError(f"{path}: is a pipe, expected a trace or a result")
        with path.open("rb") as file:
            begins = file.read(len(_MAGIC))
            file.seek(0, os.SEEK_END)
            file.seek(-min(file.tell(), len(_MAGIC)), os.SEEK_CUR)
            ends = file.read()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    if begins != _MAGIC:
        raise InputError(
            f"{path}: not a Parquet file, expected a trace or a result",
            "ksm-analyze convert makes a trace of a dump",
        )
    if ends != _MAGIC:
        raise InputError(
            f"{path}: a Parquet file cut short: its end is missing",
            "ksm-analyze capture --recover mends an interrupted capture",
        )


def _policy(options: dict[str, Any], usual: str) -> str:
    """Who is offered, as a policy's text; *usual*, without loading anything, where
    nothing is said of it."""
    names = ("policy", "opt_in", "opt_out", "opt_in_tree")
    named = any(options[name] not in (None, ()) for name in names)
    if not named and options.get("uncertain") is None:
        return usual
    return str(policy_of(options if named else options | {"policy": usual}))


def _needs_ascii() -> bool:
    """Whether the terminal cannot draw anything else."""
    return "utf" not in (sys.stdout.encoding or "").lower() or os.environ.get(
        "TERM", ""
    ) in ("dumb", "linux")


def _ended(app: "KsmApp | LiveApp", debug: bool) -> int:
    """Say on stderr, where it stays, why the screen is gone."""
    if app.defect is not None:
        if debug:
            import traceback

            traceback.print_exception(app.defect)
        where = f"; its traceback is in {app.log_file}" if app.log_file else ""
        failure(
            f"a defect of ksm-analyze: {type(app.defect).__name__}: {app.defect}{where}"
        )
        return ExitCode.INTERNAL
    if app.error is not None:
        where = f"; the log is {app.log_file}" if app.log_file else ""
        failure(f"{app.error}{where}", app.error.hint)
        return exit_code_of(app.error)
    return app.return_value or ExitCode.OK
