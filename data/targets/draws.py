"""Randomness of rows: every number is a function of the row's key, and of what it is for.

A row's numbers are the outputs of SplitMix64 (Steele, Lea and Flood, 2014) from a state that derives from its key,
one state for each use, so that any of them is found without the others. Only integers are drawn: the same on every
platform and with every version of NumPy.
"""

import numpy as np
from jaxtyping import Bool, Int64, Integer, UInt64

from data.permutation import mix, subkey

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_LAST = np.uint64(2**64 - 1)
_FINEST = 1 << 31


class Draws:
    """The random numbers of rows for one use: the numbers of different uses are independent."""

    def __init__(self, keys: UInt64[np.ndarray, " rows"], use: int) -> None:
        self._state = subkey(keys, np.array([use]))

    def first(self, count: int) -> UInt64[np.ndarray, "rows {count}"]:
        """The numbers 0 to `count - 1` of each row, which are distinct."""
        return mix(self._state[:, None] + np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN)

    def at(
        self, row: Integer[np.ndarray, " draws"], number: Integer[np.ndarray, " draws"]
    ) -> UInt64[np.ndarray, " draws"]:
        """The given numbers of the given rows."""
        return mix(self._state[row] + (number.astype(np.uint64) + np.uint64(1)) * _GOLDEN)


def below(
    drawn: UInt64[np.ndarray, "*shape"], limit: Integer[np.ndarray, "*#shape"] | int
) -> Int64[np.ndarray, "*shape"]:
    """Whole numbers from 0 to below `limit`, which is below 2^32; a limit of 0 gives 0."""
    high = (drawn >> np.uint64(32)) * np.asarray(limit).astype(np.uint64)
    return (high >> np.uint64(32)).astype(np.int64)


def happens(drawn: UInt64[np.ndarray, "*shape"], probability: float) -> Bool[np.ndarray, "*shape"]:
    """Whether what has this probability happens, to a part in 2^31."""
    return below(drawn, _FINEST) < round(probability * _FINEST)


def some(
    drawn: UInt64[np.ndarray, "rows slots"],
    among: Integer[np.ndarray, " rows"],
    count: Integer[np.ndarray, " rows"],
) -> Bool[np.ndarray, "rows slots"]:
    """Exactly `count` of the first `among` slots of each row, all sets alike likely: those that drew least."""
    if not drawn.shape[1]:
        return np.zeros(drawn.shape, bool)
    open_ = np.arange(drawn.shape[1]) < among[:, None]
    drawn = np.where(open_, drawn, _LAST)
    last = np.sort(drawn, axis=1)[np.arange(len(drawn)), np.maximum(count, 1) - 1]
    return (drawn <= last[:, None]) & open_ & (count > 0)[:, None]
