"""The variants that were made, in What-if: one row each."""

from collections.abc import Sequence
from typing import Final

from rich.segment import Segment

from analyzer.report.units import duration_text, percent_text, profit_text
from analyzer.worth import cost_of, pages_merged, pages_saved
from tui.draw import Cells, figure, spark, text
from tui.look import Ink, Look, State
from tui.session import Session
from tui.variant import Progress, Variant
from tui.widgets.source import Cell, Column, Key, Source

COLUMNS: Final = [
    Column("name", "variant", 20, 0, flex=2, right=False, sortable=False),
    Column("saved", "saved", 10, 1, sortable=False),
    Column("cpu", "CPU est.", 8, 2, sortable=False),
    Column("reached", "90% est.", 9, 3, sortable=False),
    Column("course", "course", 14, 4, flex=1, right=False, sortable=False,
           pictorial=True),
    Column("profit", "profit", 10, 5, sortable=False),
    Column("zero", "zero", 10, 6, sortable=False),
]  # fmt: skip


class Variants(Source):
    """The variants as they were made."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def roots(self) -> Sequence[Key]:
        return list(self.session.variants)

    def cell(self, key: Key, column: str, width: int, look: Look) -> Cell:
        assert isinstance(key, Variant)
        if column == "name":
            return self._name(key, width, look)
        if column == "course":
            return _course(key, width, look)
        result = key.result
        if result is None:
            return "-"
        cost = cost_of(result)
        partial = "~" if key.partial else ""
        match column:
            case "saved":
                text = partial + self.session.amount(pages_saved(result))
                return figure(text, width, look, Ink.TEXT, bold=True)
            case "zero":
                return self.session.amount(result.savings.pages_saved_zero)
            case "profit":
                return profit_text(result.counters.general_profit)
            case "cpu":
                return percent_text(cost.cpu_share) if cost else "-"
        reached = cost.reached_ns.get(90) if cost else None
        return "-" if reached is None else duration_text(reached // 1_000_000)

    def _name(self, variant: Variant, width: int, look: Look) -> Cells:
        sides = ((self.session.a, "A", Ink.GAIN), (self.session.b, "B", Ink.WARNING))
        chip = Segment("   ")
        for side, letter, ink in sides:
            if variant is side:
                style = look.style(Ink.GROUND, ink, bold=True)
                chip = Segment(f" {letter} ", style)
        failed = variant.progress is Progress.FAILED
        style = look.style(Ink.LOSS if failed else Ink.TEXT)
        words = f"{variant.name}: {variant.error}" if failed else variant.name
        return [chip, *text(f" {words}", width - 3, look, style)]


def _course(variant: Variant, width: int, look: Look) -> Cells:
    """How the merging went, or how far its replay has come."""
    if variant.result is not None:
        merged = pages_merged(variant.result).to_list()
        return spark(merged, width, look, State.SAVED)
    if variant.scans:
        merged = [scan["pages_sharing"] for scan in variant.scans]
        return spark(merged, width, look, Ink.CURSOR)
    return text(str(variant.progress), width, look, look.style(Ink.DIM))
