"""Normalisations against their formulas in NumPy float64."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.norms import LayerNorm, Norm, RMSNorm
from model.parameters import Sizes, logical_axes
from model.parametrization import Standard
from model.precision import Precision

SIZES = Sizes(embed=16, layers=2, dropout=0.0, parametrization=Standard(0.02), precision=Precision())


def rms(x: np.ndarray, scale: np.ndarray, bias: np.ndarray, eps: float) -> np.ndarray:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * scale


def layer(x: np.ndarray, scale: np.ndarray, bias: np.ndarray, eps: float) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(centred.var(-1, keepdims=True) + eps) * scale + bias


CASES = [
    (RMSNorm(), rms, 1e-6),
    (RMSNorm(eps=0.5), rms, 0.5),
    (RMSNorm(offset=1.0), lambda x, scale, bias, eps: rms(x, 1 + scale, bias, eps), 1e-6),
    (LayerNorm(), layer, 1e-5),
    (LayerNorm(eps=0.5, bias=True), layer, 0.5),
]


@pytest.mark.parametrize(("spec", "formula", "eps"), CASES)
def test_norms_are_their_formulas(spec: Norm, formula, eps: float) -> None:
    rng = np.random.default_rng(0)
    module = spec.build(SIZES, nnx.Rngs(0))
    biased = getattr(spec, "bias", False)
    assert (module.bias is not None) == biased
    # Whatever part of it is stored, the scale is 1 at first.
    assert module.scale[...].tolist() == [1.0 - getattr(spec, "offset", 0)] * 16
    # Rows of very different size, off centre: sums in a narrower format would show.
    x = (rng.normal(size=(2, 3, 16)) * np.array([1e-3, 1, 1e3])[:, None] + 0.7).astype(np.float32)
    scale, bias = rng.normal(size=(2, 16)).astype(np.float32)
    module.scale[...] = jnp.asarray(scale)
    if biased:
        assert module.bias[...].tolist() == [0.0] * 16
        module.bias[...] = jnp.asarray(bias)
    expected = formula(x.astype(np.float64), scale, bias if biased else 0 * bias, eps)
    found = module(jnp.asarray(x))
    assert found.dtype == jnp.float32
    # The row of 1e-3 around 0.7 loses digits to its mean.
    np.testing.assert_allclose(found, expected, atol=1e-4 if formula is layer else 1e-5, rtol=1e-5)

    rounded = jnp.asarray(x, jnp.bfloat16)
    found = module(rounded)
    assert found.dtype == jnp.bfloat16
    expected = formula(np.asarray(rounded, np.float64), scale, bias if biased else 0 * bias, eps)
    # Rounded once, to 8 bits; a bias adds a rounding of its own.
    atol, rtol = (0.03, 0.01) if biased else (1e-3, 2**-8)
    np.testing.assert_allclose(np.asarray(found, np.float64), expected, atol=atol, rtol=rtol)


def test_weights_are_named() -> None:
    module = LayerNorm(bias=True).build(SIZES, nnx.Rngs(0))
    found = logical_axes(nnx.state(module, nnx.Param))
    assert found == {("scale",): ("embed",), ("bias",): ("embed",)}
