"""Heads against their formulas, on rows with padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.attention import Attention
from model.config import TransformerConfig
from model.feedforward import MLP
from model.heads import (
    Classification,
    Headed,
    HeadedConfig,
    LastToken,
    MeanToken,
    Regression,
    TokenClassification,
)
from model.masks import Causal, Segments
from model.precision import Precision

CONFIG = TransformerConfig(
    layers=1, embed=8, vocab=11, attention=Attention(2, mask=Segments()), feedforward=MLP(12),
    precision=Precision(compute="float32"),
)  # fmt: skip
TOKENS = np.random.default_rng(1).integers(0, 11, (2, 6)).astype(np.int32)
REAL = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]], np.int32)


def parts(head) -> tuple[np.ndarray, np.ndarray, Headed]:
    """Answers, the stream that they are read from, and the model."""
    model = Headed(HeadedConfig(CONFIG, head), nnx.Rngs(3))
    for path, variable in nnx.to_flat_state(nnx.state(model.head, nnx.Param)):
        value = np.random.default_rng(len(path[0])).normal(size=variable.shape)
        getattr(model.head, path[0])[...] = jnp.asarray(value, jnp.float32)
    found = {}
    inner = model.head

    def spy(x, real):
        found["x"] = x
        return inner(x, real)

    model.head = spy
    answers = model(jnp.asarray(TOKENS), jnp.asarray(REAL))
    return np.asarray(answers), np.asarray(found["x"], np.float64), inner


def test_a_label_for_the_first_token() -> None:
    answers, x, head = parts(Classification(5, pooler=True))
    hidden = np.tanh(x[:, 0] @ np.asarray(head.inner[...]) + np.asarray(head.inner_bias[...]))
    np.testing.assert_allclose(answers, hidden @ np.asarray(head.weight[...]) + np.asarray(head.bias[...]), atol=1e-5)


def test_numbers_for_the_mean_of_real_tokens() -> None:
    answers, x, head = parts(Regression(2))
    mean = np.stack([x[0, :4].mean(0), x[1].mean(0)])
    np.testing.assert_allclose(answers, mean @ np.asarray(head.weight[...]) + np.asarray(head.bias[...]), atol=1e-5)


def test_the_last_real_token() -> None:
    answers, x, head = parts(Classification(3, pooling=LastToken()))
    last = np.stack([x[0, 3], x[1, 5]])
    np.testing.assert_allclose(answers, last @ np.asarray(head.weight[...]) + np.asarray(head.bias[...]), atol=1e-5)


def test_a_label_for_every_token() -> None:
    answers, x, head = parts(TokenClassification(4))
    assert answers.shape == (2, 6, 4) and answers.dtype == np.float32
    np.testing.assert_allclose(answers, x @ np.asarray(head.weight[...]) + np.asarray(head.bias[...]), atol=1e-5)


def test_padding_changes_no_answer() -> None:
    model = Headed(HeadedConfig(CONFIG, Regression(pooling=MeanToken())), nnx.Rngs(0))
    padded = jax.jit(lambda m, t, s: m(t, s))(model, TOKENS, REAL)
    alone = model(jnp.asarray(TOKENS[:1, :4]))
    np.testing.assert_allclose(padded[0], alone[0], atol=1e-6)


def test_heads_that_ask_nothing() -> None:
    for make in (lambda: Classification(0), lambda: Regression(0), lambda: TokenClassification(-1)):
        with pytest.raises(ValueError, match="it is at least 1"):
            make()
    assert Classification(2) == Classification(2) and Causal() == Causal()
