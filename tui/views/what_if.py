"""What if: every knob, who is offered, and the variants that were replayed."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rich.segment import Segment
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from analyzer.compare import compare
from analyzer.policy import MergePolicy
from analyzer.report.escape import printable
from analyzer.report.units import duration_text, percent_text, profit_text
from analyzer.worth import cost_of, pages_merged, pages_saved
from traces.errors import KsmAnalyzeError
from tui.draft import Draft
from tui.draw import Cells, figure, signed, spark, text
from tui.look import Glyph, Ink, Look, State
from tui.session import Session
from tui.sheet import Table
from tui.variant import Progress, Variant
from tui.views.figures import change_ink, figure_words
from tui.views.prose import Page, Prose
from tui.views.tree import GROUP, PROCESS, Tree, split
from tui.views.view import Rows, View, home, subtitled, titled
from tui.widgets.dials import Dials
from tui.widgets.grid import Grid
from tui.widgets.source import Cell, Column, Key, Source, by_values

if TYPE_CHECKING:
    from analyzer.expression.expression import Expression

ROWS: Final = (
    ("saved", "pages_saved", 1),
    ("  non-zero", "pages_saved_nonzero", 1),
    ("  zero", "pages_saved_zero", 1),
    ("general_profit", "general_profit", 1),
    ("pages_unshared", "pages_unshared", -1),
    ("ksmd CPU, est.", "cpu_ppm", -1),
    ("90% after, est.", "time_to_90_ns", -1),
)
"""Title, figure of `Comparison.totals`, which sign of a change is good."""


class WhatIf(View):
    """Dials and an opt-in list on the left; the draft beside A, and all variants."""

    NAME = "what_if"
    SCOPED_CSS = False
    DEFAULT_CSS = """
    WhatIf { layout: horizontal; }
    WhatIf > #wi-left { width: 5fr; }
    WhatIf > #wi-right { width: 6fr; }
    WhatIf #wi-dials { height: 15; }
    WhatIf #wi-offer { height: 1fr; }
    WhatIf #wi-draft { height: 11; padding: 0 1; }
    WhatIf #wi-variants { height: 1fr; }
    .-short WhatIf #wi-dials { height: 10; }
    .-short WhatIf #wi-draft { height: 9; }
    .-narrow WhatIf, .-tiny WhatIf {
        layout: vertical;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
    }
    .-narrow WhatIf > #wi-left, .-narrow WhatIf > #wi-right,
    .-tiny WhatIf > #wi-left, .-tiny WhatIf > #wi-right {
        width: 1fr;
        height: auto;
    }
    .-narrow WhatIf #wi-draft, .-tiny WhatIf #wi-draft { height: 9; }
    .-narrow WhatIf #wi-dials { height: 15; }
    .-narrow WhatIf #wi-offer, .-narrow WhatIf #wi-variants { height: 8; }
    .-short WhatIf #wi-dials { height: 10; }
    .-short WhatIf #wi-offer, .-short.-narrow WhatIf #wi-variants { height: 8; }
    .-tiny WhatIf #wi-dials, .-tiny WhatIf #wi-offer, .-tiny WhatIf #wi-variants {
        height: 7;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "side('a')", "Make A", id="what_if.a",
                tooltip="Make the selected variant A: all views are of A"),
        Binding("b", "side('b')", "Make B", id="what_if.b",
                tooltip="Make the selected variant B, as Compare shows it"),
        Binding("O", "toggle_marked", "Toggle marked", show=False,
                id="what_if.marked", tooltip="Toggle whatever is marked in Workloads"),
        Binding("f5", "app.run_draft", "Run", id="jobs.run",
                tooltip="Replay the draft exactly, in the background"),
    ]  # fmt: skip

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        assert session.a is not None
        self._of = session.a
        self.draft = Draft.of(session.a.settings)
        self._expression: Expression | None = None
        self._offered: _Offered | None = None

    def compose(self) -> ComposeResult:
        moment = self.session.moment
        assert moment is not None
        with Vertical(id="wi-left"):
            yield titled(Dials(id="wi-dials"), "knobs", "⏎ types · ⌫ resets")
            self._offered = _Offered(
                self.session, Tree(self.session, moment), self.draft
            )
            yield titled(
                Offers(_OFFERS, self._offered, sort="ideal_if_toggled", id="wi-offer"),
                "who is offered",
                "space toggles",
            )
        with Vertical(id="wi-right"):
            yield titled(Prose(id="wi-draft"), "draft beside A")
            variants = Grid(
                _VARIANTS, _Variants(self.session), sort=None, id="wi-variants"
            )
            yield titled(variants, "variants")

    def main(self) -> Dials:
        return self.query_one(Dials)

    def look_at(self) -> None:
        a = self.session.a
        if a is not None and a is not self._of:
            self._of = a
            self.draft = Draft.of(a.settings)
        self.main().show(self.draft.dials())
        self._show_offers()
        self._show_variants()
        self._show_draft()

    def filter(self, expression: "Expression | None") -> str:
        moment = self.session.moment
        if moment is None:
            return ""
        tree = Tree(self.session, moment, expression)
        self._expression = expression
        self._show_offers()
        listed, of = tree.matching()
        return "" if expression is None else f"{listed} of {of} processes"

    def rows(self) -> Rows:
        grid = self._grid()
        return Rows(grid.titles(), [grid.row_texts(key) for key in grid.visible_rows()])

    def row(self) -> str:
        grid = self._grid()
        return "\t".join(grid.row_texts(grid.selected)) if grid.selected else ""

    def find(self, name: str) -> None:
        """Go to a knob, or to a workload among those offered."""
        dials = self.main()
        dials.select(name)
        self.query_one("#wi-offer", Grid).select((GROUP, name))

    def run_draft(self) -> None:
        """Queue an exact replay of the draft."""
        a = self.session.a
        if a is None:
            return
        if not a.traces:
            self.notify("a saved result cannot be replayed: open its trace", timeout=4)
            return
        typed = self.main().take()
        if typed is not None:
            self._turned(typed)
        settings = self.draft.settings()
        found = self.session.variant_of(settings)
        if found is not None:
            done = found.result is not None
            self.notify(f"this {'is' if done else 'is being'} replayed", timeout=2)
            self.query_one("#wi-variants", Grid).select(found)
            return
        variant = home(self).add_variant(self.draft.title(), settings)
        if self.session.b is None:
            self.session.choose(b=variant)
        self.look_at()

    def action_toggle_marked(self) -> None:
        """Toggle what is marked in Workloads."""
        assert self._offered is not None
        marked = [key for key in self.session.marks if self._offered.knows(key)]
        if not marked:
            self.notify("nothing is marked: space marks rows in Workloads", timeout=2)
            return
        for key in marked:
            self._offered.toggle(key)
        self.look_at()

    def action_side(self, side: str) -> None:
        variant = self.query_one("#wi-variants", Grid).selected
        if not isinstance(variant, Variant):
            return
        if variant.result is None:
            self.notify("it has no result yet", timeout=2)
            return
        self.session.choose(**{side: variant})
        home(self).changed()

    @on(Dials.Turned)
    def _turned(self, event: Dials.Turned) -> None:
        try:
            self.draft.turn(event.name, event.value)
        except KsmAnalyzeError as error:
            self.notify(str(error), severity="warning", markup=False)
        self.look_at()

    def toggle(self, key: Key) -> None:
        """Offer what is not offered, and the other way round."""
        assert self._offered is not None
        self._offered.toggle(key)
        self.look_at()

    @on(Grid.Opened, "#wi-variants")
    def _opened(self, event: Grid.Opened) -> None:
        variant = event.key
        if isinstance(variant, Variant) and variant.progress is Progress.FAILED:
            told = f"{variant.error}" + (f" · {variant.hint}" if variant.hint else "")
            title = printable(variant.name)
            self.notify(printable(told), title=title, severity="error", markup=False)
        elif isinstance(variant, Variant) and variant.result is not None:
            self.session.choose(b=variant)
            home(self).action_view("compare")

    def _grid(self) -> Grid:
        focused = self.screen.focused
        if isinstance(focused, Grid):
            return focused
        return self.query_one("#wi-variants", Grid)

    def _show_offers(self) -> None:
        moment = self.session.moment
        if moment is None:
            return
        tree = Tree(self.session, moment, self._expression)
        self._offered = _Offered(self.session, tree, self.draft)
        self.query_one("#wi-offer", Grid).show(self._offered)

    def _show_variants(self) -> None:
        grid = self.query_one("#wi-variants", Grid)
        grid.show(_Variants(self.session))
        running = sum(
            variant.progress in (Progress.RUNNING, Progress.QUEUED)
            for variant in self.session.variants
        )
        if running:
            subtitled(grid, f"{running} to be done", "ctrl+x cancels")
        else:
            subtitled(grid, "a b choose sides")

    def _show_draft(self) -> None:
        found = self.session.variant_of(self.draft.settings())
        pane = self.query_one("#wi-draft", Prose)
        pane.say(partial(_beside_a, self.session, self.draft, found))


