"""The machine in time against a slow, obvious one: random events, equal figures.

Both look pages up by content, so that chains and what happens in the middle of a scan
must agree as well; recordings tell where the kernel's trees do otherwise.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from events_reference import HUGE, Ksmd
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from analyzer.knobs import KsmKnobs
from analyzer.machine import Machine
from analyzer.profile import PROFILES, Profile

PAGES = 10
FAR = 2 * HUGE
"""Where the huge area begins."""

small = st.integers(0, PAGES - 1)
content = st.one_of(st.integers(0, 4), st.integers(0, 1), st.integers(100, 10_000))
written = st.lists(st.one_of(st.none(), content), min_size=1, max_size=PAGES)

actions = st.one_of(
    st.tuples(st.just("turn"), st.integers(1, 6)),
    st.tuples(st.just("turn"), st.integers(1, 6)),
    st.tuples(st.just("write"), small, small, written),
    st.tuples(st.just("write"), small, small, written),
    st.tuples(
        st.sampled_from(["read", "discard", "munmap", "merge", "unmerge"]),
        small,
        small,
        st.integers(1, PAGES),
    ),
    st.tuples(st.just("spawn"), st.booleans(), written),
    st.tuples(st.sampled_from(["fork", "exit"]), small),
    st.tuples(st.just("prctl"), small, st.booleans()),
    st.tuples(st.just("huge"), small, st.integers(0, HUGE - PAGES), written),
    st.tuples(
        st.just("set_knob"),
        st.sampled_from(["use_zero_pages", "smart_scan"]),
        st.integers(0, 1),
    ),
    st.tuples(st.just("sleep"), st.sampled_from([50, 200])),
    st.tuples(st.sampled_from(["pause", "unmerge_all"])),
)
nobody_left = [
    ("exit", 0),
    ("munmap", 0, 2, 2),
    ("write", 0, 4, [5, 6, 7]),
    ("prctl", 0, True),
    ("prctl", 0, False),
    ("turn", 1),
    ("prctl", 0, True),
]
"""The last step offers several areas, and wakes a ksmd whose list had run empty."""

knob_sets = st.builds(
    KsmKnobs,
    pages_to_scan=st.sampled_from([1, 3, 7, 16, 100_000]),
    max_page_sharing=st.sampled_from([2, 3, 4, 256]),
    stable_node_chains_prune_millisecs=st.sampled_from([0, 100, 100_000]),
    use_zero_pages=st.booleans(),
    smart_scan=st.booleans(),
)


class Both:
    """The machine and the reference, told the same."""

    def __init__(self, knobs: KsmKnobs, profile: Profile) -> None:
        self.sides: tuple[Any, Any] = Machine(knobs, profile), Ksmd(knobs, profile)
        self.living: list[str] = []
        self.names = iter(range(1000))

    def tell(self, what: str, *arguments: Any) -> list[Any]:
        return [getattr(side, what)(*arguments) for side in self.sides]

    def act(self, what: str, *arguments: Any) -> Iterator[None]:
        """Carry out an action, on the process it means; yields where to compare."""
        match what, arguments:
            case "turn", (n,):
                for _ in range(n):
                    ended, expected = self.tell("wake_up")
                    assert ended == expected
                    yield
            case "spawn", (mergeable, contents):
                name = self._born()
                self.tell("spawn", name)
                self.tell("mmap", name, 0, PAGES, mergeable, False)
                self.tell("write", name, 0, contents)
            case (("set_knob" | "sleep" | "pause" | "unmerge_all"), _):
                self.tell(what, *arguments)
            case _ if self.living:
                name = self.living[arguments[0] % len(self.living)]
                self._act_on(name, what, *arguments[1:])
        yield

    def _act_on(self, name: str, what: str, *arguments: Any) -> None:
        match what, arguments:
            case "write", (start, contents):
                self.tell("write", name, start, contents[: PAGES - start])
            case "munmap", (start, n):
                n = min(n, PAGES - start)
                self.tell("munmap", name, start, n)
                self.tell("mmap", name, start, n, bool(n % 2), False)
            case "fork", ():
                self.tell("fork", name, self._born())
            case "exit", ():
                self.living.remove(name)
                self.tell("exit", name)
            case "prctl", (on,):
                self.tell("prctl", name, on)
            case "huge", (at, contents):
                self.tell("munmap", name, FAR, HUGE)
                self.tell("mmap", name, FAR, HUGE, True, True)
                self.tell("write", name, FAR + at, contents)
            case _, (start, n):
                self.tell(what, name, start, min(n, PAGES - start))

    def _born(self) -> str:
        self.living.append(f"P{next(self.names)}")
        return self.living[-1]

    def compare(self) -> None:
        ours, expected = self.tell("counters")
        assert ours._asdict() == expected._asdict()
        for name in self.living:
            ours, expected = self.tell("process", name)
            assert ours == expected, name


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(knobs=KsmKnobs(pages_to_scan=4, smart_scan=False), steps=nobody_left)
@given(knobs=knob_sets, steps=st.lists(actions, min_size=4, max_size=40))
def test_equals_the_slow_reference_after_every_event(
    profile: Profile, knobs: KsmKnobs, steps: list[tuple[Any, ...]]
) -> None:
    both = Both(knobs, profile)
    for step in [("spawn", True, [1, 1, 2, 0]), ("spawn", True, [1, 2, 0]), *steps]:
        for _ in both.act(*step):
            both.compare()
