"""One process: the kernel's own figures of it, its mappings, and every page of one."""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Final

import numpy as np
import polars as pl
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from analyzer.counters import RMAP_ITEM_SIZE
from analyzer.pages import PageState, PageStates
from analyzer.report.columns import derived
from analyzer.report.escape import printable
from analyzer.report.units import (
    bytes_text,
    count_text,
    pages_text,
    profit_text,
    share_text,
)
from analyzer.worth import counted_in
from traces.schema import PAGE_SIZE
from tui.draw import HOLE, ribbon
from tui.look import Colour, Glyph, Ink, Look, State, look_of
from tui.session import Session
from tui.sheet import Sheet
from tui.views.prose import Page, Prose
from tui.views.selected import selected
from tui.views.tree import MAPPING, PROCESS, Tree, mapping_name
from tui.views.view import (
    Rows,
    entitled,
    home,
    notice,
    row_of,
    rows_of,
    subtitled,
    titled,
)
from tui.widgets.grid import Grid
from tui.widgets.key_bar import KeyBar
from tui.widgets.kpi import Card, KpiStrip
from tui.widgets.line import Line
from tui.widgets.page_map import PageMap
from tui.widgets.scrubber import Scrubber
from tui.widgets.source import Cell, Column, Key
from tui.widgets.top_bar import TopBar

_STATES: Final[dict[PageState, Colour]] = {
    PageState.NOT_OFFERED: Ink.LINE,
    PageState.UNSCANNED: State.UNSCANNED,
    PageState.VOLATILE: State.VOLATILE,
    PageState.UNSHARED: State.UNSHARED,
    PageState.KEPT: State.KEPT,
    PageState.SAVED: State.SAVED,
    PageState.ZERO: State.ZERO,
}
_LEGEND: Final = {
    PageState.SAVED: "merged",
    PageState.ZERO: "merged zero",
    PageState.KEPT: "first of merged",
    PageState.UNSHARED: "unshared",
    PageState.VOLATILE: "volatile",
    PageState.UNSCANNED: "not scanned",
    PageState.NOT_OFFERED: "not offered",
}
"""What a page of a state is called, in the order of bars."""
_WIDEST: Final = 1 << 24
"""Pages a mapping may span, holes included, and still be drawn with them."""


