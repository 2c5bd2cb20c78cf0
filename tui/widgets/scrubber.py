"""The fourth band: the pass cursor over the whole replay."""

from dataclasses import dataclass

from textual.events import Click, MouseMove
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.look import Glyph, Ink, look_of
from tui.widgets.line import Line

_WIDE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What there is to scrub through."""

    count: int = 0
    at: int = 0
    """From 0."""
    label: str = ""
    """What the moment is called: `pass 4/12`."""
    time: str = ""
    """Its simulated time."""
    notch: int | None = None
    """A moment that is marked, and what for."""
    note: str = ""
    playing: bool = False
    bookmarks: tuple[int, ...] = ()


class Scrubber(Widget):
    """A line with a knob on it; click or drag it."""

    DEFAULT_CSS = "Scrubber { height: 1; }"

    class Moved(Message):
        """The knob was put on a moment."""

        def __init__(self, at: int) -> None:
            super().__init__()
            self.at = at

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._course = Course()

    def say(self, course: Course) -> None:
        """Show *course* from now on."""
        if course != self._course:
            self._course = course
            self.refresh()

    def render_line(self, y: int) -> Strip:  # noqa: ARG002
        look, width, course = look_of(self), self.size.width, self._course
        left, room, right = self._geometry()
        sign = Glyph.PAUSE if course.playing else Glyph.PLAY
        line = Line(look)
        line.add(f" {look.glyph(sign)} ", Ink.CURSOR, bold=True)
        line.add(course.label, bold=True)
        if width >= _WIDE:
            line.add(f" {course.time}", Ink.MUTED)
        line.add(" " * max(left - line.width, 0))
        if course.count == 0:
            return line.strip(width)
        for cell in range(room):
            self._cell(line, cell, room)
        if right:
            line.add(f"  {course.note}", Ink.MUTED)
        return line.strip(width)

    def _cell(self, line: Line, cell: int, room: int) -> None:
        look, course = look_of(self), self._course
        knob = self._place(course.at, room)
        notch = None if course.notch is None else self._place(course.notch, room)
        if cell == knob:
            line.add(look.glyph(Glyph.KNOB), Ink.CURSOR, bold=True)
        elif cell == notch:
            line.add(look.glyph(Glyph.NOTCH), Ink.GAIN)
        elif cell in {self._place(mark, room) for mark in course.bookmarks}:
            line.add(look.glyph(Glyph.MARK), Ink.CURSOR)
        elif cell < knob:
            line.add(look.glyph(Glyph.PAST), Ink.ACCENT)
        else:
            line.add(look.glyph(Glyph.AXIS_FLOOR), Ink.LINE)

    def _geometry(self) -> tuple[int, int, int]:
        """Cells of the label, of the line, and of the note."""
        course, width = self._course, self.size.width
        left = 4 + len(course.label) + 1
        if width < _WIDE:
            return left, max(width - left - 1, 1), 0
        left += len(course.time) + 1
        right = len(course.note) + 3 if course.note else 1
        return left, max(width - left - right, 1), right

    def _place(self, at: int, room: int) -> int:
        last = max(self._course.count - 1, 1)
        return round(at / last * (room - 1))

    def on_click(self, event: Click) -> None:
        self._put(event.x)

    def on_mouse_move(self, event: MouseMove) -> None:
        if event.button:
            self._put(event.x)

    def _put(self, x: int) -> None:
        left, room, _ = self._geometry()
        if self._course.count == 0 or not left <= x < left + room:
            return
        last = self._course.count - 1
        self.post_message(self.Moved(round((x - left) / max(room - 1, 1) * last)))
