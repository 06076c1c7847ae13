"""Rows that also say which group each of their tokens is of."""

import numpy as np
from jaxtyping import Int64, UInt64

from data.packing.base import RowTable, empty_rows
from data.targets import Rows


class GroupedRows(RowTable):
    """Rows with the groups that another table, over the groups of the same stream, has in the place of targets.

    Raises:
      ValueError: when the tables are not cut alike.
    """

    def __init__(self, table: RowTable, groups: RowTable) -> None:
        if table.rows != groups.rows:
            raise ValueError(f"the rows are {table.rows}, but {groups.rows} rows have groups")
        self.rows, self.tokens = table.rows, table.tokens
        self._table, self._groups = table, groups

    def fill(
        self,
        rows: Rows,
        at: Int64[np.ndarray, " n"] | slice,
        numbers: Int64[np.ndarray, " n"],
        epochs: UInt64[np.ndarray, " n"],
    ) -> None:
        self._table.fill(rows, at, numbers, epochs)
        if rows.groups is not None:
            own = empty_rows(numbers.size, rows.groups.shape[1], False)
            self._groups.fill(own, slice(None), numbers, epochs)
            rows.groups[at] = own.targets


class OneGroup(RowTable):
    """Rows whose tokens are all of one group."""

    def __init__(self, table: RowTable, group: int) -> None:
        self.rows, self.tokens = table.rows, table.tokens
        self._table, self._group = table, group

    def fill(
        self,
        rows: Rows,
        at: Int64[np.ndarray, " n"] | slice,
        numbers: Int64[np.ndarray, " n"],
        epochs: UInt64[np.ndarray, " n"],
    ) -> None:
        self._table.fill(rows, at, numbers, epochs)
        if rows.groups is not None:
            rows.groups[at] = (rows.weights[at] > 0) * np.int32(self._group)
