"""What people call a moment of a replay: `42`, `+10`, `07:30`, `5.7 min`, `95%`."""

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import polars as pl

_NS: Final = {"ms": 1_000_000, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}
_CLOCK: Final = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{2})")
_LASTING: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h)")
_SHARE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*%")

_LONGEST: Final = 16
"""Characters of what may name a moment: no number of so many has too many digits."""


class Unclear(ValueError):  # noqa: N818 (what was said is, not what went wrong)
    """Nothing that names a moment."""


def moment_named(words: str, course: "pl.DataFrame", at: int) -> int:
    """The moment that *words* name, seen from the moment *at*; both from 0.

    *course* has a row per moment, with `full_scans`, `time_ns` and the pages saved. A
    time is the first moment not before it; a percentage, the first at which so much of
    what is saved in the end was saved. Raises Unclear.
    """
    text = words.strip().lower()
    if len(text) > _LONGEST:
        raise Unclear(f"{len(text)} characters name no moment")
    if re.fullmatch(r"[+-]\d+", text):
        return at + int(text)
    if text.isdecimal():
        return _first(course, "full_scans", int(text))
    if found := _SHARE.fullmatch(text):
        return reaching(course, float(found[1]) / 100)
    if found := _CLOCK.fullmatch(text):
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return _first(
            course, "time_ns", ((hours * 60 + minutes) * 60 + seconds) * 10**9
        )
    if found := _LASTING.fullmatch(text):
        return _first(course, "time_ns", round(float(found[1]) * _NS[found[2]]))
    raise Unclear(f"{words.strip()} names no moment: 42, +10, 07:30, 5.7 min or 95%")


def reaching(course: "pl.DataFrame", share: float) -> int:
    """The first moment at which *share* of the final savings was reached."""
    saved = course["pages_saved_zero"] + course["pages_saved_nonzero"]
    if not len(saved):
        return 0
    enough = (saved >= share * saved[-1]).arg_true()
    return int(enough[0]) if len(enough) else len(saved) - 1


def _first(course: "pl.DataFrame", column: str, value: int) -> int:
    """The first moment whose *column* is not below *value*, or the last one."""
    late = (course[column] >= value).arg_true()
    return int(late[0]) if len(late) else course.height - 1
