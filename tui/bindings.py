"""The keys that work in every view; each view and widget adds its own."""

from typing import Final

from textual.binding import Binding, BindingType

from tui.views import VIEWS

_JUMP: Final = 10
"""Passes that { and } go."""

BINDINGS: Final[list[BindingType]] = [
    *(
        Binding(
            str(number),
            f"view('{name}')",
            title,
            id=f"view.{name}",
            show=False,
            tooltip=f"Go to {title}",
        )
        for number, (name, (title, _)) in enumerate(VIEWS.items(), 1)
    ),
    Binding("tab", "focus_next", "Next pane", id="view.next_pane", show=False),
    Binding("shift+tab", "focus_previous", "Previous pane",
            id="view.previous_pane", show=False),
    Binding("slash", "filter", "Filter", id="find.filter",
            tooltip="Filter: only rows that an expression fits"),
    Binding("escape", "clear", "Back", id="find.back", show=False,
            tooltip="Clear the filter, or end zooming"),
    Binding("colon,ctrl+p", "command_palette", "Palette", id="find.palette",
            show=False, tooltip="Palette: any command, workload or process"),
    Binding("comma", "step(-1)", "Pass", id="time.back", key_display=", .",
            tooltip="Previous pass"),
    Binding("full_stop", "step(1)", "Next pass", id="time.on", show=False),
    Binding("left_curly_bracket", f"step(-{_JUMP})", "Ten passes back",
            id="time.back_ten", show=False),
    Binding("right_curly_bracket", f"step({_JUMP})", "Ten passes on",
            id="time.on_ten", show=False),
    Binding("g", "go_to", "Go to", id="time.go_to", show=False,
            tooltip="Go to a pass (42, +10), a time (07:30) or 95%"),
    Binding("p", "play", "Play", id="time.play", tooltip="Play or pause"),
    Binding("b", "bookmark", "Bookmark", id="time.bookmark", show=False,
            tooltip="Bookmark this pass, or take the bookmark away"),
    Binding("B", "bookmarks", "Bookmarks", id="time.bookmarks", show=False,
            tooltip="List the bookmarks"),
    Binding("x", "replay_pass", "Replay pass", id="time.replay", show=False,
            tooltip="Replay to this pass: its mappings, sharing and contents"),
    Binding("f5", "run_draft", "Run", id="jobs.run", show=False,
            tooltip="Replay the draft of What-if exactly"),
    Binding("ctrl+x", "cancel", "Cancel", id="jobs.cancel", show=False,
            tooltip="Cancel the replay that runs"),
    Binding("J", "jobs", "Jobs", id="jobs.list", show=False,
            tooltip="List the replays that run and wait; enter cancels one"),
    Binding("w", "swap", "Swap A B", id="jobs.swap", show=False,
            tooltip="Swap A and B"),
    Binding("R", "reload", "Reload", id="jobs.reload", show=False,
            tooltip="Open the files again, as they are now"),
    Binding("u", "units", "Units", id="app.units",
            tooltip="Units: bytes, pages, % of the pages offered"),
    Binding("e", "export", "Export", id="app.export",
            tooltip="Export the table: csv, json, md; the screen: svg"),
    Binding("y", "copy", "Copy", id="app.copy", tooltip="Copy the row"),
    Binding("Y", "copy_table", "Copy table", id="app.copy_table", show=False,
            tooltip="Copy the table as it is seen"),
    Binding("z", "zoom", "Zoom", id="app.zoom", tooltip="Zoom the pane, and back"),
    Binding("t", "theme", "Theme", id="app.theme", show=False,
            tooltip="Theme: dark, light, the terminal's sixteen colours"),
    Binding("question_mark,f1", "help", "Help", id="app.help", key_display="?",
            tooltip="This list: keys of the pane one is in, then all others"),
    Binding("q", "quit", "Quit", id="app.quit"),
    Binding("ctrl+c", "interrupt", "Quit at once", id="app.interrupt", show=False,
            priority=True, tooltip="Pressed twice, quit from wherever one is"),
    Binding("ctrl+z", "suspend_process", "Suspend", id="app.suspend", show=False,
            priority=True, tooltip="Suspend: the shell's fg comes back"),
]  # fmt: skip
