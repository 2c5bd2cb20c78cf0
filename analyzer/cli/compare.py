"""`ksm-analyze compare`: what another setting, or another capture, changes."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from analyzer.cli.narration import note, tell_if_none, working
from analyzer.cli.options import (
    KNOB_HELP,
    PATH,
    UNCERTAIN,
    knob_options,
    knobs_of,
    output_options,
    policy_of,
    uncertain_option,
    where_of,
)
from analyzer.cli.output import (
    ascii_of,
    check_writable,
    colour_of,
    format_of,
    height_of,
    width_of,
    write,
)
from analyzer.knobs import KsmKnobs
from analyzer.profile import profile_of
from traces.errors import UsageError

if TYPE_CHECKING:
    from analyzer.compare import Comparison
    from analyzer.expression.expression import Expression
    from analyzer.result import ReplayResult

_FORMATS: Final = ("text", "json", "csv", "md")
_TABLES: Final = ("workload", "process")
_SWITCH: Final = {"on": True, "1": True, "off": False, "0": False}


def _number(text: str) -> int:
    if not text.isdecimal():
        raise UsageError(f"{text!r} is no number")
    return int(text)


def _switch(text: str) -> bool:
    if text not in _SWITCH:
        raise UsageError(f"{text!r} is not on or off")
    return _SWITCH[text]


def _offer(text: str) -> str:
    if text not in ("all", "captured", "none"):
        raise UsageError(f"{text!r} is not all, captured or none")
    return text


def _uncertain(text: str) -> str:
    if text not in UNCERTAIN:
        raise UsageError(f"{text!r} is not {' or '.join(UNCERTAIN)}")
    return text


def _expression(text: str) -> str:
    policy_of({"opt_in": text})
    return text


def _tree(text: str) -> tuple[int]:
    tree = (_number(text),)
    policy_of({"opt_in_tree": tree})
    return tree


def _kernel(text: str) -> str:
    if text != "host":
        profile_of(text)
    return text


def _passes(text: str) -> int:
    number = _number(text)
    if not number:
        raise UsageError("a replay has at least one pass")
    return number


_OF_TYPE: Final[Mapping[Any, Callable[[str], Any]]] = {
    bool: _switch,
    int: _number,
    str: str,
}

_KEYS: Final[Mapping[str, Callable[[str], Any]]] = {
    **{knob.name: _OF_TYPE[knob.type] for knob in fields(KsmKnobs)},
    "policy": _offer,
    "opt_in": _expression,
    "opt_out": _expression,
    "opt_in_tree": _tree,
    "uncertain": _uncertain,
    "kernel": _kernel,
    "passes": _passes,
}
"""What `--a` and `--b` can name → what reads its value."""


@dataclass(frozen=True, slots=True)
class _Side:
    """A or B: a file, and how to replay it if it is a trace."""

    name: str
    path: Path
    is_result: bool
    settings: Mapping[str, Any]


@click.command(short_help="What another setting, or another capture, changes.")
@click.argument("a_path", type=PATH, metavar="A")
@click.argument("b_path", type=PATH, metavar="[B]", required=False)
@click.option(
    "--a",
    "a_settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of A alone: any knob, policy, opt_in, opt_out, opt_in_tree, "
    "uncertain, kernel or passes; can be repeated.",
)
@click.option(
    "--b",
    "b_settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="The same of B, which is A's trace again if it is not named.",
)
@click.option(
    "--by",
    type=click.Choice(_TABLES),
    default="workload",
    help="Whose rows to show below the totals.  [default: workload]",
)
@click.option(
    "-n",
    "--rows",
    type=click.IntRange(0),
    metavar="ROWS",
    help="Rows of each table, 0 for all.  [default: 8 in text, 20 in md, all in csv]",
)
@click.option(
    "--filter",
    "where",
    metavar="EXPR",
    help="Only rows that fit on either side, such as 'saved > 1GiB and user == root'.",
)
@uncertain_option()
@knob_options
@output_options(*_FORMATS)
def command(a_path: Path, b_path: Path | None, **options: Any) -> None:
    """Compare two replays: of A and B, or of A under two settings.

    A and B are traces, which are replayed, or results that replay --save kept. Rows
    are joined by the names of workloads and processes. Knobs named by their own
    options hold for both sides.
    """
    output: Path | None = options["output"]
    form = format_of(options["form"], output, _FORMATS)
    where = where_of(options)
    common = _common(options)
    a_given = _settings("--a", options["a_settings"])
    b_given = _settings("--b", options["b_settings"])
    if b_path is None and a_given == b_given:
        raise UsageError(
            "there is nothing to compare A with",
            hint="name a second file, or a setting such as --b use_zero_pages=on",
        )
    check_writable(output, a_path, b_path or a_path)
    a = _side("A", a_path, a_given, options, common)
    b = _side("B", b_path or a_path, b_given, options, common)
    if a.is_result and b_path is None:
        raise UsageError(
            f"{a_path}: a saved result has its settings already",
            hint="name the trace instead, or a second result",
        )
    from analyzer.compare import compare

    comparison = compare(_result(a, options), _result(b, options))
    write(_drawn(comparison, form, where, options), output)
    if where is not None and form in ("csv", "json"):
        tell_if_none(comparison, options["by"], where)


def _common(options: Mapping[str, Any]) -> bool:
    """Whether anything was given for both sides; a wrong knob is refused."""
    knobs_of(options)
    names = (*KNOB_HELP, "uncertain")
    return options["from_sysfs"] or any(options[name] is not None for name in names)


def _settings(option: str, given: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE, read; dashes in a key are underscores."""
    settings: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        key = key.strip().replace("-", "_")
        if not equals:
            raise UsageError(f"{option} {text}: expected KEY=VALUE")
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, 1)
            meant = f", did you mean {near[0]}?" if near else ""
            raise UsageError(
                f"{option} {text}: there is no setting {key}{meant}",
                hint=f"one of {', '.join(_KEYS)}",
            )
        try:
            read = _KEYS[key](value.strip())
        except UsageError as error:
            raise UsageError(f"{option} {text}: {error}", error.hint) from error
        # Trees can be several; of all else the last one counts.
        settings[key] = settings.get(key, ()) + read if key == "opt_in_tree" else read
    return settings


