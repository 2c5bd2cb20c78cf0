"""`ksm-analyze calibrate`: what a page costs this host's ksmd."""

from pathlib import Path
from typing import Final

import click

from analyzer.cli.narration import working
from analyzer.cli.output import check_writable, write
from analyzer.costs import Calibration, path_of_calibration
from traces.errors import OutputError

_PAGE: Final = 4096
_FIGURES: Final = (
    ("checksum", "a first visit, or of a page that has changed"),
    ("search", "a visit that searches the trees and leaves the page unmerged"),
    ("merge", "a visit that merges the page"),
    ("merged", "a visit of a page that is merged already"),
)


@click.command("calibrate", short_help="Measure what a page costs this ksmd.")
@click.option(
    "--memory",
    type=click.IntRange(16, 4096),
    default=128,
    show_default=True,
    metavar="MIB",
    help="Size of the workloads; searches cost more in larger trees.",
)
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json is what is stored.",
)
def command(memory: int, form: str) -> None:
    """Measure ksmd's CPU time per page on this host, and keep it for this user.

    Needs root and a ksmd that nobody uses. It starts workloads of its own (unique
    pages, copies, zero pages), lets the real ksmd scan them for some seconds, and
    puts every setting back as it was.
    """
    from analyzer.live.calibration import calibrate

    path = path_of_calibration()
    _make_folder(path.parent)
    check_writable(path)
    with working("measuring ksmd"):
        calibration = calibrate(memory * 2**20 // _PAGE)
    write(calibration.as_json(), path)
    write(calibration.as_json() if form == "json" else _text(calibration), None)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error


def _text(calibration: Calibration) -> str:
    lines = [calibration.costs().source, ""]
    lines += [
        f"{name:<8}  {getattr(calibration, name):>8,.0f} ns  {what}"
        for name, what in _FIGURES
    ]
    return "\n".join(lines) + "\n"
