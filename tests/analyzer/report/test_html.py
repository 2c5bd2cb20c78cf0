"""The page as it stands in its file: figures, names, and what it may load."""

import json
import os
import re
import subprocess
import sys
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from browser import Element, parsed, table_of
from crowd import crowd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lives import doings, over_time
from results import HOSTILE, empty, result

from analyzer.grouping import grouped
from analyzer.knobs import KsmKnobs
from analyzer.moment import moment, moments
from analyzer.replay import run
from analyzer.report import drawn, web
from analyzer.report.escape import printable
from analyzer.report.html import notices, page
from analyzer.report.layout import Layout
from analyzer.report.units import pages_text, profit_text
from analyzer.report.web.changes import changes
from analyzer.report.web.course import MOST
from analyzer.result import TABLES
from analyzer.worth import pages_offered, pages_saved

COMMAND = "ksm-analyze report 'prod & node.parquet' -o report.html"
TABLE_NAMES = ["workload", "process", "kind", "mapping", "content"]


def tree(found=None) -> Element:
    return parsed(page(found or result(), COMMAND))


def data_of(root: Element):
    return json.loads(root.one("script", id="data").text)


def before(value, steps, back):
    """The value *back* moments before the last: every moment one by one."""
    series = [value]
    for step in steps:
        if isinstance(step, list):
            series += [series[-1]] * step[0]
        else:
            series.append(series[-1] + step)
    return series[min(back, len(series) - 1)]


def test_the_cards_say_what_the_text_report_says():
    found = result()
    root = tree(found)
    shown = {f"card-{name}": "" for name in ("saved", "profit", "zero")}
    for identity in shown:
        shown[identity] = root.one(id=identity).text
    assert shown["card-saved"] == pages_text(pages_saved(found)) == "4.97 GiB"
    assert shown["card-profit"] == profit_text(found.counters.general_profit)
    assert shown["card-zero"] == pages_text(found.savings.pages_saved_zero)
    headline = drawn(found, "text", Layout()).splitlines()[0]
    about = root.one(id="about-saved").text
    assert headline == (
        f"saved {shown['card-saved']} ({about})   general_profit {shown['card-profit']}"
    )


def test_the_composition_is_that_of_the_text_report():
    root = tree()
    legend = drawn(result(), "text", Layout(ascii=False))
    for name, title in (("saved_nonzero", "non-zero"), ("unmerged", "unmerged")):
        assert f"{title} {root.one(id=f'part-{name}').text}" in legend


def test_rows_are_those_of_the_text_report():
    told = drawn(result(), "text", Layout(width=200, rows=0)).split("\n\n")[1]
    rows = table_of(tree(), "workload")
    assert len(rows) == 5
    for row, line in zip(rows, told.splitlines()[1:], strict=True):
        saved, zero = row[3], row[7]
        assert line.startswith(row[0])
        assert saved.replace("\u2212", "-") in line
        assert zero in line


@pytest.mark.parametrize("by", TABLE_NAMES)
def test_figures_are_those_other_programs_read(by):
    found = result()
    told = json.loads(drawn(found, "json", Layout(by=by)))
    rows = told["processes" if by == "process" else f"{by}s"]
    table = data_of(tree(found))["tables"][by]
    compared = set(table["values"]) & set(rows[0])
    assert len(compared) >= 4
    for column in compared:
        values = table["values"][column]
        if isinstance(rows[0][column], str):
            values = [table["names"][at] for at in values]
        elif column == "digest":
            values = [int(table["names"][at], 16) for at in values]
            values = [value - (value >> 63 << 64) for value in values]
        assert sorted(values) == sorted(row[column] for row in rows), column


def test_every_pass_has_the_figures_of_its_moment():
    check_moments(result(passes=6))


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(events=doings())
def test_every_pass_through_time_has_them_too(events, tmp_path):
    trace = over_time(events, tmp_path / "t.parquet")
    found = run([trace], KsmKnobs(sleep_millisecs=300_000), detail=True)
    if pages_offered(found):
        check_moments(found)


def check_moments(found):
    told = data_of(tree(found))
    last = moments(found) - 1
    for at in range(last + 1):
        now = moment(found, at)
        course = {name: values[at] for name, values in told["course"].items()}
        assert course["full_scans"] == now.full_scans
        assert course["saved"] == now.pages_saved_zero + now.pages_saved_nonzero
        assert course["offered"] == sum(now.composition)
        assert course["general_profit"] == now.counters.general_profit
        for by, frame in (("workload", now.workloads), ("process", now.processes)):
            table = told["tables"][by]
            known = set(table["history"]) & set(frame.columns)
            assert last == 0 or {"pages", "pages_saved_zero"} <= known
            for column in known:
                values = [
                    before(value, steps, last - at)
                    for value, steps in zip(
                        table["values"][column], table["history"][column], strict=True
                    )
                ]
                assert sorted(values) == sorted(frame[column].to_list()), column
                for sums in table["sums"]:
                    whole = sums["values"][column]
                    steps = sums["history"][column]
                    assert before(whole, steps, last - at) == frame[column].sum()


