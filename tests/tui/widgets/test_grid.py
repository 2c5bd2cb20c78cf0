"""The tree-table by its keys: what is selected stays selected, whatever happens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from stage import lines, played, pressed, resized

from tui import draw
from tui.draw import Slice
from tui.look import Look, State
from tui.widgets.grid import Grid
from tui.widgets.source import Column, Source, by_values, fitted

COLUMNS = [
    Column("name", "workload", 16, 0, flex=1, right=False),
    Column("saved", "saved", 9, 1),
    Column("states", "page states", 12, 2, right=False, sortable=False, pictorial=True),
    Column("size", "size", 9, 3),
]
HOSTILE = [
    "[red]x[/red]",
    "[heap]",
    "漢字" * 150,
    "مرحبا بالعالم",
    "e\u0301" * 300,
    "a" * 300,
    "\x1b[31m\nx",
    "",
]


class Fleet(Source):
    """Workloads with processes: saved falls with the number, size rises."""

    tree = True

    def __init__(self, names, processes=2, total=None):
        self.names = dict(enumerate(names))
        self.processes = processes
        self.total = total

    def roots(self):
        return list(self.names)

    def children(self, key):
        return [(key, number) for number in range(self.processes)]

    def has_children(self, key):
        return not isinstance(key, tuple) and self.processes > 0

    def value(self, key, column):
        name = key[0] if isinstance(key, tuple) else key
        if column == "name":
            return self.names[name]
        return 1000 - name if column == "saved" else name

    def order(self, column, descending, keys):
        return by_values(keys, [self.value(key, column) for key in keys], descending)

    def cell(self, key, column, width, look):
        if column == "states":
            return draw.gapped([Slice(1, State.SAVED)], width, 2, look)
        if column == "name" and isinstance(key, tuple):
            return f"process {key[1]} of {key[0]}"
        value = self.value(key, column)
        return value if column == "name" else f"{value} MiB"

    def summary(self, column, *_):
        return self.total and {"name": self.total, "saved": "7 GiB"}.get(column, "")


class Plain(Fleet):
    """The same without a tree."""

    tree = False

    def has_children(self, _):
        return False


def grid(count=50, **kwargs):
    kwargs.setdefault("sort", "saved")
    return Grid(COLUMNS, Fleet([f"w{at}" for at in range(count)]), **kwargs)


def kinds(said, kind):
    return [message for message in said if isinstance(message, kind)]


MOVES = [
    ("down j", 2),
    ("down down k up", 0),
    ("pagedown", 22),
    ("pagedown pageup up", 0),
    ("end down", 49),
    ("G home", 0),
    ("right right right", (0, 0)),
    ("right down down left left down", 1),
    ("l l h", 0),
    ("asterisk down asterisk down", 1),
    ("r", 0),
]


def test_keys_move():
    async def act(pilot):
        for keys, selected in MOVES:
            await pilot.app.query(Grid).remove()
            table = grid()
            await pilot.app.mount(table)
            await pilot.pause()
            table.focus()
            await pilot.press(*keys.split())
            assert table.selected == selected, keys

    played(grid(), act)


def test_moving_is_said_once_per_row():
    _, said = pressed(grid(), "down", "down", "up")
    assert [message.key for message in kinds(said, Grid.Moved)] == [0, 1, 2, 1]


def test_enter_and_double_click_open():
    _, said = pressed(grid(), "down", "enter")
    assert [message.key for message in kinds(said, Grid.Opened)] == [1]

    async def act(pilot):
        await pilot.double_click(Grid, offset=(30, 4))

    said = played(grid(), act)
    assert [message.key for message in kinds(said, Grid.Opened)] == [3]


def test_marks_survive_and_can_be_listed_alone():
    table = grid()

    async def act(pilot):
        table.focus()
        await pilot.press("right", "down", "space", "left", "left", "end", "M")
        assert table.marks == {(0, 0)}
        assert list(table.visible_rows()) == [0]
        await pilot.press("right")
        assert list(table.visible_rows()) == [0, (0, 0)]
        assert "●" in lines(table)[2]
        await pilot.press("M")
        assert len(table.visible_rows()) == 52

    said = played(table, act)
    assert [message.keys for message in kinds(said, Grid.Marked)] == [{(0, 0)}]


def test_all_are_marked_or_none():
    table = grid(5)

    async def act(pilot):
        table.focus()
        await pilot.press("ctrl+a")
        assert table.marks == {0, 1, 2, 3, 4}
        await pilot.press("ctrl+a")
        assert table.marks == frozenset()

    played(table, act)


def test_sorting_by_keys_keeps_the_selected_row():
    table = grid()

    async def act(pilot):
        table.focus()
        await pilot.press("down", "greater_than_sign")
        assert table.sorting == ("size", True)
        assert table.selected == 1
        assert "size ▼" in lines(table)[0]
        await pilot.press("r")
        assert table.sorting == ("size", False)
        assert list(table.visible_rows())[:2] == [0, 1]
        assert "size ▲" in lines(table)[0]
        await pilot.press("less_than_sign")
        assert table.sorting == ("saved", True)

    said = played(table, act)
    assert [message.column for message in kinds(said, Grid.Sorted)] == [
        "size",
        "size",
        "saved",
    ]


def test_a_click_on_a_title_sorts_and_turns_round():
    table = grid()

    async def act(pilot):
        await pilot.click(Grid, offset=(2, 0))
        assert table.sorting == ("name", False)
        await pilot.click(Grid, offset=(2, 0))
        assert table.sorting == ("name", True)

    played(table, act)


def test_a_click_on_the_sign_unfolds():
    table = grid()

    async def act(pilot):
        await pilot.click(Grid, offset=(0, 2))
        assert list(table.visible_rows())[:3] == [0, 1, (1, 0)]
        await pilot.click(Grid, offset=(0, 2))
        assert list(table.visible_rows())[:3] == [0, 1, 2]

    played(table, act)


def test_a_resize_keeps_the_selected_row_in_sight():
    table = grid()

    async def act(pilot):
        table.focus()
        await pilot.press("end")
        for size in ((40, 6), (120, 40), (20, 3)):
            await resized(pilot, *size)
            await pilot.pause()
            assert table.selected == 49
            assert any(line.lstrip("▸ ").startswith("w49") for line in lines(table))

    played(table, act)


def test_new_data_keep_what_is_selected_unfolded_and_marked():
    table = grid()

    async def act(pilot):
        table.focus()
        await pilot.press("down", "space", "right", "right")
        assert table.selected == (2, 0)
        table.show(Fleet([f"n{at}" for at in range(10)]))
        assert table.selected == (2, 0)
        assert (2, 1) in table.visible_rows()
        assert table.marks == {1}

    played(table, act)


def test_a_filter_that_hides_the_selected_row_selects_its_place():
    table = grid()

    async def act(pilot):
        table.focus()
        await pilot.press("end")
        source = Fleet(["a", "b"])
        table.show(source)
        assert table.selected == 1
        source.names = {}
        table.refresh_rows()
        assert table.selected is None

    played(table, act)


def test_matches_are_gone_through_all_round():
    table = grid()
    table.match = lambda key: key in (5, 7)

    async def act(pilot):
        table.focus()
        for key, at in (("n", 5), ("n", 7), ("n", 5), ("N", 7)):
            await pilot.press(key)
            assert table.selected == at

    played(table, act)


def test_a_key_is_selected_beneath_what_must_be_unfolded():
    table = grid()

    async def act(_):
        assert table.select(3, (3, 1))
        assert table.selected == (3, 1)
        assert not table.select("nowhere")

    played(table, act)


def test_an_empty_table_says_why():
    text = "no rows match “[red]x” - esc clears the filter"
    table = Grid(COLUMNS, Fleet([]), empty=text)
    seen, said = pressed(table, "down", "end", "space", "enter", "right", "n", "M")
    assert text in seen[2]
    assert table.selected is None
    assert [message.key for message in kinds(said, Grid.Moved)] == [None]


def test_a_summary_is_the_last_row_and_never_selected():
    table = Grid(COLUMNS, Fleet(["a", "b"], total="10 more"), sort="saved")
    seen, _ = pressed(table, "end")
    assert table.selected == 1
    assert seen[3].startswith("  10 more")
    assert "7 GiB" in seen[3]


def test_columns_are_left_out_whole():
    table = grid(3)

    async def act(pilot):
        for width in (1, 5, 16, 20, 30, 40, 60, 120):
            await resized(pilot, width, 10)
            seen = lines(table)
            assert all(cell_len(line) == width for line in seen)
            assert ("saved" in seen[0]) == (width >= 26)
            assert ("size" in seen[0]) == (width >= 49)
            assert "…" not in "".join(seen) or width < 16

    played(table, act)


@pytest.mark.parametrize("source", [Fleet(HOSTILE), Plain(HOSTILE)])
def test_names_from_outside_are_harmless(source):
    table = Grid(COLUMNS, source, sort="saved")

    async def act(pilot):
        table.focus()
        await pilot.press("asterisk")
        for width in (12, 26, 40, 80):
            await resized(pilot, width, 40)
            seen = lines(table)
            assert all(cell_len(line) == width for line in seen)
            assert all(line.isprintable() for line in seen)
        assert "[red]x[/red]" in seen[1]
        assert any("\\x1b[31m\\x0ax" in line for line in seen)

    played(table, act)


@pytest.mark.parametrize("colour", [True, False])
def test_ascii_tables_are_ascii(colour):
    look = Look(colour=colour, ascii=True)
    table = Grid(COLUMNS, Fleet(["b" * 90, "b"]), sort="saved")
    seen, _ = pressed(table, "space", "asterisk", "r", look=look)
    assert all(line.isascii() for line in seen)


def test_without_colour_the_selected_row_is_reversed():
    table = grid()

    async def act(pilot):
        table.focus()
        await pilot.press("down")
        for segment in table.render_line(2):
            # The bar is half full, and its other half empty.
            bar = segment.text[0] == "█" or segment.text == " " * 6
            assert bool(segment.style.reverse) != bar
        for y in range(table.size.height):
            for segment in table.render_line(y):
                assert not segment.style or not segment.style.bgcolor
                assert not segment.style or not segment.style.color

    played(table, act, look=Look(colour=False))


def test_rows_are_copied_whole_without_pictures():
    table = Grid(COLUMNS, Fleet(["x" * 300]), sort="saved")

    async def act(_):
        assert table.titles() == ["workload", "saved", "size"]
        assert table.row_texts(0) == ["x" * 300, "1000 MiB", "0 MiB"]

    played(table, act)


def test_cells_are_drawn_anew_when_their_text_has_changed():
    source = Fleet(["a"])
    table = Grid(COLUMNS, source, sort="saved")

    async def act(_):
        assert "a" in lines(table)[1]
        source.names[0] = "changed"
        assert "changed" not in lines(table)[1]
        table.refresh_cells()
        assert "changed" in lines(table)[1]

    played(table, act)


def test_only_rows_that_are_seen_are_asked_for():
    asked = set()

    class Counting(Plain):
        def cell(self, key, column, width, look):
            asked.add(key)
            return super().cell(key, column, width, look)

    table = Grid(COLUMNS, Counting(map(str, range(1000))), sort="saved")
    pressed(table, "end", size=(60, 10))
    assert len(asked) <= 20


def test_segments_of_a_wrong_width_move_no_column():
    class Sloppy(Plain):
        def cell(self, _, column, *__):
            return [Segment("x" * 40)] if column == "name" else "1"

    seen, _ = pressed(Grid(COLUMNS, Sloppy(["a"])), size=(40, 5))
    assert cell_len(seen[1]) == 40
    assert seen[1].count("x") <= 30


def test_every_key_can_be_remapped_and_is_explained():
    ids = [binding.id for binding in Grid.BINDINGS]
    assert len(set(ids)) == len(ids)
    assert all(name.startswith("grid.") for name in ids)
    assert all(binding.description for binding in Grid.BINDINGS)


SHAPES = st.lists(
    st.tuples(st.integers(1, 40), st.integers(1, 9), st.integers(0, 3)), max_size=10
)


@given(SHAPES, st.integers(1, 40), st.integers(1, 200))
def test_fitted_columns_never_overflow(shapes, name, width):
    columns = [Column("0", "name", name, 0)]
    columns += [
        Column(str(at), "t", least, rank, flex)
        for at, (least, rank, flex) in enumerate(shapes, 1)
    ]
    given_widths = fitted(columns, width)
    assert sum(cells for _, cells in given_widths) + len(given_widths) - 1 <= width
    assert given_widths[0][0].key == "0"
    for column, cells in given_widths[1:]:
        assert cells >= column.width


def test_rows_without_a_value_come_last_and_equal_ones_keep_their_order():
    assert by_values("abcd", [1, None, 2, 1], True) == ["c", "a", "d", "b"]
    assert by_values("abcd", [1, None, 2, 1], False) == ["a", "d", "c", "b"]
