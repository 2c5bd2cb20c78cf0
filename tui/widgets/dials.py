"""A list of settings, each turned by ← and →, or typed after enter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from analyzer.report.cells import padded
from tui.look import Glyph, Ink, look_of
from tui.widgets.line import Line

_VALUE: Final = 12
_TRACK: Final = 16
_MOST_DIGITS: Final = 10


@dataclass(frozen=True, slots=True)
class Dial:
    """One setting: what it may be, what it is, and what it was recorded as."""

    name: str
    presets: tuple[str, ...]
    value: str
    recorded: str
    unit: str = ""
    numeric: bool = False
    """Whether any number may be typed, beside the presets."""

    @property
    def changed(self) -> bool:
        return self.value != self.recorded

    def turned(self, by: int) -> str:
        """The next preset in that direction; where there is none, the value stays."""
        if self.value in self.presets:
            at = self.presets.index(self.value) + by
            return self.presets[at] if 0 <= at < len(self.presets) else self.value
        near = [preset for preset in self.presets if self._beyond(preset, by)]
        return (near[0] if by > 0 else near[-1]) if near else self.value

    def _beyond(self, preset: str, by: int) -> bool:
        if not (preset.isdecimal() and self.value.isdecimal()):
            return False
        return (int(preset) > int(self.value)) == (by > 0)


class Dials(ScrollView, can_focus=True, inherit_bindings=False):
    """Draws the settings; who listens keeps them."""

    DEFAULT_CSS = "Dials { overflow-x: hidden; scrollbar-size-vertical: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l", "turn(1)", "Change", key_display="← →", id="dials.more",
                tooltip="Next preset"),
        Binding("left,h", "turn(-1)", "Less", show=False, id="dials.less",
                tooltip="Previous preset"),
        Binding("down,j", "move(1)", "Next knob", show=False, id="dials.down"),
        Binding("up,k", "move(-1)", "Previous knob", show=False, id="dials.up"),
        Binding("enter", "type", "Type", id="dials.type",
                tooltip="Type a number; enter again takes it, escape does not"),
        Binding("backspace", "reset", "Reset", id="dials.reset",
                tooltip="As recorded; while typing, take the last digit back"),
    ]  # fmt: skip

    class Turned(Message):
        """A setting is to be *value* now."""

        def __init__(self, name: str, value: str) -> None:
            super().__init__()
            self.name = name
            self.value = value

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._dials: Sequence[Dial] = ()
        self._at = 0
        self._typed: str | None = None
        """The number that is being typed; None while none is."""

    def show(self, dials: Sequence[Dial]) -> None:
        """Draw *dials* from now on."""
        self._dials = dials
        self._at = min(self._at, max(len(dials) - 1, 0))
        self.virtual_size = Size(self.size.width, len(dials))
        self.refresh()

    def select(self, name: str) -> None:
        """Go to the setting *name*."""
        for at, dial in enumerate(self._dials):
            if dial.name == name:
                self._go(at)

    @property
    def selected(self) -> Dial | None:
        return self._dials[self._at] if self._dials else None

    def action_turn(self, by: int) -> None:
        dial = self.selected
        if dial is not None:
            self._typed = None
            self._turn(dial, dial.turned(by))

    def action_move(self, by: int) -> None:
        self._take()
        self._go(self._at + by)

    def action_reset(self) -> None:
        dial = self.selected
        if self._typed:
            self._typed = self._typed[:-1]
            self.refresh()
        elif dial is not None:
            self._turn(dial, dial.recorded)

    def action_type(self) -> None:
        """Begin to type a number, or take the one that was typed."""
        dial = self.selected
        if self._typed is not None:
            self._take()
        elif dial is not None and dial.numeric:
            self._typed = ""
        elif dial is not None:
            self._turn(dial, dial.turned(1))
        self.refresh()

    def on_key(self, event: events.Key) -> None:
        if self._typed is None:
            return
        digit = event.character or ""
        if event.key == "escape":
            self._typed = None
        elif digit.isascii() and digit.isdigit():
            self._typed = (self._typed + digit)[:_MOST_DIGITS]
        else:
            return
        # While a number is typed a digit is not the number of a view.
        event.stop()
        event.prevent_default()
        self.refresh()

    def take(self) -> Turned | None:
        """The number that was being typed, if one was; typing is over."""
        dial, typed = self.selected, self._typed
        self._typed = None
        self.refresh()
        if dial is None or not typed or str(int(typed)) == dial.value:
            return None
        return self.Turned(dial.name, str(int(typed)))

    def _take(self) -> None:
        turned = self.take()
        if turned is not None:
            self.post_message(turned)

    def on_click(self, event: events.Click) -> None:
        at = self.scroll_offset.y + event.y
        if not 0 <= at < len(self._dials):
            return
        self._go(at)
        name = self._name_width()
        if event.x == name + 2:
            self.action_turn(-1)
        elif event.x == name + 3 + _VALUE:
            self.action_turn(1)

    def on_blur(self) -> None:
        self._take()

    def render_line(self, y: int) -> Strip:
        at = self.scroll_offset.y + y
        width = self.scrollable_content_region.width
        look = look_of(self)
        if at >= len(self._dials):
            return Line(look, Ink.GROUND).strip(width)
        selected = at == self._at
        ground = Ink.GROUND
        if selected:
            ground = Ink.SELECTED if self.has_focus else Ink.SELECTED_BLURRED
        line = Line(look, ground)
        self._draw(line, self._dials[at], selected, width)
        return line.strip(width)

    def _draw(self, line: Line, dial: Dial, selected: bool, width: int) -> None:
        look, changed = line.look, dial.changed
        line.add(
            f"{look.glyph(Glyph.MARK) if changed else ' '} ", Ink.CURSOR, bold=True
        )
        name = self._name_width()
        line.add(padded(look.clipped(dial.name, name), name), bold=changed)
        typed = self._typed if selected else None
        value = dial.value if typed is None else f"{typed}_"
        arrow = Ink.ACCENT if selected else Ink.DIM
        less, more = dial.turned(-1) != dial.value, dial.turned(1) != dial.value
        line.add("<" if less else " ", arrow)
        ink = Ink.CURSOR if changed or typed is not None else Ink.TEXT
        line.add(value[:_VALUE].center(_VALUE), ink, bold=changed)
        line.add(">" if more else " ", arrow)
        if width - line.width >= _TRACK + 2 and dial.numeric:
            self._track(line, dial)
        if dial.unit and width - line.width >= len(dial.unit) + 1:
            line.add(f" {dial.unit}", Ink.DIM)
        was = f"  was {dial.recorded}"
        if changed and width - line.width >= len(was):
            line.add(was, Ink.DIM)

    def _track(self, line: Line, dial: Dial) -> None:
        """Where the value lies among the presets, and where the recorded one does."""
        look = line.look
        here, then = self._place(dial, dial.value), self._place(dial, dial.recorded)
        line.add(" ")
        for cell in range(_TRACK):
            if cell == here:
                ink = Ink.CURSOR if dial.changed else Ink.ACCENT
                line.add(look.glyph(Glyph.KNOB), ink)
            elif cell == then:
                line.add(look.glyph(Glyph.CURSOR_LINE), Ink.MUTED)
            else:
                line.add(look.glyph(Glyph.AXIS_FLOOR), Ink.LINE)

    def _place(self, dial: Dial, value: str) -> int:
        below = sum(
            int(preset) < int(value) if value.isdecimal() else False
            for preset in dial.presets
            if preset.isdecimal()
        )
        return round(below / max(len(dial.presets) - 1, 1) * (_TRACK - 1))

    def _name_width(self) -> int:
        longest = max((len(dial.name) for dial in self._dials), default=0)
        return max(min(longest + 1, self.size.width - _VALUE - 5), 8)

    def _turn(self, dial: Dial, value: str) -> None:
        if value != dial.value:
            self.post_message(self.Turned(dial.name, value))

    def _go(self, at: int) -> None:
        self._at = max(0, min(at, len(self._dials) - 1))
        self.scroll_to_region(Region(0, self._at, 1, 1), animate=False)
        self.refresh()
