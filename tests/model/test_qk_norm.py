"""Normalised queries and keys against NumPy; within the whole stack they are tested in `test_stack.py`."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.norms import LayerNorm, RMSNorm
from model.parameters import Sizes
from model.parametrization import Standard
from model.precision import Precision
from model.qk_norm import AcrossHeads, PerHead, QueryKeyNorm
from sharding.axes import HEADS, KV_HEADS

SIZES = Sizes(16, 2, 0.0, Standard(), Precision(compute="float32"))


@pytest.mark.parametrize(
    ("spec", "together", "shape", "axes"),
    [
        (PerHead(), (3,), (5,), ("head_dim",)),
        (AcrossHeads(), (2, 3), (4, 5), ("heads", "head_dim")),
        (PerHead(RMSNorm(0.1, offset=1.0)), (3,), (5,), ("head_dim",)),
    ],
)
def test_what_is_normalised_together(spec: QueryKeyNorm, together: tuple, shape: tuple, axes: tuple) -> None:
    layer = spec.build(4, HEADS, 5, SIZES)
    [(_, scale)] = nnx.to_flat_state(nnx.state(layer, nnx.Param))
    assert scale.shape == shape and scale.get_metadata("axes") == axes
    assert spec.weight_count(4, 5) == int(np.prod(shape))
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=shape)
    scale.set_value(jnp.asarray(weight, jnp.float32))
    nnx.update(layer, nnx.State.from_flat_path({path: scale for path, _ in nnx.to_flat_state(nnx.state(layer))}))
    square = (x**2).mean(tuple(axis for axis in together if axis != 3) + (3,) if 2 in together else 3, keepdims=True)
    expected = x / np.sqrt(square + spec.norm.eps) * (spec.norm.offset + weight)
    np.testing.assert_allclose(layer(jnp.asarray(x, jnp.float32)), expected, rtol=1e-5, atol=1e-5)


def test_keys_have_their_own_axis() -> None:
    layer = AcrossHeads(LayerNorm(bias=True)).build(2, KV_HEADS, 5, SIZES)
    axes = {leaf.get_metadata("axes") for _, leaf in nnx.to_flat_state(nnx.state(layer, nnx.Param))}
    assert axes == {("kv_heads", "head_dim")}
    assert AcrossHeads(LayerNorm(bias=True)).weight_count(2, 5) == 20
