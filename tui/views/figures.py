"""Figures of a comparison in words, and whether their change is a gain."""

from analyzer.report.units import (
    bytes_text,
    count_text,
    duration_text,
    percent_text,
    profit_text,
)
from tui.look import Ink
from tui.session import Session

_PPM = 1_000_000
_BYTES = ("general_profit", "net_saved")


def figure_words(session: Session, name: str, value: int | None) -> str:
    """A figure of `Comparison`, in the unit that was chosen."""
    if value is None:
        return "-"
    if name.startswith("pages_saved"):
        return session.amount(value)
    if name in _BYTES:
        return profit_text(value)
    if name == "cpu_ppm":
        return percent_text(value / _PPM)
    if name.endswith("_ns"):
        return duration_text(value // 1_000_000)
    return count_text(value)


def change_words(session: Session, name: str, delta: int | None) -> str:
    """How much more, with its sign; `=` for none."""
    if delta is None:
        return "-"
    if not delta:
        return "="
    sign, more = "+" if delta > 0 else "-", abs(delta)
    if name in _BYTES:
        return f"{sign}{bytes_text(more)}"
    if name == "cpu_ppm":
        # The share of a share would read as -77% elsewhere on the screen.
        return f"{sign}{more / 10_000:.1f} points"
    return f"{sign}{figure_words(session, name, more)}"


def change_ink(delta: int | None, good: int) -> Ink:
    """*good* is the sign of a change for the better."""
    if not delta:
        return Ink.DIM
    return Ink.GAIN if delta * good > 0 else Ink.LOSS
