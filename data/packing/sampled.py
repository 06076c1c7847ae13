"""A random choice of rows, read again and again: the data of a run that has less of it than it reads."""

from dataclasses import dataclass

import numpy as np
from etils import epath
from jaxtyping import Int64, UInt64

from data.packing.base import Packing, RowTable
from data.packing.windows import Windows
from data.permutation import permutation, subkey
from data.store import TokenStore
from data.targets import Rows

# Keeps the choice apart from the orders that a run's seed decides.
_CHOICE = np.array([int.from_bytes(b"choice..", "big")], np.uint64)


@dataclass(frozen=True)
class Sampled(Packing):
    """Rows drawn without replacement from all that another packing makes; of fewer rows, some of the same.

    The beginning of a corpus is of other matter than the whole of it, a random choice of rows is not. Every epoch
    has the same rows: `Windows` by itself cuts each at another offset, which would be more text than it says. All
    of what is held out is evaluated.

    Attributes:
      rows: how many.
      of: the other packing.
      seed: chooses them.

    Raises:
      ValueError: when `rows` is less than 1.
    """

    rows: int
    of: Packing = Windows()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ValueError(f"Sampled.rows is {self.rows}, but must be at least 1")

    @property
    def keeps_apart(self) -> bool:
        return self.of.keeps_apart

    @property
    def shares_rows(self) -> bool:
        return self.of.shares_rows

    def training(self, store: TokenStore, length: int, cache: epath.Path | None = None) -> RowTable:
        return _Chosen(self.of.training(store, length, cache), self)

    def evaluation(self, store: TokenStore, length: int) -> RowTable:
        return self.of.evaluation(store, length)


class _Chosen(RowTable):
    """Some rows of a table."""

    def __init__(self, table: RowTable, spec: Sampled) -> None:
        if table.rows < spec.rows:
            raise ValueError(f"Sampled.rows is {spec.rows}, but the corpus makes {table.rows}; it is at most that")
        self.rows = spec.rows
        # A whole number is asked for; where rows are full, as windows are, it is exact.
        self.tokens = round(table.tokens * spec.rows / table.rows)
        self._table, self._key = table, subkey(_CHOICE, np.array([spec.seed]))

    def fill(
        self,
        rows: Rows,
        at: Int64[np.ndarray, " n"] | slice,
        numbers: Int64[np.ndarray, " n"],
        epochs: UInt64[np.ndarray, " n"],
    ) -> None:
        chosen = permutation(numbers, self._table.rows, np.repeat(self._key, numbers.size))
        self._table.fill(rows, at, chosen, np.zeros_like(epochs))
