"""Lines of pieces: nothing is left out without a word."""

import asyncio

import pytest
from textual.app import App, ComposeResult

from analyzer.report.cells import cells
from tui.live.status import Said, StatusLine

PIECES = [Said("run 1"), Said("pages_to_scan 100"), Said("日本 [red]\x1b")]
WHOLE = " run 1 · pages_to_scan 100 · 日本 [red]\\x1b"


class One(App[None]):
    """A line and nothing else."""

    def compose(self) -> ComposeResult:
        yield StatusLine(id="line")


def drawn(width: int) -> str:
    async def test() -> str:
        app = One()
        async with app.run_test(size=(width, 1)) as pilot:
            line = app.query_one(StatusLine)
            line.say(PIECES)
            await pilot.pause()
            return line.render_line(0).text

    return asyncio.run(test())


@pytest.mark.parametrize("width", [*range(3, 46, 3), 27, 28, 60])
def test_a_line_is_whole_or_says_that_it_is_not(width: int) -> None:
    found = drawn(width)
    assert cells(found) == width
    if found.rstrip() != WHOLE:
        assert width < cells(WHOLE)
        assert found.rstrip().endswith("…")


def test_a_line_that_just_fits() -> None:
    assert drawn(cells(WHOLE)) == WHOLE
