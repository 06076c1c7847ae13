"""Rows made of pieces: documents, or parts of them, that were laid side by side beforehand."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Int64, UInt64

from data.packing.base import RowTable
from data.packing.segments import numbered
from data.store import TokenStore
from data.targets import Rows


class Pieces(NamedTuple):
    """Stretches of the stream, row after row.

    Attributes:
      starts: where each begins in the stream.
      lengths: how many tokens each has.
      offsets: row r has the pieces [offsets[r], offsets[r + 1]).
    """

    starts: Int64[np.ndarray, " pieces"]
    lengths: Int32[np.ndarray, " pieces"]
    offsets: Int64[np.ndarray, " rows_and_one"]


def cut(
    ends: Int64[np.ndarray, " documents"], length: int
) -> tuple[Int64[np.ndarray, " pieces"], Int32[np.ndarray, " pieces"]]:
    """Starts and lengths of the documents, with those longer than `length` cut into as many full pieces as there
    are in them and one of what remains."""
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]]) if ends.size else ends
    sizes = ends - starts
    count = -(-sizes // length)
    if count.max(initial=0) <= 1:
        filled = sizes > 0
        return starts[filled], sizes[filled].astype(np.int32)
    number = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    begin = np.repeat(starts, count) + number * length
    return begin, np.minimum(np.repeat(ends, count) - begin, length).astype(np.int32)


class PieceTable(RowTable):
    """Rows of pieces, with segment ids and positions by piece. An epoch holds every token once."""

    def __init__(self, store: TokenStore, length: int, pieces: Pieces) -> None:
        self.rows = pieces.offsets.size - 1
        self.tokens = len(store)
        self._store, self._length, self._pieces = store, length, pieces

    def fill(
        self,
        rows: Rows,
        at: Int64[np.ndarray, " n"] | slice,
        numbers: Int64[np.ndarray, " n"],
        epochs: UInt64[np.ndarray, " n"],
    ) -> None:
        first = self._pieces.offsets[numbers]
        count = self._pieces.offsets[numbers + 1] - first
        ends = np.cumsum(count)
        chosen = np.arange(count.sum()) - np.repeat(ends - count - first, count)
        starts, lengths = self._pieces.starts[chosen], self._pieces.lengths[chosen].astype(np.int64)
        # Padding is one more piece at the end of each row, so that rows follow one another without gaps.
        whole = np.insert(lengths, ends, 0)
        last = ends + np.arange(numbers.size)
        filled = np.add.reduceat(whole, last - count) if numbers.size else whole
        whole[last] = self._length - filled
        number = np.arange(whole.size) - np.repeat(last - count, count + 1) + 1
        number[last] = 0
        places = np.delete(np.cumsum(whole) - whole, last)
        self._write(rows, at, starts, lengths, places)
        segment_ids, positions = (found.reshape(-1, self._length) for found in numbered(whole, number))
        real = segment_ids > 0
        rows.weights[at] = real
        if rows.segment_ids is not None and rows.positions is not None:
            rows.segment_ids[at], rows.positions[at] = segment_ids, positions

    def _write(
        self,
        rows: Rows,
        at: Int64[np.ndarray, " n"] | slice,
        starts: Int64[np.ndarray, " pieces"],
        lengths: Int64[np.ndarray, " pieces"],
        places: Int64[np.ndarray, " pieces"],
    ) -> None:
        """Copies the pieces to their places among the rows, which follow one another."""
        store = self._store
        count = len(rows.inputs[at]) if isinstance(at, slice) else at.size
        # One place more than there are tokens: the inputs are the targets one place later.
        tokens = np.zeros(count * self._length + 1, store.index.dtype)
        store.copy(starts, lengths, tokens, places)
        rows.targets[at] = tokens[:-1].reshape(-1, self._length)
        before = np.full(starts.size, store.separator, store.index.dtype)
        inside = np.flatnonzero(starts)
        store.copy(starts[inside] - 1, np.ones_like(inside), before, inside)
        inputs = np.empty_like(tokens)
        inputs[1:] = tokens[:-1]
        # Behind a piece that does not fill its row, its last token is no input of anything.
        behind = places + lengths
        inputs[behind[behind % self._length != 0]] = 0
        inputs[places] = before
        rows.inputs[at] = inputs[:-1].reshape(-1, self._length)
