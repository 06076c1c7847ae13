"""Which stretches of a divided sequence each device of a ring holds, and which of them meet in which turn."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from model.mask_blocks import visible
from model.masks import Full, Mask

# Zig-zag order costs an exchange at either end: it has to save at least this share of the time.
_WORTHWHILE = 0.1


class Order(NamedTuple):
    """Who holds what, and what they do with it. Turn t brings each device the keys of the one `first + t` before it.

    Attributes:
      ways: devices in the ring.
      chunks: chunks of the sequence that each holds: one, or two in zig-zag order.
      first: how far the keys of the first turn come.
      turns: how many turns there are; keys move on by one device from each to the next.
      seen: [queries' chunks, keys' chunks], how many pairs the mask leaves at most; None: not known without data.
    """

    ways: int
    chunks: int
    first: int
    turns: int
    seen: np.ndarray | None

    @property
    def held(self) -> np.ndarray:
        """Numbers of the chunks that each device holds, [ways, chunks]."""
        return _held(self.ways, self.chunks)

    def meeting(self, mine: int, theirs: int, turn: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of a device's chunk `mine` of queries and of the chunk `theirs` of keys, over all devices.

        Both are [ways, turns], for one turn or, if it is None, for all between the first and the last.
        """
        device = np.arange(self.ways)[:, None]
        turns = np.arange(1, self.turns - 1) if turn is None else np.array([turn])
        owner = (device - self.first - turns) % self.ways
        return np.broadcast_to(self.held[:, mine][:, None], owner.shape), self.held[owner, theirs]


def order(mask: Mask, length: int, ways: int, zigzag: bool) -> Order:
    """The order for a mask over a row of `length`; in zig-zag if allowed and worthwhile.

    A causal mask gives the last of n stretches n times the work of the first, and every turn takes as long as its
    slowest device. In zig-zag order device i holds chunks i and 2n-1-i of 2n, and all have the same work in every turn
    (Llama 3, Grattafiori 2024, section 3.3.2; Brandon 2023, arXiv:2311.09431, has stripes).
    """
    straight, time = _planned(mask, length, ways, 1)
    if zigzag and length % (2 * ways) == 0 and ways > 1:
        folded, folded_time = _planned(mask, length, ways, 2)
        if folded_time < (1 - _WORTHWHILE) * time:
            return folded
    return straight


def unplanned(ways: int) -> Order:
    """The order for indices that only the data tell: every key is brought to every query."""
    return Order(ways, 1, 0, ways, None)


def _held(ways: int, chunks: int) -> np.ndarray:
    low = np.arange(ways)
    return low[:, None] if chunks == 1 else np.stack([low, 2 * ways - 1 - low], axis=1)


@functools.lru_cache(maxsize=64)
def _planned(mask: Mask, length: int, ways: int, chunks: int) -> tuple[Order, float]:
    """The order, and the time of its turns: the pairs of the busiest device of each."""
    seen = visible(mask.without_segments(Full(), Full()), length, length, length // (ways * chunks), 0)
    held = _held(ways, chunks)
    # Pairs that device i has to see with the keys of the one `distance` before it.
    work = seen[held[:, None, :, None], held[None, :, None, :]].sum((2, 3))
    by_distance = np.stack([work[np.arange(ways), np.arange(ways) - distance] for distance in range(ways)])
    first, turns = _shortest(by_distance.any(axis=1))
    return Order(ways, chunks, first, turns, seen), float(by_distance.max(axis=1).sum())


def _shortest(needed: np.ndarray) -> tuple[int, int]:
    """The shortest stretch of a circle that holds all that is needed: where it starts, and its length."""
    ways, places = needed.size, np.flatnonzero(needed)
    if not places.size:
        return 0, 1
    gaps = np.diff(np.append(places, places[0] + ways))
    # Of gaps alike the last, so that a whole circle starts at home.
    last = gaps.size - 1 - int(np.argmax(gaps[::-1]))
    return int(places[(last + 1) % places.size]), ways - int(gaps[last]) + 1


def moved(x: Any, names: tuple[str, ...], ways: int, by: int) -> Any:
    """Arrays of each device, as the one `by` places before it held them."""
    if by % ways == 0:
        return x
    pairs = [(i, (i + by) % ways) for i in range(ways)]
    return jax.tree.map(lambda leaf: jax.lax.ppermute(leaf, names, pairs), x)


def dealt(x: jax.Array, names: tuple[str, ...], order: Order, axis: int) -> jax.Array:
    """A device's stretch of the sequence, along `axis`, as the chunks that it holds in this order, on a first axis."""
    if order.chunks == 1:
        return x[None]
    even, odd = jnp.split(x, 2, axis)
    even, odd = (jax.lax.ppermute(part, names, _routes(order.ways, i)) for i, part in enumerate((even, odd)))
    # A device of even number gets its first chunk, which has its number, from the even ones.
    return jnp.where(jax.lax.axis_index(names) % 2 == 0, jnp.stack([even, odd]), jnp.stack([odd, even]))


def gathered(x: jax.Array, names: tuple[str, ...], order: Order, axis: int) -> jax.Array:
    """The inverse of `dealt`; `axis` is that of the result."""
    if order.chunks == 1:
        return x[0]
    own = jnp.where(jax.lax.axis_index(names) % 2 == 0, x, x[::-1])
    back = [[(to, source) for source, to in _routes(order.ways, i)] for i in range(2)]
    return jnp.concatenate([jax.lax.ppermute(part, names, pairs) for part, pairs in zip(own, back, strict=True)], axis)


def _routes(ways: int, parity: int) -> list[tuple[int, int]]:
    """Where each device's even or odd chunk goes; of either there is one to every device."""
    numbers = 2 * np.arange(ways) + parity
    return [(i, int(min(n, 2 * ways - 1 - n))) for i, n in enumerate(numbers)]
