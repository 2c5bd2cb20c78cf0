"""The line in which a filter is typed, with what came of it at its end."""

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input, Static

from analyzer.report.escape import printable

_EXAMPLE = 'web   saved > 1GiB   workload == "pg-*" and zero > 20%'


class FilterLine(Horizontal):
    """Above the scrubber while there is a filter; gone when there is none."""

    DEFAULT_CSS = """
    FilterLine { height: 1; display: none; background: $panel; }
    FilterLine.-on { display: block; }
    FilterLine > #filter-sign { width: 3; }
    FilterLine > #filter-words { width: 2fr; height: 1; border: none; padding: 0;
        background: $panel; }
    FilterLine > #filter-told { width: 3fr; text-align: right; padding: 0 1;
        color: $ksm-muted; }
    FilterLine > #filter-told.-wrong { color: $error; }
    """

    def compose(self) -> ComposeResult:
        yield Static(Content(" / "), id="filter-sign")
        yield Input(placeholder=_EXAMPLE, id="filter-words", compact=True)
        yield Static(Content(""), id="filter-told")

    @property
    def shown(self) -> bool:
        return self.has_class("-on")

    def begin(self, words: str) -> None:
        """Show the line with *words* in it, and take the keys."""
        field = self.query_one(Input)
        self.add_class("-on")
        with field.prevent(Input.Changed):
            field.value = words
        field.focus()

    def end(self) -> None:
        """Take the line away."""
        field = self.query_one(Input)
        with field.prevent(Input.Changed):
            field.value = ""
        self.tell("")
        self.remove_class("-on")

    def tell(self, text: str, wrong: bool = False) -> None:
        """What came of the filter, or what is wrong with it."""
        told = self.query_one("#filter-told", Static)
        told.set_class(wrong, "-wrong")
        told.update(Content(printable(text.partition("\n")[0])))
