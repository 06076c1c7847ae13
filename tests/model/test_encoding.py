"""The base of the encodings: it does nothing."""

import jax.numpy as jnp
from flax import nnx

from model.encoding import Positions
from model.parameters import Sizes
from model.parametrization import Standard
from model.precision import Precision


def test_the_base_encodes_nothing() -> None:
    spec, positions = Positions(), jnp.arange(3)[None]
    x, heads = jnp.ones((1, 3, 4)), jnp.ones((1, 3, 2, 2))
    assert spec.weights(Sizes(4, 1, 0.0, Standard(), Precision()), 2, nnx.Rngs(0)) is None
    assert spec.limit() is None and spec.softmax_factor() == 1 and spec.check_heads(3) is None
    assert spec.at_input(None, x, positions) is x and spec.at_heads(heads, positions) is heads
    assert spec.at_logits(None, 2, positions, positions) is None
