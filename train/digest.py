"""A number that stands for the bits of an array: the same on any layout, another if any bit differs."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def digest(tree: Any) -> Any:
    """A sum of the bits of every array, modulo 2^32: the same on any layout, and other if any bit is.

    Each word is multiplied by an odd number that depends on its place, so that swapped words show too.
    """

    def words(leaf: jax.Array) -> jax.Array:
        unsigned = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}[np.dtype(leaf.dtype).itemsize]
        bits = jax.lax.bitcast_convert_type(leaf, unsigned).astype(jnp.uint32)
        place = jnp.zeros(leaf.shape, jnp.uint32)
        for axis in range(leaf.ndim):
            place = place * np.uint32(1_000_003) + jax.lax.broadcasted_iota(jnp.uint32, leaf.shape, axis)
        return jnp.sum(bits * (2 * place + 1), dtype=jnp.uint32)

    return jax.tree.map(words, tree)


def batch_digest(batch: dict[str, jax.Array]) -> jax.Array:
    """Which batch this is, as far as one number can tell: the digest of what is to be predicted."""
    return digest(batch["targets"])
