"""Layers with gradients of their own, written so that XLA's CPU backend takes its fast paths.

On a CPU the products themselves are fast; what costs is how they are joined. XLA fuses element-wise
work into the operands of a product, which sends it to a slow loop; barriers keep operands plain. The
gradients are the usual ones, to rounding.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

plain = jax.lax.optimization_barrier


@jax.custom_vjp
def matmul(x: Float[Array, "tokens inputs"], weight: Float[Array, "inputs outputs"]) -> Float[Array, "tokens outputs"]:
    """x @ weight."""
    return x @ weight


def _matmul_forward(x: Array, weight: Array) -> tuple[Array, tuple[Array, Array]]:
    x = plain(x)
    return x @ weight, (x, weight)


def _matmul_backward(saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, weight = saved
    dy = plain(dy)
    # The first operand of the product has to be turned, which the product itself does slowly; the narrower of the two
    # is turned at least cost.
    d_weight = plain(x.T) @ dy if x.shape[1] <= dy.shape[1] else plain(plain(dy.T) @ x).T
    return dy @ weight.T, d_weight


matmul.defvjp(_matmul_forward, _matmul_backward)


def _gelu(x: Array) -> Array:
    return 0.5 * x * (1 + jax.lax.erf(x * np.float32(2**-0.5)))


@jax.custom_vjp
def gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """x times the normal distribution function (Hendrycks and Gimpel 2016), by erf rather than erfc."""
    return _gelu(plain(x))


def _gelu_backward(x: Array, dy: Array) -> tuple[Array]:
    x, dy = plain((x, dy))
    density = jnp.exp(-0.5 * x * x) * np.float32((2 * np.pi) ** -0.5)
    return (dy * (0.5 * (1 + jax.lax.erf(x * np.float32(2**-0.5))) + x * density),)


gelu.defvjp(lambda x: (_gelu(plain(x)), x), _gelu_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def layer_norm(
    x: Float[Array, "*batch embed"], scale: Float[Array, " embed"], eps: float
) -> Float[Array, "*batch embed"]:
    """(x - mean(x)) / sqrt(var(x) + eps) * scale."""
    return _layer_norm_forward(x, scale, eps)[0]


def _layer_norm_forward(x: Array, scale: Array, eps: float) -> tuple[Array, tuple[Array, ...]]:
    x = plain(x)
    mean = plain(x.mean(-1, keepdims=True))
    rate = plain(jax.lax.rsqrt(jnp.square(x - mean).mean(-1, keepdims=True) + eps))
    return (x - mean) * (rate * scale), (x, scale, mean, rate)


def _layer_norm_backward(eps: float, saved: tuple[Array, ...], dy: Array) -> tuple[Array, Array]:
    x, scale, mean, rate = saved
    dy = plain(dy)
    unit = (x - mean) * rate
    inner = dy * scale
    first, second = plain((inner.mean(-1, keepdims=True), (inner * unit).mean(-1, keepdims=True)))
    return rate * (inner - first - unit * second), _over_tokens(dy * unit)


layer_norm.defvjp(_layer_norm_forward, _layer_norm_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def rms_norm(
    x: Float[Array, "*batch embed"], scale: Float[Array, " embed"], eps: float
) -> Float[Array, "*batch embed"]:
    """x / sqrt(mean(x^2) + eps) * scale."""
    return _rms_norm_forward(x, scale, eps)[0]


def _rms_norm_forward(x: Array, scale: Array, eps: float) -> tuple[Array, tuple[Array, ...]]:
    x = plain(x)
    rate = plain(jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + eps))
    return x * rate * scale, (x, scale, rate)


def _rms_norm_backward(eps: float, saved: tuple[Array, ...], dy: Array) -> tuple[Array, Array]:
    x, scale, rate = saved
    dy = plain(dy)
    unit = x * rate
    inner = dy * scale
    second = plain((inner * unit).mean(-1, keepdims=True))
    return rate * (inner - unit * second), _over_tokens(dy * unit)


rms_norm.defvjp(_rms_norm_forward, _rms_norm_backward)


def _over_tokens(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1]).sum(0)
