"""The same in a terminal that somebody else wrote: tmux, at five sizes."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from terminal import PROGRAM, ROOT, SIZES, VIEWS, eventually

pytestmark = pytest.mark.skipif(
    shutil.which("tmux") is None, reason="tmux is not installed"
)


class Tmux:
    """A tmux server of its own."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "tmux"

    def do(self, *words: object) -> str:
        """Give a command; what it prints."""
        command = ["tmux", "-f", os.devnull, "-S", self._socket, *map(str, words)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        return done.stdout

    def wait_for(self, words: str) -> None:
        seen = ""

        def shown() -> bool:
            nonlocal seen
            seen = self.do("capture-pane", "-p")
            return words in seen

        eventually(shown, words, lambda: seen)

    def flags(self) -> list[str]:
        """Whether the other screen, the cursor and the mouse are on."""
        names = ("alternate_on", "cursor_flag", "mouse_any_flag")
        asked = " ".join(f"#{{{name}}}" for name in names)
        return self.do("display-message", "-p", asked).split()


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    """It is gone afterwards."""
    server = Tmux(tmp_path)
    yield server
    server.do("kill-server")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_views_are_walked_in_tmux(
    tmux: Tmux,
    result: Path,
    environment: dict[str, str],
    tmp_path: Path,
    size: tuple[int, int],
) -> None:
    columns, rows = size
    script = tmp_path / "script"
    script.write_text(
        f"""cd {ROOT}; settings=$(stty -g)
        {shlex.join([sys.executable, *PROGRAM, "view", str(result)])}
        echo code $?; [ "$settings" = "$(stty -g)" ] && echo restored; read wait"""
    )
    given = [f"{name}={value}" for name, value in environment.items()]
    size_of_the_window = ("-x", columns, "-y", rows)
    begun = ("env", "-u", "COLUMNS", "-u", "LINES", *given, "sh", script)
    tmux.do("new-session", "-d", *size_of_the_window, *begun)
    tmux.do("set", "-g", "status", "off")
    tmux.wait_for("Saved")
    assert tmux.flags()[:2] == ["1", "0"]
    for key, words in VIEWS.items():
        tmux.do("send-keys", "Tab", key)
        tmux.wait_for(words)
    tmux.do("send-keys", "q")
    tmux.wait_for("code 0\nrestored")
    assert tmux.flags() == ["0", "1", "0"]
