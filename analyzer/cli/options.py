"""Options that several commands share, those of ksmd made from `KsmKnobs`."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.core import ParameterSource

from analyzer.knobs import ADVISOR_MODES, KsmKnobs
from traces.errors import UsageError

if TYPE_CHECKING:
    from analyzer.expression.expression import Expression
    from analyzer.policy import MergePolicy

_Command = TypeVar("_Command", bound=Callable[..., Any])

KNOB_HELP: Final[Mapping[str, str]] = {
    "pages_to_scan": "pages processed in one wake-up of ksmd",
    "sleep_millisecs": "sleep between two wake-ups",
    "max_page_sharing": "mappings that may share one KSM page",
    "stable_node_chains_prune_millisecs": "how often copies of an over-shared page "
    "are looked through",
    "merge_across_nodes": "merge pages of different NUMA nodes",
    "use_zero_pages": "map zero pages to the kernel's zero page",
    "smart_scan": "skip pages that stayed unmerged in some scans",
    "advisor_mode": "scan-time sets pages_to_scan after every full scan",
    "advisor_max_cpu": "percent of a CPU the advisor lets ksmd take",
    "advisor_min_pages_to_scan": "what the advisor starts with",
    "advisor_max_pages_to_scan": "the most it sets",
    "advisor_target_scan_time": "seconds a full scan should take",
}
"""Knob → what it does, in a line; analyzer/knobs.py says it at length."""

UNCERTAIN: Final = ("keep-out", "count-in")
"""What `--uncertain` can name; analyzer.policy says what each means."""

TABLES: Final = ("workload", "process", "mapping", "kind", "content", "pass")
"""Keys of `analyzer.report.columns.TABLES`, spelled again so that help stays fast."""

CONTENTS: Final = 20
"""Rows of contents a result keeps unless more are asked for."""

PATH: Final = click.Path(path_type=Path, readable=False)
"""Whether it can be read is for its reader to say: that is no wrong usage."""
"""Any path: a missing file is an input error, not one of usage."""


def knob_options(command: _Command) -> _Command:
    """Add an option per knob, and `--from-sysfs`; `knobs_of` reads them."""
    command = click.option(
        "--from-sysfs",
        is_flag=True,
        help="Start from this host's settings, not from the kernel's defaults.",
    )(command)
    for knob in reversed(fields(KsmKnobs)):
        option = knob.name.replace("_", "-")
        usual = knob.default
        if knob.type is bool:
            shown = "on" if usual else "off"
            made = click.option(
                f"--{option}/--no-{option}",
                default=None,
                help=f"Whether to {KNOB_HELP[knob.name]}.  [default: {shown}]",
            )
        else:
            text = KNOB_HELP[knob.name]
            mode = knob.type is str
            made = click.option(
                f"--{option}",
                type=click.Choice(ADVISOR_MODES) if mode else int,
                metavar=None if mode else "N",
                help=f"{text[0].upper()}{text[1:]}.  [default: {usual}]",
            )
        command = made(command)
    return command


def knobs_of(options: Mapping[str, Any]) -> KsmKnobs:
    """The knobs that a command's *options* ask for.

    Raises UsageError for a value the kernel would refuse, InputError where
    `--from-sysfs` finds nothing to read.
    """
    base = KsmKnobs.from_sysfs() if options["from_sysfs"] else KsmKnobs()
    given = {name: options[name] for name in KNOB_HELP if options[name] is not None}
    return replace(base, **given)


def policy_options(command: _Command) -> _Command:
    """Add `--policy`, `--opt-in`, `--opt-out`, `--opt-in-tree` and `--uncertain`;
    `policy_of` reads them."""
    for option in reversed(
        (
            click.option(
                "--policy",
                type=click.Choice(["all", "captured", "none"]),
                help="Who is offered to ksmd: all compatible mappings, as if every "
                "process had called PR_SET_MEMORY_MERGE, those that were mergeable "
                "when captured, or none.  [default: all; captured where someone is "
                "opted in]",
            ),
            click.option(
                "--opt-in",
                metavar="EXPR",
                help="Offer as well what fits: processes as prctl would, with kind or "
                "name mappings as madvise would.",
            ),
            click.option(
                "--opt-out", metavar="EXPR", help="Offer nothing of what fits."
            ),
            click.option(
                "--opt-in-tree",
                type=int,
                multiple=True,
                metavar="PID",
                help="Offer as well this process and all its descendants; may be "
                "repeated.",
            ),
            uncertain_option(),
        )
    ):
        command = option(command)
    return command


def uncertain_option() -> Callable[[_Command], _Command]:
    """Add `--uncertain`."""
    return click.option(
        "--uncertain",
        type=click.Choice(UNCERTAIN),
        help="What becomes of pages that a dump cannot tell from memory never touched, "
        "or from the file cache.  [default: keep-out]",
    )


def policy_of(options: Mapping[str, Any]) -> "MergePolicy":
    """Who is offered, as a command's *options* ask for it; one that is missing is one
    that was not given. Where somebody is opted in, the host is as it was found.

    Raises UsageError for an expression that is none, or that no policy can hold, and
    for a PID that can be none.
    """
    from analyzer.expression.expression import Expression
    from analyzer.policy import MergePolicy, Offer, Uncertain

    asked = {
        # An empty one is refused here: to a policy it is none.
        name: Expression.parse(options[name]).text
        for name in ("opt_in", "opt_out")
        if options.get(name) is not None
    }
    trees = options.get("opt_in_tree", ())
    added = "opt_in" in asked or trees
    offer = options.get("policy") or (Offer.CAPTURED if added else Offer.ALL)
    uncertain = Uncertain(options.get("uncertain") or Uncertain.KEEP_OUT)
    return MergePolicy(Offer(offer), trees=trees, uncertain=uncertain, **asked)


def table_options(command: _Command) -> _Command:
    """Add `--by`, `-n` and `--filter`: which table a report shows, and what of it."""
    for option in reversed(
        (
            click.option(
                "--by",
                type=click.Choice(TABLES),
                default="workload",
                help="Which table to show.  [default: workload]",
            ),
            click.option(
                "-n",
                "--rows",
                type=click.IntRange(0),
                metavar="ROWS",
                help="Rows of it, 0 for all.  [default: 8 in text, 20 in md and "
                "openmetrics, all in csv]",
            ),
            click.option(
                "--filter",
                "where",
                metavar="EXPR",
                help="Only rows of it that fit, such as 'saved > 1GiB and user == "
                "root'.",
            ),
        )
    ):
        command = option(command)
    return command


def check_table(form: str, by: str) -> None:
    """Raises UsageError for a table that the format *form* lacks."""
    if form == "openmetrics" and by != "workload":
        raise UsageError(
            f"--by {by}: openmetrics has gauges of workloads only",
            hint="leave out --by, or take another format",
        )


def given(context: click.Context, leaving: Collection[str]) -> tuple[str, ...]:
    """The options of a command line as they were given there, in the order they are
    declared, but those *leaving* names by their parameters."""
    words: list[str] = []
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if (
            not isinstance(option, click.Option)
            or option.name in leaving
            or source is not ParameterSource.COMMANDLINE
        ):
            continue
        value = context.params[option.name or ""]
        # The long name, where there is one.
        name = max(option.opts, key=len)
        if option.is_flag:
            words.append(name if value else option.secondary_opts[0])
            continue
        for one in value if option.multiple else (value,):
            words += [name, str(one)]
    return tuple(words)


def where_of(options: Mapping[str, Any]) -> "Expression | None":
    """What `--filter` asks for; refused before any work where the table `--by` names
    lacks it."""
    if options["where"] is None:
        return None
    from analyzer.expression.expression import Expression
    from analyzer.report.rows import check

    where = Expression.parse(options["where"])
    check(options["by"], where)
    return where


def ksmd_options(command: _Command) -> _Command:
    """Add `--kernel` and `--passes`: whose ksmd, and for how long."""
    for option in (
        click.option(
            "--passes",
            type=click.IntRange(1),
            metavar="N",
            help="Stop after N full scans, not when every page still unmerged has been "
            "processed twice since the last merge.",
        ),
        click.option(
            "--kernel",
            metavar="VERSION",
            help="Whose ksmd to simulate, 5.10 to 7.3, or host for this machine's.  "
            "[default: the captured kernel's]",
        ),
    ):
        command = option(command)
    return command


def output_options(*formats: str) -> Callable[[_Command], _Command]:
    """Add `--format`, `-o` and `--color`."""

    def add(command: _Command) -> _Command:
        for option in (
            click.option(
                "--color",
                type=click.Choice(["auto", "always", "never"]),
                default="auto",
                help="When to colour; auto respects NO_COLOR.  [default: auto]",
            ),
            click.option(
                "-o",
                "--output",
                type=PATH,
                metavar="FILE",
                help="Write there instead of to stdout; the suffix tells the format.",
            ),
            click.option(
                "-f",
                "--format",
                "form",
                type=click.Choice(formats),
                help=f"[default: {formats[0]}]",
            ),
        ):
            command = option(command)
        return command

    return add
