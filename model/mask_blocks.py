"""What is known of a mask over whole stretches of indices, and the block maps that follow from it.

A map of blocks is exact and never looks at every pair: stretches that a mask's bounds decide are not
opened, blocks that are copies of each other are opened once, and the rest is opened a few at a time, so
that a row of a hundred thousand tokens needs megabytes and not the square of its length.
"""

import math
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

# Indices and segments are NumPy arrays when blocks are planned and JAX arrays when a program is traced.
AnyArray = Any
# Side of the tiles that an undecided block is cut into, and how many pairs are looked at in one go.
TILE = 64
AT_ONCE = 1 << 22


class Places(NamedTuple):
    """Where queries or keys stand: `index` in the row, `segment` (None: one segment), and `prefix`, above 0 for a token
    that a batch gives for all to see (None: none is). All integers."""

    index: AnyArray
    segment: AnyArray | None = None
    prefix: AnyArray | None = None


class Stretch(NamedTuple):
    """Indices from `first` to `last`, both included; integer arrays, one entry a stretch."""

    first: np.ndarray
    last: np.ndarray


class Bounds(NamedTuple):
    """What is known of all pairs of two stretches: may any be allowed, and must all be?"""

    possible: np.ndarray
    certain: np.ndarray


class Period(NamedTuple):
    """Moving query and key together by `every` changes nothing, if both are at `start` or later; 0: never known."""

    every: int
    start: int = 0


@runtime_checkable
class Rule(Protocol):
    """What a map needs of a mask without segments."""

    def allowed(self, query: Places, key: Places) -> AnyArray:
        """True where the query may see the key."""

    def bounds(self, query: Stretch, key: Stretch) -> Bounds:
        """What is known of the pairs of two stretches."""

    def period(self) -> Period:
        """After which shift of both indices it repeats."""


def visible(rule: Rule, queries: int, keys: int, block: int, first: int) -> np.ndarray:
    """Number of allowed pairs in each block, int64 [ceil(queries/block), ceil(keys/block)].

    `first` is the index of the first query; the first key has index 0.
    """
    rows, columns = _cut(queries, block), _cut(keys, block)
    rows = Stretch(rows.first + first, rows.last + first)
    heights, widths = rows.last - rows.first + 1, columns.last - columns.first + 1
    bounds = rule.bounds(Stretch(*(x[:, None] for x in rows)), Stretch(*(x[None] for x in columns)))
    possible, certain = (np.broadcast_to(x, (heights.size, widths.size)) for x in bounds)
    counts = np.where(possible & certain, heights[:, None] * widths, 0)
    row, column = np.nonzero(possible & ~certain)
    if row.size:
        every, start = rule.period()
        repeats = (heights[row] == block) & (widths[column] == block)
        repeats &= (rows.first[row] >= start) & (columns.first[column] >= start)
        opened, copies = _distinct(every, block, row, column, repeats)
        row_, column_ = row[opened], column[opened]
        found = _opened(
            rule,
            Stretch(rows.first[row_], rows.last[row_]),
            Stretch(columns.first[column_], columns.last[column_]),
            block,
        )
        counts[row, column] = found[copies]
    return counts


def _cut(length: int, block: int) -> Stretch:
    first = np.arange(0, length, block)
    return Stretch(first, np.minimum(first + block, length) - 1)


def _distinct(
    every: int, block: int, row: np.ndarray, column: np.ndarray, repeats: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which blocks to open, and for each block which of the opened it is a copy of."""
    if not every:
        return np.arange(row.size), np.arange(row.size)
    cycle = math.lcm(every, block) // block
    # Blocks of the same diagonal, as many apart as a cycle has blocks, are copies; the others stand alone.
    label = np.stack([row - column, np.where(repeats, row % cycle, -1 - np.arange(row.size))])
    _, opened, copies = np.unique(label, axis=1, return_index=True, return_inverse=True)
    return opened, copies.reshape(-1)


def _opened(rule: Rule, query: Stretch, key: Stretch, block: int) -> np.ndarray:
    """Allowed pairs of each block."""
    counts = np.zeros(query.first.size, np.int64)
    tiles = -(-block // TILE)
    for start in range(0, query.first.size, max(1, AT_ONCE // (TILE * tiles) ** 2)):
        chosen = slice(start, start + max(1, AT_ONCE // (TILE * tiles) ** 2))
        heights, widths = (_tiles(Stretch(x.first[chosen], x.last[chosen]), tiles) for x in (query, key))
        shape = (heights.first.shape[0], tiles, tiles)
        q = Stretch(*(np.broadcast_to(x[:, :, None], shape).reshape(-1) for x in heights))
        k = Stretch(*(np.broadcast_to(x[:, None], shape).reshape(-1) for x in widths))
        counts[chosen] = _tile_counts(rule, q, k).reshape(shape).sum((1, 2))
    return counts


def _tiles(blocks: Stretch, tiles: int) -> Stretch:
    """Each block in tiles; those beyond its end are of length 0."""
    first = blocks.first[:, None] + TILE * np.arange(tiles)
    last = np.minimum(first + TILE - 1, blocks.last[:, None])
    return Stretch(np.minimum(first, last + 1), last)


def _tile_counts(rule: Rule, query: Stretch, key: Stretch) -> np.ndarray:
    area = (query.last - query.first + 1) * (key.last - key.first + 1)
    bounds = rule.bounds(query, key)
    possible, certain = (np.broadcast_to(x, area.shape) for x in bounds)
    counts = np.where(possible & certain, area, 0)
    open_ = np.flatnonzero(possible & ~certain & (area > 0))
    side = int(max((query.last - query.first).max(), (key.last - key.first).max())) + 1
    for start in range(0, open_.size, max(1, AT_ONCE // side**2)):
        chosen = open_[start : start + max(1, AT_ONCE // side**2)]
        q = query.first[chosen, None, None] + np.arange(side)[:, None]
        k = key.first[chosen, None, None] + np.arange(side)
        inside = (q <= query.last[chosen, None, None]) & (k <= key.last[chosen, None, None])
        counts[chosen] = (inside & rule.allowed(Places(q), Places(k))).sum((1, 2))
    return counts
