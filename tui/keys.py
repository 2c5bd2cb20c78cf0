"""Every key of the program in one place for those who list them: help and docs.

The bindings of the classes are the only source; nothing is written twice.
"""

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple

from textual.binding import Binding

_CLASSES: Final = (
    ("tui.app", "KsmApp"),
    ("tui.widgets.grid", "Grid"),
    ("tui.widgets.timeline", "Timeline"),
    ("tui.widgets.heat_map", "HeatMap"),
    ("tui.widgets.page_map", "PageMap"),
    ("tui.widgets.dials", "Dials"),
    ("tui.views.opening", "Opening"),
    ("tui.views.findings", "Findings"),
    ("tui.views.workloads", "Workloads"),
    ("tui.views.sharing", "Sharing"),
    ("tui.views.contents", "Contents"),
    ("tui.views.what_if", "WhatIf"),
    ("tui.views.offers", "Offers"),
    ("tui.views.compare", "Compare"),
    ("tui.views.process", "Process"),
)
"""Whatever has keys, in the order the help lists it."""

GROUPS: Final = {
    "view": "Views",
    "grid": "Rows",
    "find": "Find",
    "time": "Time",
    "jobs": "Replays",
    "app": "App",
    "chart": "Charts",
    "findings": "Findings",
    "heat": "Sharing matrix",
    "sharing": "Sharing",
    "dials": "Knobs",
    "what_if": "What-if",
    "compare": "Compare",
    "contents": "Contents",
    "process": "Process",
    "pages": "Page map",
}
"""The part of a binding's id before the dot → what the help calls it."""


_NONE: Final[Mapping[str, str]] = {}


class Key(NamedTuple):
    """One thing that keys do."""

    group: str
    keys: str
    """As people call them: `, .`, `PgUp`."""
    text: str
    id: str
    action: str


def all_keys(own: Mapping[str, str] = _NONE) -> list[Key]:
    """Those of every widget, view and screen; *own* as in `keys_of`."""
    classes = (getattr(import_module(module), name) for module, name in _CLASSES)
    return list(keys_of(*classes, own=own))


def ids() -> set[str]:
    """The names that a user's own keys can be given to."""
    return {key.id for key in all_keys()}


def keys_of(*classes: type[Any], own: Mapping[str, str] = _NONE) -> Iterator[Key]:
    """The bindings of *classes*, in their order; ids say the group: `time.step`.

    *own*: a user's keys instead of the usual ones, by id.
    """
    seen: set[str] = set()
    for made in classes:
        for binding in _bindings(made):
            if binding.id is None or not binding.description or binding.id in seen:
                continue
            seen.add(binding.id)
            group, _, _ = binding.id.partition(".")
            shown = shown_keys(own.get(binding.id, binding.key))
            text = binding.tooltip or binding.description
            yield Key(group, shown, text, binding.id, binding.action)


def shown_keys(keys: str) -> str:
    """`comma,left_curly_bracket` → `, {`."""
    return " ".join(_NAMES.get(key, key) for key in keys.split(","))


def _bindings(made: type[Any]) -> Iterable[Binding]:
    for binding in made.__dict__.get("BINDINGS", ()):
        if isinstance(binding, Binding):
            yield binding


_NAMES = {
    "comma": ",",
    "full_stop": ".",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "question_mark": "?",
    "slash": "/",
    "colon": ":",
    "asterisk": "*",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "escape": "esc",
    "backspace": "⌫",
    "enter": "⏎",
    "space": "space",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
    "f1": "F1",
    "f5": "F5",
    "tab": "tab",
    "shift+tab": "⇧tab",
}
