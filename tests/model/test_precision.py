"""Number formats: weights stay float32, bfloat16 computes, logits are float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.attention import Attention
from model.feedforward import GatedMLP
from model.precision import Precision
from model.transformer import DecoderLM, TransformerConfig


def test_bfloat16_gives_float32_logits_near_those_of_float32(make_model) -> None:
    def logits(compute: str) -> jax.Array:
        config = TransformerConfig(
            layers=2, embed=24, vocab=29, precision=Precision(compute=compute),
            attention=Attention(4, kv_heads=2), feedforward=GatedMLP(40),
        )  # fmt: skip
        model, _ = make_model(config)
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(nnx.state(model)))
        run = jax.jit(DecoderLM.__call__, compiler_options={"xla_backend_optimization_level": 0})
        return run(model, jnp.arange(11)[None])

    found, expected = logits("bfloat16"), np.asarray(logits("float32"))
    assert found.dtype == jnp.float32
    # Float32 sums of bfloat16 products are no bfloat16 numbers.
    assert not np.array_equal(found, found.astype(jnp.bfloat16).astype(jnp.float32))
    assert 0 < np.abs(found - expected).max() < 0.06 * np.abs(expected).max()


@pytest.mark.parametrize("field", ["weights", "compute"])
def test_bad_precision(field: str) -> None:
    with pytest.raises(ValueError, match=f"Precision.{field} is 'float64'; it is one of float32"):
        Precision(**{field: "float64"})
