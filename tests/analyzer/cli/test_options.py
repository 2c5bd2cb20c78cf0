from dataclasses import fields

import click
import pytest
from click.testing import CliRunner

import analyzer.cli.options
from analyzer.cli.options import (
    KNOB_HELP,
    knob_options,
    knobs_of,
    policy_of,
    policy_options,
)
from analyzer.cli.output import colour_of, format_of, width_of
from analyzer.knobs import KsmKnobs
from analyzer.policy import MergePolicy, Offer
from traces.errors import UsageError


@click.command()
@knob_options
def show(**options):
    click.echo(repr(knobs_of(options)))


def shown(*arguments):
    ran = CliRunner().invoke(show, arguments, catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.output.strip()


def test_every_knob_has_a_help_text_and_an_option():
    assert set(KNOB_HELP) == {knob.name for knob in fields(KsmKnobs)}
    options = {option for parameter in show.params for option in parameter.opts}
    assert {f"--{name.replace('_', '-')}" for name in KNOB_HELP} <= options


def test_the_defaults_are_the_kernels():
    assert shown() == repr(KsmKnobs())


def test_knobs_are_set_by_their_names():
    assert shown(
        "--pages-to-scan", "4000", "--use-zero-pages", "--no-smart-scan"
    ) == repr(KsmKnobs(pages_to_scan=4000, use_zero_pages=True, smart_scan=False))


def test_options_win_over_this_hosts_settings(monkeypatch):
    class Here(KsmKnobs):
        @classmethod
        def from_sysfs(cls):
            return KsmKnobs(pages_to_scan=7, smart_scan=False, sleep_millisecs=50)

    monkeypatch.setattr(analyzer.cli.options, "KsmKnobs", Here)
    assert shown("--from-sysfs", "--sleep-millisecs", "0", "--smart-scan") == repr(
        KsmKnobs(pages_to_scan=7, smart_scan=True, sleep_millisecs=0)
    )


@click.command()
@policy_options
def offer(**options):
    click.echo(str(policy_of(options)))


@pytest.mark.parametrize(
    ("arguments", "policy"),
    [
        ([], "all"),
        (["--opt-in", "db"], "captured; opt-in db"),
        (["--opt-in-tree", "7", "--opt-in-tree", "3"],
         "captured; opt-in-tree 3; opt-in-tree 7"),
        (["--opt-out", "db"], "all; opt-out db"),
        (["--policy", "none", "--opt-in", "db"], "none; opt-in db"),
    ],
)  # fmt: skip
def test_where_someone_is_opted_in_the_others_are_as_captured(arguments, policy):
    ran = CliRunner().invoke(offer, arguments, catch_exceptions=False)
    assert ran.output.strip() == policy


def test_what_is_not_among_the_options_is_not_given():
    assert policy_of({}) == MergePolicy()
    assert policy_of({"opt_in_tree": (3,)}) == MergePolicy(Offer.CAPTURED, trees=(3,))
    with pytest.raises(UsageError, match="an empty expression"):
        policy_of({"opt_in": ""})


def test_help_tells_the_defaults():
    text = CliRunner().invoke(show, ["--help"]).output
    assert "[default: 100]" in text
    assert "[default: on]" in text


def test_a_format_is_asked_for_inferred_or_the_first(tmp_path):
    formats = ("text", "json")
    assert format_of(None, None, formats) == "text"
    assert format_of(None, tmp_path / "x.json", formats) == "json"
    assert format_of("text", tmp_path / "x.json", formats) == "text"
    with pytest.raises(UsageError, match=r"'\.csv' tells no format"):
        format_of(None, tmp_path / "x.csv", formats)


@pytest.mark.parametrize(
    ("columns", "width"), [("110", 110), ("3", 20), ("", 80), ("wide", 80), ("0", 80)]
)
def test_the_width_is_columns_or_80(monkeypatch, tmp_path, columns, width):
    monkeypatch.setenv("COLUMNS", columns)
    assert width_of(tmp_path / "x.txt") == width


def test_colour_of_a_file_must_be_asked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    assert not colour_of("auto", tmp_path / "x.txt")
    assert colour_of("always", tmp_path / "x.txt")
