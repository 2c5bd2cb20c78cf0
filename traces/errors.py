"""Every refusal this program can give, as one family.

Imports nothing, so that the command line can name these errors without
loading what raises them.
"""


class KsmAnalyzeError(Exception):
    """A condition the user can act on; *hint* says how, on a second line."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(KsmAnalyzeError):
    """What was asked for contradicts itself or names something unknown."""


class InputError(KsmAnalyzeError):
    """An input is missing, unreadable, not permitted or not what it claims."""


class OutputError(KsmAnalyzeError):
    """A result could not be written."""


class NotComparableError(KsmAnalyzeError):
    """Inputs that cannot be put side by side, such as digests of two seeds."""


class DefectError(KsmAnalyzeError):
    """A part of this program ended and did not say why."""