def test_rows_in_the_file_and_the_others_add_up_after_every_pass():
    found = crowd(processes=2300, passes=9)
    table = data_of(tree(found))["tables"]["process"]
    rest, everyone = table["sums"]
    assert rest["label"] == "300 more, not in this file"
    assert everyone["label"] == "all 2300"
    for column in ("pages_saved", "pages_saved_zero", "net_saved", "pages"):
        for back in range(9):
            kept = sum(
                before(value, steps, back)
                for value, steps in zip(
                    table["values"][column], table["history"][column], strict=True
                )
            )
            others, whole = (
                before(row["values"][column], row["history"][column], back)
                for row in (rest, everyone)
            )
            assert kept + others == whole
    assert everyone["values"]["pages_saved"] == pages_saved(found)
    least = min(table["values"]["pages_saved"])
    assert 300 * least >= rest["values"]["pages_saved"]


def test_a_crowded_host_fits_a_mail():
    found = crowd(processes=10_000, passes=120)
    text = page(found, COMMAND)
    assert len(text.encode()) <= 1_000_000
    tables = data_of(parsed(text))["tables"]
    assert len(tables["process"]["values"]["pages"]) == 2000
    # As many as there is room for: every row of these changes after every pass.
    assert 50 < len(tables["process"]["history"]["pages_saved"]) < 2000
    assert len(tables["workload"]["history"]["pages_saved"]) == 40


def test_a_long_replay_is_thinned_out_evenly():
    found = crowd(processes=4, passes=3000)
    root = tree(found)
    scans = data_of(root)["course"]["full_scans"]
    assert scans[0] == 1
    assert scans[-1] == 3000
    assert len(scans) <= MOST + 1
    assert max(np.diff(scans)) <= 7
    polygon = root.one("polygon", class_="saved_nonzero")
    assert len(polygon.attributes["points"].split()) <= 2000


@given(st.lists(st.integers(-(2**40), 2**40) | st.just(7), min_size=1, max_size=40))
def test_series_are_told_exactly(values):
    steps = changes(np.array(values, np.int64))
    found = [before(values[-1], steps, back) for back in range(len(values))]
    assert found == values[::-1]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.text(max_size=12)
        | st.sampled_from(["</script>", "<b x='\"", "\u202eevil", "&lt;", "\0"]),
        min_size=1, max_size=4, unique=True,
    )
)  # fmt: skip
def test_names_stay_names(names):
    names = [name.encode("utf-8", "backslashreplace").decode() for name in names]
    names = list(dict.fromkeys(names))
    found = result(names, passes=2)
    text = page(replace(found, trace=replace(found.trace, path=names[0])), names[0])
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u202a-\u202e]", text)
    root = parsed(text)
    shown = {row[0] for row in table_of(root, "workload")}
    assert shown == {printable(name) or "(none)" for name in names}
    told = data_of(root)["tables"]["workload"]["names"]
    assert set(told) == {printable(name) for name in names}
    assert root.one("title").text == f"KSM report: {printable(names[0])}"
    assert root.one("footer").one("code").text == printable(names[0])
    check_elements(root)


def check_elements(root: Element) -> None:
    """Nothing is there that could run, load or look like something else."""
    benign = {element.name for element in tree(result(passes=2)).all()}
    elements = root.all()
    assert {element.name for element in elements} <= benign
    assert len(root.all("script")) == 2
    for element in elements:
        for name, value in element.attributes.items():
            assert not name.startswith("on"), name
            assert name not in ("style", "src", "srcset", "action")
            if name == "href":
                assert value == "data:," or value.startswith("#")


def test_lone_surrogates_are_written_by_number():
    found = result()
    path = replace(found.trace, path="a\udcffb")
    text = page(replace(found, trace=path), "x \udcff")
    assert "a\\udcffb" in text
    text.encode()


def test_names_keep_their_direction_to_themselves():
    root = tree(result(HOSTILE))
    for cell in root.one("table", id="workload-table").one("tbody").all("th"):
        assert [child.name for child in cell.children] == ["bdi"]
    found = root.one(id="findings").all("bdi")
    assert found


def test_nothing_is_loaded_from_elsewhere():
    text = page(result(HOSTILE), COMMAND)
    assert "http:" not in text
    assert "https:" not in text
    assert not re.search(r"[\"'=(]//", text)
    assert not re.search(r"url\((?!#)|@import|\bsrc=|@font-face", text)


