"""The pages of docs/ name what there is."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from analyzer.cli import COMMANDS
from analyzer.cli.exit_codes import ExitCode, exit_code_of
from analyzer.cli.info import command as info
from analyzer.cli.replay import command as replay
from analyzer.findings import Kind
from analyzer.report import FORMATS
from analyzer.report.columns import COLUMNS
from analyzer.result import TABLES, Composition, Ideal, Sharing
from traces.errors import KsmAnalyzeError

DOCS = Path(__file__).parents[3] / "docs"


def page(name):
    return (DOCS / name).read_text()


def test_every_exit_code_is_listed():
    codes = re.findall(r"^\| (\d+) \|", page("commands/index.md"), re.MULTILINE)
    assert [int(code) for code in codes] == [code.value for code in ExitCode]


def test_every_error_has_an_exit_code():
    kinds = KsmAnalyzeError.__subclasses__()
    assert {exit_code_of(kind("")) for kind in kinds} == {
        ExitCode.USAGE,
        ExitCode.INPUT,
        ExitCode.NOT_COMPARABLE,
        ExitCode.INTERNAL,
    }


@pytest.mark.parametrize(
    ("name", "command"), [("replay", replay), ("info", info)], ids=["replay", "info"]
)
def test_every_option_is_listed(name, command):
    text = page(f"commands/{name}.md")
    for option in (option for made in command.params for option in made.opts):
        if option.startswith("-"):
            assert re.search(rf"`{option}\b", text), option


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_listed(name):
    module, line = COMMANDS[name]
    assert import_module(module).command.name in (name, "command")
    assert line.endswith(".")
    assert f"ksm-analyze {name} " in page("commands/index.md")
    assert f"[{name}]({name}.md)" in page("commands/index.md")


def test_every_kind_of_finding_has_its_rule():
    text = page("findings.md")
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) != []
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(Kind)


def test_every_format_is_listed():
    for form in FORMATS:
        assert f"| `{form}` |" in page("commands/index.md")


def test_every_column_is_defined():
    text = page("savings.md")
    columns = {column for table in TABLES.values() for column in table}
    for name in columns:
        assert f"`{name}`" in text, name
    for record in (Composition, Ideal, Sharing):
        for field in record._fields:
            assert f"`{record.__name__.lower()}.{field}`" in text, field


def test_every_drawn_column_is_stored_or_derived():
    stored = {column for table in TABLES.values() for column in table}
    assert set(COLUMNS) - stored == {"net_saved", "share_cross", "share_saved"}
