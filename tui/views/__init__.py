"""The seven views and the drill-down: a result in widgets.

Named by module, so that a view is loaded when it is first gone to.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tui.views.view import View

VIEWS: Final[Mapping[str, tuple[str, str]]] = {
    "overview": ("Overview", "Ovw"),
    "workloads": ("Workloads", "Wkl"),
    "sharing": ("Sharing", "Shr"),
    "contents": ("Contents", "Cnt"),
    "time": ("Time", "Time"),
    "what_if": ("What-if", "What"),
    "compare": ("Compare", "Cmp"),
}
"""View → its title, and the same where there is little room."""

_CLASSES: Final = {
    "overview": "Overview",
    "workloads": "Workloads",
    "sharing": "Sharing",
    "contents": "Contents",
    "time": "Time",
    "what_if": "WhatIf",
    "compare": "Compare",
}


def view_class(name: str) -> "type[View]":
    """The class of the view *name*."""
    made: type[View] = getattr(import_module(f"tui.views.{name}"), _CLASSES[name])
    return made
