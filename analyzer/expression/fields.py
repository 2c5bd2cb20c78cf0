"""What an expression can name: the columns of tables, under the names people use."""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from enum import Enum
from typing import Final, NamedTuple


class Kind(Enum):
    """What a field is compared with; the value is how messages call it."""

    TEXT = "a text"
    NUMBER = "a number"
    COUNT = "a count"
    PAGES = "a size"
    """Pages, drawn as bytes."""
    PAGE_COUNT = "a count of pages"
    """Pages, drawn as a count."""
    BYTES = "an amount of bytes"
    SHARE = "a share"
    """Stored as 0 to 1."""
    DURATION = "a time"
    """Nanoseconds."""


class Field(NamedTuple):
    """A name, and the columns it stands for: the first that a table has."""

    name: str
    kind: Kind
    columns: tuple[str, ...]
    aliases: tuple[str, ...] = ()

    def column(self, columns: Collection[str]) -> str | None:
        """Which of *columns* it is, if any."""
        return next((name for name in self.columns if name in columns), None)


def _fields() -> Iterator[Field]:
    for name in ("workload", "user", "unit", "container", "pod", "vm", "host"):
        yield Field(name, Kind.TEXT, (name,))
    yield Field("cgroup", Kind.TEXT, ("cgroup",))
    yield Field("comm", Kind.TEXT, ("comm",), ("process",))
    yield Field("kind", Kind.TEXT, ("kind",))
    yield Field("name", Kind.TEXT, ("name",), ("mapping",))
    yield Field("what", Kind.TEXT, ("what",))
    yield Field("whose", Kind.TEXT, ("whose",), ("mostly_in",))
    yield Field("pid", Kind.NUMBER, ("pid",))
    yield Field("pass", Kind.NUMBER, ("full_scans",), ("full_scans",))
    for name, alias in (
        ("processes", ("procs",)),
        ("workloads", ()),
        ("mappings", ()),
        ("copies", ()),
        ("frames", ()),
        ("wakeups", ()),
    ):
        yield Field(name, Kind.COUNT, (name,), alias)
    yield Field("rmap_items", Kind.COUNT, ("ksm_rmap_items", "rmap_items"),
                ("ksm_rmap_items",))  # fmt: skip
    yield Field("chains", Kind.COUNT, ("stable_node_chains",), ("stable_node_chains",))
    yield Field("dups", Kind.COUNT, ("stable_node_dups",), ("stable_node_dups",))
    for name, column in (
        ("size", "pages"),
        ("saved", "pages_saved"),
        ("zero", "pages_saved_zero"),
        ("nonzero", "pages_saved_nonzero"),
        ("unmerged", "pages_unmerged"),
        ("captured", "pages_captured"),
        ("uncertain_zero", "uncertain_zero_pages"),
        ("uncertain", "uncertain_pages"),
        ("ideal_zero", "ideal_saved_zero"),
        ("ideal_nonzero", "ideal_saved_nonzero"),
        ("if_toggled", "ideal_if_toggled"),
    ):
        spelled = (name.replace("nonzero", "non_zero"),) if "nonzero" in name else ()
        yield Field(name, Kind.PAGES, (column,), (column, *spelled))
    for name in ("zero_pages", "fill_pages", "pages_cross"):
        yield Field(name, Kind.PAGES, (name,))
    for name, column in (
        ("merging", "ksm_merging_pages"),
        ("ksm_zero", "ksm_zero_pages"),
        ("shared", "pages_shared"),
        ("sharing", "pages_sharing"),
        ("unshared", "pages_unshared"),
        ("volatile", "pages_volatile"),
        ("split", "pages_split"),
        ("scanned", "pages_scanned"),
        ("skipped", "pages_skipped"),
    ):
        yield Field(name, Kind.PAGE_COUNT, (column,), (column,))
    yield Field("net", Kind.BYTES, ("net_saved",), ("net_saved",))
    yield Field("profit", Kind.BYTES, ("ksm_process_profit",), ("ksm_process_profit",))
    yield Field("general_profit", Kind.BYTES, ("general_profit",))
    yield Field("share", Kind.SHARE, ("share_saved",), ("share_saved",))
    yield Field("cross", Kind.SHARE, ("share_cross",), ("share_cross",))
    yield Field("time", Kind.DURATION, ("time_ns",), ("time_ns",))
    yield Field("cpu", Kind.DURATION, ("cpu_ns",), ("cpu_ns",))


FIELDS: Final[Mapping[str, Field]] = {field.name: field for field in _fields()}
"""Name → field; docs/expressions.md lists them."""

_NAMES: Final[Mapping[str, Field]] = {
    name: field for field in FIELDS.values() for name in (field.name, *field.aliases)
}

SEARCHED: Final = ("workload", "comm", "name", "kind", "what", "whose")
"""The columns in which a word alone is looked for."""


def field_of(name: str) -> Field | None:
    """The field that *name* means; its case does not matter, nor `-` or `_`."""
    return _NAMES.get(_spelled(name))


def nearest(name: str, columns: Collection[str] | None = None) -> str | None:
    """The name most like *name*, among those of a table with *columns* if given."""
    names = [
        known
        for known, field in _NAMES.items()
        if columns is None or field.column(columns)
    ]
    return next(iter(get_close_matches(_spelled(name), names, 1)), None)


def _spelled(name: str) -> str:
    return name.lower().replace("-", "_")
