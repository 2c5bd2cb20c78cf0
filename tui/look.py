"""Colours, textures and glyphs: the one place that says how the screen looks.

Widgets name what they mean (`State.ZERO`, `Ink.ACCENT`); a `Look` turns that into a
style. Where colour is missing or poor a state is told by its texture, and emphasis by
bold, dim and reverse alone: Textual draws colours as greys under NO_COLOR, and two
greys that are near each other cannot be told apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import lru_cache
from typing import Final, Literal, Protocol, runtime_checkable

from rich.style import Style
from textual.theme import Theme
from textual.widget import Widget

from analyzer.report.bar import KEPT, NONZERO, UNMERGED, ZERO
from analyzer.report.cells import ELLIPSIS, clipped

Colour = str
"""A `State`, an `Ink`, or what `mix` and `heat` return."""

Kind = Literal["dark", "light", "ansi"]
THEMES: Final[Mapping[str, Kind]] = {
    "ksm-dark": "dark",
    "ksm-light": "light",
    "ksm-ansi": "ansi",
}
"""The themes there are to choose from, the usual one first → what they draw with."""
MONO: Final = "ksm-mono"
"""The theme under NO_COLOR."""


class State(StrEnum):
    """What became of a page, in the order in which bars are stacked."""

    SAVED = "saved"
    ZERO = "zero"
    KEPT = "kept"
    UNSHARED = "unshared"
    VOLATILE = "volatile"
    UNSCANNED = "unscanned"


class Ink(StrEnum):
    """What a colour that is not a state's is for."""

    TEXT = "text"
    MUTED = "muted"
    DIM = "dim"
    ACCENT = "accent"
    CURSOR = "cursor"
    GAIN = "gain"
    LOSS = "loss"
    WARNING = "warning"
    LINE = "line"
    GROUND = "ground"
    SURFACE = "surface"
    PANEL = "panel"
    SELECTED = "selected"
    SELECTED_BLURRED = "selected-blurred"


class Glyph(Enum):
    """A sign and what stands for it in ASCII.

    Most signs are of ambiguous width: a terminal of an East Asian locale draws them
    two cells wide.
    """

    BRAND = ("◆", "*")
    MARK = ("●", "*")
    PLAY = ("▶", ">")
    PAUSE = ("⏸", "=")
    RUNNING = ("⟳", "@")
    DONE = ("✓", "+")
    FOLDED = ("▸", "+")
    UNFOLDED = ("▾", "-")
    DESCENDING = ("▼", "v")
    ASCENDING = ("▲", "^")
    CRUMB = ("›", ">")
    TIMES = ("×", "x")
    SEPARATOR = ("·", "|")
    BOTH_WAYS = ("⇄", "<>")
    TOWARDS = ("→", "->")
    CARD = ("▌", "|")
    THIN_CARD = ("▎", "|")
    CURSOR_LINE = ("┃", "|")
    MIDDLE = ("│", "|")
    AXIS = ("│", "|")
    AXIS_TICK = ("┤", "+")
    AXIS_CORNER = ("└", "+")
    AXIS_FLOOR = ("─", "-")
    FLOOR_TICK = ("┴", "+")
    GRID_LINE = ("┈", " ")
    PAST = ("━", "=")
    KNOB = ("●", "O")
    NOTCH = ("╋", "+")
    ABOUT = ("≈", "~")
    CURVE = ("━", "-")
    LESS_THAN_SHOWN = ("·", ".")
    ELLIPSIS = ("…", "~")


_STAND_INS: Final = str.maketrans(
    {
        "·": "|",
        "›": ">",
        "│": "|",
        "≈": "~",
        "…": "~",
        "←": "<-",
        "→": "->",
        "↑": "up",
        "↓": "down",
        "⏎": "enter",
        "⌫": "backspace",
        "⇧": "shift+",
    }
)
"""What the signs in our own words and in the names of keys are in ASCII."""


