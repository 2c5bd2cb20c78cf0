"""The page in a real browser: what its scripts do, and that nothing is refused."""

from pathlib import Path

from browser import Element, parsed, seen, table_of
from results import HOSTILE, result

from analyzer.moment import moment
from analyzer.report.html import page
from analyzer.report.units import pages_text, profit_text, share_text
from analyzer.report.web.markup import source_hash

PASSES = 6


def found():
    return result(passes=PASSES)


def text() -> str:
    return page(found(), "ksm-analyze report prod.parquet")


def driven(script: str) -> str:
    """The page with a script of ours at its end, which its policy is told of."""
    whole = text()
    policy = "script-src "
    whole = whole.replace(
        policy, policy + source_hash(script).replace("'", "&#x27;") + " "
    )
    return whole.replace("</body>", f"<script>{script}</script></body>")


def minus(words: str) -> str:
    return words.replace("-", "\u2212") if words.startswith("-") else words


def column(root: Element, by: str, name: str) -> list[str]:
    heads = root.one("table", id=f"{by}-table").one("thead").all("th")
    at = [head.attributes.get("data-column") for head in heads].index(name)
    return [row[at] for row in table_of(root, by)]


def check_pass(root: Element, at: int) -> None:
    """Cards, composition and tables are those of a moment."""
    now = moment(found(), at)
    saved = now.pages_saved_zero + now.pages_saved_nonzero
    assert root.one(id="card-saved").text == pages_text(saved)
    assert root.one(id="card-zero").text == pages_text(now.pages_saved_zero)
    profit = profit_text(now.counters.general_profit)
    assert root.one(id="card-profit").text == minus(profit)
    for name in ("saved_nonzero", "saved_zero", "kept", "unmerged"):
        shown = root.one(id=f"part-{name}").text
        assert shown == pages_text(getattr(now.composition, name))
    assert root.one(id="pass").text == f"pass {now.full_scans}"
    for by, frame in (("workload", now.workloads), ("process", now.processes)):
        both = frame["pages_saved_zero"] + frame["pages_saved_nonzero"]
        drawn = sorted(minus(pages_text(pages)) for pages in both)
        assert sorted(column(root, by, "pages_saved")) == drawn
        shares = [
            minus(share_text(one, of))
            for one, of in zip(both, frame["pages"], strict=True)
        ]
        assert sorted(column(root, by, "share_saved")) == sorted(shares)


def test_the_script_draws_what_stands_in_the_file(tmp_path: Path) -> None:
    whole = page(result(HOSTILE), "x")
    root, complaints = seen(tmp_path, whole)
    assert not complaints
    before = parsed(whole)
    for by in ("workload", "process", "kind", "mapping", "content"):
        assert table_of(root, by) == table_of(before, by)
    assert root.one("html").attributes["class"] == "scripted"
    assert len(root.all("script")) == 2


def test_a_link_leads_to_a_pass_an_order_and_a_choice(tmp_path: Path) -> None:
    link = "#pass=3&theme=dark&workload.sort=workload&kind.filter=hea"
    link += "&process.sort=pid.down"
    root, complaints = seen(tmp_path, text(), link)
    assert not complaints
    check_pass(root, 2)
    assert root.one("html").attributes["data-theme"] == "dark"
    names = column(root, "workload", "workload")
    assert names == sorted(names)
    head = root.one("table", id="workload-table").one(
        "th", **{"data-column": "workload"}
    )
    pids = [int(pid) for pid in column(root, "process", "pid")]
    assert pids == sorted(pids, reverse=True)
    assert column(root, "kind", "kind") == ["heap"]
    assert root.one(id="kinds").one("output").text == "1 of 1 that match"
    unknown = column(root, "workload", "share_cross")
    assert set(unknown) == {"\u00b7"}
    assert head.attributes["aria-sort"] == "ascending"


def test_hands_can_do_the_same(tmp_path: Path) -> None:
    script = """
    const at = (id) => document.getElementById(id);
    const send = (element, name) => element.dispatchEvent(new Event(name));
    at("scrubber").value = 1; send(at("scrubber"), "input");
    const sort = at("process-table").querySelector("th[data-column=pages] button");
    sort.click(); sort.click();
    const search = document.querySelector("#mappings input");
    search.value = "PG heap"; send(search, "input");
    at("theme").click();
    document.title = location.hash;
    """
    root, complaints = seen(tmp_path, driven(script))
    assert not complaints
    check_pass(root, 1)
    sizes = column(root, "process", "pages")
    ordered = found().processes["pages"].sort().to_list()
    assert sizes == [pages_text(pages) for pages in ordered]
    head = root.one("table", id="process-table").one("th", **{"data-column": "pages"})
    assert head.attributes["aria-sort"] == "ascending"
    assert {row[0] for row in table_of(root, "mapping")} == {"pg-orders"}
    assert set(column(root, "mapping", "kind")) == {"heap"}
    assert root.one("html").attributes["data-theme"] == "dark"
    assert root.one("button", id="theme").attributes["aria-pressed"] == "true"
    assert root.one("title").text == (
        "#pass=2&theme=dark&process.sort=pages.up&mapping.filter=PG+heap"
    )


def test_a_page_that_was_changed_is_refused(tmp_path: Path) -> None:
    changed = text().replace("</script></body>", "alert(1)</script></body>")
    root, complaints = seen(tmp_path, changed)
    assert any("Content Security Policy" in line for line in complaints)
    assert "class" not in root.one("html").attributes
