"""A page as a browser has it: what scripts made of it, and what it complained of."""

import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
NODE = shutil.which("node")

_EMPTY = {"input", "line", "link", "meta", "path", "polygon", "rect"}


class Element:
    """An element of a parsed page."""

    def __init__(self, name: str, attributes: dict[str, str | None]) -> None:
        self.name, self.attributes = name, attributes
        self.children: list[Element | str] = []

    @property
    def text(self) -> str:
        return "".join(c if isinstance(c, str) else c.text for c in self.children)

    def all(self, name: str = "", **attributes: str) -> list["Element"]:
        """Those within it, in their order; `class_` is one of several."""
        found = []
        for child in self.children:
            if isinstance(child, Element):
                if (not name or child.name == name) and child.has(attributes):
                    found.append(child)
                found += child.all(name, **attributes)
        return found

    def one(self, name: str = "", **attributes: str) -> "Element":
        (found,) = self.all(name, **attributes)
        return found

    def has(self, attributes: dict[str, str]) -> bool:
        for key, value in attributes.items():
            mine = self.attributes.get(key.rstrip("_")) or ""
            if value not in (mine.split() if key == "class_" else [mine]):
                return False
        return True


class _Tree(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.open[-1].children.append(element)
        if tag not in _EMPTY:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in _EMPTY:
            assert self.open.pop().name == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parsed(page: str) -> Element:
    """The tree of a page whose every element is closed where it was opened."""
    tree = _Tree()
    tree.feed(page)
    tree.close()
    assert len(tree.open) == 1
    return tree.open[0]


def table_of(page: Element, by: str) -> list[list[str]]:
    """The cells of the rows of a table, without its sums."""
    body = page.one("table", id=f"{by}-table").one("tbody")
    return [
        [cell.text for cell in row.children if isinstance(cell, Element)]
        for row in body.all("tr")
    ]


class Seen(NamedTuple):
    page: Element
    complaints: list[str]


def seen(folder: Path, page: str, link: str = "") -> Seen:
    """*page* in a headless Chromium, opened at *link*; skips where there is none."""
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH")
    file = folder / "report.html"
    file.write_text(page, encoding="utf-8")
    run = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            f"--user-data-dir={folder / 'profile'}",
            "--enable-logging=stderr",
            "--virtual-time-budget=2000",
            "--dump-dom",
            f"{file.as_uri()}{link}",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    complaints = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    return Seen(parsed(run.stdout), complaints)


def ran(folder: Path, script: str) -> Any:
    """What the expression at the end of *script*, a JSON text, comes to."""
    if NODE is not None:
        run = subprocess.run(
            [NODE, "-"],
            input=f"process.stdout.write(eval({json.dumps(script)}))",
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(run.stdout)
    safe = json.dumps(script).replace("<", "\\u003c")
    page = f"<pre></pre><script>document.body.children[0].textContent=eval({safe})"
    found = seen(folder, f"<body>{page}</script></body>").page.one("pre")
    return json.loads(found.text)
