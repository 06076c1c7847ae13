"""Which document of its row each token is of, and its place in it, from the lengths of the pieces."""

import numpy as np
from jaxtyping import Bool, Int32, Int64


def numbered(
    lengths: Int64[np.ndarray, " pieces"], numbers: Int64[np.ndarray, " pieces"]
) -> tuple[Int32[np.ndarray, " tokens"], Int32[np.ndarray, " tokens"]]:
    """Each token's segment id and position, for pieces that lie one after another.

    Args:
      lengths: tokens of each piece.
      numbers: the segment id of each; 0 for padding, whose positions are 0 too.
    """
    starts = (np.cumsum(lengths) - lengths).astype(np.int32)
    segment_ids = np.repeat(numbers.astype(np.int32), lengths)
    positions = np.arange(segment_ids.size, dtype=np.int32) - np.repeat(starts, lengths)
    if not numbers.all():
        positions[segment_ids == 0] = 0
    return segment_ids, positions


def split_at(
    starting: Bool[np.ndarray, "rows seq"],
) -> tuple[Int32[np.ndarray, "rows seq"], Int32[np.ndarray, "rows seq"]]:
    """The segment ids and positions of full rows whose documents begin where `starting` is true.

    A row begins a segment even in the middle of a document: it sees nothing before itself.
    """
    starting = starting.copy()
    starting[:, 0] = True
    starts = np.flatnonzero(starting)
    row = starts // starting.shape[1]
    first = np.flatnonzero(starts % starting.shape[1] == 0)
    lengths = np.diff(starts, append=starting.size)
    numbers = np.arange(starts.size) - first[row] + 1
    segment_ids, positions = numbered(lengths, numbers)
    return segment_ids.reshape(starting.shape), positions.reshape(starting.shape)
