"""Every key in one place, and docs/view.md lists them all.

UPDATE_GOLDEN=1 rewrites its table.
"""

import os
import re
from importlib import import_module
from pathlib import Path

import pytest

from tui.app import KsmApp
from tui.keys import _CLASSES, GROUPS, all_keys, keys_of, shown_keys
from tui.views.time import Time
from tui.widgets.grid import Grid

PAGE = Path(__file__).parents[2] / "docs" / "view.md"
TABLE = re.compile(r"(?<=<!-- keys -->\n\n).*?(?=\n<!-- end of keys -->)", re.DOTALL)


def table() -> str:
    """The keys in the groups of the help, as Markdown."""
    lines = ["| keys | what | id |", "|---|---|---|"]
    for group, title in GROUPS.items():
        lines.append(f"| **{title}** | | |")
        for key in all_keys():
            if key.group == group:
                keys = " ".join(f"`{one}`" for one in key.keys.split())
                lines.append(f"| {keys} | {key.text} | `{key.id}` |")
    return "\n".join(lines) + "\n"


def test_the_page_lists_every_key():
    text = PAGE.read_text()
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(TABLE.sub(lambda _: table(), text))
    found = TABLE.search(PAGE.read_text())
    assert found
    assert found[0] == table()


def test_every_key_is_explained_in_a_group_that_has_a_title():
    for key in all_keys():
        assert key.group in GROUPS, key.id
        assert len(key.text) > 3, key.id
        assert key.text[0].isupper(), key.id
        assert "|" not in key.text, key.id


def test_no_key_does_two_things_in_one_group():
    taken: dict[tuple[str, str], str] = {}
    for key in all_keys():
        for one in key.keys.split():
            before = taken.setdefault((key.group, one), key.id)
            assert before == key.id or "jobs.part" in (before, key.id), one


def test_help_and_palette_name_a_users_own_keys():
    keys = {key.id: key.keys for key in keys_of(Grid, own={"grid.mark": "v,ctrl+v"})}
    assert keys["grid.mark"] == "v ctrl+v"
    assert keys["grid.open"] == "⏎"


def test_keys_are_called_as_people_call_them():
    assert shown_keys("comma,left_curly_bracket,pageup,j") == ", { PgUp j"


def test_what_has_no_keys_of_its_own_lists_none():
    assert list(keys_of(Time)) == []


@pytest.mark.parametrize(("module", "name"), _CLASSES)
def test_no_key_is_dead(module, name):
    made = getattr(import_module(module), name)
    for key in keys_of(made):
        action = key.action.split("(")[0]
        target = KsmApp if action.startswith("app.") else made
        assert hasattr(target, f"action_{action.removeprefix('app.')}"), key
