"""A user's own keys, theme and units; what the file cannot mean is told at once."""

import asyncio
import stat

import pytest
from flights import seen

from traces.errors import InputError
from tui.app import KsmApp
from tui.config import Config, config_path
from tui.logbook import log_path, write_down, write_down_error
from tui.look import THEMES
from tui.session import Unit


def written(text: str) -> None:
    config_path().parent.mkdir(parents=True, exist_ok=True)
    config_path().write_text(text)


def test_without_a_file_all_is_as_it_comes():
    assert Config.load(THEMES) == Config()


def test_keys_theme_and_units_are_the_users(demo):
    written(
        'theme = "ksm-light"\nunits = "pages"\n[keys]\n'
        '"app.units" = "U"\n"grid.down" = "down,ctrl+n"\n'
    )

    async def run() -> None:
        async with seen(demo, view="workloads") as pilot:
            app = pilot.app
            assert app.theme == "ksm-light"
            assert app.session.unit is Unit.PAGES
            await pilot.press("u")
            assert app.session.unit is Unit.PAGES
            await pilot.press("U")
            assert app.session.unit is Unit.SHARE
            grid = app.view.main()
            first = grid.selected
            await pilot.press("ctrl+n")
            assert grid.selected != first

    asyncio.run(run())


def test_an_option_goes_before_the_file(tmp_path):
    written('theme = "ksm-light"\n')
    app = KsmApp([tmp_path], theme="ksm-ansi")
    assert app.theme in ("ksm-ansi", "ksm-mono")
    app.clean_up()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("theme = ksm", "line 1"),
        ('theme = "ksm-drak"', "ksm-drak"),
        ('units = "furlongs"', "bytes, pages, share"),
        ('colour = "red"', "no 'colour'"),
        ('[keys]\n"app.unit" = "U"', "did you mean app.units"),
        ('[keys]\n"app.units" = 5', "expected lines like"),
        ('keys = "u"', "expected lines like"),
        ("units = [1]", "units is [1]"),
        ("theme = {}", "theme is {}"),
    ],
)
def test_what_it_cannot_mean_is_told_with_its_place(text, says):
    written(text)
    with pytest.raises(InputError, match=r"view\.toml") as error:
        Config.load(THEMES)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read_is_told():
    config_path().mkdir(parents=True)
    with pytest.raises(InputError, match=r"view\.toml"):
        Config.load(THEMES)
    config_path().rmdir()
    config_path().write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"view\.toml"):
        Config.load(THEMES)


def test_the_log_is_appended_to_and_its_owners_only(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="on purpose") as raised:
        raise ValueError("on purpose")
    assert write_down_error(raised.value) == log_path()
    assert write_down("second\n") == log_path()
    text = log_path().read_text()
    assert "Traceback" in text
    assert "on purpose" in text
    assert text.splitlines()[-1].endswith(" second")
    assert stat.S_IMODE(log_path().stat().st_mode) == 0o600


def test_the_log_fails_silently(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(blocked))
    assert write_down("lost") is None