_DARK: Final[dict[str, str]] = {
    Ink.GROUND: "#0e1218",
    Ink.SURFACE: "#141a22",
    Ink.PANEL: "#1b232d",
    Ink.LINE: "#2b3643",
    Ink.TEXT: "#dbe3ec",
    Ink.MUTED: "#93a1b0",
    Ink.DIM: "#5c6a79",
    Ink.ACCENT: "#58b7ff",
    Ink.CURSOR: "#f2c14e",
    Ink.GAIN: "#2fc48d",
    Ink.LOSS: "#ee6a4a",
    Ink.WARNING: "#eda83c",
    Ink.SELECTED: "#1e3a56",
    Ink.SELECTED_BLURRED: "#1a2836",
    State.SAVED: "#25ab7d",
    State.ZERO: "#74c0ff",
    State.KEPT: "#3f6fc0",
    State.UNSHARED: "#465260",
    State.VOLATILE: "#e39b36",
    State.UNSCANNED: "#1f2833",
}
_LIGHT: Final[dict[str, str]] = {
    Ink.GROUND: "#fbfcfd",
    Ink.SURFACE: "#f1f4f7",
    Ink.PANEL: "#e6ebf0",
    Ink.LINE: "#c6d0da",
    Ink.TEXT: "#16202b",
    Ink.MUTED: "#4b5b6b",
    Ink.DIM: "#8795a3",
    Ink.ACCENT: "#0b6fbf",
    Ink.CURSOR: "#9a6b00",
    Ink.GAIN: "#0a7d58",
    Ink.LOSS: "#c03a1c",
    Ink.WARNING: "#a86400",
    Ink.SELECTED: "#cfe4f7",
    Ink.SELECTED_BLURRED: "#e3eef8",
    State.SAVED: "#159a6d",
    State.ZERO: "#3d9fe6",
    State.KEPT: "#2c57a3",
    State.UNSHARED: "#a9b5c1",
    State.VOLATILE: "#e08a1a",
    State.UNSCANNED: "#dde4ea",
}
_ANSI: Final[dict[str, str]] = {
    Ink.ACCENT: "bright_blue",
    Ink.CURSOR: "bright_yellow",
    Ink.GAIN: "green",
    Ink.LOSS: "red",
    Ink.WARNING: "yellow",
    State.SAVED: "green",
    State.ZERO: "bright_cyan",
    State.KEPT: "blue",
    State.VOLATILE: "yellow",
}
"""The terminal's own text and ground where nothing is named."""

_PALETTES: Final = {"dark": _DARK, "light": _LIGHT, "ansi": _ANSI}

_HEAT: Final = {
    "dark": (
        "#141a22",
        "#16323f",
        "#175068",
        "#1b7484",
        "#2a9d86",
        "#6bbf63",
        "#c6cf4b",
        "#fdf0a0",
    ),
    "light": (
        "#f1f4f7",
        "#d3eae8",
        "#a5d6d2",
        "#6dbcbb",
        "#3a97a6",
        "#22708f",
        "#1d4c77",
        "#1a2c57",
    ),
}
_SHADES: Final = "░▒▓█"
_ASCII_SHADES: Final = ":=%#"

_TEXTURES: Final[dict[str, tuple[str, str]]] = {
    State.SAVED: (NONZERO.texture, NONZERO.ascii),
    State.ZERO: (ZERO.texture, ZERO.ascii),
    State.KEPT: (KEPT.texture, KEPT.ascii),
    State.UNSHARED: (UNMERGED.texture, UNMERGED.ascii),
    State.VOLATILE: ("~", "~"),
    State.UNSCANNED: ("·", "-"),
    # Of what is shared, the part that is shared with others.
    Ink.CURSOR: ("▒", "="),
    # Pages ksmd is not told of.
    Ink.LINE: ("╱", "/"),
}
_FULL: Final = ("█", "#")

_BOLD: Final = {Ink.ACCENT, Ink.CURSOR}
_FAINT: Final = {Ink.DIM, Ink.LINE}
_REVERSED: Final = {Ink.SELECTED, Ink.CURSOR}

_FADING: Final = 0.62
"""How much of the ground is mixed into what lies after the pass cursor."""


