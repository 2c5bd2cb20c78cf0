"""Rows of a table → arrays: every value checked, wrong ones told with their line."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from traces.dumps import hashes
from traces.dumps.layout import digits_of
from traces.dumps.tables.records import Batch
from traces.page import PAGE_SIZE

MOST_BAD: Final = 10
"""Bad rows that are told."""

PRESENCE_UNKNOWN, ANON_UNKNOWN, SAID_ZERO, SAID_FILLED = 1, 2, 4, 8
"""Bits of `Rows.told`."""

_INTEGERS: Final = {
    "addr": 0, "vma_start": 0, "vma_end": 0, "pid": 0, "frame": 0, "count": 1,
}  # fmt: skip
"""The least of each."""
_MOST: Final = {"pid": 2**31 - 1, "count": 2**32 - 1}
_MOST_ADDRESS: Final = 1 << 63
_ADDRESSES: Final = ("addr", "vma_start", "vma_end")
_BOOLEANS: Final = ("zero", "anon", "present", "eligible")
_NAMES: Final = ("process", "container", "host", "vma_name")
_WORDS: Final = {"true": True, "t": True, "yes": True, "y": True, "1": True} | {
    "false": False, "f": False, "no": False, "n": False, "0": False,
}  # fmt: skip
_NEEDED: Final = ("digest", "addr")
_SHOWN: Final = 70

# Flags of mappings that ksmd never looks at: shared, huge pages, devices, droppable.
_NEVER: Final = r"\b(sh|ms|ht|io|pf|mm|de|dp)\b"

_RFC3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)"
)


class Group(NamedTuple):
    """What rows have in common: the mapping they are of, and when."""

    time: int | None
    """Nanoseconds."""
    host: str | None
    container: str | None
    pid: int | None
    process: str | None
    vma_start: int | None
    vma_end: int | None
    vma_name: str | None
    vma_flags: str | None

    @property
    def owner(self) -> tuple[str | None, str | None, int | None, str | None]:
        """What tells processes apart."""
        return self.host, self.container, self.pid, self.process


class Rows(NamedTuple):
    """Runs of equal pages, as equally long arrays."""

    group: npt.NDArray[np.int32]
    vpn: npt.NDArray[np.int64]
    digest: npt.NDArray[np.int64]
    told: npt.NDArray[np.uint8]
    """What the row says or does not say of its pages."""
    length: npt.NDArray[np.int64] | None
    """Pages of each; None: one."""
    frame: npt.NDArray[np.int64] | None
    """-1 where it is not told; None: of none."""

    def taken(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> "Rows":
        """Some of them, or all in another order."""
        return Rows._make(None if column is None else column[rows] for column in self)


class Tally(NamedTuple):
    """Pages of some rows, by what becomes of them."""

    pages: int
    absent: int
    never: int
    """Not for ksmd to look at."""


class BadRow(NamedTuple):
    """A row that makes no sense."""

    number: int
    column: str
    value: str
    expected: str

    def __str__(self) -> str:
        shown = self.value if len(self.value) <= _SHOWN else f"{self.value[:_SHOWN]}…"
        found = repr(shown) if shown else "nothing"
        return f"{self.number}: {self.column} {found}, expected {self.expected}"


class _Check(NamedTuple):
    column: str
    wrong: pl.Expr
    expected: str


class Fields:
    """Takes a table batch by batch."""

    def __init__(self, columns: Sequence[str], numeric: bool, seed: int) -> None:
        self._columns, self._numeric, self._seed = list(columns), numeric, seed
        self._keys = [name for name in Group._fields if name in columns]
        self.groups: list[Group] = []
        self._group_of: dict[Group, int] = {}
        self._owner_of: dict[object, int] = {}
        self._owners: list[int] = []
        self._next: list[int] = []
        """Of each process and time, the page behind the last."""
        self._instants: dict[str, int | None] = {}
        self.times: set[int | None] = set()
        """All that were told."""
        self.first_date = ""
        """Of the times that are dates, the earliest: ISO 8601, UTC."""
        self.digits = 0
        """Hexadecimal digits of each digest; 0 while none was seen."""
        self.most = 0
        """The largest digest, where they are numbers."""

    @property
    def width(self) -> int:
        """Bytes of each digest."""
        return hashes.WORD if self._numeric else (self.digits + 1) // 2

    def take(self, batch: Batch) -> tuple[Rows, Tally, list[BadRow]]:
        """The rows of *batch* that stand for pages, or what is wrong with it: with bad
        rows among them the others mean nothing."""
        raw = self._cleaned(batch.frame)
        self._learn_width(raw)
        typed = raw.select(self._typed(raw))
        bad = list(islice(self._bad(raw, typed, batch.first), MOST_BAD))
        if bad:
            nothing = np.empty(0, np.int64)
            none = Rows(
                nothing.astype(np.int32), nothing, nothing, nothing.astype(np.uint8),
                None, None,
            )  # fmt: skip
            return none, Tally(0, 0, 0), bad
        return *self._rows(typed), bad

    def _cleaned(self, frame: pl.DataFrame) -> pl.DataFrame:
        plain = [name for name in self._columns if name not in _NAMES]
        stripped = frame.with_columns(pl.col(plain).str.strip_chars())
        if not self._numeric:
            digest = pl.col("digest").str.to_lowercase().str.strip_prefix("0x")
            stripped = stripped.with_columns(digest)
        everything = pl.all()
        return stripped.with_columns(
            pl.when(everything != "").then(everything).otherwise(None)
        )

    def _learn_width(self, raw: pl.DataFrame) -> None:
        if self._numeric or self.digits:
            return
        for text in raw["digest"]:
            if text and digits_of(text):
                self.digits = len(text)
                return

    def _typed(self, raw: pl.DataFrame) -> Iterator[pl.Expr]:
        for name in self._columns:
            text = pl.col(name)
            if name in _INTEGERS:
                yield _integer(name)
            elif name in _BOOLEANS:
                yield text.str.to_lowercase().replace_strict(
                    _WORDS, default=None, return_dtype=pl.Boolean
                )
            elif name == "time":
                told = self._when(raw["time"])
                yield text.replace_strict(
                    list(told), list(told.values()), default=None,
                    return_dtype=pl.Int64,
                )  # fmt: skip
            elif name == "digest" and self._numeric:
                yield text.cast(pl.UInt64, strict=False)
            elif name == "digest":
                fits = text.str.contains(rf"^[0-9a-f]{{{max(self.digits, 1)}}}$")
                padded = text.str.zfill(2 * self.width).str.decode("hex", strict=False)
                yield pl.when(fits).then(padded).alias(name)
            else:
                yield text

    def _when(self, texts: pl.Series) -> dict[str, int | None]:
        for text in texts.unique().drop_nulls():
            if text not in self._instants:
                self._instants[text] = self._instant(text)
        return self._instants or {"": None}

    def _instant(self, text: str) -> int | None:
        if re.fullmatch("[0-9]{1,19}", text):
            number = int(text)
            return number if number < _MOST_ADDRESS else None
        match = _RFC3339.fullmatch(text)
        if not match:
            return None
        day, clock, fraction, zone = match.groups()
        try:
            date = datetime.fromisoformat(f"{day}T{clock}{zone.upper()}")
            date = date.astimezone(UTC)
        except (ValueError, OverflowError):
            return None
        told = date.isoformat(timespec="seconds")
        self.first_date = min(self.first_date or told, told)
        since = date - datetime(1970, 1, 1, tzinfo=UTC)
        whole = since.days * 86_400 + since.seconds
        nanoseconds = whole * 10**9 + int((fraction or "").ljust(9, "0"))
        return nanoseconds if abs(nanoseconds) < _MOST_ADDRESS else None

    def _bad(
        self, raw: pl.DataFrame, typed: pl.DataFrame, first: int
    ) -> Iterator[BadRow]:
        """Wrong rows in order, each with the first thing that is wrong with it."""
        checks = list(self._checks())
        both = pl.concat(
            [raw.select(pl.all().name.prefix("raw_")), typed], how="horizontal"
        )
        wrong = both.select(
            check.wrong.fill_null(False).alias(str(at))
            for at, check in enumerate(checks)
        ).to_numpy()
        for row in np.flatnonzero(wrong.any(axis=1)).tolist():
            check = checks[int(wrong[row].argmax())]
            value = raw[check.column][row] or ""
            yield BadRow(first + row, check.column, value, check.expected)

    def _checks(self) -> Iterator[_Check]:
        for name in self._columns:
            told, typed = pl.col(f"raw_{name}").is_not_null(), pl.col(name).is_null()
            expected = self._expected(name)
            yield _Check(name, told & typed, expected)
            if name in _NEEDED:
                yield _Check(name, ~told, expected)
            if name in _ADDRESSES:
                unaligned = pl.col(name) % PAGE_SIZE != 0
                yield _Check(name, unaligned, f"a multiple of {PAGE_SIZE}")
        yield from self._agreements()

    def _agreements(self) -> Iterator[_Check]:
        has, addr = self._columns.__contains__, pl.col("addr")
        pages = pl.col("count").fill_null(1) if has("count") else pl.lit(1, pl.Int64)
        if has("addr"):
            # In pages, as bytes would pass what an Int64 holds.
            beyond = pages > (_MOST_ADDRESS // PAGE_SIZE) - addr // PAGE_SIZE
            yield _Check("addr", beyond, "pages below 2^63")
        if has("count") and has("frame"):
            wrong = (pages > 1) & pl.col("frame").is_not_null()
            yield _Check("count", wrong, "1 where a frame is told")
        if has("vma_start") and has("addr"):
            outside = addr < pl.col("vma_start")
            yield _Check("addr", outside, "an address from vma_start on")
        if has("vma_end") and has("addr"):
            outside = addr // PAGE_SIZE + pages > pl.col("vma_end") // PAGE_SIZE
            yield _Check("addr", outside, "pages below vma_end")

    def _expected(self, name: str) -> str:
        if name == "digest":
            if self._numeric:
                return "a whole number below 2^64"
            return f"{self.digits or '8 to 64'} hexadecimal digits" + (
                ", as in the rows before" if self.digits else ""
            )
        if name in _ADDRESSES:
            return "a decimal or 0x hexadecimal number below 2^63"
        if name in _INTEGERS:
            most = _MOST.get(name, _MOST_ADDRESS - 1)
            return f"a whole number from {_INTEGERS[name]} to {most}"
        if name == "time":
            return "nanoseconds, or RFC 3339 as in 2026-01-31T12:00:00Z"
        return "true or false"

    def _rows(self, typed: pl.DataFrame) -> tuple[Rows, Tally]:
        group = self._grouped(typed)
        count = (
            typed["count"].fill_null(1).to_numpy() if "count" in self._columns else None
        )
        pages = np.ones(len(group), np.int64) if count is None else count
        rows = Rows(
            group=group,
            vpn=self._vpns(typed, group, pages),
            digest=self._digests(typed["digest"]),
            told=self._told(typed),
            length=count,
            frame=typed["frame"].fill_null(-1).to_numpy()
            if "frame" in self._columns
            else None,
        )
        absent, never = self._left_out(typed)
        tally = Tally(
            int(pages.sum()), int(pages[absent].sum()), int(pages[never].sum())
        )
        if tally.absent or tally.never:
            rows = rows.taken(~(absent | never))
        return rows, tally

    def _grouped(self, typed: pl.DataFrame) -> npt.NDArray[np.int32]:
        if not self._keys:
            self._number({})
            return np.zeros(typed.height, np.int32)
        keys = typed.select(self._keys)
        unique = keys.unique(maintain_order=True)
        numbers = [self._number(row) for row in unique.iter_rows(named=True)]
        numbered = unique.with_columns(pl.Series("number", numbers, pl.Int32))
        return keys.join(
            numbered, on=self._keys, how="left", nulls_equal=True,
            maintain_order="left",
        )["number"].to_numpy()  # fmt: skip

    def _number(self, row: dict[str, int | str | None]) -> int:
        group = Group._make(row.get(name) for name in Group._fields)
        number = self._group_of.setdefault(group, len(self.groups))
        if number == len(self.groups):
            self.groups.append(group)
            self.times.add(group.time)
            owner = self._owner_of.setdefault(
                (group.time, *group.owner), len(self._owner_of)
            )
            self._owners.append(owner)
            self._next += [0] * (owner + 1 - len(self._next))
        return number

    def _vpns(
        self,
        typed: pl.DataFrame,
        group: npt.NDArray[np.int32],
        pages: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        """Page numbers; where no address is told, in the order of the rows."""
        if "addr" in self._columns:
            return typed["addr"].to_numpy() // PAGE_SIZE
        owner = np.array(self._owners)[group]
        order = np.argsort(owner, kind="stable")
        behind = np.cumsum(pages[order])
        starts = np.flatnonzero(np.diff(owner[order], prepend=-1))
        runs = np.diff(np.append(starts, len(order)))
        before = behind[starts] - pages[order[starts]]
        owners = owner[order[starts]].tolist()
        base = np.array([self._next[one] for one in owners], np.int64) - before
        vpn = np.empty(len(group), np.int64)
        vpn[order] = behind - pages[order] + np.repeat(base, runs)
        for one, end in zip(owners, (starts + runs).tolist(), strict=True):
            last = order[end - 1]
            self._next[one] = int(vpn[last] + pages[last])
        return vpn

    def _digests(self, digest: pl.Series) -> npt.NDArray[np.int64]:
        if self._numeric:
            numbers = digest.to_numpy()
            self.most = max(self.most, int(numbers.max(initial=0)))
            return hashes.words(
                numbers.astype(">u8").tobytes(), hashes.WORD, self._seed
            )
        return hashes.words(b"".join(digest), self.width, self._seed)

    def _told(self, typed: pl.DataFrame) -> npt.NDArray[np.uint8]:
        """What of `PRESENCE_UNKNOWN` and so on is true of each row."""
        told = np.zeros(typed.height, np.uint8)
        sure = self._is(typed, "eligible", True)
        if "present" in self._columns:
            unsure = ~self._is(typed, "present", True)
        else:
            unsure = np.ones(typed.height, bool)
        told[unsure & ~sure] |= PRESENCE_UNKNOWN
        if "anon" in self._columns:
            told[~self._is(typed, "anon", True) & ~sure] |= ANON_UNKNOWN
        told[self._is(typed, "zero", True)] |= SAID_ZERO
        told[self._is(typed, "zero", False)] |= SAID_FILLED
        return told

    def _left_out(
        self, typed: pl.DataFrame
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Rows of pages that were not there, and of others that ksmd looks not at."""
        absent = self._is(typed, "present", False)
        never = self._is(typed, "anon", False) | self._is(typed, "eligible", False)
        if "vma_flags" in self._columns:
            never |= typed["vma_flags"].str.contains(_NEVER).fill_null(False).to_numpy()
        return absent, never & ~absent

    def _is(
        self, typed: pl.DataFrame, column: str, value: bool
    ) -> npt.NDArray[np.bool_]:
        if column not in self._columns:
            return np.zeros(typed.height, bool)
        return (typed[column] == value).fill_null(False).to_numpy()


def _integer(name: str) -> pl.Expr:
    """Decimal or 0x hexadecimal text → Int64; null where it is neither, or too much."""
    text = pl.col(name)
    hexadecimal = text.str.slice(2).str.to_integer(base=16, strict=False)
    decimal = text.cast(pl.Int64, strict=False)
    number = (
        pl.when(text.str.contains("^0[xX][0-9a-fA-F]+$"))
        .then(hexadecimal)
        .when(text.str.contains("^[0-9]+$"))
        .then(decimal)
    )
    within = number.is_between(_INTEGERS[name], _MOST.get(name, _MOST_ADDRESS - 1))
    return pl.when(within).then(number).alias(name)
