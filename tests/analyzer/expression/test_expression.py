"""The language against a plain evaluation that shares no code with it."""

import re
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.expression.expression import Expression
from analyzer.expression.fields import FIELDS, field_of
from analyzer.expression.pattern import exactly
from analyzer.report.columns import COLUMNS, Unit
from traces.errors import UsageError

TEXTS = {"workload": "workload", "comm": "comm", "name": "name", "cgroup": "cgroup"}
SIZES = {"size": "pages", "saved": "pages_saved", "pages_saved": "pages_saved"}
BARE = {"K": 1024, "KiB": 1024, "MiB": 1024**2, "g": 1024**3, "GiB": 1024**3, "B": 1}
LETTERS = "abAB01.*?[]!-^$+(){}|\\\"' \n/éßx2d&~,=<"

texts = st.one_of(st.none(), st.text(LETTERS, max_size=6), st.sampled_from(["[heap]"]))
pages = st.one_of(
    st.integers(0, 9),
    st.sampled_from([255, 256, 257, 262143, 262144, 262145, 2**51]),
)
rows = st.fixed_dictionaries(
    {
        **dict.fromkeys(TEXTS.values(), texts),
        "pid": st.integers(1, 30),
        "pages": st.none() | pages,
        "pages_saved": pages,
        "net_saved": st.integers(-9000, 9000),
        "share_cross": st.none() | st.sampled_from([0.0, 0.12, 0.035, 1.0, 1 / 3]),
        "time_ns": st.sampled_from([0, 999_999, 1_000_000, 1_000_001, 60 * 10**9]),
    }
)
TYPES = dict.fromkeys(TEXTS.values(), pl.String) | {
    "pid": pl.Int32,
    "pages": pl.Int64,
    "pages_saved": pl.Int64,
    "net_saved": pl.Int64,
    "share_cross": pl.Float64,
    "time_ns": pl.Int64,
}
COMPARE = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
operators = st.sampled_from(sorted(COMPARE))


# A condition is (its text, the function from a row to whether it fits).


@st.composite
def patterns(draw):
    """(between quotes, characters and wildcards it means)"""
    written, meant = "", []
    for kind, char in draw(
        st.lists(
            st.tuples(st.sampled_from("ccccc*?s"), st.sampled_from(LETTERS)), max_size=6
        )
    ):
        if kind == "c":
            written += f"\\{char}" if char in "\\*?[]\"'" else char
            meant.append(char)
        elif kind == "s":
            negated = draw(st.booleans())
            written += "[!a-b\\]]" if negated else "[a-b\\]]"
            meant.append(("not" if negated else "one", "ab]"))
        else:
            written += kind
            meant.append((kind, ""))
    return written, meant


def fits(text: str, meant: list) -> bool:
    if not meant:
        return not text
    first, rest = meant[0], meant[1:]
    if first == ("*", ""):
        return any(fits(text[at:], rest) for at in range(len(text) + 1))
    if not text:
        return False
    if first == ("?", ""):
        return fits(text[1:], rest)
    if isinstance(first, tuple):
        return (text[0] in first[1]) == (first[0] == "one") and fits(text[1:], rest)
    return text[0] == first and fits(text[1:], rest)


def literally(meant: list) -> str:
    names = {"one": "[a-b\\]]", "not": "[!a-b\\]]", "*": "*", "?": "?"}
    return "".join(m if isinstance(m, str) else names[m[0]] for m in meant)


@st.composite
def texts_compared(draw):
    name, operator = draw(st.sampled_from(sorted(TEXTS))), draw(st.sampled_from("=!"))
    written, meant = draw(patterns())
    quote = draw(st.sampled_from("\"'"))

    def one(row):
        value = row[TEXTS[name]] or ""
        found = value == literally(meant) or fits(value, meant)
        return found == (operator == "=")

    return f"{name} {operator}= {quote}{written}{quote}", one


@st.composite
def members(draw):
    name = draw(st.sampled_from(sorted(TEXTS)))
    many = draw(st.lists(patterns(), min_size=1, max_size=3))
    negated = draw(st.booleans())
    listed = ", ".join(f'"{written}"' for written, _ in many)

    def one(row):
        value = row[TEXTS[name]] or ""
        found = any(value == literally(m) or fits(value, m) for _, m in many)
        return found != negated

    return f"{name} {'not ' * negated}in ({listed})", one


def figure(text, column, operator, scale, edge):
    """Null is larger, smaller than and equal to nothing, and so not equal."""

    def one(row):
        value = row[column]
        if value is None:
            return operator == "!="
        return COMPARE[operator](value * scale, edge)

    return text, one


