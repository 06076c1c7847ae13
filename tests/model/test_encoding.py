"""The base of the encodings: it does nothing, and its checks name the field."""

import dataclasses

import jax.numpy as jnp
import pytest
from flax import nnx

from model.encoding import Positions, above, at_least
from model.parameters import Sizes
from model.precision import Precision


@dataclasses.dataclass(frozen=True)
class Spec:
    size: float = 2.0


def test_the_base_encodes_nothing() -> None:
    spec, positions = Positions(), jnp.arange(3)[None]
    x, heads = jnp.ones((1, 3, 4)), jnp.ones((1, 3, 2, 2))
    assert spec.weights(Sizes(4, 1, 0.0, 0.02, Precision()), 2, nnx.Rngs(0)) is None
    assert spec.limit() is None and spec.softmax_factor() == 1 and spec.check_heads(3) is None
    assert spec.at_input(None, x, positions) is x and spec.at_heads(heads, positions) is heads
    assert spec.at_logits(None, 2, positions, positions) is None


def test_checks_name_the_field() -> None:
    at_least(Spec(), size=2)
    above(Spec(), size=1.5)
    with pytest.raises(ValueError, match="^Spec.size is 2.0; it is at least 3$"):
        at_least(Spec(), size=3)
    with pytest.raises(ValueError, match="^Spec.size is 2.0; it is above 2$"):
        above(Spec(), size=2)
    for check in (at_least, above):
        with pytest.raises(ValueError, match="Spec.size is nan"):
            check(Spec(float("nan")), size=0)
