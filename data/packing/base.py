"""How a stream of documents becomes rows of one length: the base of all choices."""

import abc
from dataclasses import dataclass

import numpy as np
from etils import epath
from jaxtyping import Int64, UInt64

from data.store import TokenStore
from data.targets import Rows


class RowTable(abc.ABC):
    """The rows of one epoch over a store, any of them to be had without the others.

    Attributes:
      rows: how many there are.
      tokens: how many tokens they hold together.
    """

    rows: int
    tokens: int

    @abc.abstractmethod
    def fill(
        self,
        rows: Rows,
        at: Int64[np.ndarray, " n"] | slice,
        numbers: Int64[np.ndarray, " n"],
        epochs: UInt64[np.ndarray, " n"],
    ) -> None:
        """Writes the rows of these numbers into `rows[at]`; what they leave free is zero before and after.

        Args:
          rows: where to write.
          at: which of them.
          numbers: rows of the table, in [0, rows).
          epochs: the key of the epoch that each is read in.
        """


@dataclass(frozen=True)
class Packing(abc.ABC):
    """A choice of rows: a frozen dataclass."""

    @property
    @abc.abstractmethod
    def keeps_apart(self) -> bool:
        """Whether rows say which of their tokens are of one document."""

    @property
    def shares_rows(self) -> bool:
        """Whether a row may hold more than one document."""
        return True

    @abc.abstractmethod
    def training(self, store: TokenStore, length: int, cache: epath.Path | None = None) -> RowTable:
        """Rows of `length` tokens to train on, the same number in every epoch.

        Args:
          store: the tokens.
          length: tokens in a row.
          cache: a directory where what takes long to plan may be kept.

        Raises:
          ValueError: when the store is too small, or has no separator and documents are to be kept apart.
        """

    @abc.abstractmethod
    def evaluation(self, store: TokenStore, length: int) -> RowTable:
        """Rows that hold every token of the store once.

        Raises:
          ValueError: when the store is empty, or has no separator and documents are to be kept apart.
        """


def empty_rows(count: int, length: int, keeps_apart: bool, grouped: bool = False) -> Rows:
    """Rows of padding, to be filled."""
    kinds = [np.int32, np.int32, np.float32] + [np.int32] * (2 * keeps_apart)
    rows = Rows(*(np.zeros((count, length), kind) for kind in kinds))
    return rows._replace(groups=np.zeros((count, length), np.int32)) if grouped else rows


def check_store(packing: Packing, store: TokenStore, length: int) -> None:
    """Raises ValueError when rows cannot be made of a store: it is empty, or does not tell documents apart."""
    if length < 1:
        raise ValueError(f"a row would have {length} tokens, but must have at least 1")
    if not len(store):
        raise ValueError(f"{store.directory} holds no tokens")
    if packing.keeps_apart and store.separator is None:
        raise ValueError(
            f"{packing} keeps documents apart, but {store.directory} has no separator between them; use Windows()"
            " or a tokenizer with a separator"
        )
