"""The command palette: what the keys of the app and the view do, and every place."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from analyzer.report.escape import printable
from analyzer.report.units import pages_text
from tui.keys import keys_of

if TYPE_CHECKING:
    from tui.app import KsmApp

_MOST: Final = 50
"""Processes listed for one search."""


class Places(Provider):
    """Commands, workloads and processes."""

    async def discover(self) -> Hits:
        for text, help_text, run in self._commands():
            yield DiscoveryHit(text, run, help=help_text)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for text, help_text, run in self._commands():
            score = matcher.match(text)
            if score > 0:
                yield Hit(score, Content(text), run, help=help_text)
        async for name, help_text, run in self._places(query):
            yield Hit(0.5, Content(name), run, help=help_text)

    @property
    def _app(self) -> "KsmApp":
        app: Any = self.app
        return app  # type: ignore[no-any-return]

    def _commands(self) -> Iterator[tuple[str, str, Callable[[], Any]]]:
        app = self._app
        known: set[str] = set()
        # Each where its action is; what the view and the app both have, once.
        for node in filter(None, (app.view, app)):
            for key in keys_of(type(node), own=app.config.keys):
                if key.id not in known:
                    known.add(key.id)
                    run_it = partial(app.run_action, key.action, node)
                    yield key.text, key.keys, run_it
        for title, run in app.extra_commands():
            yield title, "", run

    async def _places(
        self, query: str
    ) -> AsyncIterator[tuple[str, str, Callable[[], Any]]]:
        session = self._app.session
        result = session.result
        if result is None:
            return
        wanted = query.casefold()
        names = result.workloads["workload"].to_list()
        for name in names:
            if wanted in name.casefold():
                go = partial(self._app.go, "workloads", name)
                yield f"workload {printable(name)}", "", go
        rows = result.processes.select("process", "pid", "comm", "pages").iter_rows()
        found = 0
        for process, pid, comm, pages in rows:
            if wanted in f"{pid} {comm}".casefold() and found < _MOST:
                found += 1
                drill = partial(self._app.open_process, process)
                yield f"process {pid} {printable(comm)}", pages_text(pages), drill
