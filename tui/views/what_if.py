"""What if: every knob, who is offered, and the variants that were replayed."""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from analyzer.report.escape import printable
from traces.errors import KsmAnalyzeError
from tui.draft import Draft
from tui.session import Session
from tui.variant import Progress, Variant
from tui.views import offers, variants
from tui.views.beside import beside_a
from tui.views.prose import Prose
from tui.views.tree import GROUP, Tree
from tui.views.view import Rows, View, home, row_of, rows_of, subtitled, titled
from tui.widgets.dials import Dials
from tui.widgets.grid import Grid
from tui.widgets.source import Key

if TYPE_CHECKING:
    from analyzer.expression.expression import Expression


class WhatIf(View):
    """Dials and an opt-in list on the left; the draft beside A, and all variants."""

    NAME = "what_if"
    SCOPED_CSS = False
    DEFAULT_CSS = """
    WhatIf { layout: horizontal; }
    WhatIf > #wi-left { width: 5fr; }
    WhatIf > #wi-right { width: 6fr; }
    WhatIf #wi-dials { height: 15; }
    WhatIf.-uncertain #wi-dials { height: 16; }
    WhatIf #wi-offer { height: 1fr; }
    WhatIf #wi-draft { height: 11; padding: 0 1; }
    WhatIf #wi-variants { height: 1fr; }
    .-short WhatIf #wi-dials, .-short WhatIf.-uncertain #wi-dials { height: 10; }
    .-short WhatIf #wi-draft { height: 9; }
    .-narrow WhatIf, .-tiny WhatIf { layout: vertical; }
    .-narrow WhatIf #wi-left, .-tiny WhatIf #wi-left { width: 1fr; height: 2fr; }
    .-narrow WhatIf #wi-right, .-tiny WhatIf #wi-right { width: 1fr; height: 1fr; }
    .-narrow WhatIf #wi-draft, .-tiny WhatIf #wi-draft { display: none; }
    .-narrow WhatIf #wi-dials, .-narrow WhatIf.-uncertain #wi-dials,
    .-tiny WhatIf #wi-dials, .-tiny WhatIf.-uncertain #wi-dials { height: 1fr; }
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
        self._offered: offers.Offered | None = None

    def compose(self) -> ComposeResult:
        moment = self.session.moment
        assert moment is not None
        with Vertical(id="wi-left"):
            yield titled(Dials(id="wi-dials"), "knobs", "⏎ types · ⌫ resets")
            self._offered = offers.Offered(
                self.session, Tree(self.session, moment), self.draft
            )
            yield titled(
                offers.Offers(
                    offers.COLUMNS,
                    self._offered,
                    sort="ideal_if_toggled",
                    id="wi-offer",
                ),
                "who is offered",
                "space toggles",
            )
        with Vertical(id="wi-right"):
            yield titled(Prose(id="wi-draft"), "draft beside A")
            made = Grid(
                variants.COLUMNS,
                variants.Variants(self.session),
                sort=None,
                id="wi-variants",
            )
            yield titled(made, "variants")

    def main(self) -> Dials:
        return self.query_one(Dials)

    def look_at(self) -> None:
        a = self.session.a
        if a is not None and a is not self._of:
            self._of = a
            self.draft = Draft.of(a.settings)
        uncertain = self._uncertain()
        self.set_class(uncertain, "-uncertain")
        self.main().show(self.draft.dials(uncertain))
        self._show_offers()
        self._show_variants()
        self._show_draft()

    def filter(self, expression: "Expression | None") -> str:
        moment = self.session.moment
        if moment is None:
            return ""
        told = ""
        if expression is not None:
            told = Tree(self.session, moment, expression).matching()
        self._expression = expression
        return told

    def rows(self) -> Rows:
        return rows_of(self._grid())

    def row(self) -> str:
        return row_of(self._grid())

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
        if side == "b":
            self._make_b(variant)
        else:
            self.session.choose(a=variant)
            home(self).changed()

    def _make_b(self, variant: Variant) -> bool:
        if not self.session.can_be_b(variant):
            self.notify("it is A, and B has no result yet", timeout=2)
            return False
        self.session.choose(b=variant)
        home(self).changed()
        return True

    @on(Dials.Turned)
    def _turned(self, event: Dials.Turned) -> None:
        try:
            self.draft.turn(event.name, event.value)
        except KsmAnalyzeError as error:
            self.notify(str(error), severity="warning", markup=False)
        self.look_at()

    @on(offers.Offers.Toggled)
    def _toggled(self, event: offers.Offers.Toggled) -> None:
        self.toggle(event.key)

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
        elif (
            isinstance(variant, Variant)
            and variant.result is not None
            and self._make_b(variant)
        ):
            home(self).action_view("compare")

    def _grid(self) -> Grid:
        focused = self.screen.focused
        if isinstance(focused, Grid):
            return focused
        return self.query_one("#wi-variants", Grid)

    def _uncertain(self) -> bool:
        """Whether A's capture has pages that may not count."""
        result = self.session.result
        return result is not None and any(result.uncertainty[:2])

    def _show_offers(self) -> None:
        moment = self.session.moment
        if moment is None:
            return
        tree = Tree(self.session, moment, self._expression)
        self._offered = offers.Offered(self.session, tree, self.draft)
        self.query_one("#wi-offer", Grid).show(self._offered)

    def _show_variants(self) -> None:
        grid = self.query_one("#wi-variants", Grid)
        grid.show(variants.Variants(self.session))
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
        pane.say(partial(beside_a, self.session, self.draft, found))
