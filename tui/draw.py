"""Pictures made of cells: bars, sparks, ribbons, and text cut to a width.

Each function returns segments of exactly the width asked for, so that whoever puts
them side by side never measures. Order is kept, and of nothing nothing is drawn.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate, groupby
from typing import Final, NamedTuple

from rich.segment import Segment
from rich.style import Style

from analyzer.report.bar import apportioned
from analyzer.report.cells import cells, padded
from analyzer.report.escape import printable
from tui.look import Colour, Glyph, Ink, Look

Cells = list[Segment]

RISING: Final = " ▁▂▃▄▅▆▇█"
"""A cell filled from below, in eighths."""
ASCII_RISING: Final = " .,:-=+*#"
_GROWING: Final = " ▏▎▍▌▋▊▉█"
_GAPPED: Final = "▇"
_UPRIGHT: Final = Style(reverse=False)

HOLE: Final = 255
"""Stands for a page that is not there, in a row of page states."""

_UNITS: Final = ("", "K", "M", "G", "T", "P", "E")

_LEAST_SHOWN: Final = 0.25
"""Cells from which on a part of a table's bar is given a whole one."""


class Slice(NamedTuple):
    """One part of a bar: how much, and of what."""

    value: int
    colour: Colour


def text(
    name: str, width: int, look: Look, style: Style | None = None, right: bool = False
) -> Cells:
    """*name* made safe to print, cut with an ellipsis and filled up to *width*."""
    shown = look.clipped(printable(name), width)
    return [Segment(padded(shown, width, right), style)] if width > 0 else []


def figure(
    number: str,
    width: int,
    look: Look,
    colour: Colour = Ink.TEXT,
    bold: bool = False,
) -> Cells:
    """`9.37 GiB` to the right, its unit dim; what does not fit is `#`, never cut."""
    if width <= 0:
        return []
    if cells(number) > width:
        return [Segment("#" * width, look.style(Ink.DIM))]
    amount, space, unit = number.rpartition(" ")
    if not amount:
        amount, space, unit = number, "", ""
    room = width - cells(space + unit)
    drawn = [Segment(padded(amount, room, right=True), look.style(colour, bold=bold))]
    if unit:
        drawn.append(Segment(space + unit, look.style(Ink.DIM)))
    return drawn


def stacked(slices: Sequence[Slice], width: int, whole: int, look: Look) -> Cells:
    """A bar of *width* cells standing for *whole*, in eighths of a cell.

    In textures a part has whole cells only. What the parts leave over stays empty.
    """
    if width <= 0:
        return []
    if look.textured:
        return _filled(slices, _cells(slices, width, whole), width, look)
    ends = _ends(slices, width * 8, whole)
    return _joined(
        _eighths([_part_at(ends, x) for x in range(at, at + 8)], slices, look)
        for at in range(0, width * 8, 8)
    )


def gapped(slices: Sequence[Slice], width: int, whole: int, look: Look) -> Cells:
    """A calmer bar for the rows of a table: whole cells, a gap above them.

    A part of at least a quarter cell is given one, at the cost of the longest.
    """
    if width <= 0:
        return []
    return _filled(slices, _cells(slices, width, whole), width, look)


def spark(
    values: Sequence[float],
    width: int,
    look: Look,
    colour: Colour,
    most: float | None = None,
) -> Cells:
    """*values* as columns up to eight eighths high, the last of those that share a
    column; *most* (otherwise the largest) is as high as it gets."""
    if width <= 0:
        return []
    if not values:
        return blank(width)
    top = max(values) if most is None else most
    steps = ASCII_RISING if look.ascii else RISING
    columns = (values[last_of(at, width, len(values))] for at in range(width))
    return [
        Segment(
            "".join(steps[level(value, top, 8)] for value in columns),
            look.style(colour),
        )
    ]


def signed(
    value: float,
    width: int,
    most: float,
    look: Look,
    gain: Colour = Ink.GAIN,
    loss: Colour = Ink.LOSS,
) -> Cells:
    """A bar that grows from a middle line, to the left for a loss.

    *most* fills a side; what is not zero is at least one cell.
    """
    if width <= 0:
        return []
    left = (width - 1) // 2
    right = width - 1 - left
    side = right if value > 0 else left
    long = level(abs(value), most, side)
    bar = _area(gain if value > 0 else loss, long, look)
    line = Segment(look.glyph(Glyph.MIDDLE), look.style(Ink.LINE))
    if value > 0:
        sides = [_area(None, left, look), line, bar, _area(None, right - long, look)]
    else:
        sides = [_area(None, left - long, look), bar, line, _area(None, right, look)]
    return _nonempty(sides)


def ribbon(states: bytes, kinds: Sequence[Colour], width: int, look: Look) -> Cells:
    """The prevailing state of each slice of *states*, see `dominant`."""
    count = len(states)
    if width <= 0:
        return []
    if not count:
        return blank(width)
    slices = (
        dominant(states, *span(at, width, count), len(kinds)) for at in range(width)
    )
    return [
        _area(None if kind is None else kinds[kind], sum(1 for _ in run), look)
        for kind, run in groupby(slices)
    ]


