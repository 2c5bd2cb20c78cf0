"""NO_COLOR takes every colour away, and leaves no greys in their place."""

from pathlib import Path

import pytest
from live_host import live_host
from textual.app import App
from textual.filter import Monochrome, NoColor

from tui.app import KsmApp
from tui.live.app import LiveApp


@pytest.mark.parametrize("made", [lambda: KsmApp([]), LiveApp], ids=["view", "live"])
def test_no_colour_is_left(
    made: type[App[int]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    live_host(tmp_path, monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    app = made()
    assert app.theme == "ksm-mono"
    kinds = [type(each) for each in app._filters]
    assert NoColor in kinds
    # It cannot read segments without a style, of which there are many.
    assert Monochrome not in kinds
    if isinstance(app, KsmApp):
        app.clean_up()
