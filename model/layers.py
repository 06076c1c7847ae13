"""The few functions in which almost all time is spent, each written for the platform it is traced for."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from sharding.axes import platform


def linear(
    x: Float[Array, "*batch inputs"], weight: Float[Array, "inputs outputs"], result: jnp.dtype | type | None = None
) -> Float[Array, "*batch outputs"]:
    """x @ weight with operands in the format of x, accumulated and returned in `result` (default: that of x).

    On a CPU the leading axes are folded into one: XLA's matrix product is fast there on two dimensions,
    and its fused weight gradient of a three-dimensional contraction is slow. Elsewhere they stay, since
    folding would merge axes that may be sharded differently.
    """
    weight = weight.astype(x.dtype)
    if platform() != "cpu":
        return jnp.einsum("...i,io->...o", x, weight, preferred_element_type=result)
    flat = jnp.matmul(x.reshape(-1, x.shape[-1]), weight, preferred_element_type=result)
    return flat.reshape(*x.shape[:-1], weight.shape[-1])


def embedding(table: Float[Array, "vocab embed"], tokens: Int[Array, "*batch"]) -> Float[Array, "*batch embed"]:
    """Rows of the table; a token outside of it takes the nearest row."""
    return jnp.take(table, tokens, axis=0, mode="clip")


def rms_norm(
    x: Float[Array, "*batch embed"], scale: Float[Array, " embed"], eps: float
) -> Float[Array, "*batch embed"]:
    """x / sqrt(mean(x^2) + eps) * scale, with float32 statistics."""
    wide = x.astype(jnp.float32)
    wide = wide * jax.lax.rsqrt(jnp.mean(jnp.square(wide), axis=-1, keepdims=True) + eps)
    return (wide * scale.astype(jnp.float32)).astype(x.dtype)


def layer_norm(
    x: Float[Array, "*batch embed"], scale: Float[Array, " embed"], eps: float
) -> Float[Array, "*batch embed"]:
    """(x - mean(x)) / sqrt(var(x) + eps) * scale, with float32 statistics."""
    wide = x.astype(jnp.float32)
    wide = wide - jnp.mean(wide, axis=-1, keepdims=True)
    wide = wide * jax.lax.rsqrt(jnp.mean(jnp.square(wide), axis=-1, keepdims=True) + eps)
    return (wide * scale.astype(jnp.float32)).astype(x.dtype)
