"""One source, from its file to its report: read or converted, replayed, drawn."""

import shlex
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from analyzer.batch.sources import DUMP, RESULT, Origin, kind_of
from analyzer.knobs import KsmKnobs
from analyzer.policy import MergePolicy
from analyzer.report.batch.entry import Entry, entry_of, failed
from analyzer.report.document import document
from analyzer.report.layout import Layout
from analyzer.result import ReplayResult
from traces.dumps.conversion import Conversion, Settings
from traces.errors import KsmAnalyzeError, OutputError, UsageError
from traces.table import replacing


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaying:
    """How to replay every source."""

    knobs: KsmKnobs
    policy: MergePolicy
    passes: int | None
    kernel: str | None
    asked: tuple[str, ...]
    """The options among these that were given; a saved result has its own."""
    strict: bool
    """Refuse a truncated dump."""
    contents: int
    """Rows of contents to keep."""
    detail: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """How to draw every report."""

    form: str
    layout: Layout
    options: tuple[str, ...]
    """What a command line says beside the source to make the same again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One source of several."""

    origin: Origin
    replaying: Replaying
    drawing: Drawing | None
    """None: its figures are all that is wanted."""
    folder: Path
    """A private one, to be made, for what there is on the way."""
    report: Path
    """Where to draw it."""


def done(task: Task) -> Entry:
    """Report on one source of several; what is wrong with it is in the entry.

    Raises MemoryError, and what only a defect raises.
    """
    origin = task.origin
    try:
        task.folder.mkdir(mode=0o700)
        kind, result = replayed(origin, task.replaying, task.folder)
        entry = entry_of(origin.name, origin.path, kind, result)
        if task.drawing is None:
            return entry
        _write(drawn(origin, result, task.drawing), task.report)
        return replace(entry, report=task.report.name)
    except KsmAnalyzeError as error:
        return failed(origin.name, origin.path, str(error), error.hint)


def replayed(origin: Origin, how: Replaying, folder: Path) -> tuple[str, ReplayResult]:
    """What a source is, and the result of it: replayed, or as it was saved.

    A dump becomes a trace in *folder*, gone afterwards. Raises InputError for a source
    that cannot be read, UsageError for a saved result if it is to be replayed in
    another way, and as `analyzer.replay.run`.
    """
    kind = kind_of(origin.named)
    if kind == RESULT:
        if how.asked:
            raise UsageError(
                f"{origin.path}: a saved result has its settings already, so "
                f"{how.asked[0]} cannot hold for it",
                hint="name the trace it was made of, and it is replayed",
            )
        return kind, ReplayResult.load(origin.named.path)
    if kind == DUMP:
        return _converted(origin, how, folder)
    return kind, _run(origin.named.path, how)


def drawn(origin: Origin, result: ReplayResult, how: Drawing) -> bytes:
    """The report on one source."""
    layout = replace(how.layout, source=origin.name)
    return document(result, how.form, layout, again([origin.text], how.options))


def again(sources: Sequence[str], options: Sequence[str]) -> str:
    """The command line that reports on *sources* in the same way."""
    dashes = ["--"] if any(source.startswith("-") for source in sources) else []
    return shlex.join(["ksm-analyze", "report", *options, *dashes, *sources])


def _write(data: bytes, report: Path) -> None:
    try:
        with replacing(report) as temporary:
            temporary.write_bytes(data)
    except OutputError as error:
        # Nobody is to know of the folder it waits in.
        told = str(error).replace(str(report), report.name)
        raise OutputError(told, error.hint) from error


def _converted(
    origin: Origin, how: Replaying, folder: Path
) -> tuple[str, ReplayResult]:
    conversion = Conversion([origin.named], Settings(strict=how.strict))
    trace = folder / "trace.parquet"
    try:
        with closing(conversion.write(trace)) as steps:
            for _ in steps:
                pass
        result = _run(trace, how)
    finally:
        trace.unlink(missing_ok=True)
    (found,) = conversion.converted
    named = replace(result.trace, path=origin.path)
    return found.format, replace(result, trace=named)


def _run(path: Path, how: Replaying) -> ReplayResult:
    from analyzer.replay import run

    return run(
        [path],
        how.knobs,
        how.policy,
        passes=how.passes,
        contents=how.contents,
        kernel=how.kernel,
        detail=how.detail,
    )
