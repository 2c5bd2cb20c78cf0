"""Recordings: what processes did, and what the kernel's counters said then.

A recording is a JSON file (docs/recording-format.md). Everything in it is checked as it
is read: an event that cannot have happened would otherwise show up much later, as a
figure that differs.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple, get_type_hints

from analyzer.counters import KsmCounters
from analyzer.knobs import KsmKnobs
from analyzer.profile import Profile, profile_of
from analyzer.spaces import AddressSpaces, ImpossibleError
from analyzer.step import (
    OPERATIONS,
    STANDING_STILL,
    Batch,
    Contents,
    Count,
    Event,
    Exit,
    Ksmd,
    Map,
    Name,
    Page,
    Resident,
    Residents,
    Scan,
    Set,
    Switch,
    Text,
    Turn,
    UnmergeAll,
    Whole,
    addresses,
)
from traces.errors import InputError, KsmAnalyzeError

SUFFIXES: Final = (".json", ".json.gz")

GLOBAL_FIGURES: Final = tuple(n for n in KsmCounters._fields if n != "rmap_items")
"""Files of /sys/kernel/mm/ksm that are compared."""

PROCESS_FIGURES: Final = (
    "ksm_rmap_items",
    "ksm_zero_pages",
    "ksm_merging_pages",
    "ksm_process_profit",
    "ksm_merging_pages_file",
    "ksm_merge_any",
    "ksm_mergeable",
)
"""Lines of /proc/PID/ksm_stat that are compared, and the file ksm_merging_pages."""

UNLIMITED: Final = 100_000_000
"""`pages_to_scan` where a recording does not say: one wake-up is one full scan."""

_INDEXES: Final = 1 << 52
"""Pages of a 64-bit address space."""
_CONTENTS: Final = 1 << 63
_AREA: Final = 1 << 26
"""More pages in one step than anyone records: 256 GiB."""

Figures = Mapping[str, int]


class Figured(NamedTuple):
    """The figures of one moment."""

    machine: Figures
    """File of /sys/kernel/mm/ksm → its number."""
    processes: Mapping[str, Figures]
    """Living process → its figures."""


class Observation(NamedTuple):
    """What a simulated ksmd says at a moment that the recording looked at."""

    step: int
    """From 1, as in messages."""
    turn: int
    """From 1, of the step's turns."""
    figures: Figured
    seen: Figured
    """What the kernel said."""
    churned: bool
    """Memory has changed since the first turn of ksmd."""
    disturbed: bool
    """Memory has changed in the middle of a full scan, and this is the end of that
    scan or the middle of one."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation, and what the kernel said after each of its turns."""

    op: str
    what: Event | Turn
    seen: tuple[Figured, ...] = ()

    @property
    def turns(self) -> int:
        """How many records of figures it can have."""
        return self.what.n if isinstance(self.what, Turn) else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One run of a real ksmd."""

    name: str
    source: str
    """The file, for messages."""
    description: str = ""
    kernel: str
    profile: Profile
    knobs: KsmKnobs
    contents_sorted: bool = True
    """Contents sort as the bytes of their pages do, so that the kernel's trees can be
    walked."""
    steps: tuple[Step, ...]
    not_compared: frozenset[str] = field(default_factory=frozenset)
    """Figures it holds beyond those that are simulated."""


def load(path: Path) -> Recording:
    """The recording in a file, plain or gzipped.

    Raises InputError, with the step and what was expected there, for a file that is
    none.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    return parse(data, str(path), _stem(path.name))


def paths_in(folder: Path) -> list[Path]:
    """All recordings in a folder and its subfolders, in order.

    Raises InputError where there is none.
    """
    found = sorted(p for p in folder.rglob("*.json*") if p.name.endswith(SUFFIXES))
    if not found:
        raise InputError(f"{folder}: no recording there, expected {SUFFIXES[0]} files")
    return found


def shipped() -> Iterator[Recording]:
    """The recordings that come with the program, oldest kernel first."""
    root = files("analyzer") / "recordings"
    kernels = sorted(
        (f for f in root.iterdir() if f.is_dir()),
        key=lambda folder: [int(part) for part in folder.name.split(".")],
    )
    for kernel in kernels:
        for file in sorted(kernel.iterdir(), key=lambda file: file.name):
            name = f"{kernel.name}/{_stem(file.name)}"
            yield parse(file.read_bytes(), name, name)


def parse(data: bytes, where: str, name: str) -> Recording:
    """The recording in the bytes of a file; *where* names that in messages."""
    try:
        return _recording(_document(data), where, name)
    except KsmAnalyzeError as error:
        raise InputError(f"{where}: {error}", error.hint) from error


def play(recording: Recording, ksmd: Ksmd) -> Iterator[Observation]:
    """Let it all happen again on *ksmd*, a machine before its first event; yields at
    every moment at which the kernel's figures were read."""
    spaces = AddressSpaces(recording.profile.merge_any)
    past = _Past()
    for number, step in enumerate(recording.steps, 1):
        for turn in range(1, step.turns + 1):
            try:
                _happen(step.what, ksmd, spaces, past)
            except KsmAnalyzeError as error:
                where = f"{recording.source}: step {number}"
                raise InputError(f"{where}: {error}", error.hint) from error
            if step.seen:
                yield Observation(
                    step=number,
                    turn=turn,
                    figures=_figures(ksmd, spaces),
                    seen=step.seen[turn - 1],
                    churned=past.churned,
                    disturbed=past.disturbed,
                )


