"""Latent attention against its formulas in NumPy float64, and decoding from its small cache."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.feedforward import GatedMLP
from model.latent_attention import LatentAttention
from model.masks import Causal, SlidingWindow
from model.mixing import Step
from model.positions import Rope
from model.precision import Precision
from model.transformer import DecoderLM, TransformerConfig

SPEC = LatentAttention(
    3, kv_rank=5, query_rank=7, plain_dim=4, rotary_dim=6, value_dim=3, positions=Rope(50.0, interleaved=True)
)
CONFIG = TransformerConfig(
    layers=2, embed=16, vocab=23, attention=SPEC, feedforward=GatedMLP(20), precision=Precision(compute="float32")
)


def rms(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * scale


def turned(x: np.ndarray, positions: np.ndarray) -> np.ndarray:
    pairs = x[..., 0::2] + 1j * x[..., 1::2]
    half = pairs.shape[-1]
    pairs = pairs * np.exp(1j * np.outer(positions, 50.0 ** (-np.arange(half) / half)))
    return np.stack([pairs.real, pairs.imag], -1).reshape(x.shape)


def formula(w: dict[str, Any], x: np.ndarray, queries: bool) -> np.ndarray:
    """Equations 1 to 11 of DeepSeek-V3 on one row [seq, embed], head by head."""
    positions = np.arange(len(x))
    down = rms(x @ w["query_down"], w["query_norm"]["scale"]) if queries else x
    latent = rms(x @ w["latent_down"], w["latent_norm"]["scale"])
    shared = turned(x @ w["rotary_key"], positions)
    out = np.zeros_like(x)
    for h in range(3):
        q = down @ w["query_up"][:, h]
        q = np.concatenate([q[:, :4], turned(q[:, 4:], positions)], -1)
        k = np.concatenate([latent @ w["key_up"][:, h], shared], -1)
        v = latent @ w["value_up"][:, h]
        scores = np.where(np.tri(len(x), dtype=bool), q @ k.T / np.sqrt(10), -np.inf)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        out += p / p.sum(-1, keepdims=True) @ v @ w["output"][h]
    return out


@pytest.mark.parametrize("rank", [7, 0])
def test_output_is_that_of_the_formulas(make_model, rank: int) -> None:
    model, weights = make_model(dataclasses.replace(CONFIG, attention=dataclasses.replace(SPEC, query_rank=rank)))
    x = np.random.default_rng(1).normal(size=(2, 9, 16))
    layer = jax.tree.map(lambda leaf: leaf[0], weights["blocks"]["0"]["attention"])
    block = getattr(model.blocks, "0").attention
    graph_layer = jax.tree.map(lambda leaf: leaf[0], block)
    step = Step(jnp.broadcast_to(jnp.arange(9), (2, 9)))
    found, _ = graph_layer(jnp.asarray(x, jnp.float32), step, None)
    expected = np.stack([formula(layer, row, queries=bool(rank)) for row in x])
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("mask", [Causal(), Causal() & SlidingWindow(6)])
def test_cached_is_the_full_forward_pass(make_model, mask) -> None:
    config = dataclasses.replace(CONFIG, attention=dataclasses.replace(SPEC, mask=mask))
    model, _ = make_model(config)
    tokens = np.random.default_rng(2).integers(0, 23, (2, 13)).astype(np.int32)
    full = np.asarray(jax.jit(lambda m, t: m(t))(model, tokens))
    lengths = np.array([5, 3], np.int32)
    logits, cache = jax.jit(DecoderLM.prefill, static_argnums=3)(model, tokens[:, :5], lengths, 13)
    # All that is kept of a token: the vector, and one key part for all heads.
    slots = 13 if mask == Causal() else 6
    assert [part.shape for part in cache["0"].kept] == [(2, 2, slots, 5), (2, 2, slots, 6)]
    decode = jax.jit(DecoderLM.decode)
    rows = np.arange(2)
    for i in range(8):
        np.testing.assert_allclose(logits, full[rows, lengths + i - 1], atol=2e-5 * np.abs(full).max())
        logits, cache = decode(model, jnp.asarray(tokens[rows, lengths + i]), jnp.asarray(lengths + i), cache)


def test_weights_are_counted(make_model) -> None:
    for rank in (7, 0):
        spec = dataclasses.replace(SPEC, query_rank=rank)
        _, weights = make_model(dataclasses.replace(CONFIG, attention=spec, layers=1))
        assert sum(leaf.size for leaf in jax.tree.leaves(weights["blocks"]["0"]["attention"])) == spec.weight_count(16)
    assert SPEC.kept_per_token(16) == 11 and SPEC.features_per_key(16) == 3 * (10 + 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"kv_rank": 0}, "LatentAttention.kv_rank is 0; it is at least 1"), ({"rotary_dim": 5}, "head_dim is 5")],
)
def test_bad_specs(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SPEC, **changes)
