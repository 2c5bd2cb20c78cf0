"""`ksm-analyze verify`: the proof that the simulated ksmd does what a real one does."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from analyzer.cli.exit_codes import ExitCode
from analyzer.cli.narration import note, working
from analyzer.cli.options import KNOB_HELP, PATH, knob_options, knobs_of
from analyzer.cli.output import check_writable, format_of, write
from traces.errors import UsageError

if TYPE_CHECKING:
    from analyzer.recording import Recording
    from analyzer.verify import Verdict

_FORMATS: Final = ("text", "json")
_SCANS: Final = 10
_LIVE_ONLY: Final = ("pids", "full_scans", "record", "even_if_in_use", "from_sysfs")


@click.command(short_help="Prove the simulated ksmd against a real one.")
@click.argument("recordings", nargs=-1, type=PATH, metavar="[RECORDING]...")
@click.option(
    "--steps/--no-steps",
    default=None,
    help="Whether to print every step, or only what differs.  [default: every step "
    "of recordings that are named]",
)
@click.option("--strict", is_flag=True, help="Let known residues fail as well.")
@click.option(
    "--live",
    is_flag=True,
    help="Instead of replaying recordings, let this machine's own ksmd scan, and "
    "compare; as root.",
)
@click.option(
    "--pid",
    "pids",
    type=click.IntRange(1),
    multiple=True,
    metavar="PID",
    help="With --live: a process to scan, and another; else programs are started for "
    "it.",
)
@click.option(
    "--full-scans",
    type=click.IntRange(1),
    metavar="N",
    help=f"With --live: so many full scans.  [default: {_SCANS}]",
)
@click.option(
    "--record",
    type=PATH,
    metavar="FILE",
    help="With --live: keep what happened as a recording.",
)
@click.option(
    "--even-if-in-use",
    is_flag=True,
    help="With --live: also where others use KSM; then its settings stay, and only "
    "processes of our own are compared.",
)
@knob_options
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    help=f"[default: {_FORMATS[0]}]",
)
@click.option(
    "-o",
    "--output",
    type=PATH,
    metavar="FILE",
    help="Write there instead of to stdout; the suffix tells the format.",
)
def command(recordings: tuple[Path, ...], **options: Any) -> ExitCode:
    """Replay recordings of real kernels and compare every figure they hold.

    A RECORDING is a file or a folder of files. Without one, those that come with the
    program are replayed: kernels 5.10 to 7.3. The exit code is 1 if a figure differs
    that is no known residue.
    """
    output: Path | None = options["output"]
    form = format_of(options["form"], output, _FORMATS)
    check_writable(output, *recordings)
    if options["live"]:
        return _live(recordings, form, options)
    _refuse(options, [*_LIVE_ONLY, *KNOB_HELP], "without --live")
    with working("replaying recordings"):
        verdicts = _verdicts(_loaded(recordings))
    steps = bool(recordings) if options["steps"] is None else options["steps"]
    write(_drawn(verdicts, form, steps), output)
    failures = sum(verdict.failures for verdict in verdicts)
    if options["strict"]:
        failures += sum(verdict.residues for verdict in verdicts)
    return ExitCode.PARTIAL if failures else ExitCode.OK


def _loaded(named: Sequence[Path]) -> list["Recording"]:
    """All at once, so that a mistake in the last is known before the first is run."""
    from analyzer.recording import load, paths_in, shipped

    if not named:
        return list(shipped())
    return [
        load(file)
        for path in named
        for file in (paths_in(path) if path.is_dir() else [path])
    ]


def _verdicts(recordings: Sequence["Recording"]) -> list["Verdict"]:
    from analyzer.engine.compiling import announce
    from analyzer.verify import verify

    with announce(_compiling):
        return [verify(recording) for recording in recordings]


def _compiling() -> None:
    note("compiling the engine, first run only…")


def _drawn(verdicts: Sequence["Verdict"], form: str, steps: bool) -> str:
    from analyzer.report.verdict import summary_text, verdict_text, verdicts_json

    if form == "json":
        return verdicts_json(verdicts)
    texts = [verdict_text(verdict, steps) for verdict in verdicts]
    return "".join([*texts, "\n", summary_text(verdicts)])


def _live(recordings: Sequence[Path], form: str, options: dict[str, Any]) -> ExitCode:
    if recordings:
        raise UsageError("--live replays no recordings", hint="leave one of them out")
    _refuse(options, ["strict", "steps"], "with --live")
    knobs = knobs_of(options)
    check_writable(options["record"])
    with ExitStack() as stack:
        stack.enter_context(working("letting ksmd scan"))
        from analyzer.engine.compiling import announce
        from analyzer.live.proof import prove

        stack.enter_context(announce(_compiling))
        proof = prove(
            options["pids"] or None,
            knobs,
            options["full_scans"] or _SCANS,
            options["record"],
            options["even_if_in_use"],
        )
    if form == "json":
        from analyzer.report.machine import json_text

        write(json_text(proof.as_dict()), options["output"])
    else:
        write(proof.text(), options["output"])
    return ExitCode.OK if proof.agrees else ExitCode.PARTIAL


def _refuse(options: dict[str, Any], names: Sequence[str], where: str) -> None:
    for name in names:
        if options[name] not in (None, False, ()):
            option = {"pids": "--pid"}.get(name, f"--{name.replace('_', '-')}")
            raise UsageError(f"{option} has no meaning {where}")
