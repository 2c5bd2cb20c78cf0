"""What was found in words, what it rests on, and what keeps it from the whole truth."""

from collections.abc import Sequence
from urllib.parse import quote

from analyzer.findings import Finding, View, findings
from analyzer.knobs import KsmKnobs
from analyzer.report.escape import printable
from analyzer.report.findings import sentence as in_words
from analyzer.report.summary import stated
from analyzer.report.web.markup import Markup, joined, name, sentence, tag
from analyzer.result import ReplayResult
from traces.tool import tool


def found(result: ReplayResult) -> Markup:
    """The card of the findings."""
    items = [_finding(finding) for finding in findings(result)]
    body = tag("ul", *items) if items else tag("p", "Nothing stands out.")
    return tag(
        "section", tag("h2", "Findings"), body, class_="card findings", id="findings"
    )


def notice(lines: Sequence[str]) -> Markup:
    """What one must know before the figures; empty where there is nothing."""
    if not lines:
        return Markup("")
    return tag(
        "aside",
        tag("ul", *(tag("li", line) for line in lines)),
        class_="notice",
        aria_label="Limits of these figures",
    )


def grounds(result: ReplayResult, lines: Sequence[str]) -> Markup:
    """The card of everything the figures rest on, and its limits again."""
    entries = [(label, name(text)) for label, text in stated(result)]
    trace = result.trace
    entries += [
        ("file", name(trace.path)),
        ("captured", name(f"{trace.captured_at}, Linux {trace.kernel or 'not told'}")),
        ("costs", name(result.costs)),
    ]
    limits = (
        tag("ul", *(tag("li", line) for line in lines))
        if lines
        else tag("p", "None is known.")
    )
    return tag(
        "section",
        tag("h2", "What these figures rest on"),
        tag("dl", *(part for label, told in entries for part in
                    (tag("dt", label), tag("dd", told)))),
        tag("h3", "Limits"),
        limits,
        class_="card",
        id="limits",
    )  # fmt: skip


def knobs(result: ReplayResult) -> Markup:
    """The card of ksmd's settings, those changed marked."""
    usual = KsmKnobs().as_files()
    rows = [
        tag(
            "tr",
            tag("th", file, scope="row"),
            tag("td", str(value)),
            tag("td", str(usual[file])),
            tag("td", "changed" if value != usual[file] else "", class_="name"),
            class_="changed" if value != usual[file] else None,
        )
        for file, value in result.knobs.as_files().items()
    ]
    titles = ["/sys/kernel/mm/ksm/", "value", "default", ""]
    return tag(
        "section",
        tag("h2", "Knobs"),
        tag("div", tag("table", tag("thead", tag("tr", *(
            tag("th", title, scope="col") if title else tag("td") for title in titles
        ))), tag("tbody", *rows)),
            class_="scroll", tabindex=0, role="region", aria_label="Knobs, table"),
        class_="card",
        id="knobs",
    )  # fmt: skip


def origin(command: str) -> Markup:
    """The foot of the page: how to make it again, and what made it."""
    return tag(
        "footer",
        tag("p", "Made by ", tag("code", command)),
        tag("p", f"{tool()}. This file loads nothing from elsewhere and sends "
            "nothing anywhere; the pages it tells of were never in it, only names "
            "and counts."),
    )  # fmt: skip


def _finding(finding: Finding) -> Markup:
    words = in_words(finding)
    names = [printable(finding.subject), printable(finding.place.other)]
    mood = {True: "gain", False: "loss", None: None}[finding.good]
    return tag(
        "li",
        tag("b", sentence(printable(words.head), names), class_=mood),
        ": ",
        sentence(printable(words.body), names),
        *_link(finding),
    )


def _link(finding: Finding) -> Sequence[Markup]:
    """Where the figure can be looked at, in this page."""
    place = finding.place
    match place.view:
        case View.TIME:
            target, words = f"pass={place.key}", "show this pass"
        case View.WORKLOADS:
            key = quote(printable(str(place.key)), safe="")
            if not key:
                return ()
            target, words = f"workload.filter={key}", "show it"
        case View.SHARING:
            target, words = "pairs", "show pairs"
        case _:
            return ()
    return (joined([" ", tag("a", words, href=f"#{target}")]),)