@dataclass
class _Past:
    """What decides how exactly a simulation without page bytes can know the present."""

    scanned: bool = False
    in_middle: bool = False
    """Of a full scan."""
    churned: bool = False
    stirred: bool = False
    """Memory has changed in the middle of some full scan."""
    stirred_now: bool = False
    """Memory has changed in the middle of this one, or of the one just ended."""

    @property
    def disturbed(self) -> bool:
        return self.stirred and (self.in_middle or self.stirred_now)

    def turn(self, ended: bool) -> None:
        if not self.in_middle:
            self.stirred_now = False
        self.scanned, self.in_middle = True, not ended

    def forget(self) -> None:
        """run=2 empties both trees."""
        self.scanned = self.in_middle = False
        self.churned = self.stirred = self.stirred_now = False

    def change(self) -> None:
        self.churned |= self.scanned
        self.stirred |= self.in_middle
        self.stirred_now |= self.in_middle


def _happen(what: Event | Turn, ksmd: Ksmd, spaces: AddressSpaces, past: _Past) -> None:
    match what:
        case Batch():
            past.turn(ended=ksmd.wake_up())
        case Scan():
            ksmd.full_scan()
            past.turn(ended=True)
        case event:
            event.happen(spaces)
            event.happen(ksmd)
            if isinstance(event, UnmergeAll):
                past.forget()
            elif not isinstance(event, STANDING_STILL):
                past.change()


def _figures(ksmd: Ksmd, spaces: AddressSpaces) -> Figured:
    processes = {}
    for proc in spaces.living:
        own = ksmd.process(proc)
        file = {"ksm_merging_pages_file": own["ksm_merging_pages"]}
        processes[proc] = {**own, **file, **spaces.figures(proc)}
    return Figured(ksmd.counters()._asdict(), processes)


# Reading: from bytes to records, everything in doubt refused.


def _stem(name: str) -> str:
    return name.removesuffix(".gz").removesuffix(".json")


def _document(data: bytes) -> dict[str, Any]:
    try:
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
        document = json.loads(data)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"is a damaged gzip file: {error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"is no recording, expected JSON: {error}") from error
    if not isinstance(document, dict) or "steps" not in document:
        raise InputError("is no recording, expected a JSON object with steps")
    return document


def _recording(document: dict[str, Any], where: str, name: str) -> Recording:
    kernel = _text(document.get("kernel"), "kernel")
    profile = profile_of(kernel)
    page_size = document.get("page_size", 4096)
    if page_size != 4096:
        raise InputError(f"page_size is {page_size!r}, expected 4096")
    knobs = _knobs(_object(document.get("knobs", {}), "knobs"))
    steps, ignored = [], set()
    spaces = AddressSpaces(profile.merge_any)
    for number, raw in enumerate(_list(document["steps"], "steps"), 1):
        try:
            step, beyond = _step(raw)
            _check(step, spaces, knobs)
        except (KsmAnalyzeError, ImpossibleError) as error:
            raise InputError(f"step {number}: {error}") from error
        steps.append(step)
        ignored |= beyond
    return Recording(
        name=name,
        source=where,
        description=str(document.get("description", "")),
        kernel=kernel,
        profile=profile,
        knobs=knobs,
        contents_sorted=_switch(document.get("contents_sorted", 1), "contents_sorted"),
        steps=tuple(steps),
        not_compared=frozenset(ignored),
    )


def _knobs(raw: dict[str, Any]) -> KsmKnobs:
    values = {name: _integer(value, name) for name, value in raw.items() if _knob(name)}
    if raw.get("advisor_mode", "none") != "none":
        raise InputError(
            f"advisor_mode is {raw['advisor_mode']!r}, expected none: a recording "
            "holds what was set, not what the advisor chose"
        )
    return KsmKnobs.from_files(
        {"pages_to_scan": str(UNLIMITED)} | {k: str(v) for k, v in values.items()}
    )


def _files(knobs: KsmKnobs) -> dict[str, str]:
    return {name: str(value) for name, value in knobs.as_files().items()}


def _knob(name: str) -> bool:
    """Whether to read a knob; False for one that is only checked."""
    if name.startswith("advisor_"):
        return False
    if name not in KsmKnobs.__slots__:
        known = ", ".join(KsmKnobs.__slots__)
        raise InputError(f"there is no knob {name!r}, expected one of: {known}")
    return True


