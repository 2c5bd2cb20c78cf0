"""Who saves: workloads, their processes and the mappings of these, in one tree."""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.look import look_of
from tui.session import Session
from tui.views.prose import Prose
from tui.views.selected import selected
from tui.views.tree import (
    GROUP,
    GROUPINGS,
    MAPPING,
    PROCESS,
    Tree,
    split,
    tree_columns,
)
from tui.views.view import TableView, entitled, home, notice, titled
from tui.widgets.grid import Grid
from tui.widgets.source import Column

if TYPE_CHECKING:
    import polars as pl

    from analyzer.expression.expression import Expression


class Workloads(TableView):
    """The tree, and a pane about the selected row."""

    NAME = "workloads"
    SCOPED_CSS = False
    DEFAULT_CSS = """
    Workloads { layout: horizontal; }
    Workloads > Grid { width: 1fr; height: 1fr; }
    Workloads > Prose { width: 46; height: 1fr; }
    .-wide Workloads > Prose { width: 60; }
    .-narrow Workloads > Prose { display: none; width: 1fr; }
    Workloads.-detail > Grid { display: none; }
    Workloads.-plain > Prose { display: none; }
    .-narrow Workloads.-detail > Prose { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "detail", "Detail", id="view.detail",
                tooltip="Show or hide the pane about the selected row"),
        Binding("m", "group", "Group by", id="view.group",
                tooltip="Group by workload, user, unit, container, pod, vm, command"),
    ]  # fmt: skip

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._expression: Expression | None = None
        self._grouping = "workload"
        self._tree: Tree | None = None
        self._uncertain = False

    def compose(self) -> ComposeResult:
        yield titled(self._grid(), "workload › process › mapping")
        yield titled(Prose(), "selected", "d hides")

    def look_at(self) -> None:
        moment = self.session.moment
        if moment is None:
            return
        tree = Tree(self.session, moment, self._expression, self._grouping)
        self._tree = tree
        if self._uncertain != self._has_uncertain():
            self.main().show_columns(self._columns())
        self.main().show(tree)
        self._say_where()
        self._tell()

    def filter(self, expression: "Expression | None") -> str:
        moment = self.session.moment
        if moment is None:
            return ""
        told = ""
        if expression is not None:
            tree = Tree(self.session, moment, expression, self._grouping)
            found = tree.matches()
            # Stays when the filter goes: n then finds what it showed.
            self.main().match = found.__contains__
            told = tree.matching()
        self._expression = expression
        return told

    def frame(self) -> "pl.DataFrame | None":
        return self._tree.frame(self.main().visible_rows()) if self._tree else None

    def find(self, name: str) -> None:
        self.main().select((GROUP, name))

    def action_detail(self) -> None:
        # On a narrow screen the pane takes the place of the tree.
        narrow = self.screen.has_class("-narrow")
        self.toggle_class("-detail" if narrow else "-plain")
        self._tell()
        seen = self.main() if self.main().display else self.query_one(Prose)
        seen.focus()

    def action_group(self) -> None:
        at = GROUPINGS.index(self._grouping)
        self.group_by(GROUPINGS[(at + 1) % len(GROUPINGS)])

    def group_by(self, grouping: str) -> None:
        """Group the processes by one of GROUPINGS."""
        self._grouping = grouping
        self.main().show_columns(self._columns())
        self.look_at()
        self.notify(f"by {grouping}", timeout=1.5)

    def _grid(self) -> Grid:
        moment = self.session.moment
        assert moment is not None
        self._tree = Tree(self.session, moment, self._expression, self._grouping)
        return Grid(
            self._columns(),
            self._tree,
            sort="pages_saved",
            empty="no rows match; esc clears the filter",
        )

    def _columns(self) -> list[Column]:
        self._uncertain = self._has_uncertain()
        return tree_columns(self._grouping, self._uncertain)

    def _has_uncertain(self) -> bool:
        """Whether there are pages that may not count."""
        result = self.session.result
        return result is not None and any(result.uncertainty[:2])

    @on(Grid.Moved)
    def _moved(self) -> None:
        self.query_one(Prose).once_settled(self._tell)

    @on(Grid.Marked)
    def _marked(self, event: Grid.Marked) -> None:
        self.session.marks = set(event.keys)

    @on(Grid.Opened)
    def _opened(self, event: Grid.Opened) -> None:
        if event.key is None:
            return
        what, which = split(event.key)
        if what == PROCESS:
            home(self).open_process(which)
        elif what == MAPPING:
            home(self).open_process(*which)
        elif self.main().is_unfolded(event.key):
            self.main().action_fold()
        else:
            self.main().action_unfold()

    def _tell(self) -> None:
        pane = self.query_one(Prose)
        key = self.main().selected
        if key is not None and self._tree is not None:
            pane.say(partial(selected, self.session, self._tree, key))

    def _say_where(self) -> None:
        grid = self.main()
        title = look_of(self).words(f"{self._grouping} › process › mapping")
        entitled(grid, title, notice(self.session))
