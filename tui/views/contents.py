"""The contents that save most, and who holds each of them."""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

import polars as pl
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from analyzer.report.units import count_text
from tui.draw import Slice, gapped
from tui.look import Look, State
from tui.session import Session
from tui.sheet import Sheet, columns_of
from tui.views.prose import Page, Prose
from tui.views.view import TableView, entitled, notice, subtitled, titled
from tui.widgets.grid import Grid
from tui.widgets.source import Cell, Column, Key

if TYPE_CHECKING:
    from analyzer.expression.expression import Expression
    from tui.variant import Found

_HOLDERS = 40
_CLASSES = {"zero": State.ZERO, "fill": State.KEPT, "other": State.SAVED}


class Contents(TableView):
    """A table of contents by what they save, and a pane about the selected one."""

    NAME = "contents"
    SCOPED_CSS = False
    DEFAULT_CSS = """
    Contents { layout: vertical; }
    .-wide Contents { layout: horizontal; }
    Contents > Grid { height: 1fr; width: 1fr; }
    Contents > Prose { height: 12; width: 1fr; }
    .-wide Contents > Prose { height: 1fr; width: 60; }
    .-narrow Contents > Prose, .-short Contents > Prose, .-tiny Contents > Prose {
        display: none;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("backspace", "all", "All contents", show=False, id="contents.all",
                tooltip="From the contents of some pages back to those of all"),
        Binding("d", "detail", "Detail", show=False, id="view.detail",
                tooltip="Show or hide the pane about who holds it"),
    ]  # fmt: skip

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._expression: Expression | None = None
        self._shown: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        grid = Grid(
            _columns(),
            self._sheet(),
            sort="pages_saved",
            empty="no content is held twice",
        )
        yield titled(grid, "contents that save most")
        yield titled(Prose(), "who holds it")

    def look_at(self) -> None:
        found = self._found()
        shown = found, self.session.unit, self._expression
        if found is None or shown == self._shown:
            self._say_where()
            return
        self._shown = shown
        self.main().show(self._sheet())
        self._say_where()
        self._tell()

    def filter(self, expression: "Expression | None") -> str:
        found = self._found()
        if found is None:
            return ""
        told = self.narrowed(found.result.contents, "digest", expression)
        self._expression = expression
        return f"{told} contents" if told else ""

    def frame(self) -> pl.DataFrame | None:
        found = self._found()
        if found is None:
            return None
        frame = found.result.contents
        at = {digest: row for row, digest in enumerate(frame["digest"].to_list())}
        return frame[[at[key] for key in self.main().visible_rows()]]

    @on(Grid.Moved)
    def _moved(self) -> None:
        self.query_one(Prose).once_settled(self._tell)

    @on(Grid.Opened)
    def _opened(self) -> None:
        self.action_detail()

    def action_detail(self) -> None:
        pane = self.query_one(Prose)
        pane.display = not pane.display
        self._tell()

    def action_all(self) -> None:
        a = self.session.a
        if a is not None and a.part is not None:
            a.part = None
            self.look_at()

    def _found(self) -> "Found | None":
        """The replay whose contents are shown: of some pages, or of all."""
        a = self.session.a
        return a.part if a is not None and a.part is not None else self.session.detail

    def _sheet(self) -> "_Sheet":
        found = self._found()
        assert found is not None
        frame = found.result.contents
        if self._expression is not None:
            frame = frame.filter(self._expression.select(frame))
        return _Sheet(frame, "digest", self.session)

    def _say_where(self) -> None:
        found = self._found()
        if found is None:
            return
        kept = found.result.contents.height
        distinct = found.result.ideal.distinct_contents
        grid = self.main()
        if found.result is self.session.detail_result:
            entitled(grid, "contents that save most", notice(self.session))
            subtitled(grid, f"{count_text(kept)} of {count_text(distinct)} distinct")
        else:
            assert self.session.a is not None
            entitled(grid, f"contents of {self.session.a.part_title}")
            subtitled(grid, f"{count_text(kept)} contents", "⌫ shows those of all")

    def _tell(self) -> None:
        pane, key = self.query_one(Prose), self.main().selected
        found = self._found()
        if found is None or key is None:
            return
        rows = found.result.contents.filter(pl.col("digest") == key)
        holders = found.result.holders.filter(pl.col("digest") == key)
        if rows.height:
            content = rows.row(0, named=True)
            pane.say(partial(_about, content, holders, self.session))


class _Sheet(Sheet):
    """Contents with their class in colour and a bar of what each saves."""

    def cell(self, key: Key, column: str, width: int, look: Look) -> Cell:
        state = _CLASSES[self.table.value(key, "what")]
        if column == "bar":
            most = max(self.table.column("pages_saved"), default=0)
            saved = self.table.value(key, "pages_saved")
            return gapped([Slice(saved, state)], width, most, look)
        return super().cell(key, column, width, look)


def _columns() -> list[Column]:
    ranks = {
        "digest": 0,
        "what": 2,
        "pages_saved": 1,
        "copies": 3,
        "frames": 7,
        "processes": 5,
        "workloads": 6,
        "whose": 4,
    }
    widths = {"digest": 16, "what": 6, "whose": 24, "workloads": 9}
    columns = columns_of(ranks, widths, {"whose": 3})
    bar = Column("bar", "", 12, 8, flex=2, right=False, sortable=False, pictorial=True)
    return [*columns, bar]


def _about(
    content: dict[str, object], holders: pl.DataFrame, session: Session, page: Page
) -> Page:
    digest = int(str(content["digest"])) % (1 << 64)
    page.title(
        f"{digest:016x}", (f"   {_CLASS_NAMES[str(content['what'])]}", State.ZERO)
    )
    copies, saved = int(str(content["copies"])), int(str(content["pages_saved"]))
    page.line(f"{count_text(copies)} copies save {session.amount(saved)}").gap()
    rows = holders.sort("copies", "workload", descending=[True, False]).head(_HOLDERS)
    for row in rows.iter_rows(named=True):
        holding = row["processes"]
        noun = "process" if holding == 1 else "processes"
        page.row(
            row["workload"] or "(none)",
            count_text(row["copies"]),
            (row["kind"], f"{count_text(holding)} {noun}"),
            named=24,
        )
    left = holders.height - rows.height
    if left:
        page.line(f"{left} more workloads and kinds of mapping")
    return page


_CLASS_NAMES = {
    "zero": "the zero page",
    "fill": "one byte repeated",
    "other": "other content",
}
