"""docs/expressions.md names what there is."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from analyzer.expression.expression import Expression
from analyzer.expression.fields import FIELDS, Kind
from analyzer.expression.quantity import UNITS
from analyzer.policy import MergePolicy
from traces.errors import UsageError

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "expressions.md").read_text()
LISTED = [
    (name, alias, kind)
    for names, aliases, kind in re.findall(
        r"^\| (`[^|]*) \|([^|]*)\| (an? [a-z ]+) \|$",
        PAGE.partition("## Fields")[2],
        re.MULTILINE,
    )
    for name in re.findall(r"`(\w+)`", names)
    for alias in [re.findall(r"`(\w+)`", aliases)]
]
VALUES = {
    Kind.TEXT: '"a*"',
    Kind.SHARE: "12%",
    Kind.DURATION: "5min",
    Kind.PAGES: "1GiB",
    Kind.BYTES: "-1GiB",
    Kind.PAGE_COUNT: "100k",
}


@pytest.mark.parametrize(("name", "aliases", "kind"), LISTED)
def test_every_listed_field_is_one(name, aliases, kind):
    field = FIELDS[name]
    assert field.kind.value == kind
    value = VALUES.get(field.kind, "12")
    for spelled in (name, *aliases):
        assert str(Expression.parse(f"{spelled} == {value}")) == f"{name} == {value}"
    listed = {name, *aliases}
    assert all(other in listed for other in (field.name, *field.aliases))


def test_every_field_is_listed():
    assert [name for name, _, _ in LISTED] != []
    assert {name for name, _, _ in LISTED} == set(FIELDS)


def test_every_unit_is_listed():
    table = PAGE.partition("## Numbers")[2].partition("## Fields")[0]
    for kind, units in UNITS.items():
        for unit in units:
            if unit and unit[0] not in "PE":
                assert f"`{unit}`" in table, (kind, unit)


@pytest.mark.parametrize("page", ["expressions.md", "commands/replay.md"])
def test_every_example_is_understood(page):
    seen = 0
    for line in (DOCS / page).read_text().splitlines():
        if not line.startswith("    ksm-analyze replay"):
            continue
        words = shlex.split(line)
        for option, text in pairwise(words):
            if option == "--filter":
                Expression.parse(text)
            elif option in ("--opt-in", "--opt-out"):
                MergePolicy(**{option[2:].replace("-", "_"): text})
            seen += option in ("--filter", "--opt-in", "--opt-out")
    assert seen > 1


def test_the_refusal_is_the_one_that_is_shown():
    with pytest.raises(UsageError) as refused:
        Expression.parse("savd > 1GiB")
    first, second = refused.value.hint.split("\n")
    assert f"error: {refused.value}\n    hint: {first}\n          {second}\n" in PAGE


def test_the_wildcards_do_what_is_said():
    names = pl.DataFrame({"name": ["a.b", "ab", r"/system.slice/a\x2db.service"]})

    def fits(text):
        return Expression.parse(f'name == "{text}"').select(names).to_list()

    assert fits("a?b") == [True, False, False]
    assert fits("[a-f.]b") == [False, True, False]
    assert fits(r"/system.slice/a\x2db.service") == [False, False, True]