def _step(raw: object) -> tuple[Step, set[str]]:
    """A step, and the names of its figures that are not compared."""
    step = _object(raw, "it")
    op = step.get("op")
    if not isinstance(op, str) or op not in OPERATIONS:
        known = ", ".join(OPERATIONS)
        raise InputError(f"there is no operation {op!r}, expected one of: {known}")
    made = Step(op, _record(OPERATIONS[op], step, op))
    if "observed" not in step:
        return made, set()
    observed = _list(step["observed"], "observed")
    if len(observed) != made.turns:
        raise InputError(
            f"{op} has {len(observed)} observations, expected {made.turns}"
        )
    read = [_seen(each) for each in observed]
    beyond = set().union(*(names for _, names in read))
    return replace(made, seen=tuple(seen for seen, _ in read)), beyond


def _record(kind: type[Any], raw: dict[str, Any], op: str) -> Any:
    hints, values = get_type_hints(kind), {}
    for each in fields(kind):
        if each.name in raw:
            values[each.name] = _READERS[hints[each.name]](raw[each.name], each.name)
        elif each.default is MISSING:
            raise InputError(f"{op} has no {each.name!r}, which it needs")
    return kind(**values)


def _check(step: Step, spaces: AddressSpaces, knobs: KsmKnobs) -> None:
    """Refuse what cannot have happened; *spaces* move on with the step."""
    match step.what:
        case Scan() | Batch():
            pass
        case Set(knob, value):
            if _knob(knob):
                KsmKnobs.from_files(_files(knobs) | {knob: str(value)})
        case event:
            if isinstance(event, Map) and set(event.flags) - set("mhn"):
                raise InputError(
                    f"flags are {event.flags!r}, expected letters of m, h and n"
                )
            event.happen(spaces)
    for seen in step.seen:
        for proc in seen.processes:
            if proc not in spaces.living:
                gone = " any more" if isinstance(step.what, Exit) else ""
                raise InputError(
                    f"figures of {proc!r} are observed, which is not alive{gone}"
                )


def _seen(raw: object) -> tuple[Figured, set[str]]:
    record = _object(raw, "an observation")
    machine = _object(record.get("global", {}), "global")
    processes = _object(record.get("procs", {}), "procs")
    beyond = machine.keys() - set(GLOBAL_FIGURES)
    stats = {}
    for proc, stat in processes.items():
        stat = _object(stat, f"the figures of {proc!r}")
        stats[proc] = _known(stat, PROCESS_FIGURES)
        beyond |= stat.keys() - set(PROCESS_FIGURES)
    return Figured(_known(machine, GLOBAL_FIGURES), stats), beyond


def _known(raw: dict[str, Any], names: tuple[str, ...]) -> Figures:
    return {name: _figure(raw[name], name) for name in names if name in raw}


def _figure(value: object, name: str) -> int:
    if value in ("yes", "no"):
        return int(value == "yes")
    return _integer(value, name)


def _integer(value: object, name: str) -> int:
    """A number, also one in quotation marks, as it was read from a file."""
    try:
        if isinstance(value, str | int) and not isinstance(value, bool):
            return int(value)
    except ValueError:
        pass
    raise InputError(f"{name} is {_short(value)}, expected a whole number")


def _within(low: int, high: int) -> Callable[[object, str], int]:
    def read(value: object, name: str) -> int:
        number = _integer(value, name)
        if not low <= number < high:
            raise InputError(f"{name} is {number}, expected {low} to {high - 1}")
        return number

    return read


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{name} is {_short(value)}, expected text")
    return value


def _switch(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return value
    return bool(_within(0, 2)(value, name))


def _contents(value: object, name: str) -> tuple[int | None, ...]:
    read = _within(0, _CONTENTS)
    ids = _list(value, name)
    return tuple(None if each is None else read(each, "a content") for each in ids)


def _residents(value: object, name: str) -> tuple[Resident, ...]:
    return tuple(_resident(_object(raw, "a process")) for raw in _list(value, name))


def _resident(raw: dict[str, Any]) -> Resident:
    proc = _text(raw.get("proc"), "proc")
    vpns = addresses(_numbers(raw, "vpn", 0))
    columns = [_numbers(raw, "phys", 0), _numbers(raw, "content", 0)]
    folios = _numbers(raw, "folio", -1) if "folio" in raw else (-1,) * len(vpns)
    if any(len(column) != len(vpns) for column in (*columns, folios)):
        raise InputError(f"the lists of {proc!r} are not equally long")
    if any(low >= high for low, high in pairwise(vpns)):
        raise InputError(f"the pages of {proc!r} repeat, expected distances from 1 on")
    return Resident(Name(proc), vpns, columns[0], columns[1], folios)


def _numbers(raw: dict[str, Any], name: str, low: int) -> tuple[int, ...]:
    read = _within(low, _CONTENTS)
    return tuple(read(each, name) for each in _list(raw.get(name), name))


def _object(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{name} is {_short(value)}, expected an object")
    return value


def _list(value: object, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(f"{name} is {_short(value)}, expected a list")
    return value


def _short(value: object) -> str:
    if value is None:
        return "missing"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


_READERS: Final[Mapping[Any, Callable[[object, str], Any]]] = {
    Name: _text,
    Text: _text,
    Page: _within(0, _INDEXES),
    Count: _within(1, _AREA),
    Switch: _switch,
    Whole: _within(0, 1 << 63),
    Contents: _contents,
    Residents: _residents,
}
