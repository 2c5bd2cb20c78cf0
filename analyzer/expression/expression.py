"""Which rows of a table are meant; the language is told in docs/expressions.md."""

from collections.abc import Collection
from dataclasses import dataclass, field

import polars as pl

from analyzer.expression.fields import SEARCHED, nearest
from analyzer.expression.parser import parsed, wrong
from analyzer.expression.tree import Columns, Node


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition on rows. `str` writes it canonically, and parses to the same."""

    tree: Node
    text: str = field(default="", compare=False, repr=False)
    """As it was written."""

    @classmethod
    def parse(cls, text: str) -> "Expression":
        """Raises UsageError, naming the place and what might have been meant.

        >>> str(Expression.parse("workload == 'web*' and saved > 1G"))
        'workload == "web*" and saved > 1G'
        """
        return cls(parsed(text), text)

    def names(self) -> set[str]:
        """The fields it compares, by their first names: keys of `FIELDS`."""
        return {found.name for found, _ in self.tree.fields() if found}

    def over(
        self,
        columns: Collection[str],
        reason: str = "this table has none",
        searched: Collection[str] = SEARCHED,
    ) -> pl.Expr:
        """bool per row of a table with *columns*, never null.

        A word alone is looked for in those of *searched* among them. Raises UsageError
        for a field that they lack, for the *reason* given.
        """
        places = [name for name in searched if name in columns]
        of = {}
        for wanted, place in self.tree.fields():
            if wanted is None:
                if not places:
                    message = "this table has no names to find a word in"
                    raise wrong(self.text, place, message)
                continue
            column = wanted.column(columns)
            if column is None:
                message = f"no {wanted.name} here: {reason}"
                raise wrong(self.text, place, message, nearest(wanted.name, columns))
            of[wanted.name] = column
        return self.tree.over(Columns(of, places, "pid" in columns))

    def select(self, frame: pl.DataFrame) -> pl.Series:
        """bool per row of *frame*; raises as `over`."""
        # A constant has the length of the frame only beside its columns.
        fits = frame.with_columns(self.over(frame.columns).alias("fits"))
        return fits.get_column("fits")

    def __str__(self) -> str:
        return str(self.tree)
