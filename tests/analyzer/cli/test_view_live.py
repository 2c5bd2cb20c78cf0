"""What `view --live` hands over to the screen, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest
from live_host import LiveHost, live_host

from analyzer.cli import view
from analyzer.knobs import KsmKnobs
from traces.errors import UsageError
from tui.live import app as live_app

OPTIONS: dict[str, Any] = {
    "first": None,
    "live": True,
    "theme": "ksm-light",
    "plain": True,
    "where": "web",
    "policy": None,
    "opt_in": None,
    "opt_out": None,
    "opt_in_tree": (),
    "kernel": None,
    "passes": None,
    "from_sysfs": False,
    "debug": False,
    **dict.fromkeys(KsmKnobs.__slots__),
}


class Screen:
    """An app that is only told what to show."""

    defect = error = None
    return_value = 0

    def __init__(self) -> None:
        self.told: tuple[Any, ...] = ()
        self.named: dict[str, Any] = {}

    def __call__(self, *told: Any, **named: Any) -> "Screen":
        self.told, self.named = told, named
        return self

    def run(self) -> None:
        """Nothing is drawn."""


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Screen:
    host: LiveHost = live_host(tmp_path, monkeypatch)
    made = Screen()
    monkeypatch.setattr(live_app, "LiveApp", made)
    own = KsmKnobs.from_sysfs(host.ksm)
    monkeypatch.setattr(KsmKnobs, "from_sysfs", lambda: own)
    return made


def test_without_a_file_there_is_no_prediction(screen: Screen) -> None:
    assert view._live((), OPTIONS) == 0
    assert screen.told[0] is None
    assert screen.named == {"theme": "ksm-light", "plain": True, "where": "web"}


def test_a_trace_is_replayed_as_this_host_is_set(screen: Screen) -> None:
    view._live((Path("a.parquet"),), OPTIONS)
    path, settings = screen.told
    assert path == Path("a.parquet")
    # The made-up host has use_zero_pages on.
    assert settings == (KsmKnobs(use_zero_pages=True), "captured", None, None)


def test_what_is_asked_for_wins(screen: Screen) -> None:
    asked = {"policy": "all", "pages_to_scan": 9, "kernel": "6.12"}
    view._live((Path("a.parquet"),), OPTIONS | asked)
    knobs = KsmKnobs(use_zero_pages=True, pages_to_scan=9)
    assert screen.told[1] == (knobs, "all", "6.12", None)


@pytest.mark.parametrize(
    ("files", "options", "reason"),
    [
        ((Path("a"), Path("b")), {}, "one prediction, not 2"),
        ((), {"first": "time"}, "--view has no meaning with --live"),
    ],
)
def test_what_has_no_meaning_is_refused(
    files: tuple[Path, ...], options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        view._live(files, OPTIONS | options)
