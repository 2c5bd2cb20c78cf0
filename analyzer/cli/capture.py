"""`ksm-analyze capture`: the pages of live processes, as a trace."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from analyzer.cli import series
from analyzer.cli.options import LABELS, PATH, seed_of, seed_options
from analyzer.cli.series import Duration
from analyzer.cli.signals import ending_on_signals
from traces.errors import UsageError

if TYPE_CHECKING:
    from traces.capture.live import Capture
    from traces.capture.procfs import Process

_Command = TypeVar("_Command", bound=Callable[..., Any])


_MOST_THREADS: Final = 4
_SELECTORS: Final = (
    "pids", "comms", "cgroups", "units", "users", "everything", "children",
)  # fmt: skip


def _selectors(command: _Command) -> _Command:
    for option in reversed(
        [
            click.option(
                "--pid", "pids", type=int, multiple=True, metavar="PID",
                help="This process.",
            ),
            click.option(
                "--comm", "comms", multiple=True, metavar="NAME",
                help="Processes of this name (15 bytes, as ps -o comm shows it).",
            ),
            click.option(
                "--cgroup", "cgroups", multiple=True, metavar="PATH",
                help="Processes of this control group and those below it.",
            ),
            click.option(
                "--unit", "units", multiple=True, metavar="UNIT",
                help="Processes of this systemd unit; .service may be left out.",
            ),
            click.option(
                "--user", "users", multiple=True, metavar="USER",
                help="Processes of this user, by name or number.",
            ),
            click.option(
                "--all", "everything", is_flag=True, help="Every process."
            ),
            click.option(
                "--children", is_flag=True,
                help="And all descendants of the processes selected.",
            ),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


@click.command("capture")
@_selectors
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=PATH,
    help="The trace to write.",
)
@click.option(
    "--label-by",
    type=click.Choice(LABELS),
    default="auto",
    show_default=True,
    help="What workloads are named after; auto: pod, container, VM or unit, else comm.",
)
@click.option(
    "--freeze",
    type=click.Choice(["none", "stop", "cgroup"]),
    default="none",
    show_default=True,
    help="Hold each process still while it is read.",
)
@click.option(
    "--freeze-limit",
    type=click.FloatRange(0.01, 60),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Let a process go after so long, whether it is read or not.",
)
@seed_options
@click.option(
    "--threads",
    type=click.IntRange(1, 64),
    metavar="N",
    help=f"Threads that read.  [default: one per CPU, at most {_MOST_THREADS}]",
)
@click.option(
    "--priority",
    type=click.Choice(["lowest", "normal"]),
    default="lowest",
    show_default=True,
    help="Of the capture, for CPU and disk.",
)
@click.option(
    "--interval",
    type=Duration(),
    metavar="TIME",
    help="Capture again and again, so often: 500ms, 30s, 5m, 1h.",
)
@click.option(
    "--count",
    type=click.IntRange(1),
    metavar="N",
    help="So many times, with --interval.  [default: until ctrl-c]",
)
@click.option(
    "--recover",
    metavar="FILE",
    type=PATH,
    help="Make FILE of what a capture over time has left when it was killed.",
)
@click.option("--dry-run", is_flag=True, help="Only list what would be captured.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no summary.")
def command(
    output: Path | None,
    recover: Path | None,
    dry_run: bool,
    quiet: bool,
    priority: str,
    threads: int | None,
    **options: Any,
) -> int:
    """Record which pages live processes have, and what is in them, as digests.

    Selectors of one kind add up, of different kinds narrow: --user www --comm nginx
    --comm php-fpm means both programs, of that user. Names may hold * and ?.

    No page content is stored, nothing in the processes is changed, and they run on
    unless --freeze is given. Root sees everything; others see their own processes,
    without the frames that tell shared memory from copies.
    """
    if recover is not None:
        _refuse_beside_recover(output, dry_run, options)
        return series.recover(recover)
    if options["count"] is not None and options["interval"] is None:
        raise UsageError(
            "--count: how often? give --interval", "such as --interval 30s"
        )
    if output is None and not dry_run:
        raise UsageError("where to? give -o FILE", "or --dry-run to only look")
    options["seed"] = seed_of(options)

    from analyzer.cli.output import check_writable
    from traces.capture import priority as cpu
    from traces.capture.select import select

    check_writable(output)
    processes = select(_selection(options))
    if priority == "lowest":
        cpu.lowest()
    workers = threads or min(len(os.sched_getaffinity(0)), _MOST_THREADS)
    if output is None or dry_run:
        return _plan(processes, options["label_by"], workers)
    return _capture(processes, output, workers, options, quiet)


def _refuse_beside_recover(
    output: Path | None, dry_run: bool, options: Mapping[str, Any]
) -> None:
    selects = any(options[name] for name in _SELECTORS)
    if output or dry_run or selects or options["interval"] or options["count"]:
        raise UsageError("--recover FILE captures nothing: leave out the other options")


def _selection(options: Mapping[str, Any]) -> Any:
    from traces.capture.select import Selection

    return Selection(
        pids=frozenset(options["pids"]),
        comms=options["comms"],
        cgroups=options["cgroups"],
        units=options["units"],
        users=options["users"],
        everything=options["everything"],
        children=options["children"],
    )


def _capture(
    processes: "list[Process]",
    output: Path,
    threads: int,
    options: Mapping[str, Any],
    quiet: bool,
) -> int:
    from traces.capture.live import Capture, Settings

    settings = Settings(
        seed=options["seed"],
        private=options["private"],
        label_by=options["label_by"],
        threads=threads,
        freeze=options["freeze"],
        freeze_limit=options["freeze_limit"],
    )
    if options["interval"] is not None:
        return series.record(
            _selection(options),
            processes,
            output,
            settings,
            interval=options["interval"],
            count=options["count"],
            quiet=quiet,
        )
    capture = Capture(processes, settings)
    began = time.monotonic()
    about = sum(process.anon_pages for process in processes)
    with ending_on_signals(), contextlib.closing(capture.write(output)) as steps:
        for _ in _with_progress(steps, about, quiet):
            pass
    if not quiet:
        _summarise(capture, output, time.monotonic() - began)
    # Someone who names a process wants to know that it is not in the file.
    missing = len(processes) - capture.tally.processes
    return 1 if options["pids"] and missing else 0


def _with_progress(steps: Iterator[int], about: int, quiet: bool) -> Iterator[int]:
    if quiet or not sys.stderr.isatty():
        yield from steps
        return
    with click.progressbar(
        length=about, label="capturing", file=sys.stderr, show_pos=True
    ) as bar:
        for pages in steps:
            bar.update(pages)
            yield pages


def _summarise(capture: "Capture", output: Path, seconds: float) -> None:
    from analyzer.cli.narration import note
    from analyzer.report.units import bytes_text, count_text, left_out, pages_text

    tally = capture.tally
    rate = tally.pages * 4096 / max(seconds, 1e-3) / 1e9
    note(
        f"{output}: {count_text(tally.pages)} pages ({pages_text(tally.pages)}) of "
        f"{_count(tally.processes, 'process', 'processes')}, "
        f"{bytes_text(output.stat().st_size)} in {seconds:.1f} s ({rate:.1f} GB/s)"
    )
    for why, count in tally.counted().items():
        note(f"skipped: {left_out(count, why)}")
    for sentence in capture.limits:
        note(f"limit: {sentence}")


def _plan(processes: "list[Process]", label_by: str, threads: int) -> int:
    from analyzer.cli.narration import note
    from analyzer.report.escape import printable
    from analyzer.report.units import bytes_text, left_out, pages_text
    from traces.capture.plan import Plan

    plan = Plan(label_by)
    row = "{:>8}  {:<12}  {:<16}  {:>10}  {:>9}  {}"
    click.echo(row.format("pid", "user", "comm", "pages", "memory", "workload"))
    for planned in plan.survey(processes):
        click.echo(
            row.format(
                planned.process.pid,
                printable(planned.user),
                printable(planned.process.comm),
                planned.pages,
                pages_text(planned.pages),
                printable(planned.workload),
            )
        )
    click.echo(
        f"{_count(len(plan.planned), 'process', 'processes')}, {plan.pages} pages "
        f"({pages_text(plan.pages)}): about {plan.seconds(threads):.1f} s, "
        f"at most about {bytes_text(plan.file_bytes())}"
    )
    for why, count in plan.skipped.items():
        note(f"skipped: {left_out(count, why)}")
    return 0


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
