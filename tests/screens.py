"""Walks through the app on a fixed replay, and what its screens show.

A screen is its cells: their text, and how they are styled in the words of the palette,
so that a snapshot is read like the screen and a colour is called what it means.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeVar

import pytest
from rich.color import Color
from rich.style import Style
from textual.pilot import Pilot
from textual.widgets import Input

import tui.app
from analyzer.knobs import KsmKnobs
from analyzer.pages import write_pages
from analyzer.policy import MergePolicy
from analyzer.replay import Staged
from analyzer.result import ReplayResult
from tui.app import KsmApp
from tui.look import _DARK, _LIGHT
from tui.variant import Found, Progress, Settings, Variant

DEMO: Final = Path(__file__).parent.parent / "traces" / "demo.parquet"

Size = tuple[int, int]
Theme = Literal["dark", "light", "none"]
"""`none`: under NO_COLOR."""
Run = tuple[str, Style]
Kind = TypeVar("Kind", bound=KsmApp)


@dataclass(frozen=True)
class Shot:
    """A screen as it was."""

    runs: tuple[tuple[Run, ...], ...]
    """Line by line, neighbours of one style together."""

    def lines(self) -> list[str]:
        """The text alone."""
        return ["".join(text for text, _ in line).rstrip() for line in self.runs]

    def inks(self, theme: Theme) -> list[str]:
        """The styles alone: from which cell on which, ground and text as `.`."""
        names = _names(theme)
        return [" ".join(_inks(line, names)) for line in self.runs]


class Replays(NamedTuple):
    """Saved results of the demo, and the states of its pages."""

    a: Path
    pages: Path
    b: Path
    none: Path
    """With nobody offered."""


def replayed(folder: Path) -> Replays:
    """Replay the demo twice, and once more with nobody offered."""
    a, pages = folder / "demo.parquet", folder / "pages.parquet"
    _replay(a, KsmKnobs(), "all", pages)
    b, none = folder / "b.parquet", folder / "none.parquet"
    _replay(b, KsmKnobs(pages_to_scan=800, use_zero_pages=True), "all")
    _replay(none, KsmKnobs(), "none")
    return Replays(a, pages, b, none)


def _replay(
    path: Path, knobs: KsmKnobs, policy: str, pages: Path | None = None
) -> None:
    staged = Staged([DEMO], knobs, MergePolicy.parse(policy), None, 100, detail=True)
    for _ in staged:
        pass
    staged.result().save(path)
    if pages is not None:
        write_pages(pages, staged.outcome())


class Still(KsmApp):
    """The app without its clocks."""

    CSS_PATH = Path(tui.app.__file__).parent / "app.tcss"

    def _show_progress(self) -> None:
        pass

    def _look_for_changes(self) -> None:
        pass


def made(kind: type[Kind], path: Path, theme: Theme, plain: bool) -> Kind:
    """An app that is to look so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("NO_COLOR", raising=False)
        if theme == "none":
            patch.setenv("NO_COLOR", "1")
        name = "ksm-light" if theme == "light" else None
        return kind([path], theme=name, plain=plain)


@asynccontextmanager
async def opened(
    replays: Replays, size: Size, theme: Theme = "dark", plain: bool = False
) -> AsyncIterator[tuple[KsmApp, Pilot[int]]]:
    """The app on the demo and another replay of it, A and B."""
    app = made(Still, replays.a, theme, plain)
    async with app.run_test(size=size) as pilot:
        while app.view is None:
            await pilot.pause(0.01)
        session = app.session
        assert session.a is not None
        assert session.a.found is not None
        session.a.found.pages = replays.pages
        result = ReplayResult.load(replays.b)
        made_with = Settings(result.knobs, result.policy, result.profile, None)
        other = Variant(
            name="pages_to_scan 800",
            settings=made_with,
            traces=(),
            source=replays.b,
            progress=Progress.DONE,
            found=Found(result=result),
        )
        session.variants.append(other)
        session.choose(b=other)
        app.changed()
        yield app, pilot
    app.clean_up()


WALK: Final = (
    ("overview", ()),
    ("nothing-fits", ("slash", *"nobody", "enter")),
    ("workloads", ("escape", "2")),
    ("unfolded", ("right", "down")),
    ("process", ("enter",)),
    ("sharing", ("escape", "3")),
    ("contents", ("4",)),
    ("time", ("5",)),
    ("what-if", ("6", "right", "down")),
    ("compare", ("7",)),
    ("help", ("question_mark",)),
    ("an-earlier-pass", ("escape", "2", "comma", "comma")),
)
"""State → the keys that lead to it from the one before."""
APART: Final = ("opening", "error", "nothing-offered")
"""States that need an app of their own."""
STATES: Final = (*(state for state, _ in WALK), *APART)


