"""What every view is to the app."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from tui.look import look_of
from tui.session import Session

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
        """Show matching rows only; returns what came of it, for the filter's line."""
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

    def notice(self) -> str:
        """What of this view is not of the moment looked at; empty where all is."""
        session = self.session
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
