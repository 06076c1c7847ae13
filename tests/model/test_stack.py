"""Stacks of blocks of any kind against NumPy float64; interleaved ones also by cached decoding and by dropout."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.attention import Attention
from model.config import Embedding, Logits
from model.families.link import tensors_of
from model.feedforward import MLP, GatedMLP, InterleavedFeedForward, LeadingFeedForward
from model.masks import Causal, Mask, Or, Places, Retention, SlidingWindow
from model.mixing import Interleaved
from model.norms import LayerNorm, RMSNorm
from model.positions import NoPositions, Rope
from model.precision import Precision
from model.qk_norm import AcrossHeads, PerHead
from model.residual import DeepNorm, OutputNorm, Parallel, PostNorm, PreNorm, SandwichNorm
from model.transformer import DecoderLM, TransformerConfig
from tests.model.decoder_reference import logits_of, wide_weights

QUICK = {"xla_backend_optimization_level": 0}
PLAIN = Attention(4, kv_heads=2, head_dim=6, positions=Rope(100.0))
BASE = TransformerConfig(2, 16, 13, PLAIN, MLP(20, "relu"), precision=Precision(compute="float32"))
LOCAL = dataclasses.replace(PLAIN, mask=Causal() & SlidingWindow(3), positions=Rope(10.0))
CONFIGS = {
    "pre": {"residual": PreNorm(0.3)},
    "post": {"residual": PostNorm(0.7), "norm": LayerNorm(bias=True)},
    "deep": {"residual": DeepNorm(2), "norm": LayerNorm()},
    "output": {"residual": OutputNorm()},
    "sandwich": {"residual": SandwichNorm(), "norm": RMSNorm(1e-3, offset=1.0)},
    "parallel": {"residual": Parallel(), "feedforward": GatedMLP(20)},
    "parallel, norms apart": {"residual": Parallel(shared=False), "norm": LayerNorm(1e-2, bias=True)},
    "biases": {
        "attention": dataclasses.replace(PLAIN, bias=True, output_bias=True), "feedforward": MLP(20, "tanh", bias=True)
    },
    "gate biases": {"feedforward": GatedMLP(20, "sigmoid", bias=True)},
    "scale": {"attention": dataclasses.replace(PLAIN, scale=0.11)},
    "softcap": {"attention": dataclasses.replace(PLAIN, softcap=0.5, scale=1.0)},
    "sinks": {"attention": dataclasses.replace(PLAIN, sinks=True, mask=Causal() & SlidingWindow(4))},
    "softcap and sinks": {"attention": dataclasses.replace(PLAIN, sinks=True, softcap=0.7, kv_heads=1)},
    "norm of a head": {"attention": dataclasses.replace(PLAIN, qk_norm=PerHead(RMSNorm(1e-3, offset=1.0)))},
    "norm of all heads": {"attention": dataclasses.replace(PLAIN, qk_norm=AcrossHeads(LayerNorm(bias=True)))},
    "embedding": {"embedding": Embedding(4.0, LayerNorm(bias=True), types=3)},
    "logits": {"logits": Logits(0.25, softcap=0.9, bias=True), "tie_embeddings": False},
    "local and global": {"attention": Interleaved((LOCAL, PLAIN)), "layers": 5},
    "dense first": {"feedforward": LeadingFeedForward(1, GatedMLP(24), MLP(12, "relu_squared")), "layers": 4},
    "two plans": {
        "attention": Interleaved((LOCAL, PLAIN)), "layers": 7,
        "feedforward": InterleavedFeedForward((MLP(9, "relu"), MLP(9, "relu"), GatedMLP(7))),
    },
}  # fmt: skip


def config_of(name: str) -> TransformerConfig:
    return dataclasses.replace(BASE, **CONFIGS[name])


def drawn(rows: int, length: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 13, (rows, length)).astype(np.int32)


@partial(jax.jit, compiler_options=QUICK)
def forward(model: DecoderLM, tokens: Any, key: Any = None) -> jax.Array:
    return model(tokens, dropout_key=key)


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_those_of_the_formulas(name: str, make_model) -> None:
    config = config_of(name)
    model, _ = make_model(config)
    tokens = drawn(2, 9)
    expected = np.stack([logits_of(config, wide_weights(model), row) for row in tokens])
    found = np.asarray(forward(model, tokens))
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())
    # What is being tested is felt: the plain model of the same weights would say something else.
    assert np.abs(expected).max() > 0.1


def test_token_types(make_model) -> None:
    config = config_of("embedding")
    model, _ = make_model(config)
    tokens, types = jnp.asarray(drawn(1, 6)), jnp.array([[0, 0, 2, 1, 1, 2]])
    given, without = (np.asarray(model.embedded(tokens, jnp.arange(6)[None], t)) for t in (types, None))
    w = wide_weights(model)
    for found, of in ((given, types[0]), (without, np.zeros(6, int))):
        x = w["embedding"][np.asarray(tokens[0])] * 4 + w["types"][np.asarray(of)]
        x = x - x.mean(-1, keepdims=True)
        expected = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * w["embedding_norm.scale"]
        np.testing.assert_allclose(found[0], expected + w["embedding_norm.bias"], atol=1e-5)


@dataclasses.dataclass(frozen=True)
class FirstAndLatest(Mask):
    """Some keys from the start, and some of the latest."""

    first: int
    latest: int

    def allowed(self, query: Places, key: Places) -> Any:
        return (key.index < self.first) | (query.index - key.index < self.latest)

    def retention(self) -> Retention:
        return Retention(self.first, self.latest)


DECODED = {
    "local and global": Interleaved((LOCAL, PLAIN)),
    "first and latest": dataclasses.replace(PLAIN, mask=Causal() & FirstAndLatest(2, 3)),
    "a union": dataclasses.replace(PLAIN, mask=Causal() & Or(FirstAndLatest(1, 2), FirstAndLatest(3, 1))),
    "of every kind": Interleaved(
        (dataclasses.replace(PLAIN, mask=Causal() & FirstAndLatest(2, 3), sinks=True, bias=True), LOCAL, PLAIN)
    ),
    "without positions": dataclasses.replace(
        PLAIN, positions=NoPositions(), softcap=0.6, mask=SlidingWindow(4) & Causal()
    ),
}


@pytest.mark.parametrize("name", DECODED)
def test_decoding_is_the_full_pass(name: str, make_model) -> None:
    config = dataclasses.replace(BASE, layers=5, attention=DECODED[name])
    model, _ = make_model(config)
    tokens, lengths, total = drawn(3, 14), np.array([1, 4, 6], np.int32), 14
    full = np.asarray(forward(model, tokens))
    prompts = np.where(np.arange(6) < lengths[:, None], tokens[:, :6], 0).astype(np.int32)
    prefill = jax.jit(lambda m, t, n: m.prefill(t, n, total), compiler_options=QUICK)
    decode = jax.jit(lambda m, t, p, c: m.decode(t, p, c), compiler_options=QUICK)
    logits, cache = prefill(model, prompts, lengths)
    rows = np.arange(3)
    for step in range(8):
        at = lengths + step
        np.testing.assert_allclose(logits, full[rows, at - 1], rtol=0, atol=2e-5 * np.abs(full).max())
        logits, cache = decode(model, jnp.asarray(tokens[rows, at]), jnp.asarray(at), cache)
    # Slots are as many as the mask of each place retains, and no more.
    for place, layer in cache.items():
        held = config.blocks[int(place)].attention.mask.retention()
        slots = total if held.latest is None else min(held.first + held.latest, total)
        assert layer.position.shape == (3, slots)
        assert {leaf.shape[2] for leaf in jax.tree.leaves(layer.kept)} == {slots}


def test_slots_differ_by_place(make_model) -> None:
    config = dataclasses.replace(BASE, layers=5, attention=Interleaved((LOCAL, PLAIN)))
    _, cache = make_model(config)[0].prefill(jnp.asarray(drawn(1, 4)), jnp.array([4]), 20)
    slots = {config.blocks[int(place)].attention: layer.position.shape[1] for place, layer in cache.items()}
    assert slots == {LOCAL: 3, PLAIN: 20}


def test_dropout_goes_by_the_index_of_the_layer(make_model) -> None:
    """Layers that compute the same drop the same, whether they are one loop or take turns."""
    uniform = dataclasses.replace(BASE, layers=5, dropout=0.3)
    # A window that is never left: another spec, and the same numbers.
    wide = dataclasses.replace(PLAIN, mask=Causal() & SlidingWindow(1000))
    turns = dataclasses.replace(uniform, attention=Interleaved((PLAIN, wide)))
    one, _ = make_model(uniform)
    assert len(one.blocks.plan.runs) == 1
    weights = wide_weights(one)
    abstract = nnx.eval_shape(lambda: DecoderLM(turns, nnx.Rngs(0)))
    graph, state = nnx.split(abstract)
    filled = {path: np.zeros(leaf.shape, np.float32) for path, leaf in nnx.to_flat_state(state)}
    for name, where in tensors_of(abstract).items():
        path = next(path for path in filled if tuple(map(str, path)) == where.path)
        filled[path][... if where.repeat is None else where.repeat] = weights[name]
    for path, leaf in nnx.to_flat_state(state):
        leaf.set_value(jnp.asarray(filled[path]))
    other, tokens, key = nnx.merge(graph, state), drawn(2, 7), jax.random.key(4)
    assert max(run.period for run in other.blocks.plan.runs) == 2
    expected = np.asarray(forward(one, tokens, key))
    np.testing.assert_allclose(forward(other, tokens, key), expected, rtol=0, atol=1e-5)
    assert np.abs(forward(one, tokens) - expected).max() > 0.1
