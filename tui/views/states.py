"""Where pages are: the parts of bars and areas, in the order they are stacked."""

from typing import Final

from tui.look import State

TITLES: Final = {
    State.SAVED: "saved non-zero",
    State.ZERO: "saved zero",
    State.KEPT: "kept or forked",
    State.UNSHARED: "unshared",
    State.VOLATILE: "volatile",
    State.UNSCANNED: "not scanned",
}
"""What a state of pages is called; docs/savings.md defines them."""

COURSE: Final = {
    State.SAVED: "saved_nonzero",
    State.ZERO: "saved_zero",
    State.KEPT: "kept",
    State.VOLATILE: "volatile",
    State.UNSHARED: "unshared",
    State.UNSCANNED: "unscanned",
}
"""State → its column in `course`, from the lowest area up."""
