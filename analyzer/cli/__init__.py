"""The command `ksm-analyze`: one verb per module, loaded when it is asked for."""

import difflib
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from analyzer.cli.exit_codes import ExitCode, exit_code_of
from analyzer.cli.narration import failure
from traces.errors import KsmAnalyzeError

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "replay": ("analyzer.cli.replay", "What ksmd would merge, and what that saves."),
    "compare": (
        "analyzer.cli.compare",
        "What another setting, or another capture, changes.",
    ),
    "report": (
        "analyzer.cli.report",
        "Reports to hand on, over one capture or many.",
    ),
    "view": ("analyzer.cli.view", "Explore a replay on the screen."),
    "info": ("analyzer.cli.info", "What is in a file, without a replay."),
    "capture": ("analyzer.cli.capture", "Record the pages of live processes."),
    "convert": ("analyzer.cli.convert", "Make a trace of captured dumps."),
    "synth": ("analyzer.cli.synth", "Make up a trace whose savings are known."),
    "verify": ("analyzer.cli.verify", "Prove the simulated ksmd against a real one."),
    "run": ("analyzer.cli.run", "Run a program with its memory offered to KSM."),
    "calibrate": ("analyzer.cli.calibrate", "Measure what a page costs this ksmd."),
}
"""Verb → the module whose `command` it is, and its line in the help."""


class _Verbs(click.Group):
    """Lists its commands without importing them: the help comes at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command: click.Command = import_module(module).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and Path(args[0]).is_file():
            # A file and nothing else: people want to look at it.
            args = ["view", *args]
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            meant = f", did you mean {near[0]}?" if near else ""
            ctx.fail(f"there is no command {args[0]}{meant}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        # A reader that has seen enough is no failure; to click it would be one.
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _forget_stdout()
            return ExitCode.OK

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _tell_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        click.echo(f"ksm-analyze {version('ksm-analyze')}")
        ctx.exit()


@click.command(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
    epilog="Exit codes: 0 ok, 1 it ran but the answer is no or some sources failed, "
    "2 usage, 3 an input or output is missing, unreadable or invalid, 4 not "
    "comparable, 5 a defect, 6 stopped by a limit, 130 interrupted.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_tell_version,
    help="Print the version.",
)
def program() -> None:
    """What kernel samepage merging would save, cost and expose, before anyone
    switches it on."""


def main() -> None:
    """Run the command line; the only place that catches, and that exits."""
    code = _run()
    try:
        sys.stdout.flush()
    except OSError as error:
        _forget_stdout()
        if code == ExitCode.OK and not isinstance(error, BrokenPipeError):
            failure(f"stdout: cannot be written: {error.strerror}")
            code = ExitCode.INPUT
    sys.exit(code)


def _forget_stdout() -> None:
    # Python would try to flush it, and complain, on its way out.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run() -> int:
    try:
        returned: Any = program.main(prog_name="ksm-analyze", standalone_mode=False)
        return int(returned or ExitCode.OK)
    except (KeyboardInterrupt, click.Abort):
        return ExitCode.INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return ExitCode.USAGE
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "ksm-analyze"
        failure(error.format_message(), hint=f"{path} --help")
        return ExitCode.USAGE
    except KsmAnalyzeError as error:
        failure(str(error), error.hint)
        return exit_code_of(error)
    except MemoryError:
        failure("out of memory", hint="a part of the processes makes a smaller trace")
        return ExitCode.LIMIT
    except Exception:
        import traceback

        traceback.print_exc()
        failure("a defect of ksm-analyze; please report it with the lines above")
        return ExitCode.INTERNAL
