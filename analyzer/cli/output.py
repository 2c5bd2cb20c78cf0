"""Where a report goes, and what that place can show."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from analyzer.cli.narration import note
from traces.errors import OutputError, UsageError

SUFFIXES: Final[Mapping[str, str]] = {
    ".txt": "text",
    ".json": "json",
    ".csv": "csv",
    ".md": "md",
    ".parquet": "parquet",
    ".html": "html",
    ".prom": "openmetrics",
}

_LEAST_WIDTH: Final = 20


def format_of(form: str | None, output: Path | None, formats: tuple[str, ...]) -> str:
    """What was asked for with `--format`, or else by the suffix of `-o`."""
    if form is not None:
        return form
    if output is None:
        return formats[0]
    inferred = SUFFIXES.get(output.suffix)
    if inferred not in formats:
        raise UsageError(
            f"{output}: the suffix {output.suffix!r} tells no format",
            hint=f"say --format {'|'.join(formats)}",
        )
    return inferred


def check_writable(output: Path | None, *inputs: Path) -> None:
    """Refuse before the work what would fail, or destroy an input, after it."""
    if output is None:
        return
    try:
        if not output.parent.is_dir():
            raise OutputError(f"{output}: there is no folder {output.parent}")
        if output.is_dir():
            raise OutputError(f"{output}: is a folder")
        there = output.exists()
        if there and any(_is_same(path, output) for path in inputs):
            raise UsageError(f"{output}: is an input, and would be overwritten")
        if there and not output.is_file():
            raise OutputError(f"{output}: cannot be written: it is no regular file")
    except OSError as error:
        raise OutputError(f"{output}: cannot be written: {error.strerror}") from error


def _is_same(path: Path, output: Path) -> bool:
    try:
        return path.samefile(output)
    except OSError:
        # What cannot be looked at is for its reader to refuse.
        return False


def write(report: str | bytes, output: Path | None, quiet: bool = False) -> None:
    """To stdout, or atomically to *output*, and say so unless *quiet*; raises
    OutputError where it cannot."""
    if output is None:
        _print(report)
        return
    from traces.table import replacing

    data = report.encode() if isinstance(report, str) else report
    with replacing(output) as temporary:
        temporary.write_bytes(data)
    if not quiet:
        note(f"wrote {output}")


def _print(report: str | bytes) -> None:
    # A locale without Unicode shows names by number rather than failing.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        if isinstance(report, str):
            sys.stdout.write(report)
        else:
            sys.stdout.buffer.write(report)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror
        raise OutputError(f"stdout: cannot be written: {reason}") from error


def is_terminal(output: Path | None) -> bool:
    """Whether a person will read the report as it is written."""
    return output is None and sys.stdout.isatty()


def width_of(output: Path | None) -> int:
    """Cells to draw in: COLUMNS, the terminal's own, or 80."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked):
        return max(int(asked), _LEAST_WIDTH)
    if not is_terminal(output):
        return 80
    return max(shutil.get_terminal_size().columns, _LEAST_WIDTH)


def height_of(output: Path | None) -> int | None:
    """Lines a person sees at once; None where nothing scrolls away."""
    return shutil.get_terminal_size().lines if is_terminal(output) else None


def colour_of(asked: str, output: Path | None) -> bool:
    """Whether to colour, after `--color` and the usual variables."""
    if asked != "auto":
        return asked == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("CLICOLOR_FORCE", "0") != "0" and output is None:
        return True
    return is_terminal(output) and os.environ.get("TERM", "dumb") != "dumb"


def ascii_of(colour: bool, output: Path | None) -> bool:
    """Whether bars must do without block characters."""
    if output is None and "utf" not in (sys.stdout.encoding or "").lower():
        return True
    dumb = os.environ.get("TERM", "dumb") == "dumb"
    return not colour and (dumb or not is_terminal(output))
