"""The decoding cache: what layers keep of the tokens so far, as many as their masks can still reach."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from model.masks import Retention


class LayerCache(NamedTuple):
    """What the blocks of one place in the stack's pattern keep.

    The first tokens that their mask retains for ever have the first slots; of the others, the token at
    position p has slot first + (p - first) mod (slots - first).

    Attributes:
      kept: arrays [repeats, batch, slots, ...].
      position: [batch, slots], the position a slot holds, or -1 while it is empty.
      prompt: tokens that a row began with.
    """

    kept: Any
    position: Int[Array, "batch slots"]
    prompt: Int[Array, " batch"]


# By the name of the place in the stack.
Cache = dict[str, LayerCache]


def slots_for(held: Retention, capacity: int) -> int:
    """Slots that a row of up to `capacity` tokens needs."""
    return capacity if held.latest is None else min(held.first + held.latest, capacity)


def fill(kept: Any, lengths: Int[Array, " batch"], held: Retention, slots: int) -> LayerCache:
    """The cache after a prefill of prompts padded on the right, of which the first `lengths` tokens are real.

    Args:
      kept: arrays [repeats, batch, seq, ...].
      lengths: real tokens of each row.
      held: what the mask retains.
      slots: number of slots.
    """
    first = _fixed(held, slots)
    last = lengths[:, None] - 1
    slot = jnp.arange(slots)
    # A ring's slot takes the latest real position that belongs to it.
    ring = last - (last - slot) % (slots - first) if first < slots else last
    position = jnp.where(slot < first, jnp.where(slot <= last, slot, -1), jnp.where(ring >= first, ring, -1))

    def taken(array: Array) -> Array:
        source = jnp.clip(position, 0, array.shape[2] - 1)
        return jnp.take_along_axis(array, source.reshape(1, *source.shape, *(1,) * (array.ndim - 3)), axis=2)

    return LayerCache(jax.tree.map(taken, kept), position, lengths)


def write(
    layer: Float[Array, "batch slots *features"], new: Float[Array, "batch 1 *features"], slot: Int[Array, " batch"]
) -> Float[Array, "batch slots *features"]:
    """Puts one token a row into its slot."""
    return jax.vmap(lambda rows, row, s: jax.lax.dynamic_update_slice_in_dim(rows, row, s, axis=0))(layer, new, slot)


def mark(
    positions: Int[Array, "batch slots"], position: Int[Array, " batch"], held: Retention
) -> Int[Array, "batch slots"]:
    """Notes which position each row's slot now holds."""
    slot = slot_of(position, held, positions.shape[1])
    return jnp.where(jnp.arange(positions.shape[1]) == slot[:, None], position[:, None], positions)


def slot_of(position: Int[Array, " batch"], held: Retention, slots: int) -> Int[Array, " batch"]:
    """The slot of the token at a position."""
    first = _fixed(held, slots)
    if first == slots:
        return position
    return jnp.where(position < first, position, first + (position - first) % (slots - first))


def _fixed(held: Retention, slots: int) -> int:
    """Slots that are never used again. With everything retained there are slots for all, and any rule will do."""
    return 0 if held.latest is None else min(held.first, slots)