@st.composite
def figures(draw):
    operator = draw(operators)
    kind = draw(st.sampled_from(["bytes", "pages", "net", "share", "pid", "time"]))
    whole = draw(st.integers(0, 1100))
    part = draw(st.sampled_from(["", ".5", ".50", ".000001", ".999999999999"]))
    number = Fraction(f"{whole}{part}")
    if kind == "bytes":
        name, unit = (
            draw(st.sampled_from(sorted(SIZES))),
            draw(st.sampled_from([*BARE])),
        )
        space = draw(st.sampled_from(["", " "]))
        text = f"{name} {operator} {whole}{part}{space}{unit}"
        return figure(text, SIZES[name], operator, 4096, number * BARE[unit])
    if kind == "pages":
        return figure(f"size{operator}{whole}{part}", "pages", operator, 1, number)
    if kind == "net":
        text = f"net {operator} -{whole}{part}K"
        return figure(text, "net_saved", operator, 1, -number * 1024)
    if kind == "share":
        text = f"cross {operator} {whole}{part}%"
        return figure(text, "share_cross", operator, 1, float(number / 100))
    if kind == "time":
        text = f"time {operator} {whole}{part} ms"
        return figure(text, "time_ns", operator, 1, number * 10**6)
    return figure(f"pid {operator} {whole}", "pid", operator, 1, whole)


@st.composite
def words(draw):
    word = draw(st.text("abAB019é.", min_size=1, max_size=3))

    def one(row):
        held = any(word.lower() in (row[c] or "").lower() for c in SEARCHED)
        return held or (word.isdecimal() and row["pid"] == int(word))

    return (f'"{word}"' if draw(st.booleans()) else word), one


SEARCHED = ("workload", "comm", "name")


def _combined(parts):
    def both(pair):
        (a, f), (b, g) = pair
        return f"({a}) and ({b})", lambda row: f(row) and g(row)

    def either(pair):
        (a, f), (b, g) = pair
        return f"({a} or {b})", lambda row: f(row) or g(row)

    def negated(pair):
        a, f = pair
        return f"not ({a})", lambda row: not f(row)

    pairs = st.tuples(parts, parts)
    return pairs.map(both) | pairs.map(either) | parts.map(negated)


conditions = st.recursive(
    texts_compared() | members() | figures() | words(), _combined, max_leaves=5
)


@settings(max_examples=400, deadline=None)
@given(conditions, st.lists(rows, max_size=6))
def test_polars_answers_what_a_plain_evaluation_does(condition, table):
    text, one = condition
    expression = Expression.parse(text)
    frame = pl.DataFrame(table, schema=TYPES)
    expected = [one(row) for row in table]
    assert expression.select(frame).to_list() == expected
    again = Expression.parse(str(expression))
    assert again == expression
    assert str(again) == str(expression)
    assert again.select(frame).to_list() == expected


@settings(max_examples=300, deadline=None)
@given(st.text(LETTERS + "nodrt", max_size=20))
def test_any_text_is_an_expression_or_refused(text):
    try:
        expression = Expression.parse(text)
    except UsageError:
        return
    assert Expression.parse(str(expression)) == expression


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("workload=='web*'  AND saved>1g", 'workload == "web*" and saved > 1G'),
        ("pages_saved_nonzero >= 01.50 gib", "nonzero >= 1.5GiB"),
        ("non-zero > 0", "nonzero > 0"),
        ("(a or b) and not (c and d)", "(a or b) and not (c and d)"),
        ("(a and b) and c", "a and b and c"),
        ("comm not in (a,b)", 'not comm in ("a", "b")'),
        (r"cgroup == /a/foo\x2dbar", r'cgroup == "/a/foo\\x2dbar"'),
        ('"and"', '"and"'),
        (r"comm == 'it\'s'", 'comm == "it\'s"'),
    ],
)
def test_the_canonical_text(text, written):
    assert str(Expression.parse(text)) == written
    assert Expression.parse(written) == Expression.parse(text)


def fitting(text: str, **columns) -> list[bool]:
    return Expression.parse(text).select(pl.DataFrame(columns)).to_list()


def test_a_text_in_brackets_finds_itself():
    names = ["[heap]", "heap", "h", ""]
    assert fitting('name == "[heap]"', name=names) == [True, False, True, False]
    assert fitting(r'name == "\[heap]"', name=names) == [True, False, False, False]
    assert fitting("[heap]", name=names) == [True, False, True, False]


@given(texts, st.lists(texts, max_size=4))
def test_a_name_made_a_pattern_fits_itself_alone(name, others):
    names = [name, *others]
    text = f"comm == {exactly(name or '')}"
    assert fitting(text, comm=pl.Series(names, dtype=pl.String)) == [
        (other or "") == (name or "") for other in names
    ]


def test_bytes_are_compared_exactly():
    pages = [262143, 262144, 262145, 2**51 + 1]
    assert fitting("size > 1GiB", pages=pages) == [False, False, True, True]
    assert fitting("size == 1GiB", pages=pages) == [False, True, False, False]
    assert fitting("size > 1073741823B", pages=pages) == [False, True, True, True]
    assert fitting("size == 1073741823B", pages=pages) == [False] * 4
    assert fitting("size != 1073741823B", pages=pages) == [True] * 4
    assert fitting("size > 9223372036854771712B", pages=pages)[3]


def test_a_letter_is_what_the_column_is_drawn_in():
    counts = {"ksm_merging_pages": [25, 26, 99_999, 100_000]}
    assert fitting("merging >= 100k", **counts) == [False, False, False, True]
    assert fitting("merging > 100KiB", **counts) == [False, True, True, True]
    assert fitting("zero > 100k", pages_saved_zero=[25, 26]) == [False, True]


