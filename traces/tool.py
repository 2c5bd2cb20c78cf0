"""What wrote a file: this program and its version."""

from importlib.metadata import PackageNotFoundError, version


def tool() -> str:
    """`ksm-analyze 1.2.3`; without the number where it is not installed."""
    try:
        return f"ksm-analyze {version('ksm-analyze')}"
    except PackageNotFoundError:
        return "ksm-analyze"
