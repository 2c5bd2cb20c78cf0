"""Every view and state as it looks: text and colours, at two sizes.

UPDATE_GOLDEN=1 rewrites the files; what changed is then for `git diff` to show.
"""

import asyncio
import os
import subprocess
import sys
from difflib import unified_diff
from functools import cache
from pathlib import Path

import pytest
from screens import APART, STATES, Replays, Shot, Size, Theme, apart, walked

SNAPSHOTS = Path(__file__).parent / "snapshots"
SIZES: tuple[Size, ...] = ((80, 24), (120, 40))
IN_ASCII = ("overview", "workloads")


@cache
def shots(
    replays: Replays, size: Size, theme: Theme, plain: bool = False
) -> dict[str, Shot]:
    """All states, each walk made once."""

    async def walk() -> dict[str, Shot]:
        found = await walked(replays, size, theme, plain)
        found |= await apart(replays, size, theme, plain)
        if theme == "dark" and not plain:
            others = await apart(replays, size, "light")
            found |= {f"light {state}": shot for state, shot in others.items()}
        return found

    return asyncio.run(walk())


def drawn(replays: Replays, state: str, size: Size) -> str:
    """A snapshot: the screen, and its styles in the palette's words."""
    colour, mono = shots(replays, size, "dark"), shots(replays, size, "none")
    dark, light, none = colour[state], colour[f"light {state}"], mono[state]
    assert dark.lines() == light.lines()
    inks, lit = dark.inks("dark"), light.inks("light")
    differ = [
        mine if mine != other else "" for mine, other in zip(lit, inks, strict=True)
    ]
    return (
        _part("dark", dark.lines())
        + _part("dark: from which cell on which text/ground", _numbered(inks))
        + _part("light, where it is not as dark", _numbered(differ))
        + _part("NO_COLOR", none.lines())
        + _part(
            "NO_COLOR: from which cell on which signs", _numbered(none.inks("none"))
        )
    )


def _part(title: str, lines: list[str]) -> str:
    return "\n".join([f"== {title}", *lines]) + "\n"


def _numbered(inks: list[str]) -> list[str]:
    return [f"{number:2} {ink}" for number, ink in enumerate(inks) if ink]


def same(name: str, found: str) -> None:
    """Compare with the file of that name, or write it."""
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        SNAPSHOTS.mkdir(exist_ok=True)
        path.write_text(found)
    expected = path.read_text().splitlines()
    diff = unified_diff(expected, found.splitlines(), "expected", "found", lineterm="")
    told = "\n".join(diff)
    assert not told, told


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", STATES)
def test_screens_look_as_they_did(replays: Replays, state: str, size: Size) -> None:
    same(f"{state}-{size[0]}x{size[1]}", drawn(replays, state, size))


@pytest.mark.parametrize("state", IN_ASCII)
def test_screens_in_ascii_look_as_they_did(replays: Replays, state: str) -> None:
    found = shots(replays, SIZES[0], "dark", plain=True)[state]
    same(f"{state}-ascii", _part("ascii", found.lines()))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_without_colour_no_cell_has_any(replays: Replays, size: Size) -> None:
    for state, shot in shots(replays, size, "none").items():
        for number, line in enumerate(shot.runs):
            for text, style in line:
                for colour in (style.color, style.bgcolor):
                    known = colour is None or colour.is_default
                    assert known, (state, number, text, colour)


def test_in_ascii_no_cell_is_anything_else(replays: Replays) -> None:
    """The names in the demo are ASCII."""
    for state, shot in shots(replays, SIZES[0], "dark", plain=True).items():
        for line in shot.lines():
            assert line.isascii(), (state, line)


def test_there_is_a_snapshot_for_each_state_and_no_other() -> None:
    wanted = {f"{state}-{w}x{h}" for state in STATES for w, h in SIZES}
    wanted |= {f"{state}-ascii" for state in IN_ASCII}
    files = list(SNAPSHOTS.glob("*.txt"))
    assert {path.stem for path in files} == wanted
    assert sum(path.stat().st_size for path in files) < 1 << 20
    assert set(APART) < set(STATES)


def test_screens_do_not_depend_on_the_hash_seed(replays: Replays) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path; import screens\n"
        "paths = screens.Replays(*map(Path, sys.argv[1:]))\n"
        "async def walk():\n"
        "    async with screens.opened(paths, (120, 40)) as (app, pilot):\n"
        "        return await screens.settled(app, pilot)\n"
        "shot = asyncio.run(walk())\n"
        "print(*shot.lines(), *shot.inks('dark'), sep='\\n')"
    )
    folders = os.pathsep.join(sys.path)
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", code, *map(str, replays)],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": folders},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2", "3")
    ]
    told = [job.communicate()[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0, 0]
    assert "demo.parquet" in told[0]
    assert told[0] == told[1] == told[2]