def test_a_number_alone_is_a_pid_or_part_of_a_name():
    assert fitting("12", pid=[12, 3, 4], comm=["a", "b12", "c"]) == [True, True, False]
    assert fitting("99999999999999999999999", pid=[1], comm=["a"]) == [False]


def test_categorical_names_are_texts():
    names = pl.Series(["web", None], dtype=pl.Categorical)
    assert fitting('workload == ""', workload=names) == [False, True]


def test_names_are_told():
    assert Expression.parse("a and pages_saved > 1 or not pid in (1, 2)").names() == {
        "saved",
        "pid",
    }


WRONG = [
    ("", "an empty expression"),
    ("savd > 1", "no field savd (column 1), did you mean saved?"),
    ("a or xyzzy == 1", "no field xyzzy (column 6)"),
    ('"comm" == a', 'no field "comm" (column 1), did you mean comm?'),
    ("saved > 1GB", "no unit GB for a size: GiB is one (column 9)"),
    ("wakeups > 1GiB", "no unit GiB for a count: k, M, G, T, P, E are (column 11)"),
    ("pid == 12k", "no unit k here: it is a number (column 8)"),
    ("saved > many", "many is no number (column 9)"),
    ("cross > 12", "a share needs its unit: % (column 9)"),
    ("time > 5", "a time needs its unit: ns, us, ms, s, min, h, d (column 8)"),
    ("net > 9EiB", "9EiB is larger than any figure (column 7)"),
    ("comm < nginx", "comm is a text, which < cannot compare (column 8)"),
    ('saved > "1G"', "saved is a size, not a text (column 9)"),
    ("saved = 1", "no = alone (column 7), did you mean ==?"),
    ("! a", "no ! alone (column 1), did you mean != or not?"),
    ('comm == "abc', 'no closing " (column 9)'),
    ("(a", "expected ) (column 3)"),
    ("a b", "expected and, or, or the end (column 3)"),
    ("a and", "expected a name or a text (column 6)"),
    ("comm ==", "expected a value (column 8)"),
    ("comm in a", "expected ( after in (column 9)"),
    ("comm in (a", "expected ) (column 11)"),
    ("comm == [b-a]", "the range b-a runs backwards (column 9)"),
    ("comm == \udcff", "a text that is not UTF-8 (column 9)"),
    ("(" * 50, "more than 40 levels deep (column 41)"),
    ("comm == " + "a" * 1001, "a text longer than 1000 characters (column 9)"),
    ("a" * 70000, "an expression longer than 65536 characters"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_is_wrong_is_said_with_its_place(text, message):
    with pytest.raises(UsageError) as refused:
        Expression.parse(text)
    assert str(refused.value) == message


def test_the_hint_points_at_the_place():
    with pytest.raises(UsageError) as refused:
        Expression.parse("日本 and savd > 1")
    assert refused.value.hint == "日本 and savd > 1\n         ^^^^"


def test_a_long_expression_is_quoted_in_part():
    with pytest.raises(UsageError) as refused:
        Expression.parse("a or " * 99 + "savd > 1")
    shown, carets = refused.value.hint.split("\n")
    assert len(shown) <= 60
    at = carets.index("^")
    assert shown[at : at + 4] == "savd"


def test_a_field_the_table_lacks_is_refused_with_one_it_has():
    frame = pl.DataFrame({"workload": ["a"], "pages_saved": [1]})
    with pytest.raises(UsageError) as refused:
        Expression.parse("web and shared > 1").select(frame)
    message = "no shared here: this table has none (column 9), did you mean saved?"
    assert str(refused.value) == message
    assert refused.value.hint == "web and shared > 1\n        ^^^^^^"
    with pytest.raises(UsageError, match="no names to find a word in"):
        Expression.parse("web").select(pl.DataFrame({"full_scans": [1]}))


def test_every_column_and_title_names_its_field():
    hidden = {"process", "mapping", "start_vpn", "digest"}
    for column, looks in COLUMNS.items():
        if column in hidden:
            continue
        found = field_of(column)
        assert found is not None, column
        assert column in found.columns
        if looks.unit is Unit.NAME:
            assert found.kind.name == "TEXT"
        elif looks.unit is Unit.PAGES:
            assert found.kind.name == "PAGES"
        elif looks.unit in (Unit.SHARE, Unit.DURATION, Unit.NUMBER):
            assert found.kind.name == looks.unit.name
        elif looks.unit is Unit.PROFIT:
            assert found.kind.name == "BYTES"
        else:
            assert found.kind.name in ("COUNT", "PAGE_COUNT")
        if re.fullmatch(r"[\w -]+", looks.title):
            assert field_of(looks.title.replace(" ", "_")), looks.title


def test_no_two_fields_have_one_name():
    names = [n for f in FIELDS.values() for n in (f.name, *f.aliases)]
    assert len(names) == len(set(names))


def test_wildcards_and_classes_at_their_longest_compile():
    for text in ("?" * 1000, "[!é]" * 250, "*a" * 500):
        assert fitting(f'comm == "{text}"', comm=["a"]) is not None