class Process(Screen[None]):
    """Over the views, until escape."""

    CSS = """
    Process { layout: vertical; }
    Process #pr-crumb { height: 1; }
    Process KpiStrip { height: 3; margin: 0 0 1 0; }
    Process #pr-body { height: 1fr; }
    Process #pr-left { width: 3fr; }
    Process #pr-left > Grid { height: 3fr; }
    Process #pr-left > PageMap { height: 2fr; }
    Process Prose { width: 2fr; height: 1fr; }
    Process.-narrow Prose { display: none; }
    Process.-narrow KpiStrip, Process.-short KpiStrip { height: 2; margin: 0; }
    Process.-tiny KpiStrip { display: none; }
    Process.-tiny PageMap { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "leave", "Back", id="process.back",
                tooltip="Back to the views"),
        Binding("left_square_bracket", "sibling(-1)", "Process", key_display="[ ]",
                id="process.before", tooltip="Previous process of the workload"),
        Binding("right_square_bracket", "sibling(1)", "Next process", show=False,
                id="process.after", tooltip="Next process of the workload"),
    ]  # fmt: skip

    def __init__(self, session: Session, process: int, mapping: int | None) -> None:
        super().__init__()
        self.session, self.process = session, process
        self._mapping = mapping
        self._tree: Tree | None = None
        self._pages: tuple[object, PageStates | None] = None, None

    def compose(self) -> ComposeResult:
        yield TopBar()
        yield _Crumb(id="pr-crumb")
        yield KpiStrip()
        with Horizontal(id="pr-body"):
            with Vertical(id="pr-left"):
                yield titled(
                    Grid(_COLUMNS, self._sheet(), sort="pages_saved",
                         empty="no mapping was captured"),
                    "mappings",
                )  # fmt: skip
                yield PageMap(classes="pane")
            yield titled(Prose(), "selected")
        yield Scrubber()
        yield KeyBar()

    def on_mount(self) -> None:
        if self not in self.app.screen_stack:
            # A key that came soon has closed it again.
            return
        self.look_at()
        home(self).show_frame()
        grid = self.query_one(Grid)
        grid.focus()
        if self._mapping is not None:
            grid.select(self._mapping)

    def look_at(self) -> None:
        """Show the process at the moment looked at."""
        moment = self.session.moment
        if moment is None:
            return
        self._tree = Tree(self.session, moment)
        self.query_one(_Crumb).say(self._path())
        self.query_one(KpiStrip).set(self._cards())
        grid = self.query_one(Grid)
        grid.show(self._sheet())
        told = f"{len(grid.visible_rows())} mappings"
        entitled(grid, "mappings", notice(self.session))
        subtitled(grid, told)
        self._tell()

    def frame(self) -> pl.DataFrame | None:
        found = self.session.detail
        if found is None:
            return None
        return found.result.mappings.filter(pl.col("process") == self.process)

    def rows(self) -> Rows:
        return rows_of(self.query_one(Grid))

    def row(self) -> str:
        return row_of(self.query_one(Grid))

    NAME = "process"

    def action_leave(self) -> None:
        if self.maximized is not None:
            self.minimize()
        else:
            self.dismiss(None)

    def action_sibling(self, by: int) -> None:
        tree = self._tree
        if tree is None:
            return
        workload = tree.processes.value(self.process, "workload")
        keys = tree.order("pages_saved", True, tree.children(("group", workload)))
        at = keys.index((PROCESS, self.process)) + by
        if 0 <= at < len(keys):
            self.process = keys[at][1]  # type: ignore[index]
            self.look_at()
        else:
            self.notify("the workload has no more processes that way", timeout=2)

    @on(Grid.Moved)
    def _moved(self) -> None:
        self.query_one(Prose).once_settled(self._tell)

    @on(PageMap.Opened)
    def _opened(self, event: PageMap.Opened) -> None:
        mapping = self.query_one(Grid).selected
        vpns, _ = self._states(mapping)
        if isinstance(mapping, int) and len(vpns):
            first, last = self._extent(vpns, event.first, event.last)
            assert self._tree is not None
            name = mapping_name(self._tree.mappings(self.process), mapping)
            title = f"{last - first + 1} pages of {name} at {first * PAGE_SIZE:x}"
            home(self).show_contents_of(mapping, first, last, title)
            self.dismiss(None)

    def _path(self) -> list[str]:
        assert self._tree is not None
        table = self._tree.processes
        pid, comm = table.value(self.process, "pid"), table.value(self.process, "comm")
        return [
            "All",
            table.value(self.process, "workload") or "(none)",
            f"{pid} {comm}",
        ]

    def _cards(self) -> list[Card]:
        assert self._tree is not None
        table = self._tree.processes
        value = {
            name: table.value(self.process, name)
            for name in ("ksm_merging_pages", "ksm_zero_pages", "ksm_process_profit",
                         "ksm_rmap_items", "pages", "pages_captured", "pages_saved")
        }  # fmt: skip
        merging, zero = value["ksm_merging_pages"], value["ksm_zero_pages"]
        items, pages = value["ksm_rmap_items"], value["pages"]
        captured = value["pages_captured"]
        saved = share_text(value["pages_saved"], pages)
        return [
            Card("ksm_merging_pages", count_text(merging), pages_text(merging),
                 State.SAVED, short="merging"),
            Card("ksm_zero_pages", count_text(zero), pages_text(zero), State.ZERO,
                 short="zero"),
            Card("ksm_process_profit", profit_text(value["ksm_process_profit"]),
                 f"saved {saved}", Ink.ACCENT, short="profit"),
            Card("ksm_rmap_items", count_text(items),
                 bytes_text(items * RMAP_ITEM_SIZE), State.KEPT, short="rmap_items"),
            self._offered(pages, captured),
        ]  # fmt: skip

    def _offered(self, pages: int, captured: int | None) -> Card:
        if captured is None:
            # How many there were is known of the end of a capture over time only.
            return Card("offered", pages_text(pages), accent=Ink.WARNING)
        told = f"of {pages_text(captured)} captured"
        return Card("offered", share_text(pages, captured), told, Ink.WARNING)

    def _sheet(self) -> "_Mappings":
        frame = self.frame()
        assert frame is not None
        return _Mappings(derived(frame), "mapping", self.session, self._states)

    def _states(self, mapping: Any) -> tuple[Any, Any]:
        """The page numbers of a mapping and their states; none where not known."""
        found = self.session.detail
        if found is not self._pages[0]:
            self._pages = found, None
            if found is not None and found.pages is not None:
                self._pages = found, PageStates.open(found.pages)
        pages = self._pages[1]
        if pages is None or mapping is None:
            return np.zeros(0, np.int64), np.zeros(0, np.uint8)
        return pages.of(mapping)

    def _tell(self) -> None:
        grid, tree = self.query_one(Grid), self._tree
        mapping = grid.selected
        if mapping is None or tree is None:
            return
        pane = self.query_one(Prose)
        pane.say(partial(self._about, tree, mapping))
        self._draw_pages(mapping)

    def _about(self, tree: Tree, mapping: Any, page: Page) -> None:
        selected(self.session, tree, (MAPPING, (self.process, mapping)), page)
        _, states = self._states(mapping)
        if len(states):
            page.heading("its pages, as drawn")
            _say_legend(states, page)
        if self._kept_out(tree, mapping):
            page.line(("pages kept out are not drawn", Ink.DIM))

    def _kept_out(self, tree: Tree, mapping: Any) -> bool:
        """Whether pages of a mapping may not count, and so were left out."""
        table, result = tree.mappings(self.process), self.session.result
        names = ("uncertain_zero_pages", "uncertain_pages")
        unsure = any(table.value(mapping, name) for name in names)
        return unsure and result is not None and not counted_in(result)

    def _draw_pages(self, mapping: Any) -> None:
        assert self._tree is not None
        table = self._tree.mappings(self.process)
        title = f"pages of {mapping_name(table, mapping)}"
        vpns, states = self._states(mapping)
        page_map = self.query_one(PageMap)
        if not len(vpns):
            kept_out = self._kept_out(self._tree, mapping)
            why = "all kept out" if kept_out else "replay the trace to see them"
            page_map.set(f"{title}: {why}", b"", _KINDS)
            return
        page_map.set(title, _with_holes(vpns, states), _KINDS, pages_text)

    def _extent(self, vpns: Any, first: int, last: int) -> tuple[int, int]:
        """Indices of the map as page numbers."""
        if _spread(vpns):
            return int(vpns[first]), int(vpns[min(last, len(vpns) - 1)])
        return int(vpns[0]) + first, int(vpns[0]) + last


_KINDS: Final = [_STATES[state] for state in PageState]

_COLUMNS: Final = [
    Column("start_vpn", "address", 12, 4, right=False),
    Column("name", "mapping", 18, 0, flex=1, right=False),
    Column("pages", "size", 9, 3),
    Column("pages_saved", "saved", 9, 1),
    Column("share_saved", "saved%", 7, 5),
    Column("ribbon", "pages in order", 16, 2, flex=3, right=False,
           sortable=False, pictorial=True),
    Column("pages_saved_zero", "zero", 9, 6),
    Column("ksm_merging_pages", "merging", 8, 7),
    Column("fill_pages", "fill", 8, 8),
]  # fmt: skip


def _say_legend(states: Any, page: Page) -> None:
    """What the colours of the ribbon and of the page map are, and how often.

    Pages, not savings: of pages that share one, each saves a part.
    """
    counts = np.bincount(states, minlength=len(PageState))
    for state, title in _LEGEND.items():
        count, colour = int(counts[state]), _STATES[state]
        if count:
            share = share_text(count, len(states))
            sign = page.look.swatch(colour), colour
            page.row(title, count_text(count), (share,), sign=sign)


class _Mappings(Sheet):
    """The mappings of a process, each with a ribbon of its pages' states."""

    def __init__(
        self, frame: pl.DataFrame, key: str, session: Session, states: Any
    ) -> None:
        super().__init__(frame, key, session)
        self._states = states
        self._kept: dict[Any, bytes] = {}

    def cell(self, key: Key, column: str, width: int, look: Look) -> Cell:
        if column == "name":
            return mapping_name(self.table, key)
        if column != "ribbon":
            return super().cell(key, column, width, look)
        if key not in self._kept:
            vpns, states = self._states(key)
            self._kept[key] = _with_holes(vpns, states) if len(vpns) else b""
        return ribbon(self._kept[key], _KINDS, width, look)


