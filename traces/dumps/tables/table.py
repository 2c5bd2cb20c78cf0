"""A table of pages whose digests others computed: CSV, NDJSON or Parquet.

docs/dumps.md says what its columns are. A table is read to its end and put in order
before its first page is written, as its rows may come in any order.
"""

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from traces.dumps import hashes
from traces.dumps.digesting import Digester
from traces.dumps.dump import (
    Account,
    Announced,
    Asked,
    Epoch,
    Step,
    no_pages,
)
from traces.dumps.hashes import Hash, Hashing
from traces.dumps.source import Source
from traces.dumps.tables.fields import (
    MOST_BAD,
    PRESENCE_UNKNOWN,
    SAID_FILLED,
    SAID_ZERO,
    BadRow,
    Fields,
    Rows,
)
from traces.dumps.tables.history import History, ToldTwiceError, history
from traces.dumps.tables.records import opened_records
from traces.errors import InputError
from traces.page import PAGE_SIZE

_MOST_PAGES: Final = 1 << 32
_MOST_TIMES: Final = 1 << 16

_NEVER: Final = "pages that ksmd does not look at, by what the table says of them"
_NO_PRESENCE: Final = (
    "the table does not say which pages were present: a page of zeros in it may be one "
    "that was never touched"
)
_NO_ANON: Final = (
    "the table does not tell anonymous pages from pages of the file cache: all are "
    "taken for anonymous ones"
)
_NO_FLAGS: Final = "the table does not say which mappings were offered to ksmd"
_NO_ADDRESSES: Final = (
    "the table has no addresses: pages are numbered in the order of its rows"
)
_NO_HASH: Final = (
    "which hash made the digests is not known: compare them only with digests made "
    "alike"
)
_NO_ZERO: Final = (
    "which page is zero is not known: --zero-digest can tell, or a column named zero"
)


