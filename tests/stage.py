"""An app of one widget, its keys pressed, its lines read."""

import asyncio

from textual.app import App, ComposeResult
from textual.message import Message
from textual.widget import Widget

from tui.look import PLAIN, Look, themes


class Stage(App[None]):
    """Shows one widget, in one look."""

    def __init__(self, widget: Widget, look: Look = PLAIN) -> None:
        super().__init__()
        self.widget = widget
        self.look = look
        for theme in themes():
            self.register_theme(theme)
        self.theme = f"ksm-{look.theme}" if look.colour else "ksm-mono"

    def compose(self) -> ComposeResult:
        yield self.widget


def lines(widget: Widget) -> list[str]:
    """The widget's lines as text, each of its width."""
    return [widget.render_line(y).text for y in range(widget.size.height)]


async def resized(pilot, width: int, height: int) -> None:
    """Resize the terminal, and wait until the widget has its new size."""
    await pilot.resize_terminal(width, height)
    for _ in range(20):
        if pilot.app.widget.outer_size.width == width:
            return
        await pilot.pause(0.01)


async def heightened(pilot, height: int) -> None:
    """Give the widget so many lines, and wait until it has them."""
    pilot.app.widget.styles.height = height
    while pilot.app.widget.outer_size.height != height:
        await pilot.pause(0.01)


def played(widget, act, size=(80, 24), look=PLAIN):
    """Run *act* with a pilot on a stage of *widget*; return what the widget said."""
    said: list[Message] = []

    def hear(message: Message) -> None:
        ours = type(message).__module__.startswith("tui.")
        if ours and message.control is widget and message not in said:
            said.append(message)

    async def play() -> None:
        stage = Stage(widget, look)
        async with stage.run_test(size=size, message_hook=hear) as pilot:
            await pilot.pause()
            await act(pilot)

    asyncio.run(play())
    return said


def pressed(widget, *keys, size=(80, 24), look=PLAIN):
    """Press *keys*; return the widget's lines, and what it said."""
    seen: list[str] = []

    async def act(pilot) -> None:
        widget.focus()
        await pilot.press(*keys)
        await pilot.pause()
        seen.extend(lines(widget))

    said = played(widget, act, size, look)
    return seen, said
