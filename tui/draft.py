"""What is being tried out in What-if: knobs turned, workloads and processes toggled."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Final

from analyzer.expression.pattern import exactly
from analyzer.knobs import ADVISOR_MODES, KsmKnobs
from analyzer.policy import MergePolicy, Offer, Uncertain
from tui.variant import Settings
from tui.widgets.dials import Dial

POLICY: Final = "policy"
"""The dial that says who is offered before anybody is toggled."""
UNCERTAIN: Final = "uncertain"
"""The dial that says what becomes of pages that may not count."""

_PRESETS: Final[Mapping[str, tuple[int, ...]]] = {
    "pages_to_scan": (100, 200, 400, 800, 1600, 3200, 6400, 12800),
    "sleep_millisecs": (0, 5, 10, 20, 50, 100, 200, 500),
    "max_page_sharing": (2, 16, 64, 256, 1024, 4096),
    "stable_node_chains_prune_millisecs": (0, 500, 2000, 8000),
    "advisor_max_cpu": (5, 10, 20, 50, 70, 100),
    "advisor_min_pages_to_scan": (100, 500, 1000, 2000),
    "advisor_max_pages_to_scan": (5000, 10000, 30000, 100000),
    "advisor_target_scan_time": (60, 120, 200, 400, 800),
}
_UNITS: Final[Mapping[str, str]] = {
    "pages_to_scan": "pages a wake-up",
    "sleep_millisecs": "ms",
    "max_page_sharing": "mappings",
    "stable_node_chains_prune_millisecs": "ms",
    "advisor_max_cpu": "% CPU",
    "advisor_target_scan_time": "s",
}
_SWITCH: Final = ("off", "on")


@dataclass(slots=True)
class Draft:
    """Settings on their way from A's to a variant's."""

    base: Settings
    knobs: KsmKnobs
    offer: str
    uncertain: str
    workloads: dict[str, bool] = field(default_factory=dict)
    """Toggled workload → whether it is offered now."""
    processes: dict[int, bool] = field(default_factory=dict)
    """Toggled pid → whether it is offered now."""

    @classmethod
    def of(cls, base: Settings) -> "Draft":
        policy = MergePolicy.parse(base.policy)
        return cls(base, base.knobs, str(policy.offer), str(policy.uncertain))

    def dials(self, uncertain: bool = False) -> list[Dial]:
        """Every knob, who is offered before anybody is toggled, and, where there are
        *uncertain* pages, what becomes of them."""
        before = MergePolicy.parse(self.base.policy)
        dials = [
            *(_dial(name, self.knobs, self.base.knobs) for name in _names()),
            Dial(POLICY, tuple(Offer), self.offer, str(before.offer), "offered"),
        ]
        if uncertain:
            ways, way = tuple(Uncertain), str(before.uncertain)
            dials.append(Dial(UNCERTAIN, ways, self.uncertain, way, "pages"))
        return dials

    def turn(self, name: str, value: str) -> None:
        """Set a knob or the policy. Raises UsageError for what a kernel refuses."""
        if name == POLICY:
            self.offer = value
            self.workloads.clear()
            self.processes.clear()
            return
        if name == UNCERTAIN:
            self.uncertain = value
            return
        files = {key: str(held) for key, held in self.knobs.as_files().items()}
        number = str(_SWITCH.index(value)) if value in _SWITCH else value
        self.knobs = KsmKnobs.from_files(files | {name: number})

    def settings(self) -> Settings:
        """What is to be replayed."""
        return self.base._replace(knobs=self.knobs, policy=str(self._policy()))

    def title(self) -> str:
        """What is tried out, in few words; may hold names from outside."""
        told = self.base._replace(knobs=self.knobs).changes(self.base)
        if self.offer != str(MergePolicy.parse(self.base.policy).offer):
            told.append(f"policy {self.offer}")
        if self.uncertain != str(MergePolicy.parse(self.base.policy).uncertain):
            told.append(f"uncertain {self.uncertain}")
        for word, offered in (("with", True), ("without", False)):
            toggled = [*self.workloads.items(), *self.processes.items()]
            names = [str(name) for name, value in toggled if value is offered]
            if names:
                told.append(f"{word} {' '.join(names)}")
        return ", ".join(told) or "the same again"

    @property
    def changed(self) -> bool:
        return self.settings() != self.base

    def _policy(self) -> MergePolicy:
        uncertain = Uncertain(self.uncertain)
        before = replace(MergePolicy.parse(self.base.policy), uncertain=uncertain)
        if not self.workloads and not self.processes:
            kept = str(before.offer) == self.offer
            anew = MergePolicy(Offer(self.offer), uncertain=uncertain)
            return before if kept else anew
        wanted = list(self._named(True))
        unwanted = list(self._named(False))
        if str(before.offer) == self.offer:
            wanted = [*filter(None, [before.opt_in]), *wanted]
            unwanted = [*_but(before.opt_out, self._named(True)), *unwanted]
        return MergePolicy(
            Offer(self.offer),
            opt_in=" or ".join(wanted),
            opt_out=" or ".join(unwanted),
            trees=before.trees,
            uncertain=uncertain,
        )

    def _named(self, offered: bool) -> Iterable[str]:
        for name, value in self.workloads.items():
            if value is offered:
                yield f"workload == {exactly(name)}"
        for pid, value in self.processes.items():
            if value is offered:
                yield f"pid == {pid}"


def _but(opt_out: str, wanted: Iterable[str]) -> Iterator[str]:
    """What is opted out, as that goes before what is opted in, without *wanted*."""
    if not opt_out:
        return
    names = " or ".join(wanted)
    yield f"({opt_out}) and not ({names})" if names else opt_out


def _names() -> list[str]:
    return [knob.name for knob in fields(KsmKnobs)]


def _dial(name: str, now: KsmKnobs, then: KsmKnobs) -> Dial:
    kind = {knob.name: knob.type for knob in fields(KsmKnobs)}[name]
    value, recorded = getattr(now, name), getattr(then, name)
    if kind is bool:
        return Dial(name, _SWITCH, _SWITCH[value], _SWITCH[recorded])
    if kind is str:
        return Dial(name, ADVISOR_MODES, value, recorded)
    presets = tuple(map(str, _PRESETS[name]))
    unit = _UNITS.get(name, "")
    return Dial(name, presets, str(value), str(recorded), unit, numeric=True)
