"""The file that keeps what a screen has no room for: tracebacks and failed jobs."""

import os
import time
import traceback
from pathlib import Path


def log_path() -> Path:
    """Where it is: the user's state folder."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "ksm-analyze" / "view.log"


def write_down(text: str) -> Path | None:
    """Append *text* with the time, for its owner only; None where that is impossible.

    Never fails: it is called when something else has.
    """
    path = log_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "a", encoding="utf-8") as file:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
            file.write(f"{stamp} {text.rstrip()}\n")
    except OSError:
        return None
    return path


def write_down_error(error: BaseException) -> Path | None:
    """Its traceback, whole."""
    return write_down("".join(traceback.format_exception(error)))
