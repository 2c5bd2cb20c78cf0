"""Options that several commands share, those of ksmd made from `KsmKnobs`."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from analyzer.knobs import ADVISOR_MODES, KsmKnobs

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

PATH: Final = click.Path(path_type=Path)
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
