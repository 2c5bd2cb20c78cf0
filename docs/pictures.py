"""Makes the pictures of the docs from the shipped capture: `make pictures`.

Each is the screen after some keys, pressed as a person would; and the README's report.
Two runs make the same files.
"""

import asyncio
import os
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from click.testing import CliRunner
from rich.console import Console
from rich.text import Text

from analyzer.cli import program
from tui.app import KsmApp
from tui.picture import standalone

DOCS: Final = Path(__file__).parent
TRACE: Final = DOCS.parent / "traces" / "demo.parquet"
SIZE: Final = (120, 40)
WIDTH: Final = 104
"""Columns of the printed report."""
_REST: Final = 0.3
"""Seconds until panes that follow the cursor have followed."""


class Picture(NamedTuple):
    """What is pressed after the start."""

    keys: str = ""
    theme: str = "ksm-dark"


PICTURES: Final = {
    "overview": Picture(),
    "overview-light": Picture(theme="ksm-light"),
    "workloads": Picture("2 right down right"),
    "process": Picture("2 right down enter tab right right"),
    "sharing": Picture("3 down right right"),
    "contents": Picture("4 down"),
    "time": Picture("5 comma"),
    "what-if": Picture("6 right right right f5 backspace down down left left f5"),
    "compare": Picture("6 down down left left f5 7"),
}


async def screen(picture: Picture) -> str:
    """The screen after the picture's keys, as SVG."""
    app = KsmApp([TRACE], theme=picture.theme)
    async with app.run_test(size=SIZE) as pilot:
        while app.view is None or app.tasks.all():
            await pilot.pause(0.05)
        for key in picture.keys.split():
            await pilot.press(key)
            while app.tasks.all():
                await pilot.pause(0.05)
            await pilot.pause(_REST)
        app.clear_notifications()
        app.changed()
        await pilot.pause(_REST)
        svg = app.export_screenshot(title="ksm-analyze")
    app.clean_up()
    return standalone(svg)


def report() -> str:
    """What `ksm-analyze replay` prints, as SVG."""
    environment = {"COLUMNS": str(WIDTH), "TERM": "xterm-256color", "NO_COLOR": None}
    run = CliRunner(env=environment).invoke(program, ["replay", "--color", "always"])
    # The capture is where the program is installed, which is the maker's affair.
    printed = run.stdout.replace(f"{TRACE.parent}/", "")
    console = Console(record=True, width=WIDTH, file=StringIO())
    console.print(Text("$ ksm-analyze replay", style="bold"))
    console.print(Text.from_ansi(printed))
    return standalone(console.export_svg(title="ksm-analyze"))


def main() -> None:
    with TemporaryDirectory() as nobodys:
        # A maker's own keys, theme and calibration would show.
        os.environ |= {"XDG_CONFIG_HOME": nobodys, "XDG_STATE_HOME": nobodys}
        os.environ.pop("NO_COLOR", None)
        (DOCS / "replay.svg").write_text(report())
        for name, picture in PICTURES.items():
            path = DOCS / "pictures" / f"{name}.svg"
            path.parent.mkdir(exist_ok=True)
            path.write_text(asyncio.run(screen(picture)))
            print(path)


if __name__ == "__main__":
    main()
