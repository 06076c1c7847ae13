"""Decoding is measured once, at the end, and its cache counted."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments.decoding_speed import DecodingSpeed
from experiments.restore import open_run
from model.attention import Attention
from model.decoding import generate
from model.feedforward import MLP
from model.positions import Learned, Rope
from model.precision import Precision
from model.transformer import DecoderLM, TransformerConfig
from train.hooks import Moment


def config(**attention: Any) -> TransformerConfig:
    return TransformerConfig(
        layers=3, embed=16, vocab=97, attention=Attention(heads=4, **attention), feedforward=MLP(8),
        precision=Precision(compute="float32"),
    )  # fmt: skip


def figures(trained: Any, model: TransformerConfig, step: int, hook: DecodingSpeed) -> dict[str, float]:
    opened = open_run(trained.path)
    experiment = dataclasses.replace(trained.experiment, hooks=())
    made = Moment(
        experiment, opened.run, opened.prepared, lambda: DecoderLM(model, nnx.Rngs(0)), step, {}, lambda line: None
    )
    return dict(hook.after_evaluation(made))


@pytest.mark.parametrize("kv_heads", [4, 1])
def test_the_cache_has_a_key_and_a_value_a_head_and_token(trained: Any, kv_heads: int) -> None:
    hook = DecodingSpeed(context=40, rows=2, tokens=3)
    found = figures(trained, config(kv_heads=kv_heads, positions=Rope()), trained.experiment.steps, hook)
    # Room for the context, and for the stretches, one of which is not counted.
    assert found["perf/decoding_cache_bytes"] == 3 * 2 * kv_heads * 4 * 4 * (40 + 6 * 3)
    assert found["perf/decoding_milliseconds"] > 0


def test_nothing_is_measured_before_the_end(trained: Any) -> None:
    assert figures(trained, config(), trained.experiment.steps - 1, DecodingSpeed(8, 1, 1)) == {}


def test_tokens_are_those_of_greedy_decoding() -> None:
    from experiments import decoding_speed

    # With a table of its own for logits, so that it does not say the same again and again.
    model = DecoderLM(dataclasses.replace(config(), tie_embeddings=False), nnx.Rngs(1))
    graph, weights = nnx.split(model)
    prompts = np.random.default_rng(0).integers(0, 97, (16, 8))
    token, cache = decoding_speed.prefilled(graph, weights, jnp.asarray(prompts, jnp.int32), 40)
    last, _ = decoding_speed.decoded(graph, weights, token, jnp.full(16, 8, jnp.int32), cache, 5)
    made = np.asarray(generate(model, prompts.tolist(), new_tokens=6))
    np.testing.assert_array_equal(token, made[:, 0])
    np.testing.assert_array_equal(last, made[:, 5])


def test_what_cannot_be_is_refused(trained: Any) -> None:
    with pytest.raises(ValueError, match="DecodingSpeed.rows is 0; it is at least 1"):
        DecodingSpeed(rows=0)
    model = dataclasses.replace(trained.experiment.model, attention=Attention(heads=4, positions=Learned(64)))
    with pytest.raises(ValueError, match="DecodingSpeed needs 88 positions, and the model has 64"):
        DecodingSpeed(context=40, tokens=8).check(dataclasses.replace(trained.experiment, model=model))
