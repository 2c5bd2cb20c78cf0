"""What the process's exit code says; docs/commands/index.md lists the same."""

from enum import IntEnum

from traces.errors import (
    DefectError,
    InputError,
    KsmAnalyzeError,
    NotComparableError,
    OutputError,
    UsageError,
)


class ExitCode(IntEnum):
    """Scripts may rely on these."""

    OK = 0
    PARTIAL = 1
    """It ran, but the answer is no, or some sources failed."""
    USAGE = 2
    INPUT = 3
    """An input is missing, unreadable, not permitted or invalid, or an output
    cannot be written."""
    NOT_COMPARABLE = 4
    INTERNAL = 5
    """A defect of this program."""
    LIMIT = 6
    """Stopped by a limit: of memory, or one that was asked for."""
    INTERRUPTED = 130


def exit_code_of(error: KsmAnalyzeError) -> ExitCode:
    """The code for a refusal."""
    match error:
        case UsageError():
            return ExitCode.USAGE
        case InputError() | OutputError():
            return ExitCode.INPUT
        case NotComparableError():
            return ExitCode.NOT_COMPARABLE
        case DefectError():
            return ExitCode.INTERNAL
    return ExitCode.PARTIAL
