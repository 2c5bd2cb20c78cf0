"""The rows of a tree-table as one list: what is listed where, and how deep."""

from collections.abc import Sequence

from tui.widgets.source import Key, Source


class Rows:
    """The keys a grid lists, from the top.

    Costs nothing per row while everything is folded: then the list is the source's.
    """

    def __init__(self, source: Source, column: str | None, descending: bool) -> None:
        """Rows of *source*, in its own order where *column* is None."""
        self.source = source
        self.column = column
        self.descending = descending
        self.only_marked = False
        self.unfolded: set[Key] = set()
        self.keys: Sequence[Key] = ()
        # The marked keys, each with those above it, which stay listed with it.
        self._marks: dict[Key, tuple[Key, ...]] = {}
        self._depths = bytearray()

    @property
    def marks(self) -> frozenset[Key]:
        """What is marked, listed or not."""
        return frozenset(self._marks)

    def rebuild(self) -> None:
        """List the rows anew, from what the source says now."""
        roots = self._ordered(self.source.roots())
        if not self.only_marked and not (self.source.tree and self.unfolded):
            self.keys, self._depths = roots, bytearray()
            return
        keys: list[Key] = []
        self._depths = bytearray()
        above = {key for path in self._marks.values() for key in path}
        wanted = above | self._marks.keys() if self.only_marked else None
        self._list(roots, 0, keys, wanted)
        self.keys = keys

    def depth(self, at: int) -> int:
        """How many rows are above row *at* in the tree."""
        return self._depths[at] if self._depths else 0

    def place(self, key: Key) -> int | None:
        """Where *key* is listed."""
        try:
            return self.keys.index(key)
        except ValueError:
            return None

    def parent(self, at: int) -> int | None:
        """The row that row *at* is beneath."""
        depth = self.depth(at)
        if not depth:
            return None
        return self._depths.rindex(depth - 1, 0, at)

    def opened(self, key: Key) -> bool:
        """Whether the rows beneath *key* are listed."""
        return key in self.unfolded

    def toggle_mark(self, at: int) -> None:
        """Mark row *at*, or take its mark away."""
        key = self.keys[at]
        if self._marks.pop(key, None) is None:
            self._marks[key] = self._path(at)

    def mark_all(self) -> None:
        """Mark every listed row; none, where there are marks."""
        if self._marks:
            self._marks.clear()
        else:
            self._marks = {key: self._path(at) for at, key in enumerate(self.keys)}

    def marked(self, key: Key) -> bool:
        """Whether *key* is marked."""
        return key in self._marks

    def toggle_all(self) -> None:
        """Unfold every row of the first level; fold all, where any is unfolded."""
        if self.unfolded:
            self.unfolded.clear()
        elif self.source.tree:
            roots = self.source.roots()
            self.unfolded.update(filter(self.source.has_children, roots))

    def _path(self, at: int) -> tuple[Key, ...]:
        above = self.parent(at)
        return () if above is None else (*self._path(above), self.keys[above])

    def _ordered(self, keys: Sequence[Key]) -> Sequence[Key]:
        if self.column is None:
            return keys
        return self.source.order(self.column, self.descending, keys)

    def _list(
        self, level: Sequence[Key], depth: int, keys: list[Key], wanted: set[Key] | None
    ) -> None:
        for key in level:
            if wanted is not None and key not in wanted:
                continue
            keys.append(key)
            self._depths.append(depth)
            if key in self.unfolded:
                beneath = self._ordered(self.source.children(key))
                self._list(beneath, depth + 1, keys, wanted)
