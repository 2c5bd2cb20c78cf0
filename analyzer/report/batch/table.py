"""The rows of a summary for people: what each source comes to, in words."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import PurePath
from typing import Any, Final, NamedTuple

from analyzer.report.batch.entry import Batch, Entry, Figures, total
from analyzer.report.columns import Column, Unit
from analyzer.report.escape import printable
from analyzer.report.units import pages_text, share_text

APART: Final = "each source replayed on its own: what several share is in no figure"
"""What a sum over sources must be told with."""

_FEW: Final = 4
"""Names in front of a limit: as many as can be read before it."""

COLUMNS: Final[Mapping[str, tuple[Column, int]]] = {
    "source": (Column("source", Unit.NAME), 0),
    "note": (Column("note", Unit.NAME), 2),
    "pages_offered": (Column("offered", Unit.PAGES), 4),
    "pages_saved": (Column("saved", Unit.PAGES), 1),
    "saved_at_most": (Column("at most", Unit.PAGES), 3),
    "share_saved": (Column("%", Unit.SHARE), 2),
    "pages_saved_zero": (Column("zero", Unit.PAGES), 5),
    "pages_saved_nonzero": (Column("non-zero", Unit.PAGES), 7),
    "ideal_saved": (Column("ideal", Unit.PAGES), 6),
    "general_profit": (Column("profit", Unit.PROFIT), 3),
    "estimated_cpu_ns": (Column("CPU, est.", Unit.DURATION), 8),
    "full_scans_to_95_percent": (Column("95% by pass", Unit.COUNT), 9),
    "pages": (Column("captured", Unit.PAGES), 11),
    "limits": (Column("limits", Unit.COUNT), 10),
}
"""Column of a summary for people → how it looks, and its rank as in
`columns.TABLES`."""


class Row(NamedTuple):
    """A source that did not fail, or the sum of all, in words."""

    entry: Entry | None
    texts: Mapping[str, str]


def table(batch: Batch) -> list[Row]:
    """A row per source that did not fail, the one that saves most first, and the sum
    of several; escaped."""
    ranked = sorted(batch.good, key=lambda good: -_saved(good[1]))
    short = short_names([one.source for one in batch.entries])
    rows = [
        Row(
            one,
            _texts(
                {
                    **of._asdict(),
                    "source": short[one.source],
                    "limits": len(one.limits),
                    "note": _note(one),
                    "saved_at_most": _at_most(of) if _bounded(one) else None,
                }
            ),
        )
        for one, of in ranked
    ]
    if len(rows) > 1:
        summed = total(batch)._asdict()
        rows.append(Row(None, _texts({**summed, "source": f"all {len(rows)}"})))
    return rows


def _note(one: Entry) -> str:
    told = {"truncated": one.truncated, "at least": one.at_least}
    return ", ".join(word for word, holds in told.items() if holds)


def _bounded(one: Entry) -> bool:
    """Whether there is a most beside the least; of what is missing nobody knows it."""
    return one.at_least and not one.truncated


def _at_most(of: Figures) -> int:
    return of.pages_saved_zero_at_most + of.pages_saved_nonzero_at_most


def said(rows: Sequence[Row]) -> list[str]:
    """The columns that say something in any of *rows*."""
    return [name for name in COLUMNS if any(row.texts[name] for row in rows)]


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    saved = values["pages_saved_zero"] + values["pages_saved_nonzero"]
    offered = values["pages_offered"]
    known = {
        **values,
        "pages_saved": saved,
        "ideal_saved": values["ideal_saved_zero"] + values["ideal_saved_nonzero"],
        "share_saved": saved / offered if offered else None,
    }
    return {
        name: "" if known.get(name) is None else column.text(known[name])
        for name, (column, _) in COLUMNS.items()
    }


def _saved(of: Figures) -> int:
    return of.pages_saved_zero + of.pages_saved_nonzero


def headline(batch: Batch) -> str:
    """What it all comes to, in a sentence; without a stop."""
    whole = total(batch)
    saved = whole.pages_saved_zero + whole.pages_saved_nonzero
    sources = len(batch.good)
    least = "at least " if any(one.at_least for one, _ in batch.good) else ""
    told = (
        f"KSM would save {least}{pages_text(saved)} "
        f"({share_text(saved, whole.pages_offered)} of "
        f"{pages_text(whole.pages_offered)} offered) in {sources} "
        f"source{'' if sources == 1 else 's'}"
    )
    bad = len(batch.bad)
    if not sources:
        return f"all {bad} failed" if bad > 1 else "the only source failed"
    return f"{told}; {bad} failed" if bad else told


def short_names(sources: Sequence[str]) -> dict[str, str]:
    """The sources without the folder that all of them lie in: a person tells them
    apart by their ends."""
    parts = [PurePath(source).parts for source in sources]
    folders = zip(*(path[:-1] for path in parts), strict=False)
    cut = len(list(takewhile(lambda level: len(set(level)) == 1, folders)))
    if len(sources) < 2 or parts[0][:cut] == ("/",):
        return dict(zip(sources, sources, strict=True))
    short = [str(PurePath(*path[cut:])) for path in parts]
    return dict(zip(sources, short, strict=True))


def limits(batch: Batch) -> Iterator[tuple[str, str]]:
    """Each limit, and whose it is: the names of sources, or `all`; escaped."""
    short = short_names([one.source for one in batch.entries])
    whose: dict[str, list[str]] = {}
    for one, _ in batch.good:
        for limit in one.limits:
            whose.setdefault(limit, []).append(short[one.source])
    for limit, names in whose.items():
        every = len(names) == len(batch.good) > 1
        yield "all" if every else printable(_listed(names)), printable(limit)


def _listed(names: Sequence[str]) -> str:
    if len(names) <= _FEW:
        return ", ".join(names)
    return f"{', '.join(names[: _FEW - 1])} and {len(names) - _FEW + 1} others"
