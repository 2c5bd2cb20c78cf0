"""The five figures at the top of the overview, at the moment looked at."""

from typing import TYPE_CHECKING

from analyzer.counters import RMAP_ITEM_SIZE
from analyzer.report.units import (
    bytes_text,
    count_text,
    percent_text,
    profit_text,
    share_text,
)
from analyzer.worth import at_least
from tui.look import Ink, State
from tui.session import Session
from tui.widgets.kpi import Card

if TYPE_CHECKING:
    import polars as pl

    from analyzer.moment import Moment


def cards(session: Session, moment: "Moment", course: "pl.DataFrame") -> list[Card]:
    """The most important first; *course* ends with the moment."""
    return [
        _saved(session, moment, course),
        _zero(session, moment, course),
        _profit(moment, course),
        _ratio(moment, course),
        _cpu(moment, course),
    ]


def _saved(session: Session, moment: "Moment", course: "pl.DataFrame") -> Card:
    saved = moment.pages_saved_zero + moment.pages_saved_nonzero
    offered = sum(moment.composition)
    told = f"{share_text(saved, offered)} of {session.amount(offered)}"
    history = course["pages_saved_zero"] + course["pages_saved_nonzero"]
    result = session.result
    title = "Saved at least" if result is not None and at_least(result) else "Saved"
    value = session.amount(saved)
    return Card(title, value, told, State.SAVED, history.to_list(), "Saved")


def _zero(session: Session, moment: "Moment", course: "pl.DataFrame") -> Card:
    zero = moment.pages_saved_zero
    saved = zero + moment.pages_saved_nonzero
    told = f"{share_text(zero, saved)} of saved"
    history = course["pages_saved_zero"].to_list()
    return Card("Zero pages", session.amount(zero), told, State.ZERO, history, "Zero")


def _profit(moment: "Moment", course: "pl.DataFrame") -> Card:
    counters = moment.counters
    told = f"rmap_items {bytes_text(counters.rmap_items * RMAP_ITEM_SIZE)}"
    value = profit_text(counters.general_profit)
    history = course["general_profit"].to_list()
    return Card("general_profit", value, told, Ink.ACCENT, history, "profit")


def _ratio(moment: "Moment", course: "pl.DataFrame") -> Card:
    sharing, shared = moment.counters.pages_sharing, moment.counters.pages_shared
    value = f"{sharing / shared:.1f}" if shared else "-"
    told = f"{count_text(sharing)} on {count_text(shared)}"
    history = course["pages_sharing"].to_list()
    return Card("sharing / shared", value, told, State.KEPT, history, "Ratio")


def _cpu(moment: "Moment", course: "pl.DataFrame") -> Card:
    share = moment.cpu_ns / moment.time_ns if moment.time_ns else 0.0
    last = course.row(-1, named=True)
    scanned, skipped = last["scan_scanned"], last["scan_skipped"]
    told = f"scan {count_text(scanned)} skip {count_text(skipped)}"
    history = course["cpu_share"].fill_null(0).to_list()
    return Card(
        "ksmd CPU, est.", percent_text(share), told, Ink.WARNING, history, "CPU est."
    )
