"""The groups of a store's tokens, read as its tokens are."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64, Integer, UInt

from data.store import TokenStore


class GroupStream(TokenStore):
    """A stream as long as a store's, which has in each token's place the number of the group of its document.

    Rows that packing makes of the one and of the other are cut alike, so that it need not know of groups. Keeps 12
    bytes for each stretch of documents of one group.

    Args:
      store: the store.
      names: of the groups; the numbers are places among them.

    Raises:
      ValueError: when the store has no groups, or one that is not among the names.
    """

    def __init__(self, store: TokenStore, names: Sequence[str]) -> None:
        self.directory, self.index, self._store = store.directory, store.index, store
        self._offsets = store._offsets
        own, numbers = store.document_groups()
        if strange := sorted(set(own) - set(names)):
            raise ValueError(
                f"{store.directory} has documents of group '{strange[0]}', which is none of {', '.join(names)};"
                f" its groups are {', '.join(own)}"
            )
        groups = np.array([names.index(name) for name in own], np.int32)[numbers] if own else numbers
        ends = store.document_ends()
        filled = np.diff(ends, prepend=0) > 0
        ends, groups = ends[filled], groups[filled]
        last = np.append(groups[1:] != groups[:-1], True)[: groups.size]
        self._ends, self._groups = ends[last], groups[last]

    def document_ends(self) -> Int64[np.ndarray, " documents"]:
        """Where each document ends in the stream, as in the store."""
        return self._store.document_ends()

    def gather(
        self, starts: Integer[np.ndarray, " rows"], length: int
    ) -> UInt[np.ndarray, "rows {length}"]:
        """Rows of the groups of `length` tokens, row i from `starts[i]` on."""
        rows = np.empty((starts.size, length), self.index.dtype)
        count = np.full(starts.size, length, np.int64)
        if length:
            self.copy(starts.astype(np.int64), count, rows.reshape(-1), np.cumsum(count) - count)
        return rows

    def copy(
        self,
        starts: Int64[np.ndarray, " pieces"],
        lengths: Int64[np.ndarray, " pieces"],
        into: UInt[np.ndarray, " tokens"],
        places: Int64[np.ndarray, " pieces"],
    ) -> None:
        """Writes the groups of pieces of the stream: `into[places[i] : places[i] + lengths[i]]` from `starts[i]` on."""
        stops = starts + lengths
        first = np.searchsorted(self._ends, starts, side="right")
        count = np.searchsorted(self._ends, stops - 1, side="right") - first + 1
        # The stretches that each piece reaches into, one after the other.
        run = np.arange(count.sum()) + np.repeat(first - np.cumsum(count) + count, count)
        begin = np.where(run > 0, self._ends[run - 1], 0)
        end = np.minimum(self._ends[run], np.repeat(stops, count))
        groups = np.repeat(self._groups[run], end - np.maximum(begin, np.repeat(starts, count)))
        shift = places - np.cumsum(lengths) + lengths
        into[np.arange(groups.size) + np.repeat(shift, lengths)] = groups
