"""The CPU's own gradients against those that JAX derives from the plain formulas, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model import cpu_layers


def plain_layer_norm(x, scale):
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * scale


def plain_rms_norm(x, scale):
    return x / jnp.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * scale


CASES = {
    "matmul, narrow in": (cpu_layers.matmul, jnp.matmul, ((7, 5), (5, 12))),
    "matmul, narrow out": (cpu_layers.matmul, jnp.matmul, ((7, 12), (12, 5))),
    "gelu": (cpu_layers.gelu, lambda x: x * jax.scipy.stats.norm.cdf(x), ((4, 9),)),
    "layer norm": (lambda x, s: cpu_layers.layer_norm(x, s, 1e-5), plain_layer_norm, ((2, 3, 8), (8,))),
    "rms norm": (lambda x, s: cpu_layers.rms_norm(x, s, 1e-5), plain_rms_norm, ((2, 3, 8), (8,))),
}


@pytest.mark.parametrize("name", CASES)
def test_output_and_gradients_are_those_of_the_formula(name: str) -> None:
    ours, formula, shapes = CASES[name]
    generator = np.random.default_rng(0)
    inputs = [generator.normal(size=shape) + 0.5 for shape in shapes]
    got, pull = jax.vjp(ours, *(jnp.asarray(x, jnp.float32) for x in inputs))
    cotangent = generator.normal(size=got.shape)
    gradients = pull(jnp.asarray(cotangent, jnp.float32))
    with jax.enable_x64(True):
        wanted, exact_pull = jax.vjp(formula, *(jnp.asarray(x, jnp.float64) for x in inputs))
        exact = [np.asarray(g) for g in exact_pull(jnp.asarray(cotangent, jnp.float64))]
        wanted = np.asarray(wanted)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=2e-6)
    for one, other in zip(gradients, exact, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-5)
