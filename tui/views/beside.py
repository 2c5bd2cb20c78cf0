"""The draft beside A, in What-if: exact figures, or none."""

from typing import Final

from rich.segment import Segment

from analyzer.compare import compare
from analyzer.worth import at_least
from tui.draft import Draft
from tui.draw import signed
from tui.look import Ink
from tui.session import Session
from tui.variant import Variant
from tui.views.figures import change_ink, figure_words
from tui.views.prose import Page

ROWS: Final = (
    ("saved", "pages_saved", 1),
    ("  non-zero", "pages_saved_nonzero", 1),
    ("  zero", "pages_saved_zero", 1),
    ("general_profit", "general_profit", 1),
    ("pages_unshared", "pages_unshared", -1),
    ("ksmd CPU, est.", "cpu_ppm", -1),
    ("90% after, est.", "time_to_90_ns", -1),
)
"""Title, figure of `Comparison.totals`, which sign of a change is good."""


def beside_a(session: Session, draft: Draft, found: Variant | None, page: Page) -> None:
    """A's figures, the draft's where it was replayed, and the change."""
    a = session.result
    if a is None:
        return
    result = found.result if found is not None else None
    title = f"{'':<18}{'A':>11}{'draft':>12}  change"
    page.line((title, Ink.DIM))
    totals = compare(a, a if result is None else result).totals
    rows = {row["figure"]: row for row in totals.iter_rows(named=True)}
    wide = max(page.width - 18 - 11 - 12 - 11, 7)
    later = page.look.words("…")
    for title, figure_, good in ROWS:
        name = "saved at least" if title == "saved" and at_least(a) else title
        row = rows[figure_]
        words = figure_words(session, figure_, row["a"])
        drafted = figure_words(session, figure_, row["b"]) if result else later
        delta = row["delta"] if result else None
        share = delta / abs(row["a"]) if delta and row["a"] else 0.0
        ink = change_ink(delta, good)
        style = page.look.style
        page.cells(
            [
                Segment(f"{name:<18}", style(Ink.MUTED)),
                Segment(f"{words:>11}", style(Ink.MUTED)),
                Segment(f"{drafted:>12}", style(Ink.TEXT, bold=True)),
                Segment("  "),
                *signed(share, wide, 1.0, page.look, ink, ink),
                Segment(f"{_change(delta, share):>8}", style(ink)),
            ]
        )
    _say_what_is_missing(draft, found, page)


def _say_what_is_missing(draft: Draft, found: Variant | None, page: Page) -> None:
    if not draft.changed:
        page.line(("change a knob, or toggle who is offered", Ink.DIM))
    elif found is None:
        page.line(("F5", Ink.ACCENT), (" replays the draft exactly", Ink.MUTED))
    elif found.result is None:
        page.line((f"{found.progress}: {found.name}", Ink.CURSOR))


def _change(delta: int | None, share: float) -> str:
    if delta is None:
        return ""
    if not delta:
        return "="
    return f"{share * 100:+.0f}%" if share else "new"
