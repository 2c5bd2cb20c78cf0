"""The folder that several reports are written to, at once when all are complete."""

import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from analyzer.cli.output import check_writable
from traces.errors import OutputError


@contextmanager
def made(out_dir: Path) -> Iterator[None]:
    """*out_dir*, made if it is not there; gone again if nothing came into it."""
    there = out_dir.is_dir()
    try:
        out_dir.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError as error:
        raise OutputError(f"{out_dir}: there is no folder {out_dir.parent}") from error
    except FileExistsError as error:
        raise OutputError(f"{out_dir}: is no folder") from error
    except OSError as error:
        raise OutputError(f"{out_dir}: cannot be made: {error.strerror}") from error
    try:
        yield
    finally:
        if not there and not any(out_dir.iterdir()):
            out_dir.rmdir()


@contextmanager
def staging(beside: Path | None) -> Iterator[Path]:
    """A private folder for what is not complete, gone afterwards."""
    try:
        made = tempfile.TemporaryDirectory(
            dir=beside, prefix=".ksm-analyze.", ignore_cleanup_errors=True
        )
    except OSError as error:
        raise OutputError(f"{beside}: cannot be written: {error.strerror}") from error
    with made as folder:
        yield Path(folder)


def check_folder(out_dir: Path, names: Iterable[str], inputs: Collection[Path]) -> None:
    """Refuse before the work what would fail, or destroy an input, after it."""
    for name in names:
        check_writable(out_dir / name, *inputs)


def publish(folder: Path, names: Iterable[str], out_dir: Path) -> None:
    """Move what is complete from *folder* to where it is looked for.

    Raises OutputError where that is impossible.
    """
    try:
        for name in names:
            (folder / name).replace(out_dir / name)
    except OSError as error:
        raise OutputError(f"{out_dir}: cannot be written: {error.strerror}") from error
