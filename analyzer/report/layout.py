"""What a report is asked to show, and the room it has for it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analyzer.expression.expression import Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The same for every format; each takes from it what concerns it."""

    by: str = "workload"
    """Which table: a key of `analyzer.report.columns.TABLES`."""
    rows: int | None = None
    """At most so many of its rows; None leaves it to the format."""
    where: "Expression | None" = None
    """Only its rows that fit; None for all."""
    width: int = 80
    """Cells of the terminal."""
    height: int | None = None
    """Lines of the terminal, so that the headline is still on it; None if endless."""
    colour: bool = False
    ascii: bool = True
    """Bars of characters every terminal, log and mail can show."""
    source: str = ""
    """What the replayed is called where its path is not to be; empty for its path."""
    hint: str = ""
    """A last line for people at a terminal: what to try next."""