@dataclass(frozen=True, slots=True)
class Look:
    """One way to draw the screen; hashable, so that drawn lines can be kept by it."""

    theme: Kind = "dark"
    colour: bool = True
    ascii: bool = False
    """Nothing but ASCII is drawn, names apart."""

    @property
    def textured(self) -> bool:
        """Whether states are told by texture, colour being poor or missing."""
        return not self.colour or self.ascii or self.theme == "ansi"

    @property
    def shaded(self) -> bool:
        """Whether heat is told by shades, there being no colours in between."""
        return not self.colour or self.theme == "ansi"

    def style(
        self,
        fg: Colour | None = None,
        bg: Colour | None = None,
        *,
        bold: bool = False,
        dim: bool = False,
        underline: bool = False,
        reverse: bool = False,
        faded: bool = False,
    ) -> Style:
        """The style for text of colour *fg* on *bg*, None being the widget's own.

        *faded* moves both towards the ground, or dims where they cannot be mixed.
        """
        return _style(self, fg, bg, bold, dim, underline, reverse, faded)

    def texture(self, token: Colour) -> str:
        """The character that fills an area of *token*; a full block for no state."""
        return _TEXTURES.get(token, _FULL)[self.ascii]

    def swatch(self, token: Colour) -> str:
        """The character that stands for *token* in a legend."""
        return self.texture(token) if self.textured else "■"

    def glyph(self, glyph: Glyph) -> str:
        """The sign this look can draw."""
        sign, plain = glyph.value
        return plain if self.ascii else sign

    def clipped(self, text: str, width: int) -> str:
        """Printable *text*, its end left out where it is wider than *width*."""
        shown = clipped(text, width)
        if not self.ascii or shown == text:
            return shown
        return shown.removesuffix(ELLIPSIS) + self.glyph(Glyph.ELLIPSIS)

    def words(self, text: str) -> str:
        """*text* as this look can draw it: our own words and keys, never a name."""
        return text.translate(_STAND_INS) if self.ascii else text

    def heat(self, t: float) -> Colour | None:
        """The colour of *t* from 0 to 1; None where `shade` tells it."""
        if self.shaded:
            return None
        stops = _HEAT[self.theme]
        place = min(max(t, 0.0), 1.0) * (len(stops) - 1)
        at = min(int(place), len(stops) - 2)
        return mix(stops[at], stops[at + 1], round(place - at, 2))

    def shade(self, t: float) -> str:
        """The shade character of *t* from 0 to 1; only 0 is blank."""
        shades = _ASCII_SHADES if self.ascii else _SHADES
        return shades[min(int(t * len(shades)), len(shades) - 1)] if t > 0 else " "

    def mixed(self, fg: Colour, bg: Colour, t: float) -> Colour:
        """*fg* with *t* of *bg* in it; *fg* itself where colours cannot be mixed."""
        palette = _PALETTES[self.theme]
        one, other = palette.get(fg, fg), palette.get(bg, bg)
        return mix(one, other, t) if one[:1] == other[:1] == "#" else fg

    def ink_on(self, ground: Colour | None) -> Colour:
        """Text that can be read on *ground*, a colour `heat` returned."""
        if ground is None:
            return Ink.TEXT
        bright = _luminance(ground) > 0.45
        return Ink.GROUND if bright == (self.theme == "dark") else Ink.TEXT


PLAIN: Final = Look()
"""What a widget wears in an app that has no look."""


@runtime_checkable
class Dressed(Protocol):
    """An app that says how its widgets look."""

    @property
    def look(self) -> Look:
        """What all its widgets wear."""


def look_of(widget: Widget) -> Look:
    """The look of the app *widget* is in."""
    app = widget.app
    return app.look if isinstance(app, Dressed) else PLAIN


@lru_cache(4096)
def mix(one: str, other: str, t: float) -> str:
    """The `#rrggbb` that lies *t* of the way from *one* to *other*."""
    pairs = zip(_rgb(one), _rgb(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * t):02x}" for a, b in pairs)


