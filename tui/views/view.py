"""What every view is to the app."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from tui.look import look_of
from tui.session import Session
from tui.widgets.grid import Grid

if TYPE_CHECKING:
    import polars as pl

    from analyzer.expression.expression import Expression
    from tui.app import KsmApp


class Rows(NamedTuple):
    """A table as it is seen, for the clipboard and for files: filtered and sorted."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class View(Container):
    """One of the seven; made when it is first gone to, and kept.

    `look_at` is called whenever what is shown may have changed, and only while the
    view is seen: it decides itself what of that concerns it.
    """

    NAME: ClassVar[str]
    DEFAULT_CSS = "View { height: 1fr; }"
    # Rules for narrow and low screens ask for a class of the screen, outside the view.
    SCOPED_CSS: ClassVar[bool] = False

    def __init__(self, session: Session) -> None:
        super().__init__(id=self.NAME, classes="view")
        self.session = session

    def main(self) -> Widget:
        """The pane that is given the focus when one comes here."""
        raise NotImplementedError

    def look_at(self) -> None:
        """Show what the session looks at now."""
        raise NotImplementedError

    def filter(self, expression: "Expression | None") -> str:
        """List matching rows only, from the next `look_at` on.

        Returns what comes of it now, for the filter's line. Raises UsageError for
        names that the rows lack; then nothing has changed.
        """
        raise NotImplementedError

    def rows(self) -> Rows | None:
        """The main table as it is seen; None where there is none."""
        return None

    def frame(self) -> "pl.DataFrame | None":
        """The exact figures behind `rows`, in the same order."""
        return None

    def row(self) -> str:
        """What is under the cursor, tabs between its columns; empty where nothing."""
        return ""

    def find(self, name: str) -> None:
        """Go to the row called *name*."""


class TableView(View):
    """A view whose main pane is a grid: what is copied of it is the grid's."""

    def main(self) -> Grid:
        return self.query_one(Grid)

    def rows(self) -> Rows:
        return rows_of(self.main())

    def row(self) -> str:
        return row_of(self.main())

    def narrowed(
        self, frame: "pl.DataFrame", key: str, expression: "Expression | None"
    ) -> str:
        """How many rows of *frame* fit, in words; what fits is found again by `n`.

        Raises UsageError for names that the frame lacks.
        """
        if expression is None:
            return ""
        fitting = set(frame.filter(expression.select(frame))[key].to_list())
        # Stays when the filter goes.
        self.main().match = fitting.__contains__
        return f"{len(fitting)} of {frame.height}"


def rows_of(grid: Grid) -> Rows:
    """What a grid lists, as text."""
    return Rows(grid.titles(), [grid.row_texts(key) for key in grid.visible_rows()])


def row_of(grid: Grid) -> str:
    """The row under its cursor; empty where there is none."""
    return "" if grid.selected is None else "\t".join(grid.row_texts(grid.selected))


def notice(session: Session) -> str:
    """What panes on mappings and contents say where they show another moment than
    the one looked at; empty where they do not."""
    if not session.detail_is_of_the_end:
        return ""
    return f"of the end; x replays pass {session.at + 1}"


def home(widget: Widget) -> "KsmApp":
    """The app that *widget* is in."""
    app: Any = widget.app
    found: KsmApp = app
    return found


def titled(widget: Widget, title: str, subtitle: str = "") -> Widget:
    """*widget* as a pane with a frame; both texts are our own, never a name."""
    widget.add_class("pane")
    words = look_of(widget).words
    widget.border_title = Content(words(title))
    widget.border_subtitle = Content(words(subtitle))
    return widget


def entitled(widget: Widget, title: str, notice: str = "") -> None:
    """Call a pane *title*, which is safe to print; what must be known of it beside,
    as low and narrow panes have no room for a subtitle."""
    notice = look_of(widget).words(f" · {notice}") if notice else ""
    widget.border_title = Content(f"{title}{notice}")


def subtitled(widget: Widget, *facts: str) -> None:
    """Say *facts*, where they are not empty, in the frame of a pane."""
    told = " · ".join(filter(None, facts))
    widget.border_subtitle = Content(look_of(widget).words(told))
