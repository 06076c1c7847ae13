"""Rows cut from the stream as it runs on: concatenate and chunk."""

from dataclasses import dataclass

import numpy as np
from etils import epath
from jaxtyping import Int64, UInt, UInt64

from data.packing.base import Packing, RowTable, check_store
from data.packing.segments import split_at
from data.permutation import subkey
from data.store import TokenStore
from data.targets import Rows


@dataclass(frozen=True)
class Windows(Packing):
    """Every row is full, and documents are cut where a row ends.

    In training, each epoch cuts at an offset of its own, so that a token is not always seen with the same
    neighbours.

    Attributes:
      segments: tell the documents of a row apart, for masks with `Segments()` and positions by document.
    """

    segments: bool = False

    @property
    def keeps_apart(self) -> bool:
        return self.segments

    def training(self, store: TokenStore, length: int, cache: epath.Path | None = None) -> RowTable:
        check_store(self, store, length)
        return _Shifted(store, length)

    def evaluation(self, store: TokenStore, length: int) -> RowTable:
        check_store(self, store, length)
        return _Grid(store, length)


class _Shifted(RowTable):
    """A grid of windows that each epoch moves by an offset of its own."""

    def __init__(self, store: TokenStore, length: int) -> None:
        # A shifted grid may lose up to length - 1 tokens at the start; leaving as many unused
        # in every epoch keeps the number of rows the same whatever the shift.
        self.rows = (len(store) - length + 1) // length
        self.tokens = self.rows * length
        if self.rows < 1:
            raise ValueError(
                f"a row has {length} tokens, which needs a corpus of at least {2 * length - 1} tokens, but"
                f" {store.directory} holds {len(store)}"
            )
        self._store, self._length = store, length

    def fill(
        self,
        rows: Rows,
        at: Int64[np.ndarray, " n"] | slice,
        numbers: Int64[np.ndarray, " n"],
        epochs: UInt64[np.ndarray, " n"],
    ) -> None:
        shift = (subkey(epochs, np.zeros(1, np.int64)) % np.uint64(self._length)).astype(np.int64)
        _write(rows, at, self._store, numbers * self._length + shift, self._length)


class _Grid(RowTable):
    """Every window from the beginning on, and what is left after the last."""

    def __init__(self, store: TokenStore, length: int) -> None:
        self.rows = -(-len(store) // length)
        self.tokens = len(store)
        self._store, self._length = store, length

    def fill(
        self,
        rows: Rows,
        at: Int64[np.ndarray, " n"] | slice,
        numbers: Int64[np.ndarray, " n"],
        epochs: UInt64[np.ndarray, " n"],
    ) -> None:
        at = np.arange(len(rows.inputs))[at]
        starts = numbers * self._length
        whole = starts + self._length <= len(self._store)
        _write(rows, at[whole], self._store, starts[whole], self._length)
        if not whole.all():
            rest = len(self._store) % self._length
            part = Rows(*(None if array is None else array[:, :rest] for array in rows))
            _write(part, at[~whole], self._store, starts[~whole], rest)


def _write(
    rows: Rows, at: Int64[np.ndarray, " n"] | slice, store: TokenStore, starts: Int64[np.ndarray, " n"], length: int
) -> None:
    tokens = windows(store, starts, length)
    rows.inputs[at], rows.targets[at], rows.weights[at] = tokens[:, :-1], tokens[:, 1:], 1
    if rows.segment_ids is not None and rows.positions is not None:
        rows.segment_ids[at], rows.positions[at] = split_at(tokens[:, :-1] == store.separator)


def windows(
    store: TokenStore, starts: Int64[np.ndarray, " rows"], length: int
) -> UInt[np.ndarray, "rows {length}+1"]:
    """Each row's `length` targets, with the token before them.

    Before the first token of the stream stands a separator, or that token itself where there
    is none.
    """
    if starts.all():
        return store.gather(starts - 1, length + 1)
    rows = np.empty((starts.size, length + 1), store.index.dtype)
    origin = starts == 0
    rows[~origin] = store.gather(starts[~origin] - 1, length + 1)
    rows[origin, 1:] = store.gather(starts[origin], length)
    rows[origin, 0] = rows[origin, 1] if store.separator is None else store.separator
    return rows
