"""What both apps are to a terminal: its sizes, colours and signals, and their end."""

import asyncio
import os
import signal
from functools import partial
from pathlib import Path
from typing import Final

from textual import on
from textual.app import App
from textual.scrollbar import ScrollBar

from traces.errors import KsmAnalyzeError
from tui.config import Config
from tui.dialogs.columns import Columns
from tui.logbook import write_down_error
from tui.look import MONO, THEMES, Look, themes
from tui.widgets.grid import Grid
from tui.widgets.scroll_bar import scroll_bar

_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class TerminalApp(App[int]):
    """An app in one of our looks, with the keys of the user's config file.

    Raises InputError for a config file that cannot be meant, before the terminal is
    touched.
    """

    TITLE = "ksm-analyze"
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-narrow"),
        (100, "-normal"),
        (160, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-tiny"),
        (20, "-short"),
        (32, "-mid"),
        (50, "-tall"),
    ]

    def __init__(self, theme: str | None, *, plain: bool) -> None:
        """*theme*: one of THEMES, None for the config file's; *plain*: ASCII only."""
        # Textual decides now how it takes colours away; only of a terminal's own
        # colours nothing is left, others become greys.
        super().__init__(ansi_color="NO_COLOR" in os.environ or None)
        for made in themes():
            self.register_theme(made)
        self.config = Config.load(THEMES)
        self.set_keymap(dict(self.config.keys))
        self.error: KsmAnalyzeError | None = None
        """Why nothing could be opened; the command ends with its exit code."""
        self.defect: BaseException | None = None
        """What nobody expected; the command names the log that has its traceback."""
        self.log_file: Path | None = None
        self._ascii = plain
        self._colour = not self.no_color
        if plain:
            self.add_class("-ascii")
        chosen = theme or self.config.theme or next(iter(THEMES))
        self.theme = chosen if self._colour else MONO

    @property
    def look(self) -> Look:
        """How all widgets are drawn."""
        kind = "ansi" if self.theme == MONO else THEMES.get(self.theme, "dark")
        return Look(kind, self._colour, self._ascii)

    def on_load(self) -> None:
        # Before the terminal is taken: from here on it is always given back.
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, partial(self.exit, 128 + number))

    def action_theme(self) -> None:
        if not self._colour:
            self.notify("NO_COLOR is set: there is one theme", timeout=2)
            return
        names = list(THEMES)
        self.theme = names[(names.index(self.theme) + 1) % len(names)]

    def _watch_theme(self, theme_name: str) -> None:
        super()._watch_theme(theme_name)
        ScrollBar.renderer = scroll_bar(self.look)
        self.call_after_refresh(self._redraw)

    def _redraw(self) -> None:
        """Draw all of it in the look there is now."""
        for widget in self.screen.query("*"):
            widget.refresh()

    @on(Grid.ColumnsWanted)
    def _choose_columns(self, event: Grid.ColumnsWanted) -> None:
        grid = event.grid
        dialog = Columns(grid.columns[1:], grid.shown_columns())
        self.push_screen(dialog, partial(self._take_columns, grid))

    def _take_columns(self, grid: Grid, keys: list[str] | None) -> None:
        if keys is not None:
            grid.choose(keys)

    def _handle_exception(self, error: Exception) -> None:
        self.defect = error
        self.log_file = write_down_error(error)
        super()._handle_exception(error)
        # The traceback is in the log; the command says where.
        self._exit_renderables.clear()
