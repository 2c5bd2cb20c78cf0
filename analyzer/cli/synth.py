"""`ksm-analyze synth`: a trace whose savings are known beforehand."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click

SCENARIOS: Final = ("prefork", "fleet", "zeros", "mix")
"""The keys of `traces.synthetic.SCENARIOS`, spelled again so that help stays fast."""

_UNITS: Final[dict[str, int]] = {"": 1} | {
    letter + suffix: int(base**power)
    for power, letter in enumerate("kMGT", start=1)
    for suffix, base in (("", 1000), ("i", 1024))
}


class PageCount(click.ParamType[int]):
    """A number of pages: 65536, 64Ki, 1M, 16Mi."""

    name = "pages"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+)([kKMGT]?i?)", value)
        unit = match[2].replace("K", "k") if match else None
        if match is None or unit not in _UNITS:
            expected = "expected a number like 65536, 64Ki or 16Mi"
            self.fail(f"{value!r}, {expected}", param, ctx)
        return int(match[1]) * _UNITS[unit]


@click.command("synth")
@click.argument("scenario", type=click.Choice(SCENARIOS), default="prefork")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The trace to write.",
)
@click.option(
    "--pages",
    metavar="N",
    type=PageCount(),
    default="64Ki",
    show_default=True,
    help="Pages of the trace; 64Ki are 256 MiB of memory.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Equal seeds give equal files; others give other hosts.",
)
@click.option(
    "--frames/--no-frames",
    default=True,
    help="Whether the trace tells which physical page each page is.  [default: frames]",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How the known answer is printed.",
)
def command(
    scenario: str, output: Path, pages: int, seed: int, frames: bool, form: str
) -> None:
    """Write a made-up trace and print what it would save.

    The answer comes from how the trace was made, not from analysing it, so
    `ksm-analyze replay FILE` can be checked against it.

    \b
    prefork  servers whose workers share frames with the parent they forked from
    fleet    virtual machines of three images
    zeros    heaps that are mostly zero pages
    mix      a busy host: 25 % zero, 28 % duplicate, 47 % unique
    """
    from traces.synthetic import write_synthetic

    answer = write_synthetic(output, scenario, pages, seed=seed, frames=frames)
    figures: dict[str, int] = asdict(answer)
    if form == "json":
        known = {"file": str(output), "scenario": scenario, "seed": seed, **figures}
        click.echo(json.dumps(known, indent=2))
        return
    click.echo(f"{output}: {scenario}, seed {seed}; without any limit it would save")
    for name, figure in figures.items():
        click.echo(f"{name:<20} {figure:>15,}")