def _with_holes(vpns: Any, states: Any) -> bytes:
    """A byte for every page from the first to the last; of a mapping that is almost
    all holes, only for those that are there."""
    if _spread(vpns):
        return bytes(states.tobytes())
    whole = np.full(int(vpns[-1] - vpns[0]) + 1, HOLE, np.uint8)
    whole[vpns - vpns[0]] = states
    return bytes(whole.tobytes())


def _spread(vpns: Any) -> bool:
    span = int(vpns[-1] - vpns[0]) + 1
    return span > _WIDEST and span > 16 * len(vpns)


class _Crumb(Widget):
    """Where one is, from the whole host down."""

    DEFAULT_CSS = "_Crumb { height: 1; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._names: Sequence[str] = ()

    def say(self, names: Sequence[str]) -> None:
        self._names = names
        self.refresh()

    def render_line(self, y: int) -> Strip:  # noqa: ARG002
        look = look_of(self)
        line, right = Line(look), Line(look)
        right.add(look.words("esc back · [ ] previous, next process "), Ink.DIM)
        for at, name in enumerate(self._names):
            if at:
                line.add(f" {look.glyph(Glyph.CRUMB)}", Ink.DIM)
            last = at == len(self._names) - 1
            line.add(
                f" {printable(name)}", Ink.ACCENT if last else Ink.MUTED, bold=last
            )
        fits = line.width + right.width <= self.size.width
        return line.strip(self.size.width, right if fits else None)
