"""What is open, and which moment of it is looked at; knows no keys and no pixels."""

from collections.abc import Hashable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from analyzer.report.escape import printable
from analyzer.report.units import bytes_text, count_text, percent_text
from traces.page import PAGE_SIZE
from tui.variant import Found, Progress, Settings, Variant

if TYPE_CHECKING:
    import polars as pl

    from analyzer.moment import Moment
    from analyzer.result import ReplayResult


class Unit(StrEnum):
    """What amounts of memory are drawn as."""

    BYTES = "bytes"
    PAGES = "pages"
    SHARE = "% of the pages offered at the end"
    """The same whole for every moment, so that moments can be compared."""


class Session:
    """The variants, which of them are A and B, and the pass cursor over A."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """Where workers write; gone when the program ends."""
        self.variants: list[Variant] = []
        self.a: Variant | None = None
        self.b: Variant | None = None
        self.unit = Unit.BYTES
        self.filter = ""
        self.marks: set[Hashable] = set()
        self.bookmarks: list[int] = []
        self._at: int | None = None
        self._moment: tuple[ReplayResult, int, Moment] | None = None
        self._course: tuple[ReplayResult, pl.DataFrame] | None = None

    @property
    def result(self) -> "ReplayResult | None":
        """The result looked at: that of A."""
        return self.a.result if self.a else None

    @property
    def count(self) -> int:
        """Moments that can be looked at: the full scans, and the end of a capture
        over time."""
        from analyzer.moment import moments

        return moments(self.result) if self.result is not None else 0

    @property
    def at(self) -> int:
        """The moment looked at, from 0; the last unless another was gone to."""
        last = max(self.count - 1, 0)
        return last if self._at is None else min(self._at, last)

    def go_to(self, at: int) -> bool:
        """Look at another moment, or the nearest there is; whether it is another."""
        before = self.at
        last = max(self.count - 1, 0)
        at = max(0, min(at, last))
        # Who stands at the end stays there while more passes come.
        self._at = None if at == last else at
        return at != before

    @property
    def at_end(self) -> bool:
        return self.at >= self.count - 1

    @property
    def moment(self) -> "Moment | None":
        """Every figure of the moment looked at."""
        from analyzer.moment import moment

        result = self.result
        if result is None or self.count == 0:
            return None
        kept = self._moment
        if kept is None or kept[0] is not result or kept[1] != self.at:
            kept = self._moment = result, self.at, moment(result, self.at)
        return kept[2]

    def name_of(self, at: int) -> str:
        """What the moment *at* is called: `pass 4`, or the end of a capture's time."""
        return f"pass {at + 1}" if at < self.passes else f"the end, at pass {at}"

    @property
    def course(self) -> "pl.DataFrame | None":
        """A row per moment."""
        from analyzer.moment import course

        result = self.result
        if result is None:
            return None
        kept = self._course
        if kept is None or kept[0] is not result:
            kept = self._course = result, course(result)
        return kept[1]

    @property
    def passes(self) -> int:
        """Full scans of A."""
        return self.result.passes.height if self.result is not None else 0

    @property
    def result_ends_in_a_pass(self) -> bool:
        """Whether nothing happened after the last full scan."""
        return self.count == self.passes

    @property
    def enough_at(self) -> int | None:
        """The moment from which on most of the savings were there and stayed."""
        from analyzer.worth import pass_of

        reached = pass_of(self.result) if self.result is not None else None
        return None if reached is None else reached - 1

    @property
    def enough_note(self) -> str:
        """The same in words."""
        from analyzer.worth import ENOUGH

        at = self.enough_at
        return "" if at is None else f"{ENOUGH:.0%} of savings at pass {at + 1}"

    @property
    def detail(self) -> Found | None:
        """Mappings, contents and pages: of the moment looked at if that is the end or
        was replayed, else of the end."""
        if self.a is None:
            return None
        return self.a.at_pass.get(self.at) or self.a.found

    @property
    def detail_result(self) -> "ReplayResult | None":
        """The result of `detail`."""
        found = self.detail
        return found.result if found is not None else None

    @property
    def detail_is_of_the_end(self) -> bool:
        """Whether `detail` is of the end although an earlier pass is looked at."""
        return not self.at_end and (self.a is None or self.at not in self.a.at_pass)

    def choose(self, a: Variant | None = None, b: Variant | None = None) -> None:
        """Make a variant A, or B; what was the other side before is not lost."""
        if a is not None:
            if a is self.b:
                self.b = self.a
            self.a = a
        if b is not None:
            if b is self.a:
                self.a = self.b
            self.b = b

    def can_be_b(self, variant: Variant) -> bool:
        """Whether *variant* can be made B: of A, B takes the place, and without a
        result there it would leave nothing to look at."""
        return variant is not self.a or bool(self.b and self.b.result is not None)

    def variant_of(self, settings: Settings) -> Variant | None:
        """The replay of A's captures by *settings*, done or on its way."""
        given_up = Progress.FAILED, Progress.CANCELLED
        for variant in self.variants:
            same = self.a is not None and variant.source == self.a.source
            if (
                same
                and variant.settings == settings
                and (variant.progress not in given_up)
            ):
                return variant
        return None

    def amount(self, pages: int) -> str:
        """So many pages in the unit chosen."""
        match self.unit:
            case Unit.BYTES:
                return bytes_text(pages * PAGE_SIZE)
            case Unit.PAGES:
                return count_text(pages)
        offered = self.pages_offered
        return percent_text(pages / offered) if offered else "-"

    @property
    def pages_offered(self) -> int:
        """Pages (mappings) offered to ksmd in A, at its end."""
        result = self.result
        return int(result.processes["pages"].sum()) if result is not None else 0

    def next_name(self, wanted: str) -> str:
        """*wanted*, numbered if a variant is called so already."""
        taken = {variant.name for variant in self.variants}
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted} ({number})", number + 1
        return name


def title_of(paths: Sequence[Path]) -> str:
    """What a capture is called on the screen."""
    return printable(" + ".join(path.name for path in paths))