async def walked(
    replays: Replays, size: Size, theme: Theme, plain: bool = False
) -> dict[str, Shot]:
    """Every state of WALK; of the dark theme also in light, as `light overview`."""
    found = {}
    async with opened(replays, size, theme, plain) as (app, pilot):
        for state, keys in WALK:
            await pilot.press(*keys)
            found[state] = await settled(app, pilot)
            if theme == "dark" and not plain:
                app.theme = "ksm-light"
                found[f"light {state}"] = await settled(app, pilot, rest=0)
                app.theme = "ksm-dark"
    return found


async def apart(
    replays: Replays, size: Size, theme: Theme, plain: bool = False
) -> dict[str, Shot]:
    """The states of APART."""
    found = {}
    for state, path, act in (
        ("opening", DEMO, _open),
        ("error", Path("no-such.parquet"), _opened),
        ("nothing-offered", replays.none, _opened),
    ):
        app = made(_Stopped, path, theme, plain)
        app.stopped = state == "opening"
        async with app.run_test(size=size) as pilot:
            await act(app, pilot)
            found[state] = await settled(app, pilot)
        app.clean_up()
    return found


class _Stopped(Still):
    """Opens nothing, where that is wanted."""

    stopped = False

    def work_off(self) -> None:
        if not self.stopped:
            super().work_off()


async def _opened(app: KsmApp, pilot: Pilot[int]) -> None:
    while app.view is None and app.error is None:
        await pilot.pause(0.01)


async def _open(app: KsmApp, pilot: Pilot[int]) -> None:
    """As if a replay had come so far."""
    while not app.tasks.waiting:
        await pilot.pause(0.01)
    task = app.tasks.waiting.popleft()
    task.stage, task.done, task.seconds = "scan", 0.5, 3.0
    scan = {"time_ns": 20 * 10**9, "pages_sharing": 12_000, "ksm_zero_pages": 0,
            "general_profit": 40 << 20}  # fmt: skip
    task.variant.scans = [scan, scan]
    app.tasks.current = task
    app._task_changed(task)
    app.tasks.current = task


async def settled(app: KsmApp, pilot: Pilot[int], rest: float = 0.08) -> Shot:
    """The screen once it has stopped changing, *rest* seconds from now at the least;
    without messages that go away.

    Panes follow a cursor that has rested for 0.06 seconds.
    """
    for field in app.screen.query(Input):
        field.cursor_blink = False
    app.clear_notifications()
    await pilot.pause(rest)
    before = None
    while (now := shot(app)) != before:
        before = now
        await pilot.pause(0.02)
    return now


def shot(app: KsmApp) -> Shot:
    """What the terminal is given."""
    strips = app.screen._compositor.render_strips()
    return Shot(tuple(tuple(_runs(strip)) for strip in strips))


def _runs(strip: object) -> Iterator[Run]:
    pairs = ((each.text, _bare(each.style)) for each in strip)  # type: ignore[attr-defined]
    for style, run in groupby(pairs, key=lambda pair: pair[1]):
        yield "".join(text for text, _ in run), style


def _bare(style: Style | None) -> Style:
    """What is seen of a style."""
    if style is None:
        return Style()
    return Style(
        color=style.color,
        bgcolor=style.bgcolor,
        bold=style.bold or None,
        dim=style.dim or None,
        italic=style.italic or None,
        underline=style.underline or None,
        reverse=style.reverse or None,
    )


def _names(theme: Theme) -> dict[str, str]:
    """Colour → what the palette calls it."""
    palette = {"dark": _DARK, "light": _LIGHT, "none": {}}[theme]
    return {colour: str(token) for token, colour in palette.items()}


def _inks(line: tuple[Run, ...], names: dict[str, str]) -> Iterator[str]:
    at, before = 0, "./."
    for text, style in line:
        blank = not text.strip()
        ink = _ink(style, names, blank)
        # Of a blank only the ground is seen.
        if ink != before and not (blank and _ground(ink) == _ground(before)):
            yield f"{at}:{ink}"
            before = ink
        at += len(text)


def _ground(ink: str) -> tuple[str, bool]:
    """What is seen where there is no text."""
    ground, _, signs = ink.partition("/")[2].partition("+")
    return ground, "u" in signs or "r" in signs


def _ink(style: Style, names: dict[str, str], blank: bool) -> str:
    """`accent/panel+b`; of blanks the ground alone is told."""
    ground = _named(style.bgcolor, names, "ground")
    signs = "".join(
        sign
        for sign, on in (("b", style.bold), ("d", style.dim), ("i", style.italic),
                         ("u", style.underline), ("r", style.reverse))
        if on and (not blank or sign in "ur")
    )  # fmt: skip
    front = "." if blank and not style.reverse else _named(style.color, names, "text")
    return f"{front}/{ground}{'+' if signs else ''}{signs}"


def _named(colour: Color | None, names: dict[str, str], own: str) -> str:
    if colour is None or colour.is_default:
        return "."
    found = colour.name
    if colour.triplet is not None:
        found = names.get(colour.triplet.hex, colour.triplet.hex)
    return "." if found == own else found
