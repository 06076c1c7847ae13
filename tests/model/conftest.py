"""Models with random weights, made without running their initialisers."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.parameters import logical_axes
from model.transformer import DecoderLM, TransformerConfig

MakeModel = Callable[..., tuple[DecoderLM, dict[str, Any]]]


@pytest.fixture(scope="session")
def make_model() -> MakeModel:
    def make(config: TransformerConfig, weights: Any = None) -> tuple[DecoderLM, dict[str, Any]]:
        """A model, of fresh random weights if none are given; and the weights in float64.

        Scales of norms lie around 1 and all else around 0, all of them far enough to be felt.
        """
        graph, state = nnx.split(nnx.eval_shape(lambda: DecoderLM(config, nnx.Rngs(0))))
        rng = np.random.default_rng(7)
        if weights is None:
            axes = logical_axes(state)

            def draw(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> np.ndarray:
                assert tuple(p.key for p in path) in axes
                mean = 1 if "scale" in path[-1].key else 0
                return (mean + 0.3 * rng.normal(size=leaf.shape)).astype(np.float32)

            weights = jax.tree.map_with_path(draw, nnx.to_pure_dict(state))
        wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), weights)
        return nnx.merge(graph, jax.tree.map(jnp.asarray, weights)), wide

    return make
