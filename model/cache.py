"""The decoding cache: keys and values of the tokens so far, as many as the mask can still reach."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class Cache(NamedTuple):
    """Keys and values of all layers. A token at position p lives in slot p mod slots.

    Attributes:
      k: [layers, batch, slots, kv_heads, head_dim].
      v: as k.
      position: [batch, slots], the position a slot holds, or -1 while it is empty.
    """

    k: Float[Array, "layers batch slots kv_heads head_dim"]
    v: Float[Array, "layers batch slots kv_heads head_dim"]
    position: Int[Array, "batch slots"]


def fill(
    k: Float[Array, "layers batch seq kv_heads head_dim"],
    v: Float[Array, "layers batch seq kv_heads head_dim"],
    lengths: Int[Array, " batch"],
    slots: int,
) -> Cache:
    """The cache after a prefill of prompts padded on the right, of which the first `lengths` tokens are real.

    Slot s takes the latest real position that is s modulo `slots`, so a window's cache keeps just the window.
    """
    last = lengths[:, None] - 1
    position = last - (last - jnp.arange(slots)) % slots
    source = jnp.clip(position, 0, k.shape[2] - 1)[None, :, :, None, None]
    return Cache(
        jnp.take_along_axis(k, source, axis=2),
        jnp.take_along_axis(v, source, axis=2),
        jnp.where(position >= 0, position, -1),
    )


def write(
    layer: Float[Array, "batch slots kv_heads head_dim"],
    new: Float[Array, "batch 1 kv_heads head_dim"],
    position: Int[Array, " batch"],
) -> Float[Array, "batch slots kv_heads head_dim"]:
    """Puts one token a row into its slot."""
    slot = position % layer.shape[1]
    return jax.vmap(lambda rows, row, s: jax.lax.dynamic_update_slice_in_dim(rows, row, s, axis=0))(layer, new, slot)


def mark(positions: Int[Array, "batch slots"], position: Int[Array, " batch"]) -> Int[Array, "batch slots"]:
    """Notes which position each row's slot now holds."""
    slot = position % positions.shape[1]
    return jnp.where(jnp.arange(positions.shape[1]) == slot[:, None], position[:, None], positions)
