"""What a look promises: states told apart, no colour where none is wanted."""

import pytest

from analyzer.cli.view import command
from tui.keys import all_keys
from tui.look import PLAIN, THEMES, Glyph, Ink, Look, State, mix, themes

LOOKS = [
    Look(theme, colour, plain)
    for theme in ("dark", "light", "ansi")
    for colour in (True, False)
    for plain in (True, False)
]


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_states_differ_by_texture(look):
    assert len({look.texture(state) for state in State}) == len(State)


def test_states_differ_by_colour():
    for theme in ("dark", "light"):
        look = Look(theme)
        assert len({look.style(state).color for state in State}) == len(State)


@pytest.mark.parametrize("look", [look for look in LOOKS if not look.colour], ids=str)
def test_without_colour_no_style_has_any(look):
    for token in [*State, *Ink, "#123456"]:
        for style in (look.style(token, token), look.style(token, faded=True)):
            assert style.color is None
            assert style.bgcolor is None
    assert look.heat(0.5) is None


def test_without_colour_the_cursor_row_is_reversed_and_what_is_to_come_dim():
    look = Look(colour=False)
    assert look.style(bg=Ink.SELECTED).reverse
    assert look.style(State.SAVED, faded=True).dim
    assert look.style(Ink.DIM).dim
    assert look.style(Ink.ACCENT).bold


def test_ansi_names_only_the_terminals_colours():
    look = Look("ansi")
    for token in [*State, *Ink]:
        colour = look.style(token).color
        assert colour is None or colour.number in range(16)


@pytest.mark.parametrize("look", [look for look in LOOKS if look.ascii], ids=str)
def test_ascii_looks_draw_ascii(look):
    signs = [look.glyph(glyph) for glyph in Glyph]
    signs += [look.texture(token) for token in [*State, *Ink]]
    signs += [look.shade(t / 20) for t in range(21)]
    assert all(sign.isascii() and sign.isprintable() for sign in signs)


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_shades_grow_and_only_nothing_is_blank(look):
    shades = [look.shade(t / 100) for t in range(101)]
    assert shades[0] == " "
    assert " " not in shades[1:]
    assert len(dict.fromkeys(shades)) == 5
    assert look.glyph(Glyph.LESS_THAN_SHOWN) not in shades
    assert look.shade(2) == shades[-1]


def test_in_ascii_our_words_and_all_keys_are():
    look = Look(ascii=True)
    assert look.words("A · B › C → D…") == "A | B > C -> D~"
    assert PLAIN.words("A · B") == "A · B"
    for key in all_keys():
        assert look.words(f"{key.keys} {key.text}").isascii()


def test_in_ascii_a_name_is_cut_in_ascii_and_otherwise_kept():
    look = Look(ascii=True)
    assert look.clipped("a long name", 6) == "a lon~"
    assert look.clipped("né…", 6) == "né…"
    assert PLAIN.clipped("a long name", 6) == "a lon…"


def test_mixing_goes_from_one_colour_to_the_other():
    assert mix("#000000", "#ffffff", 0) == "#000000"
    assert mix("#000000", "#ffffff", 1) == "#ffffff"
    assert mix("#102030", "#304050", 0.5) == "#203040"


def test_heat_runs_over_the_whole_ramp():
    assert PLAIN.heat(-1) == PLAIN.heat(0) == "#141a22"
    assert PLAIN.heat(1) == PLAIN.heat(7) == "#fdf0a0"


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_text_on_heat_differs_from_it_in_brightness(theme):
    look = Look(theme)
    assert look.ink_on(look.heat(0)) == Ink.TEXT
    assert look.ink_on(look.heat(1)) == Ink.GROUND


def test_themes_can_be_made_into_colours():
    for theme in themes():
        assert theme.to_color_system().generate()
    assert [theme.name for theme in themes()] == [
        "ksm-dark",
        "ksm-light",
        "ksm-ansi",
        "ksm-mono",
    ]


def test_the_command_line_offers_the_themes_there_are():
    offered = next(each for each in command.params if each.name == "theme")
    assert tuple(offered.type.choices) == tuple(THEMES)
