"""The whole host in a few figures, and as a bar beside the predicted one."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from analyzer.counters import RMAP_ITEM_SIZE
from analyzer.live.history import History
from analyzer.live.sample import Rates, Sample, pages_merged, rates
from analyzer.report.units import (
    NOTHING,
    bytes_text,
    count_text,
    percent_text,
    profit_text,
)
from tui.look import Ink, State
from tui.widgets.composition import Part
from tui.widgets.kpi import Card

if TYPE_CHECKING:
    from analyzer.counters import KsmCounters
    from analyzer.live.prediction import Prediction

Pages = Callable[[int], str]
"""How a number of pages is written."""

_RECENT: Final = 120
"""Samples that a card's spark shows."""


class Shown(NamedTuple):
    """A counter that is drawn as an area, and what it is called there."""

    counter: str
    label: str
    state: State
    rank: int
    """The highest goes first where there is no room."""


STATES: Final = (
    Shown("pages_sharing", "sharing", State.SAVED, 0),
    Shown("ksm_zero_pages", "ksm_zero", State.ZERO, 1),
    Shown("pages_shared", "shared", State.KEPT, 2),
    Shown("pages_volatile", "volatile", State.VOLATILE, 4),
    Shown("pages_unshared", "unshared", State.UNSHARED, 3),
)
"""From the floor of the chart, or from the left.

A zero page that has just given way is in pages_volatile as well, until ksmd comes by
again and frees its item.
"""


def cards(
    history: History, prediction: "Prediction | None", pages: Pages
) -> list[Card]:
    """The most important first; none before the first sample."""
    last = history.last
    if last is None:
        return []
    recent = list(history.samples)[-_RECENT:]
    foretold = prediction.counters if prediction is not None else None
    moved = history.rates()
    found = [
        _merged(recent, foretold, pages),
        _zero(recent, foretold, pages),
        _profit(recent, foretold),
        _speed(moved, pages),
        _cpu(recent, moved),
    ]
    # The place of a prediction's longer lines.
    return found if foretold is not None else [*found[:3], _ratio(last), *found[3:]]


def parts(
    counters: Mapping[str, int | None], pages: Pages, whose: str = ""
) -> list[Part]:
    """Where the pages that ksmd was shown are, as the kernel counts them; of what it
    does not tell there is no part. The first says *whose* they are."""
    return [
        Part(
            f"{'' if at else whose}{each.label}",
            value,
            pages(value),
            each.state,
            each.rank,
        )
        for at, each in enumerate(STATES)
        if (value := counters[each.counter]) is not None
    ]


def _merged(
    recent: Sequence[Sample], foretold: "KsmCounters | None", pages: Pages
) -> Card:
    value = pages_merged(recent[-1])
    subtitle, ink = "sharing + zero", Ink.DIM
    if foretold is not None:
        there = foretold.pages_sharing + foretold.ksm_zero_pages
        subtitle, ink = f"predicted {pages(there)}", Ink.CURSOR
    return Card(
        "Merged away",
        _told(value, pages),
        subtitle,
        State.SAVED,
        [pages_merged(sample) or 0 for sample in recent],
        short="Merged",
        ink=ink,
    )


def _zero(
    recent: Sequence[Sample], foretold: "KsmCounters | None", pages: Pages
) -> Card:
    subtitle, ink = "ksm_zero_pages", Ink.DIM
    if foretold is not None:
        subtitle, ink = f"predicted {pages(foretold.ksm_zero_pages)}", Ink.CURSOR
    return Card(
        "Zero pages",
        _told(recent[-1].counters["ksm_zero_pages"], pages),
        subtitle,
        State.ZERO,
        _course(recent, "ksm_zero_pages"),
        short="Zero",
        ink=ink,
    )


def _profit(recent: Sequence[Sample], foretold: "KsmCounters | None") -> Card:
    items = recent[-1].counters["rmap_items"]
    cost = _told(items, lambda count: bytes_text(count * RMAP_ITEM_SIZE))
    subtitle, ink = f"cost {cost}", Ink.DIM
    if foretold is not None:
        subtitle = f"predicted {profit_text(foretold.general_profit)}"
        ink = Ink.CURSOR
    return Card(
        "general_profit",
        _told(recent[-1].counters["general_profit"], profit_text),
        subtitle,
        Ink.ACCENT,
        _course(recent, "general_profit"),
        short="profit",
        ink=ink,
    )


def _ratio(last: Sample) -> Card:
    sharing, shared = last.counters["pages_sharing"], last.counters["pages_shared"]
    known = sharing is not None and shared is not None and shared > 0
    return Card(
        "sharing / shared",
        f"{sharing / shared:.1f}" if known and sharing and shared else NOTHING,
        f"{_told(sharing, count_text)} / {_told(shared, count_text)}",
        State.KEPT,
        short="Ratio",
    )


def _speed(moved: Rates, pages: Pages) -> Card:
    merged, scanned = moved.pages_merged, moved.pages_scanned
    value = NOTHING
    if merged is not None:
        value = f"{'+' if merged > 0 else ''}{pages(round(merged))}/s"
    seen = NOTHING if scanned is None else f"{count_text(round(scanned))}/s"
    return Card("Merging", value, f"scanned {seen}", Ink.GAIN)


def _cpu(recent: Sequence[Sample], moved: Rates) -> Card:
    shares = [rates(*pair).cpu_share or 0 for pair in pairwise(recent)]
    value = NOTHING if moved.cpu_share is None else percent_text(moved.cpu_share)
    full_scans = _told(recent[-1].counters["full_scans"], count_text)
    return Card("ksmd CPU", value, f"full_scans {full_scans}", Ink.WARNING, shares)


def _course(recent: Sequence[Sample], name: str) -> list[float]:
    return [sample.counters[name] or 0 for sample in recent]


def _told(value: int | None, text: Callable[[int], str]) -> str:
    return NOTHING if value is None else text(value)