class Table:
    """Pages of any number of processes and times, a row for each or for a run."""

    def __init__(self, source: Source, asked: Asked) -> None:
        self.format = "table"
        self.host = self.kernel = self.captured_at = ""
        self.account = Account()
        self._path, self._layout = source.path, asked.layout
        self._records = opened_records(source, asked.layout)

    def steps(self, digester: Digester) -> Iterator[Step]:
        """All processes, then the pages of one epoch after the other."""
        fields = Fields(self._records.columns, self._records.numeric, digester.seed)
        parts: list[Rows] = []
        bad: list[BadRow] = []
        for batch in self._records.batches():
            rows, tally, wrong = fields.take(batch)
            bad += wrong
            if len(bad) >= MOST_BAD:
                break
            parts.append(rows)
            self.account.pages += tally.pages
            self.account.absent += tally.absent
            self.account.skipped[_NEVER] += tally.never
            self._check_size(fields)
            yield no_pages()
        self.account.damage = self._records.damage
        if bad:
            raise self._refusal(bad)
        if not sum(len(part.vpn) for part in parts):
            raise self._nothing()
        rows = _joined(parts)
        parts.clear()
        hashing = self.account.hashing = self._hashing(fields, rows, digester.seed)
        told = self._history(rows, fields, hashing.zero)
        self._tell(rows, told)
        self.captured_at = fields.first_date
        hosts = {process["host"] for process in told.processes}
        self.host = hosts.pop() if len(hosts) == 1 else ""
        yield from _told(told)

    def _check_size(self, fields: Fields) -> None:
        if self.account.pages > _MOST_PAGES:
            raise InputError(
                f"{self._path}: {self.account.pages} pages and more, expected at most "
                f"{_MOST_PAGES} ({_MOST_PAGES * PAGE_SIZE >> 40} TiB)"
            )
        if len(fields.times) > _MOST_TIMES:
            raise InputError(
                f"{self._path}: column {self._layout.name('time')} has more than "
                f"{_MOST_TIMES} different times, expected one for each snapshot"
            )

    def _refusal(self, bad: list[BadRow]) -> InputError:
        unit = self._records.unit
        first, *others = bad[:MOST_BAD]
        more = [f"{unit} {row}" for row in others]
        if len(bad) >= MOST_BAD:
            more.append("and perhaps more behind them")
        text = f"{self._path}: {unit} {first}"
        return InputError(text, hint="\n".join(more) or None)

    def _nothing(self) -> InputError:
        why = f" ({self.account.damage})" if self.account.damage else ""
        if self.account.pages:
            return InputError(
                f"{self._path}: {self.account.pages} pages, none of which was present "
                f"and one that ksmd looks at{why}"
            )
        return InputError(f"{self._path}: a table without rows{why}")

    def _history(self, rows: Rows, fields: Fields, zero: int) -> History:
        try:
            return history(rows, fields.groups, zero)
        except ToldTwiceError as error:
            group, address = error.group, error.vpn * PAGE_SIZE
            whose = f"process {group.process or group.pid or 'without a name'}"
            raise InputError(
                f"{self._path}: page {address:#x} of {whose!r} comes twice at one "
                "time, expected once",
                hint="columns pid, process, container and host tell processes apart, "
                "time tells snapshots apart",
            ) from error

    def _hashing(self, fields: Fields, rows: Rows, seed: int) -> Hashing:
        """Which hash it was, and what it makes of a zero page, as far as that is
        known."""
        bits = 4 * fields.digits or (32 if fields.most < 1 << 32 else 64)
        width, limits = fields.width, self.account.limits

        def word(digest: bytes) -> int:
            return int(hashes.words(digest.rjust(width, b"\0"), width, seed)[0])

        known = hashes.hashes_of(bits // 8) if bits % 8 == 0 else []
        found, zero = self._recognised(known, fields, rows, word)
        if zero is None:
            limits.append(_NO_ZERO)
        elif (rows.digest[rows.told & SAID_FILLED != 0] == zero).any():
            raise InputError(
                f"{self._path}: a page has the digest of zero pages, but false in "
                f"column {self._layout.name('zero')}"
            )
        if found is None:
            limits.append(_NO_HASH)
        if bits < 64:
            limits.append(_collisions(rows, bits))
        column = self._layout.name("digest")
        name = found.name if found else hashes.unknown_name(column, bits)
        again = "→xxh3-64" if hashes.are_hashed_again(width, seed) else ""
        return Hashing(name + again, _free(rows) if zero is None else zero)

    def _recognised(
        self,
        known: list[Hash],
        fields: Fields,
        rows: Rows,
        word: Callable[[bytes], int],
    ) -> tuple[Hash | None, int | None]:
        """Which of the *known* hashes it was, and the zero page's digest: told by the
        user or the column `zero`, by the name of the column of digests, or by a zero
        page among the others."""
        said = self._said_zero(fields, rows, word)
        if said is not None:
            return next((one for one in known if word(one.zero) == said), None), said
        named = hashes.hash_called(self._layout.name("digest"))
        for one in known:
            zero = word(one.zero)
            if one == named or (named not in known and (rows.digest == zero).any()):
                return one, zero
        return None, None

    def _said_zero(
        self, fields: Fields, rows: Rows, word: Callable[[bytes], int]
    ) -> int | None:
        """The zero page's digest as the user or the column `zero` tells it."""
        column = self._layout.name("zero")
        said = set(np.unique(rows.digest[rows.told & SAID_ZERO != 0]).tolist())
        if given := self._layout.zero_digest:
            expected = fields.digits or len(given)
            if len(given) != expected or (not fields.digits and int(given, 16) >> 64):
                raise InputError(
                    f"{self._path}: digests of {fields.digits or 16} digits, but "
                    f"--zero-digest has {len(given)}"
                )
            said.add(word(bytes.fromhex(given.rjust(2 * fields.width, "0"))))
        if len(said) > 1:
            raise InputError(
                f"{self._path}: pages of {len(said)} digests are said to be zero, by "
                f"column {column}{' and --zero-digest' if given else ''}, expected one"
            )
        return said.pop() if said else None

    def _tell(self, rows: Rows, told: History) -> None:
        columns, limits = self._records.columns, self.account.limits
        assert self.account.hashing is not None
        unsure = rows.told[rows.digest == self.account.hashing.zero] & PRESENCE_UNKNOWN
        if unsure.any():
            limits.append(_NO_PRESENCE)
        if not {"anon", "eligible"} & set(columns):
            limits.append(_NO_ANON)
        if "vma_flags" not in columns:
            limits.append(_NO_FLAGS)
        if "addr" not in columns:
            limits.append(_NO_ADDRESSES)
        if rows.frame is None:
            return
        known = np.count_nonzero(told.frame >= 0)
        if torn := np.count_nonzero(rows.frame >= 0) - known:
            limits.append(
                f"{torn} pages are said to be in frames that hold several contents at "
                "one time: which physical page they are is not known"
            )


def _told(told: History) -> Iterator[Step]:
    yield Announced(told.processes, told.mappings.to_dicts())
    present = 0
    for epoch, pages in told.pages():
        while present < epoch:
            present += 1
            yield Epoch(told.times[present] - told.times[0])
        yield pages


def _joined(parts: list[Rows]) -> Rows:
    return Rows._make(
        None if column[0] is None else np.concatenate(column)
        for column in zip(*parts, strict=True)
    )


def _collisions(rows: Rows, bits: int) -> str:
    contents = len(np.unique(rows.digest))
    pairs = contents**2 / 2 ** (bits + 1)
    return (
        f"digests of {bits} bits: among {contents} contents some {pairs:.3g} pairs "
        "agree by chance and count as equal"
    )


def _free(rows: Rows) -> int:
    """A digest that no page has."""
    digest = -1
    while (rows.digest == digest).any():
        digest -= 1
    return digest
