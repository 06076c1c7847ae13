"""A table of findings: made where the findings are understood, drawn wherever they are shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """A small table.

    Attributes:
      title: what it shows; empty where the text around it says so.
      header: the columns' names.
      rows: cells in the order of the header; None is an empty cell.
      bars: the column that is also drawn as bars, or empty.
      shaded: columns whose cells are shaded by value, around zero.
      note: how to read it: units, formula, source.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    bars: str = ""
    shaded: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        for name in (*((self.bars,) if self.bars else ()), *self.shaded):
            if name not in self.header:
                raise ValueError(f"the table '{self.title}' has no column {name!r}; it has {', '.join(self.header)}")
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"the table '{self.title}' has {len(self.header)} columns, but a row is {row!r}")

    def to_json(self) -> dict[str, Any]:
        """The table as JSON values."""
        return {**vars(self), "header": list(self.header), "rows": [list(row) for row in self.rows]} | {
            "shaded": list(self.shaded)
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Table":
        """The inverse of `to_json`."""
        rows = tuple(tuple(row) for row in values["rows"])
        return cls(**{**values, "header": tuple(values["header"]), "rows": rows, "shaded": tuple(values["shaded"])})
