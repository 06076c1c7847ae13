"""The few functions in which almost all time is spent, each written for the platform it is traced for."""

import functools
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Array, Float, Int

from model import cpu_layers
from model.quantised import QuantisedProduct
from sharding.axes import EMBED, SEQ, VOCAB, constrain, platform, spread


def linear(
    x: Float[Array, "*batch inputs"],
    weight: Float[Array, "inputs outputs"],
    result: jnp.dtype | type | None = None,
    quantised: QuantisedProduct | None = None,
) -> Float[Array, "*batch outputs"]:
    """x @ weight with operands in the format of x, accumulated and returned in `result` (default: that of x).

    With `quantised` it is that product instead, in the format of x.

    In float32 on a CPU the leading axes are folded into one: XLA's matrix product is fast there on two dimensions,
    and its fused weight gradient of a three-dimensional contraction is slow. Elsewhere they stay, since
    folding would merge axes that may be sharded differently.
    """
    weight = weight.astype(x.dtype)
    if quantised is not None:
        return quantised(x, weight)
    if platform() == "tpu" and result is not None and result != x.dtype:
        return _widened(x, weight, jnp.dtype(result))
    if not _on_cpu(x):
        return jnp.einsum("...i,io->...o", x, weight, preferred_element_type=result)
    flat = cpu_layers.matmul(x.reshape(-1, x.shape[-1]), weight)
    return flat.reshape(*x.shape[:-1], weight.shape[-1])


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _widened(x: Array, weight: Array, result: jnp.dtype) -> Array:
    """x @ weight in a wider format than theirs, and gradients in theirs.

    A TPU rounds a wide gradient to the narrow format before it multiplies it anyway. Of what is left to XLA, the
    gradient of the weights is written out in the wide one before it is rounded.
    """
    return jnp.einsum("...i,io->...o", x, weight, preferred_element_type=result)


def _widened_forward(x: Array, weight: Array, result: jnp.dtype) -> tuple[Array, tuple[Array, Array]]:
    return _widened(x, weight, result), (x, weight)


def _widened_backward(result: jnp.dtype, kept: tuple[Array, Array], by: Array) -> tuple[Array, Array]:
    x, weight = kept
    by = by.astype(x.dtype)
    return jnp.einsum("...o,io->...i", by, weight), jnp.einsum("...i,...o->io", x, by)


_widened.defvjp(_widened_forward, _widened_backward)


def into_heads(
    x: Float[Array, "batch seq embed"],
    weight: Float[Array, "embed heads head_dim"],
    quantised: QuantisedProduct | None = None,
) -> Float[Array, "batch seq heads head_dim"]:
    """`linear` from the stream to heads."""
    if platform() == "tpu" and quantised is None:
        # As one product of three axes XLA lays heads out as attention wants them, and copies nothing.
        return jnp.einsum("bse,ehd->bshd", x, weight.astype(x.dtype))
    flat = linear(x, weight.reshape(weight.shape[0], -1), quantised=quantised)
    return flat.reshape(*x.shape[:2], *weight.shape[1:])


def out_of_heads(
    x: Float[Array, "batch seq heads head_dim"],
    weight: Float[Array, "heads head_dim embed"],
    quantised: QuantisedProduct | None = None,
) -> Float[Array, "batch seq embed"]:
    """`linear` from heads to the stream."""
    if platform() == "tpu" and quantised is None:
        return jnp.einsum("bshd,hde->bse", x, weight.astype(x.dtype))
    return linear(x.reshape(*x.shape[:2], -1), weight.reshape(-1, weight.shape[-1]), quantised=quantised)


def embedding(table: Float[Array, "vocab embed"], tokens: Int[Array, "*batch"]) -> Float[Array, "*batch embed"]:
    """Rows of the table; a token outside of it takes the nearest row."""
    # Whole rows: of rows in parts a device would make a part of each token, and exchange all of the stream for it.
    return jnp.take(constrain(table, VOCAB, EMBED), tokens, axis=0, mode="clip")


def gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """x times the normal distribution function (Hendrycks and Gimpel 2016), exactly."""
    return cpu_layers.gelu(x) if _on_cpu(x) else jax.nn.gelu(x, approximate=False)


def rms_norm(
    x: Float[Array, "*batch embed"], scale: Float[Array, " embed"], eps: float
) -> Float[Array, "*batch embed"]:
    """x / sqrt(mean(x^2) + eps) * scale, with float32 statistics."""
    if _on_cpu(x):
        return cpu_layers.rms_norm(x, scale.astype(x.dtype), eps)
    wide = x.astype(jnp.float32)
    wide = wide * jax.lax.rsqrt(jnp.mean(jnp.square(wide), axis=-1, keepdims=True) + eps)
    return (wide * scale.astype(jnp.float32)).astype(x.dtype)


def layer_norm(
    x: Float[Array, "*batch embed"], scale: Float[Array, " embed"], eps: float
) -> Float[Array, "*batch embed"]:
    """(x - mean(x)) / sqrt(var(x) + eps) * scale, with float32 statistics."""
    if _on_cpu(x):
        return cpu_layers.layer_norm(x, scale.astype(x.dtype), eps)
    wide = x.astype(jnp.float32)
    wide = wide - jnp.mean(wide, axis=-1, keepdims=True)
    wide = wide * jax.lax.rsqrt(jnp.mean(jnp.square(wide), axis=-1, keepdims=True) + eps)
    return (wide * scale.astype(jnp.float32)).astype(x.dtype)


Arrays = TypeVar("Arrays")


def by_itself(x: Arrays) -> Arrays:
    """x, which a TPU computes before what reads it, as it does with its gradient; elsewhere x as it is.

    XLA for TPUs likes to compute norms, gates and sums within the matrix products that read or make them, in each of
    these anew, and the products then run at two thirds of their speed (docs/notebook.md, 2026-11-27). Arrays of three
    axes, and their gradients, lie in memory as they are written here: left to itself XLA turns the gradients of a
    feed-forward layer for one of the products that read them, and copies what else is read with them.
    """
    return jax.lax.optimization_barrier(jax.tree.map(_as_written, x)) if platform() == "tpu" else x


def _as_written(x: Array) -> Array:
    # Heads, of four axes, lie as attention wants them.
    return with_layout_constraint(x, Layout(tuple(range(x.ndim)))) if x.ndim == 3 else x


def _on_cpu(x: Array) -> bool:
    # In bfloat16 the CPU is only a stand-in for an accelerator, whose formulas it should then follow. A sequence that
    # is divided cannot be folded into the batch where it lies.
    return platform() == "cpu" and x.dtype == jnp.float32 and not spread(SEQ)