class Offers(Grid):
    """A tree in which space toggles instead of marking."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Toggle", id="what_if.toggle",
                tooltip="Offer the workload or process to ksmd, or no more"),
    ]  # fmt: skip

    def action_mark(self) -> None:
        key = self.selected
        if key is not None:
            self.query_ancestor(WhatIf).toggle(key)
            self.action_move(1)


_OFFERS: Final = [
    Column("name", "workload / process", 20, 0, flex=2, right=False),
    Column("ideal_if_toggled", "if toggled", 12, 1),
    Column("pages_captured", "captured", 9, 2),
    Column("pages_saved", "saved", 9, 3),
    Column("net_saved", "net", 10, 4),
]


class _Offered(Source):
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
        return bool(table.value(which, "pages"))

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
        alone = _Offered(self.session, self._tree, Draft.of(a.settings))
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


_VARIANTS: Final = [
    Column("name", "variant", 20, 0, flex=2, right=False, sortable=False),
    Column("saved", "saved", 10, 1, sortable=False),
    Column("cpu", "CPU est.", 8, 2, sortable=False),
    Column("reached", "90% est.", 9, 3, sortable=False),
    Column("course", "course", 14, 4, flex=1, right=False, sortable=False,
           pictorial=True),
    Column("profit", "profit", 10, 5, sortable=False),
    Column("zero", "zero", 10, 6, sortable=False),
]  # fmt: skip


class _Variants(Source):
    """The variants as they were made."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def roots(self) -> Sequence[Key]:
        return list(self.session.variants)

    def cell(self, key: Key, column: str, width: int, look: Look) -> Cell:
        assert isinstance(key, Variant)
        if column == "name":
            return self._name(key, width, look)
        if column == "course":
            return _course(key, width, look)
        result = key.result
        if result is None:
            return "-"
        cost = cost_of(result)
        partial = "~" if key.partial else ""
        match column:
            case "saved":
                text = partial + self.session.amount(pages_saved(result))
                return figure(text, width, look, Ink.TEXT, bold=True)
            case "zero":
                return self.session.amount(result.savings.pages_saved_zero)
            case "profit":
                return profit_text(result.counters.general_profit)
            case "cpu":
                return percent_text(cost.cpu_share) if cost else "-"
        reached = cost.reached_ns.get(90) if cost else None
        return "-" if reached is None else duration_text(reached // 1_000_000)

    def _name(self, variant: Variant, width: int, look: Look) -> Cells:
        sides = ((self.session.a, "A", Ink.GAIN), (self.session.b, "B", Ink.WARNING))
        chip = Segment("   ")
        for side, letter, ink in sides:
            if variant is side:
                style = look.style(Ink.GROUND, ink, bold=True)
                chip = Segment(f" {letter} ", style)
        failed = variant.progress is Progress.FAILED
        style = look.style(Ink.LOSS if failed else Ink.TEXT)
        words = f"{variant.name}: {variant.error}" if failed else variant.name
        return [chip, *text(f" {words}", width - 3, look, style)]


def _course(variant: Variant, width: int, look: Look) -> Cells:
    """How the merging went, or how far its replay has come."""
    if variant.result is not None:
        merged = pages_merged(variant.result).to_list()
        return spark(merged, width, look, State.SAVED)
    if variant.scans:
        merged = [scan["pages_sharing"] for scan in variant.scans]
        return spark(merged, width, look, Ink.CURSOR)
    return text(str(variant.progress), width, look, look.style(Ink.DIM))


def _beside_a(
    session: Session, draft: Draft, found: Variant | None, page: Page
) -> None:
    """A's figures, the draft's where it was replayed, and the change."""
    a = session.result
    if a is None:
        return
    result = found.result if found is not None else None
    title = f"{'':<18}{'A':>11}{'draft':>12}  change"
    page.line((title, Ink.DIM))
    totals = compare(a, a if result is None else result).totals
    rows = {row["figure"]: row for row in totals.iter_rows(named=True)}
    wide = max(page.width - 18 - 11 - 12 - 11, 7)
    later = page.look.words("…")
    for name, figure_, good in ROWS:
        row = rows[figure_]
        words = figure_words(session, figure_, row["a"])
        drafted = figure_words(session, figure_, row["b"]) if result else later
        delta = row["delta"] if result else None
        share = delta / abs(row["a"]) if delta and row["a"] else 0.0
        ink = change_ink(delta, good)
        style = page.look.style
        page.cells(
            [
                Segment(f"{name:<18}", style(Ink.MUTED)),
                Segment(f"{words:>11}", style(Ink.MUTED)),
                Segment(f"{drafted:>12}", style(Ink.TEXT, bold=True)),
                Segment("  "),
                *signed(share, wide, 1.0, page.look, ink, ink),
                Segment(f"{_change(delta, share):>8}", style(ink)),
            ]
        )
    _say_what_is_missing(draft, found, page)


def _say_what_is_missing(draft: Draft, found: Variant | None, page: Page) -> None:
    if not draft.changed:
        page.line(("change a knob, or toggle who is offered", Ink.DIM))
    elif found is None:
        page.line(("F5", Ink.ACCENT), (" replays the draft exactly", Ink.MUTED))
    elif found.result is None:
        page.line((f"{found.progress}: {found.name}", Ink.CURSOR))


def _change(delta: int | None, share: float) -> str:
    if delta is None:
        return ""
    if not delta:
        return "="
    return f"{share * 100:+.0f}%" if share else "new"
