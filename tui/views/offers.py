"""Who is offered to ksmd, in What-if: workloads and processes that can be toggled."""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.message import Message

from analyzer.policy import MergePolicy
from analyzer.worth import pages_saved
from tui.draft import Draft
from tui.draw import Cells, figure
from tui.look import Glyph, Ink, Look
from tui.session import Session
from tui.sheet import Table
from tui.views.tree import GROUP, PROCESS, Tree, split
from tui.widgets.grid import Grid
from tui.widgets.source import Cell, Column, Key, Source, by_values


class Offers(Grid):
    """A tree in which space toggles instead of marking."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Toggle", id="what_if.toggle",
                tooltip="Offer the workload or process to ksmd, or no more"),
    ]  # fmt: skip

    class Toggled(Message):
        """A workload or process is to be offered, or no more."""

        def __init__(self, key: Key) -> None:
            super().__init__()
            self.key = key

    def action_mark(self) -> None:
        key = self.selected
        if key is not None:
            self.post_message(self.Toggled(key))
            self.action_move(1)


COLUMNS: Final = [
    Column("name", "workload / process", 20, 0, flex=2, right=False),
    Column("ideal_if_toggled", "if toggled", 12, 1),
    Column("pages_captured", "captured", 9, 2),
    Column("pages_saved", "saved", 9, 3),
    Column("net_saved", "net", 10, 4),
]


_OF_OFFERED: Final = ("pages", "uncertain_zero_pages", "uncertain_pages")
"""The columns that count pages only of who is offered, kept out or not."""


class Offered(Source):
    """Who is offered under the draft: workloads and their processes."""

    tree = True

    def __init__(self, session: Session, tree: Tree, draft: Draft) -> None:
        self.draft, self.session = draft, session
        self._tree = tree
        self._exact: dict[Key, int | None] = {}
        result = session.result
        assert result is not None
        self._potentials = {
            GROUP: Table(result.workloads, "workload"),
            PROCESS: Table(result.processes, "process"),
        }

    def roots(self) -> Sequence[Key]:
        return self._tree.roots()

    def children(self, key: Key) -> Sequence[Key]:
        return self._tree.children(key) if split(key)[0] == GROUP else ()

    def has_children(self, key: Key) -> bool:
        return split(key)[0] == GROUP

    def order(
        self, column: str, descending: bool, keys: Sequence[Key]
    ) -> Sequence[Key]:
        if column != "ideal_if_toggled":
            return self._tree.order(column, descending, keys)
        values = [abs(self._potential(key)) for key in keys]
        return by_values(keys, values, descending)

    def cell(self, key: Key, column: str, width: int, look: Look) -> Cell:
        if column == "ideal_if_toggled":
            return self._toggled_cell(key, width, look)
        if column != "name":
            return self._tree.cell(key, column, width, look)
        offered = self.offered(key)
        mark = {True: "x", False: " ", None: "?"}[offered]
        ink = Ink.CURSOR if self._changed(key) else Ink.GAIN
        box = [
            Segment("[", look.style(Ink.DIM)),
            Segment(mark, look.style(ink, bold=True)),
            Segment("] ", look.style(Ink.DIM)),
        ]
        name = self._tree.cell(key, column, max(width - 4, 1), look)
        return [*box, *(name if isinstance(name, list) else [Segment(name)])]

    def offered(self, key: Key) -> bool | None:
        """Whether the draft offers it; None where only a replay can say."""
        toggled = self._toggle_of(key)
        return self._recorded(key) if toggled is None else toggled

    def knows(self, key: Key) -> bool:
        """Whether it is a workload or process that can be toggled."""
        what, which = split(key)
        if what == GROUP:
            return which in self._tree.groups.at
        return what == PROCESS and which in self._tree.processes.at

    def toggle(self, key: Key) -> None:
        """Offer what is not offered, and the other way round."""
        what, which = split(key)
        offered = not self.offered(key)
        if what == GROUP:
            for process in self._members(which):
                self.draft.processes.pop(self._pid(process), None)
            _set(self.draft.workloads, which, offered, self._recorded(key))
            return
        group = self._tree.processes.value(which, "workload")
        if self.draft.workloads.get(group) is False:
            # Who is opted out stays out: only the others are, one by one.
            del self.draft.workloads[group]
            for process in self._members(group):
                self.draft.processes[self._pid(process)] = False
        before = self.draft.workloads.get(group, self._recorded(key))
        _set(self.draft.processes, self._pid(which), offered, before)

    def _toggle_of(self, key: Key) -> bool | None:
        what, which = split(key)
        if what == GROUP:
            return self.draft.workloads.get(which)
        toggled = self.draft.processes.get(self._pid(which))
        group = self._tree.processes.value(which, "workload")
        return self.draft.workloads.get(group) if toggled is None else toggled

    def _changed(self, key: Key) -> bool:
        return self._toggle_of(key) is not None

    def _recorded(self, key: Key) -> bool | None:
        """Whether it is offered before anything is toggled."""
        what, which = split(key)
        base = str(MergePolicy.parse(self.draft.base.policy).offer)
        if self.draft.offer != base:
            return {"all": True, "none": False}.get(self.draft.offer)
        table = self._tree.groups if what == GROUP else self._tree.processes
        return any(table.value(which, name) for name in _OF_OFFERED)

    def _members(self, group: str) -> list[int]:
        table = self._tree.processes
        pairs = zip(table.keys, table.column("workload"), strict=True)
        return [process for process, name in pairs if name == group]

    def _pid(self, process: int) -> int:
        return int(self._tree.processes.value(process, "pid"))

    def _potential(self, key: Key) -> int:
        what, which = split(key)
        return int(self._potentials[what].value(which, "ideal_if_toggled") or 0)

    def _toggled_cell(self, key: Key, width: int, look: Look) -> Cells:
        """What it would save more or less: of the ideal, and so an estimate, until
        just that was replayed."""
        if key not in self._exact:
            self._exact[key] = self._replayed(key)
        exact = self._exact[key]
        value = self._potential(key) if exact is None else exact
        ink = Ink.GAIN if value > 0 else Ink.MUTED if value < 0 else Ink.DIM
        about = look.glyph(Glyph.ABOUT) if exact is None else ""
        sign = "+" if value > 0 else "-" if value < 0 else ""
        words = f"{about}{sign}{self.session.amount(abs(value))}"
        return figure(words, width, look, ink, bold=exact is not None)

    def _replayed(self, key: Key) -> int | None:
        """What a replay with just this toggled found; None if there was none."""
        a = self.session.a
        if a is None or a.result is None:
            return None
        policy = a.settings.policy
        others = [v for v in self.session.variants if v.settings.policy != policy]
        if not others:
            return None
        alone = Offered(self.session, self._tree, Draft.of(a.settings))
        alone.toggle(key)
        wanted = alone.draft.settings()
        for variant in others:
            if variant.settings == wanted and variant.result and not variant.partial:
                return pages_saved(variant.result) - pages_saved(a.result)
        return None


def _set(
    toggled: dict[Any, bool], key: Any, value: bool, recorded: bool | None
) -> None:
    if value is recorded:
        toggled.pop(key, None)
    else:
        toggled[key] = value