def dominant(states: bytes, first: int, end: int, kinds: int) -> int | None:
    """The state most pages of `states[first:end]` are in, the higher number of equals.

    One byte a page, below *kinds*. None if all of them are holes: a page among
    holes is shown.
    """
    if first < end and states[first] < kinds:
        # Neighbours mostly share a state: then one count tells.
        kind = states[first]
        if states.count(kind, first, end) * 2 > end - first:
            return kind
    counts = [states.count(kind, first, end) for kind in range(kinds)]
    most = max(counts, default=0)
    return kinds - 1 - counts[::-1].index(most) if most else None


def span(at: int, width: int, count: int) -> tuple[int, int]:
    """Which of *count* things are in column *at* of *width*: first and end, never
    empty."""
    first = min(at * count // width, count - 1)
    return first, max(first + 1, (at + 1) * count // width)


def last_of(at: int, width: int, count: int) -> int:
    """The moment that column *at* of *width* shows, of *count*: each moment has as many
    columns as another, or the last of those that share a column has it."""
    if count <= width:
        return at * count // width
    return (at + 1) * count // width - 1


def level(value: float, most: float, steps: int) -> int:
    """*value* in *steps* of *most*, at least one for what is above zero."""
    if value <= 0 or most <= 0:
        return 0
    return min(max(round(min(value / most, 1) * steps), 1), steps)


def tight(value: int) -> str:
    """At most four cells: `0`, `8.7M`, `70M`, `334M`, in units of 1024."""
    size, unit = float(value), 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    if size < 9.95 and unit:
        return f"{size:.1f}{_UNITS[unit]}"
    return f"{size:.0f}{_UNITS[unit]}"


def blank(width: int) -> Cells:
    """Nothing, so wide."""
    return [Segment(" " * width)] if width > 0 else []


@lru_cache(32768)
def two_colours(rows: tuple[Colour | None, ...]) -> tuple[int, Colour | None, Colour]:
    """The cell that shows eight *rows*, bottom first, best with two colours.

    Returns how many eighths are filled from below, the colour of the rest (None for
    the ground) and of the filled part. Ties go to the lower split.
    """
    best, found = -1, (0, rows[-1], "")
    for split in range(9):
        lower, upper = rows[:split], rows[split:]
        fill, fits = _prevailing([row for row in lower if row is not None])
        rest, over = _prevailing(upper)
        if fits + over > best and (fill is None) == (split == 0):
            best, found = fits + over, (split, rest, fill or "")
    return found


def _prevailing(rows: Sequence[Colour | None]) -> tuple[Colour | None, int]:
    counts = {row: rows.count(row) for row in dict.fromkeys(rows)}
    most = max(counts, key=counts.__getitem__, default=None)
    return most, counts.get(most, 0)


def _cells(slices: Sequence[Slice], width: int, whole: int) -> list[int]:
    """Whole cells for each slice, at most *width* together."""
    values = [max(part.value, 0) for part in slices]
    whole = max(whole, sum(values))
    if not whole:
        return [0] * len(values)
    wanted = [value * width / whole for value in values]
    shares = apportioned(values, min(width, round(sum(wanted))))
    for at, size in enumerate(wanted):
        if size >= _LEAST_SHOWN and not shares[at]:
            longest = max(range(len(shares)), key=shares.__getitem__)
            if shares[longest] > 1:
                shares[longest] -= 1
            if sum(shares) < width:
                shares[at] = 1
    return shares


def _filled(
    slices: Sequence[Slice], shares: Sequence[int], width: int, look: Look
) -> Cells:
    drawn = [
        _area(part.colour, share, look)
        for part, share in zip(slices, shares, strict=True)
    ]
    return _nonempty([*drawn, _area(None, width - sum(shares), look)])


def _ends(slices: Sequence[Slice], steps: int, whole: int) -> list[int]:
    values = [max(part.value, 0) for part in slices]
    whole = max(whole, sum(values))
    return [round(end * steps / whole) if whole else 0 for end in accumulate(values)]


def _part_at(ends: Sequence[int], place: int) -> int | None:
    return next((part for part, end in enumerate(ends) if place < end), None)


def _eighths(
    parts: Sequence[int | None], slices: Sequence[Slice], look: Look
) -> Segment:
    """One cell of a bar, of the first part in it and the last."""
    colours = [None if part is None else slices[part].colour for part in parts]
    first, last = colours[0], colours[-1]
    if first == last:
        return Segment(" ", look.style(bg=first))
    filled = next(at for at, colour in enumerate(colours) if colour != first)
    return Segment(_GROWING[filled], look.style(first, last))


def _area(colour: Colour | None, width: int, look: Look) -> Segment:
    """Cells of one colour in a row of a table.

    Textures are not reversed with the row they are in: a full block would look empty.
    """
    style = look.style(colour)
    if look.textured:
        style += _UPRIGHT
    if colour is None:
        return Segment(" " * width, style)
    return Segment((look.texture(colour) if look.textured else _GAPPED) * width, style)


def _joined(drawn: Iterable[Segment]) -> Cells:
    return list(Segment.simplify(drawn))


def _nonempty(drawn: Iterable[Segment]) -> Cells:
    return [segment for segment in drawn if segment.text]
