"""The last band: the keys that matter here, as many as fit; help and quit always."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from textual.binding import Binding
from textual.events import Click
from textual.strip import Strip
from textual.widget import Widget

from tui.keys import shown_keys
from tui.look import Ink, look_of
from tui.widgets.line import Line

_ALWAYS = ("app.help", "app.quit")


class _Hint(NamedTuple):
    keys: str
    text: str
    action: str
    node: Any


class KeyBar(Widget):
    """Made from the bindings that are active; `priority` of a binding's order is its
    place in the class: what stands first is shown first."""

    DEFAULT_CSS = "KeyBar { height: 1; dock: bottom; }"

    def on_mount(self) -> None:
        self._zones: list[tuple[int, int, _Hint]] = []
        self.screen.bindings_updated_signal.subscribe(self, self._again)

    def _again(self, _: object) -> None:
        self.refresh()

    def render_line(self, y: int) -> Strip:  # noqa: ARG002
        look, width = look_of(self), self.size.width
        hints = list(self._hints())
        tail, line = Line(look), Line(look)
        always = [hint for hint in hints if hint.action in ("help", "quit")]
        self._zones = []
        for hint in sorted(always, key=lambda hint: hint.action):
            self._put(tail, hint)
        room = width - tail.width
        ends = [(begin + room, end + room, hint) for begin, end, hint in self._zones]
        self._zones = []
        for hint in hints:
            if hint not in always and line.width + _cells(hint) <= room:
                self._put(line, hint)
        self._zones += ends
        return line.strip(width, tail)

    def _put(self, line: Line, hint: _Hint) -> None:
        begin = line.width
        line.add(f" {hint.keys}", Ink.ACCENT, bold=True)
        line.add(f" {hint.text} ", Ink.MUTED)
        self._zones.append((begin, line.width, hint))

    def _hints(self) -> Iterator[_Hint]:
        look, seen = look_of(self), set[str]()
        active = self.screen.active_bindings.values()
        # What is focused stands nearer to the hand than what is always there.
        for near in (True, False):
            for found in active:
                binding = found.binding
                is_near = found.node is not self.app and found.node is not self.screen
                if not binding.show or is_near is not near or not found.enabled:
                    continue
                if binding.description and binding.description not in seen:
                    seen.add(binding.description)
                    yield _Hint(
                        look.words(_display(binding)),
                        binding.description,
                        binding.action,
                        found.node,
                    )

    async def on_click(self, event: Click) -> None:
        for begin, end, hint in self._zones:
            if begin <= event.x < end:
                await self.app.run_action(hint.action, hint.node)


def _display(binding: Binding) -> str:
    return binding.key_display or shown_keys(binding.key)


def _cells(hint: _Hint) -> int:
    return len(hint.keys) + len(hint.text) + 3