def test_its_policy_allows_its_own_style_and_script_only():
    root = tree()
    (policy,) = (
        meta.attributes["content"]
        for meta in root.all("meta")
        if meta.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    (script,) = (s for s in root.all("script") if "type" not in s.attributes)
    for rule, element in (("style-src", root.one("style")), ("script-src", script)):
        digest = b64encode(sha256(element.text.encode()).digest()).decode()
        assert rules.pop(rule) == f"'sha256-{digest}'"
    assert rules.pop("img-src") == "data:"
    assert set(rules) == {"default-src", "base-uri", "form-action"}
    assert set(rules.values()) == {"'none'"}


def test_limits_stand_above_the_figures_and_below():
    found = result()
    limit = "beware of <b>"
    found = replace(found, trace=replace(found.trace, limits=[limit]))
    assert notices(found) == [limit]
    root = tree(found)
    assert root.one("aside").one("li").text == limit
    names = [child.attributes.get("class") for child in root.one("main").children]
    assert names.index("notice") < names.index("cards")
    assert limit in [item.text for item in root.one(id="limits").all("li")]
    quiet = replace(found, trace=replace(found.trace, limits=[]))
    assert not tree(quiet).all("aside")


def test_nothing_offered_is_said():
    root = tree(empty())
    assert "nothing was offered to ksmd" in root.one("p", class_="nothing").text
    assert not root.all("table", id="workload-table")


def test_a_result_without_detail_shows_its_end():
    found = result()
    bare = replace(
        found,
        compositions=found.compositions.clear(),
        process_savings=found.process_savings.clear(),
        pairs=found.pairs.clear(),
    )
    root = tree(bare)
    assert root.one(id="card-saved").text == "4.97 GiB"
    assert not root.all(id="scrubber")
    assert not root.all("table", class_="matrix")


def test_the_matrix_is_that_of_the_pairs():
    found = result()
    rows = tree(found).one("table", class_="matrix").one("tbody").all("tr")
    names = [row.one("th").text for row in rows]
    saved = {(a, b): pages for a, b, pages, _ in found.pairs.iter_rows()}
    for name, row in zip(names, rows, strict=True):
        for other, cell in zip(names, row.all("td"), strict=True):
            told = pages_text(saved[name, other]).replace("-", "\u2212")
            assert cell.text == told


def test_workloads_beyond_the_matrix_are_added_up():
    found = result([f"w{at:02}" for at in range(40)])
    rows = tree(found).one("table", class_="matrix").one("tbody").all("tr")
    assert len(rows) == 25
    assert rows[-1].one("th").text == "(all others)"


def test_every_table_can_be_read_aloud():
    root = tree()
    for table in root.all("table"):
        heads = table.one("thead").all("th")
        assert heads
        assert all(head.attributes["scope"] == "col" for head in heads)
        for row in table.one("tbody").all("tr"):
            assert row.children[0].name == "th"
            assert row.children[0].attributes["scope"] == "row"
    for picture in root.all("svg"):
        hidden = picture.attributes.get("aria-hidden") == "true"
        assert hidden or picture.attributes["aria-label"]
    for control in root.all("input"):
        assert control.attributes["aria-label"]


def test_all_knobs_are_told():
    found = result()
    text = tree(found).one(id="knobs").text
    for file, value in found.knobs.as_files().items():
        assert f"{file}{value}" in text


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_can_be_read(theme):
    style = (Path(web.__path__[0]) / "page.css").read_text()
    blocks = re.findall(r"\{([^{}]*color-scheme: (\w+);[^{}]*)\}", style)
    for block in (text for text, scheme in blocks if scheme == theme):
        colour = dict(re.findall(r"--([\w-]+): (#\w{6})\b", block))
        for ground in ("ground", "surface", "panel"):
            for ink in ("text", "muted", "gain", "loss", "accent"):
                assert contrast(colour[ink], colour[ground]) >= 4.5, (ink, ground)
        for shade in range(10):
            ink = colour["text" if shade < 6 else "on-dark"]
            assert contrast(ink, colour[f"h{shade}"]) >= 4.5, shade


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's ratio of two colours."""
    lights = sorted(map(luminance, (one, other)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    ]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_the_same_result_gives_the_same_bytes():
    assert page(result(), COMMAND) == page(result(), COMMAND)
    code = (
        "import sys; sys.path[:0] = ['tests', '.']\n"
        "from results import HOSTILE, result\n"
        "from analyzer.report.html import page\n"
        "sys.stdout.buffer.write(page(result(HOSTILE), 'x').encode())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert runs == {page(result(HOSTILE), "x").encode()}


def test_a_crowd_is_a_result():
    found = crowd(processes=30, passes=4)
    assert set(TABLES["processes"]) <= set(found.processes.columns)
    assert pages_offered(found) == found.processes["pages"].sum()
    sums = grouped(found.processes, "workload", "processes", "pages")
    assert found.workloads.equals(sums)
