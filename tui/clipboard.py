"""Copies: to the terminal's clipboard, and to a file, as not every terminal has one."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from textual.app import App

if TYPE_CHECKING:
    from tui.views.view import Rows

_MOST: Final = 10_000
"""Rows that are copied; an export has all."""


def copy(app: App[int], text: str, what: str) -> None:
    """Put *text* on the clipboard (OSC 52) and into a file, and say so."""
    app.copy_to_clipboard(text)
    path = _keep(text)
    also = f"; also in {path}" if path else ""
    app.notify(f"{what} copied (OSC 52){also}", timeout=3, markup=False)


def copy_table(app: App[int], rows: "Rows") -> None:
    """The table with tabs between its columns, at most so many rows of it."""
    kept = rows.rows[:_MOST]
    lines = ["\t".join(row) for row in [rows.columns, *kept]]
    left_out = len(rows.rows) - len(kept)
    what = f"{len(kept)} rows" + (f" of {len(rows.rows)}" if left_out else "")
    copy(app, "\n".join(lines) + "\n", what)


def clip_path() -> Path:
    """The file."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ksm-analyze" / "clip.txt"


def _keep(text: str) -> Path | None:
    path = clip_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        return None
    return path
