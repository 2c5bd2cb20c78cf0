"""Random events, the same ones for the same seed."""

import random
from dataclasses import dataclass, field
from typing import Any, Final

from analyzer.spaces import AddressSpaces, ImpossibleError
from analyzer.step import OPERATIONS

Steps = list[dict[str, Any]]

_LIVING: Final = 6
"""At most, so that a case stays quick."""
_HUGE: Final = 512


@dataclass
class Case:
    """Knobs, and steps as a recording has them."""

    seed: int
    knobs: dict[str, int] = field(default_factory=dict)
    steps: Steps = field(default_factory=list)


def case(seed: int, mid_scan: bool = False) -> Case:
    """A case of some dozens of events between full scans, or with *mid_scan* also in
    the middle of them."""
    return _Course(seed, mid_scan).run()


class _Course:
    def __init__(self, seed: int, mid_scan: bool) -> None:
        self._random = random.Random(seed)
        self._mid_scan = mid_scan
        self._made = Case(seed)
        self._spaces = AddressSpaces()
        self._named = 0
        self._pages = self._one_of(12, 30, 60)
        self._kinds = self._one_of(3, 6, 12)
        self._slow = mid_scan or self._chance(0.4)
        self._prctl = self._chance(0.3)
        self._huge = self._chance(0.15)

    def run(self) -> Case:
        self._made.knobs |= {
            "smart_scan": self._one_of(0, 0, 1),
            "use_zero_pages": self._one_of(0, 1),
            "max_page_sharing": self._one_of(2, 3, 4, 8, 256),
            "stable_node_chains_prune_millisecs": self._one_of(0, 100_000_000),
        }
        if self._slow:
            self._made.knobs["pages_to_scan"] = self._one_of(3, 7, 16, 25)
        # With nobody on its list ksmd makes no scan, and there is nothing to see.
        self._do("spawn", proc="KEEP")
        self._do("mmap", proc="KEEP", start=0, n=1, flags="mn")
        self._do("write", proc="KEEP", start=0, ids=[7_777_777])
        for _ in range(self._random.randint(1, 3)):
            self._spawn()
        for _ in range(self._random.randint(10, 40)):
            self._event()
        self._scan(3)
        return self._made

    def _event(self) -> None:
        events = {
            self._turn: 42,
            self._write: 25,
            self._discard: 7,
            self._read: 5,
            self._fork: 6,
            self._spawn: 4,
            self._exit: 4,
            self._munmap: 3,
            self._mmap: 3,
            self._offer: 6,
            self._switch: 4,
            self._toggle_prctl: 4 if self._prctl else 0,
            self._unmerge_all: 1,
            self._pause: 1,
        }
        (event,) = self._random.choices(list(events), list(events.values()))
        event()

    # What ksmd does.

    def _turn(self) -> None:
        if self._mid_scan:
            self._do("batch", n=self._random.randint(1, 4))
        elif self._slow and self._chance(0.5):
            # Figures of the middle are seen, and events come at the end.
            self._do("batch", n=self._random.randint(1, 3))
            self._scan(1)
        else:
            self._scan(self._random.randint(1, 4))

    def _scan(self, n: int) -> None:
        self._do("scan", n=n)

    def _pause(self) -> None:
        self._do("pause")

    def _switch(self) -> None:
        knob = self._one_of("smart_scan", "use_zero_pages", "prune", "pages_to_scan")
        if knob == "prune":
            value = self._one_of(0, 100_000_000)
            self._do("set", knob="stable_node_chains_prune_millisecs", value=value)
        elif knob != "pages_to_scan":
            self._do("set", knob=knob, value=self._one_of(0, 1))
        elif self._slow:
            self._do("set", knob=knob, value=self._random.randint(2, 30))

    def _unmerge_all(self) -> None:
        """max_page_sharing is not changed then: the kernel refuses it where an
        unregistered fork relative still maps a KSM page."""
        self._do("unmerge_all")

    # What processes do.

    def _spawn(self) -> None:
        if len(self._spaces.living) > _LIVING:
            return
        proc = self._name()
        self._do("spawn", proc=proc)
        if self._prctl and self._chance(0.3):
            self._do("prctl", proc=proc, value=1)
        flags = "mn" if self._chance(0.9) else "n"
        self._do("mmap", proc=proc, start=0, n=self._pages, flags=flags)
        ids = [
            self._content() if self._chance(0.7) else None for _ in range(self._pages)
        ]
        self._do("write", proc=proc, start=0, ids=ids)
        if self._huge and self._chance(0.6):
            self._do("mmap", proc=proc, start=_HUGE, n=_HUGE, flags="mh")
            ids = [self._content_from(_HUGE) for _ in range(_HUGE)]
            self._do("write", proc=proc, start=_HUGE, ids=ids)

    def _fork(self) -> None:
        if len(self._spaces.living) <= _LIVING:
            self._do("fork", proc=self._anyone(), child=self._name())

    def _exit(self) -> None:
        if len(self._spaces.living) > 2:
            self._do("exit", proc=self._anyone())

    def _write(self) -> None:
        start, n = self._range(8)
        ids = [self._content_from(start) for _ in range(n)]
        self._do("write", proc=self._anyone(), start=start, ids=ids)

    def _read(self) -> None:
        start, n = self._range(5)
        if start + n <= _HUGE:
            self._do("read", proc=self._anyone(), start=start, n=n)

    def _discard(self) -> None:
        start, n = self._range(8)
        self._do("dontneed", proc=self._anyone(), start=start, n=n)

    def _munmap(self) -> None:
        start, n = self._range(8)
        if start + n <= _HUGE:
            self._do("munmap", proc=self._anyone(), start=start, n=n)

    def _mmap(self) -> None:
        """Where nothing is, often a hole that munmap left."""
        proc = self._anyone()
        space = self._spaces.living[proc]
        holes = [
            page
            for page in range(self._pages + 4)
            if space.first_hole(page, page + 1) is not None
        ]
        if holes:
            start = end = self._random.choice(holes)
            while end in holes:
                end += 1
            flags = self._one_of("mn", "mn", "n")
            self._do("mmap", proc=proc, start=start, n=end - start, flags=flags)
            self._do("write", proc=proc, start=start, ids=[self._content()])

    def _offer(self) -> None:
        proc = self._anyone()
        whole = self._chance(0.5)
        start, n = (0, self._pages) if whole else self._range(20)
        op = self._one_of("merge", "unmerge", "unmerge")
        self._do(op, proc=proc, start=start, n=n)
        if op == "unmerge" and self._chance(0.6):
            if self._chance(0.7):
                self._turn()
            self._do("merge", proc=proc, start=start, n=n)

    def _toggle_prctl(self) -> None:
        self._do("prctl", proc=self._anyone(), value=self._one_of(0, 1))

    # Choices.

    def _do(self, op: str, **what: Any) -> None:
        """Add a step, unless it cannot happen."""
        if op not in ("scan", "batch"):
            keys = {"ids": tuple(what["ids"])} if "ids" in what else {}
            event: Any = OPERATIONS[op](**(what | keys))
            try:
                event.happen(self._spaces)
            except ImpossibleError:
                return
        self._made.steps.append({"op": op, **what})

    def _anyone(self) -> str:
        return self._random.choice([p for p in self._spaces.living if p != "KEEP"])

    def _name(self) -> str:
        self._named += 1
        return f"P{self._named}"

    def _range(self, longest: int) -> tuple[int, int]:
        if self._huge and self._chance(0.3):
            start = _HUGE + self._random.randrange(_HUGE)
            return start, self._random.randint(1, min(longest, 2 * _HUGE - start))
        start = self._random.randrange(self._pages)
        return start, self._random.randint(1, min(longest, self._pages - start))

    def _content_from(self, page: int) -> int:
        """None is zero in huge pages: where a split takes a zero page away that is in
        the unstable tree already, much hangs on the order of bytes
        (docs/model.md)."""
        return self._content() or int(page >= _HUGE)

    def _content(self) -> int:
        kinds = list(range(1, self._kinds + 1))
        rare = self._random.randrange(1000, 10**6)
        return self._random.choice([0, 0, *kinds, *kinds, rare])

    def _chance(self, part: float) -> bool:
        return self._random.random() < part

    def _one_of(self, *choices: Any) -> Any:
        return self._random.choice(choices)