def themes() -> list[Theme]:
    """Textual's side of the looks: dark, light, the terminal's 16 colours, and none.

    `ksm-mono` names no colour but the terminal's own: the theme for NO_COLOR.
    """
    return [
        _theme("ksm-dark", _DARK, dark=True),
        _theme("ksm-light", _LIGHT, dark=False),
        _terminal_theme("ksm-ansi", _ANSI),
        _terminal_theme(MONO, {}),
    ]


def _theme(name: str, palette: dict[str, str], dark: bool) -> Theme:
    ground, line = palette[Ink.GROUND], palette[Ink.LINE]
    return Theme(
        name=name,
        dark=dark,
        primary=palette[Ink.ACCENT],
        secondary=palette[State.SAVED],
        accent=palette[Ink.CURSOR],
        warning=palette[Ink.WARNING],
        error=palette[Ink.LOSS],
        success=palette[Ink.GAIN],
        foreground=palette[Ink.TEXT],
        background=ground,
        surface=palette[Ink.SURFACE],
        panel=palette[Ink.PANEL],
        variables={
            "ksm-line": line,
            "ksm-muted": palette[Ink.MUTED],
            "ksm-dim": palette[Ink.DIM],
            "border": palette[Ink.ACCENT],
            "border-blurred": line,
            "block-cursor-background": palette[Ink.SELECTED],
            "block-cursor-foreground": palette[Ink.TEXT],
            "scrollbar": line,
            "scrollbar-hover": palette[Ink.MUTED],
            "scrollbar-active": palette[Ink.ACCENT],
            "scrollbar-background": ground,
            "scrollbar-background-hover": ground,
            "scrollbar-background-active": ground,
            "scrollbar-corner-color": ground,
        },
    )


def _terminal_theme(name: str, palette: dict[str, str]) -> Theme:
    def named(token: str) -> str:
        return f"ansi_{palette.get(token, 'default')}"

    own = "ansi_default"
    return Theme(
        name=name,
        ansi=True,
        primary=named(Ink.ACCENT),
        secondary=named(State.SAVED),
        accent=named(Ink.CURSOR),
        warning=named(Ink.WARNING),
        error=named(Ink.LOSS),
        success=named(Ink.GAIN),
        foreground=own,
        background=own,
        surface=own,
        panel=own,
        boost=own,
        variables={
            "ansi-background": own,
            "ansi-foreground": own,
            "ksm-line": own,
            "ksm-muted": own,
            "ksm-dim": own,
            "border": named(Ink.ACCENT),
            "border-blurred": own,
            "block-cursor-background": own,
            "block-cursor-foreground": own,
            "scrollbar": own,
            "scrollbar-hover": own,
            "scrollbar-active": own,
            "scrollbar-background": own,
            "scrollbar-background-hover": own,
            "scrollbar-background-active": own,
            "scrollbar-corner-color": own,
        },
    )


@lru_cache(16384)
def _style(
    look: Look,
    fg: str | None,
    bg: str | None,
    bold: bool,
    dim: bool,
    underline: bool,
    reverse: bool,
    faded: bool,
) -> Style:
    if look.colour and look.theme != "ansi":
        front, back = _hex(look, fg, faded), _hex(look, bg, faded)
    else:
        palette = _ANSI if look.colour else {}
        front = palette.get(fg) if fg else None
        # A ground of its own would hide the textures.
        back = None
        if fg == Ink.GROUND and bg is not None:
            front, reverse = palette.get(bg), True
        bold = bold or fg in _BOLD or bg == Ink.SELECTED_BLURRED
        dim = dim or faded or fg in _FAINT
        reverse = reverse or bg in _REVERSED
    return Style(
        color=front,
        bgcolor=back,
        bold=bold or None,
        dim=dim or None,
        underline=underline or None,
        reverse=reverse or None,
    )


def _hex(look: Look, colour: str | None, faded: bool) -> str | None:
    if colour is None:
        return None
    palette = _PALETTES[look.theme]
    named = palette.get(colour, colour)
    return mix(named, palette[Ink.GROUND], _FADING) if faded else named


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    red, green, blue = _rgb(colour)
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255
