"""Rows of unequal length, written one after the other into rows of one length."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Int64, Integer


class Ragged(NamedTuple):
    """Rows of tokens of unequal length.

    Attributes:
      tokens: of all rows, one row after the other.
      count: how many each row has.
    """

    tokens: Int32[np.ndarray, " tokens"]
    count: Int64[np.ndarray, " rows"]


def write(parts: Sequence[Ragged], width: int) -> tuple[Int32[np.ndarray, "rows {width}"], Int64[np.ndarray, " rows"]]:
    """Rows that hold the parts of each, one after the other, and then zeros; and how much each holds."""
    rows = len(parts[0].count)
    out = np.zeros(rows * width, np.int32)
    filled = np.zeros(rows, np.int64)
    for tokens, count in parts:
        begin = np.arange(rows) * width + filled
        out[np.arange(tokens.size) + np.repeat(begin - np.cumsum(count) + count, count)] = tokens
        filled += count
    return out.reshape(rows, width), filled


def one_each(token: int, where: Integer[np.ndarray, " rows"]) -> Ragged:
    """The same token once for each row that is not 0 in `where`."""
    count = (where > 0).astype(np.int64)
    return Ragged(np.full(count.sum(), token, np.int32), count)
