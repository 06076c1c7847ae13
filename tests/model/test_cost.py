"""Closed forms of cost against the real tree of weights, the real cache, and XLA's own count of FLOPs."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from model.attention import Attention
from model.config import Embedding, Logits
from model.cost import (
    active_weight_count,
    cache_bytes,
    cache_bytes_per_token,
    forward_flops_per_token,
    weight_count,
)
from model.feedforward import MLP, GatedMLP, InterleavedFeedForward, LeadingFeedForward
from model.kernels import Dense
from model.masks import Causal, SlidingWindow
from model.mixing import Interleaved
from model.norms import LayerNorm, RMSNorm
from model.positions import Alibi, Learned, NoPositions, Rope, Sinusoidal, T5Bias
from model.precision import Precision
from model.qk_norm import AcrossHeads, PerHead
from model.residual import DeepNorm, OutputNorm, Parallel, PostNorm, PreNorm, SandwichNorm
from model.transformer import DecoderLM, TransformerConfig


def tree_count(model: nnx.Module) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def made(config: TransformerConfig) -> DecoderLM:
    return nnx.eval_shape(lambda: DecoderLM(config, nnx.Rngs(0)))


norms = st.one_of(
    st.builds(RMSNorm, offset=st.sampled_from([0.0, 1.0])), st.builds(LayerNorm, bias=st.booleans())
)
attentions = st.builds(
    Attention,
    heads=st.just(4),
    kv_heads=st.sampled_from([0, 1, 2]),
    head_dim=st.sampled_from([0, 4, 10]),
    mask=st.sampled_from([Causal(), Causal() & SlidingWindow(3)]),
    positions=st.sampled_from(
        [Rope(), Learned(9), Learned(9, 2), NoPositions(), Sinusoidal(), Alibi(), T5Bias(8, 16)]
    ),
    qk_norm=st.one_of(st.none(), st.builds(PerHead, norms), st.builds(AcrossHeads, norms)),
    bias=st.booleans(),
    output_bias=st.booleans(),
    sinks=st.booleans(),
)
feedforwards = st.one_of(
    st.builds(MLP, st.integers(1, 9), bias=st.booleans()), st.builds(GatedMLP, st.integers(1, 9), bias=st.booleans())
)
configs = st.builds(
    TransformerConfig,
    layers=st.integers(1, 7),
    embed=st.sampled_from([8, 16]),
    vocab=st.integers(1, 20),
    attention=st.one_of(
        attentions, st.lists(attentions, min_size=2, max_size=3).map(lambda a: Interleaved(tuple(a)))
    ),
    feedforward=st.one_of(
        feedforwards,
        st.lists(feedforwards, min_size=2, max_size=3).map(lambda f: InterleavedFeedForward(tuple(f))),
        st.builds(LeadingFeedForward, st.integers(1, 3), feedforwards, feedforwards),
    ),
    norm=norms,
    residual=st.sampled_from(
        [PreNorm(), PostNorm(), DeepNorm(2), OutputNorm(), SandwichNorm(), Parallel(), Parallel(shared=False)]
    ),
    tie_embeddings=st.booleans(),
    embedding=st.builds(Embedding, norm=st.one_of(st.none(), norms), types=st.integers(0, 2)),
    logits=st.builds(Logits, bias=st.booleans()),
)


@settings(max_examples=15)
@given(configs)
def test_weights_of_any_spec(config: TransformerConfig) -> None:
    assert weight_count(config) == tree_count(made(config)) == active_weight_count(config)


@settings(max_examples=8)
@given(configs, st.integers(2, 9))
def test_the_cache_of_any_spec(config: TransformerConfig, context: int) -> None:
    tokens, lengths = jnp.zeros((3, 2), jnp.int32), jnp.full((3,), 2)
    _, cache = jax.eval_shape(lambda model: model.prefill(tokens, lengths, context), made(config))
    kept = [leaf for layer in cache.values() for leaf in jax.tree.leaves(layer.kept)]
    assert {leaf.dtype for leaf in kept} == {jnp.dtype("bfloat16")}
    assert 3 * cache_bytes(config, context, 2) == sum(math.prod(leaf.shape) * 2 for leaf in kept)
    if context <= 3:  # the windows let go of nothing
        assert cache_bytes(config, context, 4) == context * cache_bytes_per_token(config, 4)


def test_a_window_bounds_the_cache() -> None:
    local, whole = Attention(4, kv_heads=2, mask=Causal() & SlidingWindow(100)), Attention(4, kv_heads=2)
    config = TransformerConfig(6, 64, 10, Interleaved((local, local, whole)), MLP(64))
    # A key and a value of 2 heads with 16 features, of 2 bytes each.
    assert cache_bytes_per_token(config, 2) == 6 * 2 * 2 * 16 * 2
    assert cache_bytes(config, 1000, 2) == (4 * 100 + 2 * 1000) * 2 * 2 * 16 * 2


def test_training_is_three_times_as_much() -> None:
    attention = Interleaved((Attention(4, mask=Causal() & SlidingWindow(7)), Attention(4)))
    config = TransformerConfig(5, 64, 10, attention, GatedMLP(100))
    assert 3 * forward_flops_per_token(config, 50) == pytest.approx(config.flops_per_token(50), rel=1e-12)


DENSE = Attention(8, head_dim=64, kernel=Dense())
SHAPES = {
    "gpt": TransformerConfig(2, 512, 4000, dataclasses.replace(DENSE, bias=True), MLP(2048, "relu", bias=True)),
    "llama": TransformerConfig(3, 512, 3000, dataclasses.replace(DENSE, kv_heads=2), GatedMLP(1400, "relu")),
    "parallel": TransformerConfig(2, 512, 4000, DENSE, MLP(2048, "relu"), residual=Parallel(), tie_embeddings=False),
    "deep first": TransformerConfig(3, 384, 3000, DENSE, LeadingFeedForward(1, MLP(3000, "relu"), MLP(1000, "relu"))),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("sequence", [64, 512])
def test_flops_are_those_that_xla_counts(name: str, sequence: int) -> None:
    config = dataclasses.replace(SHAPES[name], precision=Precision(compute="float32"))
    tokens = jax.ShapeDtypeStruct((2, sequence), jnp.int32)
    program = jax.jit(lambda model, tokens: model(tokens)).lower(made(config), tokens).compile()
    counted = program.cost_analysis()["flops"] / (2 * sequence)
    assert forward_flops_per_token(config, sequence, every_key=True) == pytest.approx(counted, rel=0.02)