def _side(
    name: str,
    path: Path,
    settings: Mapping[str, Any],
    options: Mapping[str, Any],
    common: bool,
) -> _Side:
    from traces.schema import KIND_KEY
    from traces.table import open_parquet

    with open_parquet(path) as file:
        is_result = (file.metadata.metadata or {}).get(KIND_KEY) == b"result"
    side = _Side(name, path, is_result, settings)
    if is_result and settings:
        raise UsageError(
            f"--{name.lower()}: {path} is a saved result, which has its settings",
            hint="name its trace instead, and it is replayed",
        )
    if is_result and common:
        raise UsageError(
            f"{path}: a saved result has its settings, so there are none for both "
            "sides",
            hint="say --a KEY=VALUE or --b KEY=VALUE for the side that is a trace",
        )
    if not is_result:
        _knobs(side, options)
    return side


def _knobs(side: _Side, options: Mapping[str, Any]) -> KsmKnobs:
    """The common knobs with those of *side*; a value the kernel refuses is refused."""
    own = {name: side.settings[name] for name in KNOB_HELP if name in side.settings}
    return replace(knobs_of(options), **own)


def _result(side: _Side, options: Mapping[str, Any]) -> "ReplayResult":
    from analyzer.result import ReplayResult

    if side.is_result:
        return ReplayResult.load(side.path)
    with ExitStack() as stack:
        stack.enter_context(working(f"replaying {side.name}, {side.path.name}"))
        from analyzer.engine.compiling import announce
        from analyzer.replay import run

        stack.enter_context(
            announce(lambda: note("compiling the engine, first run only…"))
        )
        return run(
            [side.path],
            _knobs(side, options),
            policy_of({"uncertain": options["uncertain"], **side.settings}),
            passes=side.settings.get("passes"),
            kernel=side.settings.get("kernel"),
        )


def _drawn(
    comparison: "Comparison",
    form: str,
    where: "Expression | None",
    options: Mapping[str, Any],
) -> str:
    from analyzer.report.compare import drawn
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
    )
    return drawn(comparison, form, layout)
