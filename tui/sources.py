"""What was named on the command line, opened: a capture to replay, or a result."""

from dataclasses import dataclass
from pathlib import Path

from analyzer.report.escape import printable
from tui.variant import Found, Progress, Settings, Variant


@dataclass(frozen=True, slots=True)
class Opened:
    """A variant, finished if it is of a saved result."""

    variant: Variant


def opened(path: Path, settings: Settings) -> Opened:
    """Raises InputError for a file that is neither a trace nor a saved result.

    Called beside the screen, as the first that needs them loads the libraries that
    read files.
    """
    from analyzer.result import ReplayResult
    from traces.schema import KIND_KEY
    from traces.table import open_parquet

    with open_parquet(path) as file:
        kind = (file.metadata.metadata or {}).get(KIND_KEY)
    name = printable(path.name.removesuffix(".parquet"))
    if kind != b"result":
        return Opened(
            Variant(name=name, settings=settings, traces=(path,), source=path)
        )
    result = ReplayResult.load(path)
    made_with = Settings(result.knobs, result.policy, result.profile, None)
    trace = Path(result.trace.path)
    return Opened(
        Variant(
            name=name,
            settings=made_with,
            # The capture may have moved; then what was saved can only be looked at.
            traces=(trace,) if trace.is_file() else (),
            source=path,
            progress=Progress.DONE,
            found=Found(result=result),
        )
    )
