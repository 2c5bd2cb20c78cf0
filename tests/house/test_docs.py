"""Docs cannot drift: what the program says of itself is what they say.

UPDATE_GOLDEN=1 rewrites the help texts in docs/commands; `git diff` shows what changed.
"""

import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from analyzer.cli import COMMANDS, program
from analyzer.counters import KsmCounters
from analyzer.knobs import KsmKnobs
from analyzer.report.columns import COLUMNS
from traces.schema import PAGES, SIDE_TABLES, Facts, PageFlag

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES_OF_DOCS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
PICTURES = sorted(DOCS.rglob("*.svg"))
_HELP = re.compile(r"(?<=## Help\n\n```text\n).*?(?=```)", re.DOTALL)


def help_of(command: str) -> str:
    run = CliRunner().invoke(
        program, [command, "--help"], terminal_width=80, prog_name="ksm-analyze"
    )
    assert run.exit_code == 0
    return run.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_page_with_its_help(command: str) -> None:
    page = DOCS / "commands" / f"{command}.md"
    text = page.read_text()
    if os.environ.get("UPDATE_GOLDEN"):
        if not _HELP.search(text):
            text = f"{text.rstrip()}\n\n## Help\n\n```text\n```\n"
        page.write_text(_HELP.sub(lambda _: help_of(command), text))
    found = _HELP.search(page.read_text())
    assert found, f"{page} has no help"
    assert found[0] == help_of(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(command: str) -> None:
    page = (DOCS / "commands" / f"{command}.md").read_text()
    prose = _HELP.sub("", page)
    own = program.commands.get(command) or program.get_command(None, command)  # type: ignore[arg-type]
    assert own is not None
    knobs = {f"--{name.replace('_', '-')}" for name in KsmKnobs.__slots__}
    for parameter in own.params:
        names = [name for name in parameter.opts if name.startswith("--")]
        if names and names[0] not in knobs | {"--help"}:
            assert names[0] in prose, f"{command}: {names[0]}"


def test_every_command_is_listed() -> None:
    index = (DOCS / "commands" / "index.md").read_text()
    readme = (ROOT / "README.md").read_text()
    for command in COMMANDS:
        assert f"({command}.md)" in index
        assert f"ksm-analyze {command}" in readme


@pytest.mark.parametrize("column", [*COLUMNS, *KsmCounters._fields])
def test_every_figure_is_defined(column: str) -> None:
    assert f"`{column}`" in (DOCS / "savings.md").read_text()


def test_the_trace_format_is_complete() -> None:
    text = (DOCS / "trace-format.md").read_text()
    columns = [*PAGES.names, *(n for s in SIDE_TABLES.values() for n in s.names)]
    for name in [*columns, *Facts.__slots__, *(flag.name for flag in PageFlag)]:
        assert f"`{name}`" in text, name


@pytest.mark.parametrize("page", PAGES_OF_DOCS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_readme_names_the_two_commands_and_ci_runs_the_second() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_changelog_speaks_of_what_is_coming() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("picture", PICTURES, ids=lambda p: p.name)
def test_pictures_are_used_small_and_load_nothing(picture: Path) -> None:
    svg = picture.read_text()
    assert svg.replace('xmlns="http://www.w3.org/2000/svg"', "").count("http") == 0
    assert not re.search(r"url\(|@font-face|<script|<image|/tmp/|/home/|/root/", svg)
    assert len(svg) < 120_000
    name = str(picture.relative_to(DOCS))
    assert any(f"{name})" in page.read_text() for page in PAGES_OF_DOCS), name


def test_every_module_of_the_screen_has_its_place_in_the_architecture() -> None:
    text = (DOCS / "architecture.md").read_text()
    tree = text[text.index("\ntui/ ") : text.index("\ntests/ ")]
    for module in (ROOT / "tui").rglob("*.py"):
        if module.name != "__init__.py" and "live" not in module.parts:
            assert module.name in tree, module
